//! Hypercorn speaks HTTP/2 on a plain connection, by `Upgrade: h2c` and by the preface. A proxy that lets either pass
//! is blind to every head after it: headsnip withholds the offer and refuses the preface. Its other cases are those of the
//! ASGI family.

use libtest_mimic::Failed;

use super::special;
use crate::compare::{denied_lines, statuses};
use crate::reader::{End, Piece, Response};
use crate::server::{Check, Running};
use crate::wire::{Endpoint, Order, Request, Transcript};

/// RFC 9113 section 3.4, with an empty SETTINGS frame after it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The type of a SETTINGS frame, and where in a frame it stands.
const SETTINGS: (usize, u8) = (3, 4);

/// How long a frame's head is.
const FRAME_HEAD: usize = 9;

/// As clients offer it that prefer HTTP/2.
const OFFER: [&str; 3] =
    ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"];

/// The cases that only Hypercorn gives reason for.
pub(crate) fn checks() -> Vec<(String, Check)> {
    vec![
        special("h2c_offer_is_withheld", h2c_upgrade),
        special("h2c_offer_leaves_the_connection_as_it_is", h2c_and_then),
        special("http_2_preface_is_refused", preface),
    ]
}

/// The server switches to HTTP/2; the client must get no 101 and nothing of what follows it, but the answer over HTTP/1.1.
fn h2c_upgrade(running: &Running) -> Result<(), Failed> {
    let wire = running.direct.dial()?;
    let mut reader = wire.reader()?;
    wire.write_all(&upgrade().head)?;
    let head = reader.head()?;
    let direct = Transcript { pieces: vec![Piece::Head(head)], end: End::Switched };
    if statuses(&direct)? != [101] || denied_lines(&direct) != 1 {
        return Err(format!("the server itself does not switch to h2c with a denied line: {direct:?}").into());
    }
    expect_settings(&reader.exactly(FRAME_HEAD)?)?;
    expect_answers(&running.through, &[upgrade(), upgrade()], Order::Pipelined)
}

/// The client's connection goes on, for requests with a body too.
fn h2c_and_then(running: &Running) -> Result<(), Failed> {
    let post = || Request::post("/upload", b"of this connection".to_vec(), &OFFER);
    let requests = [post(), upgrade(), Request::new("GET", "/hello", &[]), post()];
    expect_answers(&running.through, &requests, Order::OneByOne)
}

/// The server takes the preface; the client must get a reply of HTTP/1.1 and no frame.
fn preface(running: &Running) -> Result<(), Failed> {
    let wire = running.direct.dial()?;
    wire.write_all(PREFACE)?;
    expect_settings(&wire.reader()?.exactly(FRAME_HEAD)?)?;

    let request = Request { head: PREFACE.to_vec(), ..Request::new("PRI", "*", &[]) };
    expect_own_reply(refused(running, &request)?, 505)
}

fn upgrade() -> Request {
    Request::new("GET", "/hello", &OFFER)
}

/// A 200 without a denied line for each request, on a connection that stays.
fn expect_answers(through: &Endpoint, requests: &[Request], order: Order) -> Result<(), Failed> {
    let answers = through.converse(requests, order)?;
    let ok = statuses(&answers)?.iter().all(|status| *status == 200);
    let heads = answers.pieces.iter().filter(|piece| matches!(piece, Piece::Head(_))).count();
    if ok && heads == requests.len() && denied_lines(&answers) == 0 && answers.end == End::Open {
        return Ok(());
    }
    Err(format!("the answers are {answers:?}").into())
}

/// What headsnip says to a request that it should refuse.
fn refused(running: &Running, request: &Request) -> Result<Response, String> {
    let wire = Endpoint::dial(&running.through)?;
    let mut reader = wire.reader()?;
    wire.exchange(&mut reader, request)
}

/// The whole of a reply that headsnip makes itself: a status line, no body, no name, and a close.
fn expect_own_reply(response: Response, status: u16) -> Result<(), Failed> {
    let answer = Transcript { pieces: response.pieces, end: response.end };
    let bytes: Vec<u8> = match answer.pieces.as_slice() {
        [Piece::Head(head), Piece::Body(body)] if body.is_empty() => head.clone(),
        pieces => return Err(format!("not a reply of headsnip's own: {pieces:?}").into()),
    };
    if statuses(&answer)? != [status] || denied_lines(&answer) != 0 || answer.end != End::Closed {
        let head = bytes.escape_ascii().to_string();
        return Err(format!("expected {status} and a close, found {head:?}, {:?}", answer.end).into());
    }
    Ok(())
}

fn expect_settings(frame: &[u8]) -> Result<(), Failed> {
    let (at, settings) = SETTINGS;
    if frame.get(at) == Some(&settings) {
        return Ok(());
    }
    Err(format!("the server itself does not speak HTTP/2: {:?}", frame.escape_ascii().to_string()).into())
}
