//! How far an input of a fuzz target comes.

use super::super::drive::{Driven, drive, policy};
use super::super::session;
use super::super::{Rules, otherwise, property};
use super::Target;

/// Bytes of the shortest body that goes by splice.
const SPLICED: u64 = 64 * 1024;

/// What an input comes to, one thing or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub struct Reached {
    /// A request head goes inbound.
    pub request: bool,
    /// A byte of a response goes on.
    pub response: bool,
    /// A second request goes to an origin connection.
    pub reuse: bool,
    /// A request is sent once more.
    pub replay: bool,
    /// Bytes go on that nobody looks at.
    pub unseen: bool,
    /// Of so many as go by splice.
    pub splice: bool,
}

/// How far that input comes.
#[must_use]
pub fn reached(target: Target, input: &[u8]) -> Reached {
    let (connections, replays) = match target {
        Target::Request => (vec![property::request_steps(input)], 0),
        Target::Response => (vec![property::response_steps(input)], 0),
        Target::Session => session::connections(input),
        Target::Origin => otherwise::connections(input),
    };
    // What went to an origin may have outgrown the limits of the target.
    let rules = Rules { max_head: 512, ..Rules::default() };
    let rules = if matches!(target, Target::Request | Target::Response) { rules } else { Rules::default() };
    let policy = policy(&rules).expect("sound rules");
    let driven: Vec<Driven> = connections.iter().map(|steps| drive(&policy, steps)).collect();
    let any = |is: fn(&Driven) -> bool| driven.iter().any(is);
    Reached {
        request: any(|driven| !driven.heads.is_empty()),
        response: any(|driven| !driven.outcome.to_client.is_empty()),
        reuse: any(|driven| driven.heads.len() > driven.outcome.to_origin.len()),
        replay: replays > 0,
        unseen: any(|driven| driven.unseen > 0),
        splice: any(|driven| driven.unseen >= SPLICED),
    }
}
