//! Plain or alone: whether another request may follow on the same origin connection.
//!
//! Servers are known to disagree about where some valid requests end, or whether their bodies were read. No request follows such a
//! request on its connection. What is *plain* is a closed list, so anything not on it is alone.

use super::Reuse;
use super::framing::{Fields, Framing};
use super::head::Head;
use super::message::{Asked, Mark, Method, Sent, Version};

/// Bytes of the longest plain request head: a common limit of servers.
const MAX_PLAIN_HEAD: usize = 8 * 1024;

/// Field lines of the longest plain request head.
const MAX_PLAIN_FIELDS: usize = 64;

/// What makes a request's head not plain, judged on what goes inbound, which is that many bytes. `None`: it is plain.
pub(super) fn request(
    reuse: Reuse,
    head: &Head<Method>,
    fields: &Fields,
    framing: Framing,
    bytes: usize,
) -> Option<Mark> {
    let has_body = framing != Framing::Empty;
    let mark_of_method = match head.start {
        Method::Post | Method::Put | Method::Patch => {
            let coding = fields.transfer_encoding;
            (!coding.is_absent() && !coding.is_exact).then_some(Mark::Body)
        }
        Method::Get | Method::Delete | Method::Options => has_body.then_some(Mark::Body),
        Method::Connect | Method::Head | Method::Trace | Method::Miscased | Method::Other => Some(Mark::Method),
    };
    match () {
        () if reuse == Reuse::Never || (reuse == Reuse::Bodyless && has_body) => Some(Mark::Reuse),
        () if head.version != Version::Http11 => Some(Mark::Http10),
        () if mark_of_method.is_some() => mark_of_method,
        () if fields.upgrade.is_some() => Some(fields.mark.map_or(Mark::Upgrade, |mark| mark.min(Mark::Upgrade))),
        () if fields.mark.is_some() => fields.mark,
        () if fields.has_other_options || fields.has_options_of_offer => Some(Mark::Connection),
        () if bytes > MAX_PLAIN_HEAD || head.lines > MAX_PLAIN_FIELDS => Some(Mark::HeadSize),
        () => None,
    }
}

/// What makes a final response not plain. That nothing was read after it, the exchange sees by itself.
pub(super) fn response(asked: Asked, sent: Sent, head: &Head<u16>, fields: &Fields) -> Option<Mark> {
    let is_framed = !fields.content_length.is_absent() || !fields.transfer_encoding.is_absent();
    match () {
        () if head.version != Version::Http11 => Some(Mark::ResponseHttp10),
        () if sent != Sent::Whole => Some(Mark::Early),
        () if asked.has_body && !(200..300).contains(&head.start) => Some(Mark::Status),
        () if head.start == 304 && is_framed => Some(Mark::NotModified),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::Name;
    use super::super::upgrade::Upgrades;
    use super::*;

    #[test]
    fn of_several_marks_the_first_is_told() {
        let mark = |lines: &[(&str, &str)]| {
            let mut fields = Fields::default();
            for (name, value) in lines {
                fields.see(&Upgrades::default(), Name::of(name.as_bytes()), value.as_bytes());
            }
            let head = Head { length: 100, start: Method::Get, version: Version::Http11, lines: lines.len() };
            request(Reuse::Plain, &head, &fields, Framing::Empty, head.length)
        };
        let upgrade = ("Upgrade", "websocket");
        assert_eq!(mark(&[("Host", "a"), ("Connection", "keep-alive")]), None);
        assert_eq!(mark(&[upgrade, ("Expect", "a")]), Some(Mark::Expect));
        assert_eq!(mark(&[("Trailer", "a"), upgrade, ("Connection", "upgrade")]), Some(Mark::Upgrade));
        assert_eq!(mark(&[("Connection", "close"), ("X_HTTP_Method", "PUT")]), Some(Mark::MethodOverride));
        assert_eq!(mark(&[("Connection", "upgrade")]), Some(Mark::Connection));
        assert_eq!(mark(&[("A", "b"); MAX_PLAIN_FIELDS + 1]), Some(Mark::HeadSize));
    }
}
