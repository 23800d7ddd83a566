//! How an origin answers: what it says, how it says it wrongly, and how it ends.
//!
//! Each head that it sends has denied lines, in some form or other, and the label of the request that it answers.
//!
//! The letters of an answer: `s` another status, `i` 1xx before it, `e` early, `v` and closed behind. Of its framing: `c` chunks, `f` until close, `u` no
//! length and kept open, `m` an odd length or coding, `w` an odd chunk line, `t` trailers, `b` a body like a head. Of its heads: `d` other denied lines,
//! `o` odd lines, `n` bare line ends, `l` something before it. What is wrong: `x` short, `h` as if to a HEAD, `g` a body where there is none, `y`
//! more behind it, `r` again, `z` more behind it and late. `p` in pieces; `k` FIN, `q` a reset, somewhere.

use super::letters::Line;
use crate::http1::Reuse;

/// What an origin does on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It sends bytes.
    Say(Vec<u8>),
    /// It waits until nothing moves.
    Turn,
    /// It waits until more of a client has come, or for ever.
    More,
    /// It ends.
    Fin,
    /// It resets the connection.
    Reset,
}

/// The request that is answered, as the origin read it.
pub(super) struct Question<'a> {
    pub(super) label: &'a str,
    pub(super) is_head: bool,
    /// Whether it offers to switch protocols.
    pub(super) offer: Option<&'a str>,
    /// The status, where the mood has no say.
    pub(super) status: Option<u16>,
    /// Whether it has a body.
    pub(super) has_body: bool,
}

impl<'a> Question<'a> {
    /// What the origin takes for no request.
    pub(super) fn refused(label: &'a str) -> Self {
        Self { label, is_head: false, offer: None, status: Some(400), has_body: false }
    }
}

/// What of an answer is promised to reach no other request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) reuse: Reuse,
    /// Whether the client sends nothing before the response to its last request is whole, and nothing moves.
    pub(super) waits: bool,
    /// Whether what is not said at once comes surely before, or surely after, what the client sends next.
    pub(super) is_timed: bool,
}

/// Statuses that an answer may have instead of 200.
const STATUSES: [u16; 10] = [204, 304, 404, 500, 413, 101, 206, 302, 401, 299];

/// Denied lines, in many forms, and whether what goes on is mended.
const DENIED: [(&str, bool); 13] = [
    ("SERVER:SECRET\r\nx-powered-by: SECRET\r\n", false),
    ("Server : SECRET\r\n", true),
    ("X-Powered-By\t:\tSECRET\r\n", true),
    ("Server: a\r\n SECRET\r\n", true),
    ("Server:\r\n\tSECRET\r\n \r\n SECRET\r\n", true),
    ("X-A: b\r\n Server: hidden\r\n\tServer: hidden\r\n", true),
    ("Server: SECRET\nX-Powered-By: SECRET\n", false),
    ("\tServer: SECRET\r\n", false),
    ("X-A: b\rServer: SECRET\r\n", false),
    ("Ser\r\n ver: SECRET\r\n", false),
    ("Server\0: SECRET\r\n", false),
    ("Server: SECRET\r\nServer: SECRET\r\nserver:\r\n", false),
    ("X-A: b\n\rServer: SECRET\r\n", false),
];

/// What may stand before a status-line, and whether it is mended.
const BEFORE: [(&str, bool); 4] = [("\r\n", true), ("\r\n\r\n", true), ("\n", false), (" \r\n", false)];

/// How an answer says how long it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    None,
}

/// Tells whether no response may reach another request though an origin answers so.
pub(super) fn is_promised(mood: &Line, setting: Setting) -> bool {
    let is_seen_in_time = setting.waits && setting.is_timed;
    // What comes behind a response and at once is seen with it.
    let has_surplus = [b'y', b'g', b'h', b'w', b'o', b'm', b'x'].iter().any(|letter| mood.has(*letter));
    let surplus = !(has_surplus && mood.has(b'p')) || is_seen_in_time;
    let again = match mood.count(b'r') {
        0 | 1 => true,
        2 => is_seen_in_time,
        _ => false,
    };
    // Whether the body had come when it answered, only it knows for sure.
    let early = mood.count(b'e') < 2 || setting.is_timed;
    setting.reuse == Reuse::Never || (surplus && again && early && !mood.has(b'z'))
}

/// The status of an answer.
pub(super) fn status(mood: &Line) -> u16 {
    mood.choice(b's', &STATUSES).unwrap_or(200)
}

