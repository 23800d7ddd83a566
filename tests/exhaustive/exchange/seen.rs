//! What an exploration sees of a state: by what it is told from others, what went out, and what can happen in it: which bytes are looked at there, so that
//! those alone need be tried.

use headsnip::testing::{End, Step};

use super::owner::{Connection, Owner, Writing};
use super::tokens::{
    ASKED_UPLOADS, DOWNLOADS, REST_OF_HEAD, Token, UNASKED, UPLOADS, WAITING, is_request, is_response,
};
use super::wire::{Next, Wire};
use crate::state::{text, with_classes};

/// Pieces of which one waits for another. That more cuts do not matter is held elsewhere (invariant 3).
const MOST_PIECES: usize = 1;

/// What the core remembers; what its owner holds of both sides, and whether the client has ended; the connection to the origin; the wires.
type Key = (String, (Pieces, Pieces, bool), Option<Connection>, Wire);

/// Bytes, and in how many pieces they came.
type Pieces = (Vec<u8>, usize);

impl Owner<'_> {
    /// What went out on both sides, whichever connections carried it, and whether both may go on. `None`: it depends on which side is looked at
    /// first, since one of them broke a rule or spoke out of turn.
    pub(super) fn sides(&self) -> Option<(Vec<u8>, &[u8], bool)> {
        let is_sound = matches!(self.outcome.end, End::Open | End::OriginDropped | End::Closed) && !self.is_early;
        is_sound
            .then(|| (self.outcome.to_origin.concat(), &self.outcome.to_client[..], self.outcome.end == End::Closed))
    }

    /// Whether an exchange is under way that is not answered in full, and whose body is not awaited: then the sides may be looked at in any order.
    pub(super) fn may_be_looked_at_in_any_order(&self) -> bool {
        self.wire.next_of_origin() != Next::Unasked && !text(&self.exchange).contains("wants_continue: true")
    }

    /// All that what happens from here on depends on.
    pub(super) fn key(&self) -> Key {
        let exchange = text(&self.exchange);
        // Both are asked only whether they are over their limits, which are out of reach here.
        let exchange = with_classes(&exchange, &["interim: ", "interim_bytes: "], |_, count| count.min(1).to_string());
        let exchange = with_any_mark(&exchange);
        let held = (self.inbound.clone(), self.outbound.clone(), self.client_ended);
        (exchange, held, self.connection.clone(), self.wire.clone())
    }

    /// Whether a token can happen here.
    pub(super) fn may(&self, token: &Token) -> bool {
        let writing = self.connection.as_ref().map(|connection| connection.writing);
        match token {
            Token::Step(Step::Client(bytes)) => !self.client_ended && self.client_may_say(bytes),
            Token::Step(Step::Origin(bytes)) => self.connection.is_some() && self.origin_may_say(bytes),
            Token::Step(Step::ClientEnd) => !self.client_ended,
            Token::Step(Step::OriginEnd | Step::OriginReset) => self.connection.is_some(),
            Token::Step(Step::Drain) => !text(&self.exchange).contains("is_draining: true"),
            Token::Block => writing == Some(Writing::Open) && self.exchange.is_under_way(),
            Token::Unblock => writing == Some(Writing::Blocked),
            Token::Refuse => matches!(writing, Some(Writing::Open | Writing::Blocked)) && self.exchange.is_under_way(),
        }
    }

    fn client_may_say(&self, bytes: &[u8]) -> bool {
        let (_, pieces) = self.inbound;
        match self.wire.next_of_client() {
            Next::Head if pieces == 0 => is_request(bytes),
            Next::Head | Next::Body => {
                pieces <= MOST_PIECES && (UPLOADS.contains(&bytes) || ASKED_UPLOADS.contains(&bytes))
            }
            Next::Any => bytes == b"x",
            // Who waits is not read on from.
            Next::Unasked => pieces == 0 && WAITING.contains(&bytes),
        }
    }

    fn origin_may_say(&self, bytes: &[u8]) -> bool {
        let (_, pieces) = self.outbound;
        match self.wire.next_of_origin() {
            Next::Head if pieces == 0 => is_response(bytes),
            Next::Head => pieces <= MOST_PIECES && (UNASKED.contains(&bytes) || bytes == REST_OF_HEAD),
            Next::Body => pieces <= MOST_PIECES && DOWNLOADS.contains(&bytes),
            Next::Any | Next::Unasked => pieces == 0 && UNASKED.contains(&bytes),
        }
    }
}

/// A state in which it does not count by which mark an exchange is not plain: that is told to the operator, and asked by nobody.
fn with_any_mark(state: &str) -> String {
    let Some((before, behind)) = state.split_once("mark: Some(") else { return state.to_owned() };
    let behind = behind.split_once(')').map_or("", |(_, behind)| behind);
    format!("{before}marked{behind}")
}
