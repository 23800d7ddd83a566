//! What the fields of a request mean, for the plain model: whether it is refused, what of it is withheld, where it
//! ends, and whether another may follow it on its origin connection.

use super::super::Rules;
use super::asked;
use super::body::Framing;
use super::edits;
use super::head::{self, Fault, RequestHead, Section, Version};
use crate::http1::Reuse;

/// The longest head of a plain request, and the most lines of it: what other servers take by default.
const MAX_PLAIN_HEAD: usize = 8192;
const MAX_PLAIN_LINES: usize = 64;

/// A request without a fault.
pub(super) struct Request {
    /// What goes inbound of its head.
    pub(super) bytes: Vec<u8>,
    /// How many bytes of the client's that were.
    pub(super) end: usize,
    pub(super) method: Vec<u8>,
    pub(super) version: Version,
    pub(super) framing: Framing,
    /// Whether its connection stays, as far as the client is concerned.
    pub(super) persists: bool,
    /// Whether the client may wait for a 100 before it sends the body.
    pub(super) expects_continue: bool,
    /// The protocols that it offers to switch to, in lower case, as the origin sees it.
    pub(super) offers: Vec<Vec<u8>>,
    /// Whether, by its head, another may follow it.
    pub(super) is_plain: bool,
}

/// The status of our reply to a request whose head breaks this rule.
pub(super) fn reply_status(fault: Fault) -> u16 {
    match fault {
        "head_too_long" | "too_many_field_lines" => 431,
        "version_unsupported" => 505,
        "connect_unsupported" | "transfer_encoding_unsupported" => 501,
        _ => 400,
    }
}

/// A fault by the name of the protocol that is spoken, if that is known: TLS, or the PROXY protocol in its second and first version.
pub(super) fn named(fault: Fault, empty_lines: usize, bytes: &[u8]) -> Fault {
    match (fault, bytes) {
        ("control_byte", [0x16, ..]) => "tls_handshake",
        ("control_byte", [0, ..]) if empty_lines == 2 => "proxy_preamble",
        ("request_line_malformed", [b'P', b'R', b'O', b'X', b'Y', b' ', ..]) => "proxy_preamble",
        _ => fault,
    }
}

/// Reads and judges the request head at the start of `bytes`.
pub(super) fn read(bytes: &[u8], rules: &Rules) -> Result<Option<Request>, Fault> {
    let Some(head) = head::request(bytes, rules)? else {
        return Ok(None);
    };
    method(&head.method)?;
    names(&head.section)?;
    host(&head)?;
    connection(&head.section)?;
    let framing = framing(&head)?;
    let end = head.section.end;
    let bytes = asked::request(without_offers(bytes, &head, rules), rules);
    // All else is judged on what the origin will see. Edits leave the lines well-formed.
    let head = head::request(&bytes, &asked::without_limits(rules))?.unwrap_or(head);
    let mut offers = head.section.list(b"upgrade");
    offers.retain(|protocol| !protocol.is_empty());
    Ok(Some(Request {
        is_plain: is_plain(&bytes, &head, framing, rules) && bytes.len() <= MAX_PLAIN_HEAD,
        persists: head.section.persists(head.version),
        expects_continue: head.section.list(b"expect").iter().any(|member| member == b"100-continue"),
        bytes,
        end,
        method: head.method,
        version: head.version,
        framing,
        offers,
    }))
}

fn method(method: &[u8]) -> Result<(), Fault> {
    // RFC 9110 §9.3.6: CONNECT makes a tunnel of its own kind, which a reverse proxy has no use for.
    if method == b"CONNECT" {
        return Err("connect_unsupported");
    }
    // RFC 9110 §9.1: methods are case-sensitive; a server that folds them frames its response otherwise than we.
    let is_odd = |name: &[u8]| method != name && method.eq_ignore_ascii_case(name);
    if is_odd(b"CONNECT") || is_odd(b"HEAD") { Err("method_case") } else { Ok(()) }
}

/// A server that hands fields on as variables (CGI) takes `_` and `-` for one.
fn names(section: &Section) -> Result<(), Fault> {
    let is_odd = |name: &[u8]| name.contains(&b'_') && is_framing(&asked::dashed(name));
    if section.fields.iter().any(|field| is_odd(&field.name)) { Err("underscore_in_name") } else { Ok(()) }
}

fn is_framing(name: &[u8]) -> bool {
    name == b"content-length" || name == b"transfer-encoding"
}

/// RFC 9112 §3.2: a request with several Host lines or an invalid one, or an HTTP/1.1 request with none, is answered 400.
fn host(head: &RequestHead) -> Result<(), Fault> {
    let hosts: Vec<&[u8]> = head.section.named(b"host").map(|field| field.value.as_slice()).collect();
    match hosts.as_slice() {
        [] if head.version == Version::Http11 => Err("no_host"),
        [] => Ok(()),
        [host] if is_host(host) => Ok(()),
        [_] => Err("invalid_host"),
        [..] => Err("many_hosts"),
    }
}