/// The answer of that mood.
pub(super) fn answer(mood: &Line, question: &Question<'_>) -> Vec<Action> {
    let Question { label, is_head, offer, status: given, .. } = *question;
    let status = given.unwrap_or_else(|| status(mood));
    let body = body(mood, label);
    // Behind a switch it goes on as if that were one more 1xx.
    let (switched, last) =
        if status == 101 { (head(mood, "101", label, &switch(offer)), 200) } else { (Vec::new(), status) };
    let (head_length, response_bytes) = response(mood, last, label, &body, is_head);
    let mut said = [interim(mood, label), switched].concat();
    let before_body = said.len() + head_length;
    said.extend_from_slice(&response_bytes);
    let mut actions = ended(mood, &said, before_body);
    let again = response(mood, 200, label, &body, is_head).1;
    match mood.count(b'r') {
        0 => {}
        1 => say_more(&mut actions, again),
        2 => actions.extend([Action::Turn, Action::Say(again)]),
        _ => actions.extend([Action::More, Action::Say(again)]),
    }
    if mood.has(b'z') {
        actions.extend([Action::More, Action::Say(surplus(mood, b'z', label))]);
    }
    if mood.has(b'v') || (mood.has(b'f') && !mood.has(b'c')) {
        actions.push(Action::Fin);
    }
    actions
}

/// Tells whether an answer is surely not plain, or refused.
pub(super) fn is_odd(mood: &Line, question: &Question<'_>) -> bool {
    let status = question.status.unwrap_or_else(|| status(mood));
    let is_mended = |letter, forms: &[(&str, bool)]| mood.choice(letter, forms).is_some_and(|(_, is)| is);
    let framing = framing(mood);
    // Of HTTP/1.0; or folded, or with white space before a colon.
    let is_old_or_folded = matches!(mood.count(b'o'), 1 | 2 | 9 | 10);
    let has_odd_length = framing == Framing::Length && mood.count(b'm') % 4 > 2;
    is_old_or_folded
        || has_odd_length
        || is_mended(b'd', &DENIED)
        || is_mended(b'l', &BEFORE)
        || matches!(mood.count(b'i'), 2 | 3)
        || (status == 304 && framing != Framing::None)
        || (question.has_body && !(200..300).contains(&status))
}

/// What comes late behind an answer.
pub(super) fn late(mood: &Line, label: &str) -> [Action; 2] {
    [Action::More, Action::Say(response(mood, 200, &format!("{label}-in"), "", false).1)]
}

/// Behind the last thing said, at once.
fn say_more(actions: &mut Vec<Action>, bytes: Vec<u8>) {
    if let Some(Action::Say(said)) = actions.last_mut() {
        said.extend(bytes);
    } else {
        actions.push(Action::Say(bytes));
    }
}

/// What stands behind a response.
fn surplus(mood: &Line, letter: u8, label: &str) -> Vec<u8> {
    let response =
        format!("HTTP/1.1 200 OK\r\nServer: SECRET\r\nX-Label: {label}-in\r\nContent-Length: 9\r\n\r\n{{{label}-in}}");
    let interim = format!("HTTP/1.1 103 Early Hints\r\nServer: SECRET\r\nX-Label: {label}-in\r\n\r\n");
    let variants = [&*response, "surplus", &*interim, "\r\nServer: SECRET\r\n\r\n", "0\r\n\r\n"];
    mood.choice(letter, &variants).unwrap_or_default().as_bytes().to_vec()
}

fn body(mood: &Line, label: &str) -> String {
    match mood.count(b'b') {
        0 => format!("{{{label}}}"),
        1 => format!("HTTP/1.1 200 OK\r\nServer: SECRET\r\nX-Label: {label}\r\nContent-Length: 0\r\n\r\n{{{label}}}"),
        2 => format!("\r\nServer: SECRET\r\n\r\n{{{label}}}"),
        3 => format!("{{{label}}}\r\n0\r\nServer: SECRET\r\n\r\nHTTP/1.1 200 OK\r\nServer: SECRET\r\n\r\n"),
        _ => String::new(),
    }
}

fn denied(mood: &Line) -> &'static str {
    mood.choice(b'd', &DENIED).map_or("Server: SECRET\r\nX-Powered-By: SECRET\r\n", |(denied, _)| denied)
}

/// A head with its denied lines and its label, which stands in the reason phrase too: whatever little goes astray of a head, that is seen.
fn head(mood: &Line, status: &str, label: &str, fields: &str) -> Vec<u8> {
    let version = if matches!(mood.count(b'o'), 1 | 2) { "1.0" } else { "1.1" };
    let (denied, oddity) = (denied(mood), oddity(mood));
    let before = mood.choice(b'l', &BEFORE).map_or("", |(before, _)| before);
    let text =
        format!("{before}HTTP/{version} {status} {{{label}}}\r\n{denied}{fields}{oddity}X-Label: {label}\r\n\r\n");
    // Bare line ends, or some of them.
    match mood.choice(b'n', &[1, 2]) {
        Some(1) => text.replace("\r\n", "\n").into_bytes(),
        Some(_) => text.replacen("\r\n", "\n", 2).into_bytes(),
        None => text.into_bytes(),
    }
}

