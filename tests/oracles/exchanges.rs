//! What headsnip made of the steps, exchange by exchange: which request went inbound, which of the origin's bytes it took for the response, and what of
//! them went to the client.

use std::ops::Range;

use headsnip::http1::Policy;
use headsnip::testing::Step;
use headsnip::testing::drive::{Driven, drive};

/// The steps, driven.
pub(crate) struct Driving<'p> {
    pub(crate) policy: &'p Policy,
    steps: Vec<Step>,
    pub(crate) driven: Driven,
    /// In order.
    pub(crate) exchanges: Vec<Exchange>,
    /// Whether nothing is under way behind the last step, and the client may go on: another request would go inbound, whole.
    pub(crate) is_idle: bool,
    pub(crate) has_client_ended: bool,
}

/// A request that went inbound, and what came of it.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that has happened or not")]
pub(crate) struct Exchange {
    /// What went inbound from its head on, up to the next head or the end of its origin connection.
    pub(crate) request: Vec<u8>,
    /// The origin's bytes from then on, up to the end of its connection or of the steps: the response, and what else it said.
    pub(crate) origin: Vec<u8>,
    /// How many of them headsnip took before it let something go on for the last time.
    pub(crate) taken: usize,
    /// How many of them came before the next request went on.
    said: usize,
    /// Whether the origin ended behind all of them.
    pub(crate) has_origin_ended: bool,
    /// Where what went on of them lies in the client's bytes.
    pub(crate) client: Range<usize>,
    pub(crate) is_mended: bool,
    /// Whether a line of our own was added.
    pub(crate) has_addition: bool,
    pub(crate) is_last: bool,
}

impl<'p> Driving<'p> {
    /// Drives the steps, the origin's bytes one by one: a request that waits has gone before the byte behind the response comes.
    pub(crate) fn new(policy: &'p Policy, steps: &[Step]) -> Self {
        let one_by_one = |step: &Step| match step {
            Step::Origin(bytes) => bytes.iter().map(|byte| Step::Origin(vec![*byte])).collect(),
            Step::Client(_) | Step::ClientEnd | Step::OriginEnd | Step::OriginReset | Step::Drain => vec![step.clone()],
        };
        let steps: Vec<Step> = steps.iter().flat_map(one_by_one).collect();
        let driven = drive(policy, &steps);
        let is_idle = is_idle(policy, &steps, &driven);
        let has_client_ended = steps.contains(&Step::ClientEnd);
        let mut driving = Self { policy, steps, driven, exchanges: Vec::new(), is_idle, has_client_ended };
        driving.exchanges = driving.all();
        driving
    }

    /// Tells whether nothing of a final response to that request went on.
    pub(crate) fn has_no_final(&self, exchange: &Exchange) -> bool {
        let mut rest = &self.driven.outcome.to_client[exchange.client.clone()];
        while rest.get(9) == Some(&b'1') {
            let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") else { return true };
            rest = &rest[end + 4..];
        }
        rest.is_empty()
    }

    /// Each exchange, in order.
    fn all(&self) -> Vec<Exchange> {
        let heads = &self.driven.heads;
        let received: Vec<usize> = self.driven.received.iter().map(|connections| connections.iter().sum()).collect();
        let begun = |head: usize| received.partition_point(|count| *count <= head);
        let all = |index: usize| {
            let next = heads.get(index + 1).copied();
            let last = next.map_or(self.steps.len() - 1, begun);
            self.exchange(heads[index], next.unwrap_or(usize::MAX), begun(heads[index]) + 1..last + 1)
        };
        (0..heads.len()).map(all).collect()
    }