/// RFC 9110 §7.2: uri-host [ ":" port ], of RFC 3986 §3.2.2 and §3.2.3.
fn is_host(value: &[u8]) -> bool {
    let (is_name, port) = if let Some(literal) = value.strip_prefix(b"[") {
        let end = literal.iter().position(|&byte| byte == b']').unwrap_or(0);
        let (inside, after) = literal.split_at(end);
        (!inside.is_empty() && is_host_text(inside, b":"), after.get(1..).unwrap_or_default())
    } else {
        let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
        let (name, port) = value.split_at(end);
        (is_host_text(name, b""), port)
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_name && is_port
}

/// *( unreserved / pct-encoded / sub-delims / these )
fn is_host_text(mut text: &[u8], others: &[u8]) -> bool {
    while let Some((byte, rest)) = text.split_first() {
        text = match (byte, rest) {
            (b'%', [high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            (b'%', _) => return false,
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) || others.contains(byte) => rest,
            _ => return false,
        };
    }
    true
}

/// What Connection names is for the next hop alone (RFC 9110 §7.6.1): a server may drop it.
fn connection(section: &Section) -> Result<(), Fault> {
    let is_needed = |name: &Vec<u8>| is_framing(name) || name == b"host";
    if section.list(b"connection").iter().any(is_needed) { Err("connection_names_framing") } else { Ok(()) }
}

/// RFC 9112 §6.3, and no form of it that two servers have been seen to read otherwise.
fn framing(head: &RequestHead) -> Result<Framing, Fault> {
    match (head.section.has(b"transfer-encoding"), head.section.has(b"content-length")) {
        // RFC 9112 §6.3, 3: "ought to be handled as an error".
        (true, true) => Err("content_length_and_transfer_encoding"),
        // RFC 9112 §6.1: HTTP/1.0 does not know the field; such a message has faulty framing.
        (true, false) if head.version == Version::Http10 => Err("transfer_encoding_in_http_1_0"),
        (true, false) => transfer_encoding(&head.section),
        (false, true) => content_length(&head.section),
        // RFC 9112 §6.3, 7: a request with neither field has no body.
        (false, false) => Ok(Framing::Empty),
    }
}

fn transfer_encoding(section: &Section) -> Result<Framing, Fault> {
    let codings = section.list(b"transfer-encoding");
    let is_one_line = section.named(b"transfer-encoding").count() == 1;
    match codings.as_slice() {
        [only] if is_one_line && only == b"chunked" => Ok(Framing::Chunked),
        _ if !codings.iter().all(|coding| head::is_token(coding)) => Err("transfer_encoding_malformed"),
        // RFC 9112 §6.1: 501 to a coding that is not known.
        _ if codings.iter().any(|coding| coding != b"chunked") => Err("transfer_encoding_unsupported"),
        _ => Err("transfer_encoding_malformed"),
    }
}

fn content_length(section: &Section) -> Result<Framing, Fault> {
    let lengths = section.list(b"content-length");
    let [only] = lengths.as_slice() else { return Err("content_length_repeated") };
    match (head::number(only), only.as_slice()) {
        (Some(0), b"0") => Ok(Framing::Empty),
        (Some(_), [b'0', ..]) | (None, _) => Err("content_length_malformed"),
        (Some(length), _) => Ok(Framing::Length(length)),
    }
}

/// The head without its offers to switch to a protocol that is not allowed, and what belongs to them (RFC 9110 §7.6.1,
/// §7.8: all that is for the next hop alone).
fn without_offers(bytes: &[u8], head: &RequestHead, rules: &Rules) -> Vec<u8> {
    let section = &head.section;
    let is_allowed = |protocol: &[u8]| {
        let is_named = rules.allow_upgrade.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(protocol));
        head.version == Version::Http11 && is_named
    };
    let of_upgrade = |field| edits::members_withheld(bytes, field, |protocol| !is_allowed(protocol));
    let mut withheld: Vec<_> = section.named(b"upgrade").flat_map(of_upgrade).collect();
    let one_stays = section.list(b"upgrade").iter().any(|protocol| !protocol.is_empty() && is_allowed(protocol));
    if !withheld.is_empty() && !one_stays {
        withheld.extend(section.named(b"http2-settings").map(|field| field.lines.clone()));
        let is_of_offer = |option: &[u8]| option == b"upgrade" || option == b"http2-settings";
        let of_connection = |field| edits::members_withheld(bytes, field, is_of_offer);
        withheld.extend(section.named(b"connection").flat_map(of_connection));
    }
    edits::without(bytes, 0..section.end, &withheld)
}

/// Whether no server is known that reads such a request otherwise than we, but for what its body may show. What is not
/// listed is not plain.
fn is_plain(bytes: &[u8], head: &RequestHead, framing: Framing, rules: &Rules) -> bool {
    let section = &head.section;
    let method = head.method.as_slice();
    let takes_body: [&[u8]; 3] = [b"POST", b"PUT", b"PATCH"];
    let takes_none: [&[u8]; 3] = [b"GET", b"DELETE", b"OPTIONS"];
    let marks: [&[u8]; 3] = [b"expect", b"upgrade", b"trailer"];
    let overrides: [&[u8]; 3] = [b"x-http-method-override", b"x-http-method", b"x-method-override"];
    let is_method_plain = takes_body.contains(&method) || takes_none.contains(&method);
    let is_body_plain = framing == Framing::Empty
        || takes_body.contains(&method)
            // The case of it counts, and so does white space.
            && section.named(b"transfer-encoding").all(|field| [&b"chunked"[..], b" chunked"].contains(&&bytes[field.value_at.clone()]));
    let is_reuse_allowed = match rules.reuse_origin {
        Reuse::Plain => true,
        Reuse::Bodyless => framing == Framing::Empty,
        Reuse::Never => false,
    };
    let connection = section.list(b"connection");
    head.version == Version::Http11
        && is_method_plain
        && is_body_plain
        && is_reuse_allowed
        && !marks.iter().any(|name| section.has(name))
        && section.named(b"te").all(|field| field.value.eq_ignore_ascii_case(b"trailers"))
        && !section.fields.iter().any(|field| overrides.contains(&&asked::dashed(&field.name)[..]))
        && connection.iter().all(|option| option.is_empty() || option == b"keep-alive")
        && section.line_count <= MAX_PLAIN_LINES
}
