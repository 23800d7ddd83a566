//! Both directions joined: what clients and origins may say, in every order, until no state is new.
//!
//! On each edge a plain reader of both wires holds the invariants by which a client could be harmed ([`wire`]), and the outcome of all steps so far is
//! that of the plain model. A state is all that the core remembers, what its owner holds, and what the reader of the wires knows. What is left out, or put
//! into classes, and why that loses nothing:
//!
//! - *Lengths*: bodies have one byte or two. The core counts down what is left, and asks only whether that is 0; the numbers themselves are the matter of
//!   `chunked`. The counts of 1xx are 0 or more: they are asked only whether they are over limits that are out of reach here.
//! - *Bytes that no place looks at*: where any bytes go on, or wait, a few kinds are enough. Of what is cut in two the second part comes next; that more
//!   cuts do not matter is invariant 3, which other tests hold.
//! - *Time*: the core has no clock. That a limit passes can happen in each state, so in each it is asked how the exchange would end.
//! - *Which origin connection it is*: none is used again once it was let go, so a connection is told by what was said on it.
//! - *The mark* by which an exchange is not plain: that there is one counts, and which one is told to the operator alone.
//! - *The preamble* with which an origin connection begins if an operator wants it: the core knows nothing of it. A session writes it as it dials, first or for
//!   a request that goes once more; that each connection begins with one, its own client's, holds for all that `headsnip::testing::session` runs.
//! - *What was sent before*: nobody looks back at it, but for the request that may be sent once more, which is part of the state.

mod message;
mod operator;
mod owner;
mod seen;
mod tokens;
mod wire;

use headsnip::http1::Policy;
use headsnip::testing::drive::policy;
use headsnip::testing::{Rules, Step, model};

use self::message::{Broken, ensure};
use self::operator::Operator;
use self::owner::Owner;
use self::tokens::Token;

use super::found::Found;
use super::state::Frontier;

/// More states than this, and something grows without bound.
const MOST_STATES: usize = 200_000;

struct Exploration<'p> {
    operator: Operator,
    tokens: Vec<Token>,
    rules: &'p Rules,
    policy: &'p Policy,
}

impl<'p> Exploration<'p> {
    fn run(&self) -> Found {
        let mut frontier = Frontier::new(MOST_STATES);
        let start = Owner::new(self.policy, self.operator);
        frontier.meet(start.key(), (start, Vec::new()));
        let mut transitions = 0;
        while let Some((owner, way)) = frontier.next() {
            for (index, token) in self.tokens.iter().enumerate().filter(|(_, token)| owner.may(token)) {
                let mut next = owner.clone();
                let way = [&way[..], &[index]].concat();
                let broken = next.happen(token).and_then(|()| self.is_as_the_model_has_it(&next, &way)).err();
                assert_eq!(broken, None, "\n{}", self.told(&way));
                transitions += 1;
                if !next.is_over() {
                    frontier.meet(next.key(), (next, way));
                }
            }
            transitions += self.sides_come_in_any_order(&owner, &way);
        }
        Found { states: frontier.count(), transitions }
    }

    /// What the plain model makes of the same steps, where it knows them all.
    fn is_as_the_model_has_it(&self, owner: &Owner<'_>, way: &[usize]) -> Broken {
        let step = |index: &usize| if let Token::Step(step) = &self.tokens[*index] { Some(step.clone()) } else { None };
        let steps: Option<Vec<Step>> = way.iter().map(step).collect();
        let Some(steps) = steps else { return Ok(()) };
        let outcome = model::outcome(self.rules, &steps);
        ensure(owner.outcome == outcome, format_args!("the model has {outcome:?}\n and the core {:?}", owner.outcome))
    }

    /// Invariant 7, of each two things that may happen at the two sides: both orders come to the same.
    fn sides_come_in_any_order(&self, owner: &Owner<'p>, way: &[usize]) -> usize {
        if !owner.may_be_looked_at_in_any_order() {
            return 0;
        }
        let after = |is_side: fn(&Token) -> bool| {
            let here = self.tokens.iter().enumerate().filter(|(_, token)| is_side(token) && owner.may(token));
            here.filter_map(|(index, token)| Some((index, token, owner.then(token)?))).collect::<Vec<_>>()
        };
        let (of_client, of_origin) = (after(Token::is_of_client), after(Token::is_said_by_origin));
        let mut pairs = 0;
        for (first, client, asked) in &of_client {
            for (second, origin, answered) in &of_origin {
                pairs += 1;
                let (Some(one), Some(other)) = (asked.then(origin), answered.then(client)) else { continue };
                if let (Some(sides), Some(others)) = (one.sides(), other.sides()) {
                    assert_eq!(sides, others, "invariant 7:\n{}", self.told(&[way, &[*first, *second]].concat()));
                }
            }
        }
        pairs
    }

    /// A way, for who reads why a test failed.
    fn told(&self, way: &[usize]) -> String {
        way.iter().map(|index| self.tokens[*index].to_string()).collect::<Vec<_>>().join("\n")
    }
}

fn explore(operator: Operator, tokens: Vec<Token>, name: &str) {
    let rules = operator.rules();
    let policy = policy(&rules).expect("sound rules");
    Exploration { operator, tokens, rules: &rules, policy: &policy }.run().is_what_the_page_says(name);
}

#[test]
fn exchanges_hold() {
    explore(Operator::Silent, tokens::of_peers(), "exchanges");
}

#[test]
fn exchanges_hold_whatever_the_origin_reads() {
    let tokens = tokens::of_peers().into_iter().filter(|token| !matches!(token, Token::Step(Step::Drain)));
    explore(
        Operator::Silent,
        tokens.chain(tokens::of_writing()).collect(),
        "exchanges with an origin that does not read",
    );
}

#[test]
fn exchanges_hold_whatever_the_operator_asks() {
    explore(Operator::Asks, tokens::asked(), "exchanges of which an operator asks more");
}