    /// The exchange whose request lies between two positions of what went inbound, and whose response came in these steps.
    fn exchange(&self, head: usize, next: usize, steps: Range<usize>) -> Exchange {
        let sent = &self.driven.sent;
        let sent_in = |steps: Range<usize>| sent[steps].iter().map(Vec::len).sum::<usize>();
        let client = sent_in(0..steps.start)..sent_in(0..steps.end);
        let speaking = steps.clone().rfind(|step| !sent[*step].is_empty()).map_or(steps.start, |step| step + 1);
        let said_in =
            |steps: Range<usize>| self.steps[steps].iter().filter(|step| matches!(step, Step::Origin(_))).count();
        let (mut origin, mut has_origin_ended) = (Vec::new(), false);
        let (request, mut is_replayed) = self.inbound(head, next);
        for step in &self.steps[steps.start..] {
            match step {
                Step::Origin(bytes) => origin.extend_from_slice(bytes),
                // It is asked once more, by another connection.
                Step::OriginEnd | Step::OriginReset if is_replayed && origin.is_empty() => is_replayed = false,
                Step::OriginEnd | Step::OriginReset => {
                    has_origin_ended = *step == Step::OriginEnd;
                    break;
                }
                Step::Client(_) | Step::ClientEnd | Step::Drain => {}
            }
        }
        let said = origin.len().min(said_in(steps.clone()));
        Exchange {
            is_mended: self.is_mended(&request, &origin[..said]),
            has_addition: self.driven.added.iter().any(|added| client.contains(&added.start)),
            is_last: next == usize::MAX,
            taken: said_in(steps.start..speaking),
            said,
            request,
            origin,
            has_origin_ended,
            client,
        }
    }

    /// What went inbound between two positions, on the first of the connections on which some of it did; and whether it went once more by
    /// another.
    fn inbound(&self, start: usize, end: usize) -> (Vec<u8>, bool) {
        let mut passed = 0;
        for (index, connection) in self.driven.outcome.to_origin.iter().enumerate() {
            if start < passed + connection.len() {
                let is_replayed = end > passed + connection.len() && self.driven.replayed.contains(&(index + 1));
                return (connection[start - passed..connection.len().min(end - passed)].to_vec(), is_replayed);
            }
            passed += connection.len();
        }
        (Vec::new(), false)
    }

    /// Tells whether that response to that request is mended.
    fn is_mended(&self, request: &[u8], response: &[u8]) -> bool {
        let steps = [Step::Client(request.to_vec()), Step::Origin(response.to_vec())];
        drive(self.policy, &steps).mended.last() == Some(&true)
    }
}

/// Tells whether another request would go inbound behind these steps, whole.
fn is_idle(policy: &Policy, steps: &[Step], driven: &Driven) -> bool {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let longer = drive(policy, &[steps, &[Step::Client(request.to_vec())]].concat());
    let to_origin = longer.outcome.to_origin.concat();
    longer.heads.len() > driven.heads.len()
        && longer.heads.last().is_some_and(|head| to_origin[*head..].starts_with(request))
}

impl Exchange {
    /// The request's method, and `+` behind it where it offers to switch protocols.
    pub(crate) fn asked(&self) -> String {
        let method = self.request.split(|byte| *byte == b' ').next().unwrap_or_default();
        let is_offer = |line: &[u8]| line.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"upgrade:"));
        let offers = self.head().split(|byte| *byte == b'\n').any(is_offer);
        format!("{}{}", String::from_utf8_lossy(method), if offers { "+" } else { "" })
    }

    /// Whether its version is 1.0.
    pub(crate) fn is_old(&self) -> bool {
        self.head().split(|byte| *byte == b'\r').next().is_some_and(|line| line.ends_with(b"HTTP/1.0"))
    }

    /// Tells whether the origin said a line that is folded, or has white space before its colon: a denied one goes whole, and is not mended.
    pub(crate) fn has_odd_line(&self) -> bool {
        let is_odd = |line: &[u8]| {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            line.first().is_some_and(|byte| b" \t".contains(byte))
                || name.last().is_some_and(|byte| b" \t".contains(byte))
        };
        self.origin[..self.said].split(|byte| *byte == b'\n').any(is_odd)
    }

    fn head(&self) -> &[u8] {
        let end = self.request.windows(4).position(|window| window == b"\r\n\r\n");
        &self.request[..end.unwrap_or(self.request.len())]
    }
}