/// Lines that are more than they look.
fn oddity(mood: &Line) -> &'static str {
    match mood.count(b'o') {
        2 => "Connection: keep-alive\r\n",
        3 => "Connection: close\r\n",
        4 => "Content-Length: 0\r\n",
        5 => "Transfer-Encoding: chunked\r\n",
        6 => "Transfer-Encoding: gzip\r\n",
        7 => "Content_Length: 0\r\nTransfer_Encoding: chunked\r\n",
        8 => "Connection: Server, X-Label\r\nTrailer: Server\r\n",
        9 => "Content-Length:\r\n 0\r\n",
        10 => "Transfer-Encoding\t:\r\n\tchunked\r\n",
        11 => "Content-Length: 4, 4\r\n",
        _ => "",
    }
}

/// Some 1xx before the final response.
fn interim(mood: &Line, label: &str) -> Vec<u8> {
    let interim = match mood.count(b'i') {
        0 => vec![],
        1 => vec![("100", "")],
        2 => vec![("102", "Content-Length: 5\r\n"), ("103", "Link: </a>\r\n")],
        3 => vec![("103", "Transfer-Encoding: chunked\r\nConnection: close\r\n")],
        count => vec![("100", ""); count],
    };
    interim.iter().flat_map(|(status, fields)| head(mood, status, label, fields)).collect()
}

fn switch(offer: Option<&str>) -> String {
    format!("Connection: Upgrade\r\nUpgrade: {}\r\n", offer.unwrap_or("websocket"))
}

fn framing(mood: &Line) -> Framing {
    if mood.has(b'c') {
        Framing::Chunked
    } else if mood.has(b'f') || mood.has(b'u') {
        Framing::None
    } else {
        Framing::Length
    }
}

/// A final response, and how long its head is.
fn response(mood: &Line, status: u16, label: &str, body: &str, is_head: bool) -> (usize, Vec<u8>) {
    let framing = framing(mood);
    let is_short = mood.has(b'x');
    let fields = match framing {
        Framing::Length => {
            let length = if is_short { body.len() + 50 * mood.count(b'x') } else { body.len() };
            let close = if mood.has(b'v') { "Connection: close\r\n" } else { "" };
            match mood
                .choice(b'm', &["Content-Length: ", "content-length:00", "Content-Length : ", "Content-Length:\r\n "])
            {
                Some(name) => format!("{close}{name}{length}\r\n"),
                None => format!("{close}Content-Length: {length}\r\n"),
            }
        }
        Framing::Chunked => {
            let coding = mood.choice(
                b'm',
                &["Chunked", "gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked"],
            );
            format!("Transfer-Encoding: {}\r\n", coding.unwrap_or("chunked"))
        }
        Framing::None => String::new(),
    };
    let head = head(mood, &status.to_string(), label, &fields);
    let is_bodiless = is_head || matches!(status, 204 | 304) || mood.has(b'h');
    let sent = match framing {
        _ if is_bodiless && !mood.has(b'g') => Vec::new(),
        Framing::Length | Framing::None => body.as_bytes().to_vec(),
        Framing::Chunked => chunks(mood, label, body),
    };
    let length = head.len();
    (length, [head, sent, surplus(mood, b'y', label)].concat())
}

fn chunks(mood: &Line, label: &str, body: &str) -> Vec<u8> {
    let size = body.len();
    let line = match mood.count(b'w') {
        0 => format!("{size:x}\r\n"),
        // More than there is, and less.
        1 => format!("{:x}\r\n", size + 7),
        2 => format!("{:x}\r\n", body.find("\r\n").filter(|at| *at > 0).unwrap_or(size / 2)),
        3 => format!("{size:x};a=b\r\n"),
        4 => format!("{size:x}  \r\n"),
        5 => format!("0{size:X}\r\n"),
        6 => format!("{size:x}\n"),
        7 => format!("{size:x}\t\r\n"),
        _ => format!("0x{size:x}\r\n"),
    };
    let trailers = if mood.has(b't') { format!("{}X-Label: {label}\r\n", denied(mood)) } else { String::new() };
    let data = if size == 0 { String::new() } else { format!("{line}{body}\r\n") };
    format!("{data}0\r\n{trailers}\r\n").into_bytes()
}

/// Says it: whole or in pieces, or as far as the origin comes before it ends.
fn ended(mood: &Line, said: &[u8], before_body: usize) -> Vec<Action> {
    let cut = |count: usize| {
        [0, before_body / 2, before_body, before_body.midpoint(said.len()), said.len() - 1, said.len()][count % 6]
    };
    let (until, end) = match (mood.count(b'k'), mood.count(b'q')) {
        (0, 0) => (said.len(), None),
        (0, count) => (cut(count), Some(Action::Reset)),
        (count, _) => (cut(count), Some(Action::Fin)),
    };
    let said = &said[..until];
    let size = match mood.count(b'p') {
        0 => said.len(),
        1 => before_body,
        2 => 7,
        _ => said.len().div_ceil(40),
    };
    let pieces = said.chunks(size.max(1)).map(|piece| Action::Say(piece.to_vec()));
    let mut actions: Vec<_> = pieces.flat_map(|piece| [piece, Action::Turn]).collect();
    actions.pop();
    actions.extend(end);
    actions
}
