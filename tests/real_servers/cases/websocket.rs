//! WebSocket: by hand, so that every byte of the 101 and of what follows is seen, and by a real client library.

use std::process::Command;
use std::time::Duration;

use libtest_mimic::Failed;

use super::{both_ways, counter};
use crate::compare::{denied_lines, same_but_denied, statuses};
use crate::process::run_to_end;
use crate::reader::Piece;
use crate::server::{Running, file};
use crate::setup::ASGI;
use crate::wire::{Endpoint, Request, Transcript};

/// How long the real client may take for all its messages.
const CLIENT_LIMIT: Duration = Duration::from_secs(60);

/// RFC 6455 section 5.2: the first byte of a whole text message, of a whole binary one, and of a close.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// The length that says: two bytes of length follow.
const EXTENDED: u8 = 0x7e;

/// The request that asks for a WebSocket.
pub(crate) fn handshake(target: &str) -> Request {
    let fields = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    Request::new("GET", target, &fields)
}

/// Two messages and a close against an echo service. The 101 names its server; the tunnel must not be touched.
pub(crate) fn raw(running: &Running) -> Result<(), Failed> {
    let (direct, through) = both_ways(running, converse)?;
    if statuses(&direct)? != [101] || denied_lines(&direct) != 1 {
        return Err("the server itself sends no 101 with one denied line".into());
    }
    Ok(same_but_denied(&direct, &through, &[])?)
}

/// The library `websockets` through headsnip.
pub(crate) fn real_client(running: &Running) -> Result<(), Failed> {
    let mut client = Command::new(running.setup.python_with(&ASGI)?.join("python"));
    client.arg(file("apps/websocket_client.py")).arg(format!("ws://{}/ws", running.through));
    let log = running.setup.scratch().join(format!("{}.client.log", running.through));
    Ok(run_to_end(client, &log, CLIENT_LIMIT)?)
}

fn converse(at: &Endpoint) -> Result<Transcript, String> {
    let wire = at.dial()?;
    let mut reader = wire.reader()?;
    wire.write_all(&handshake("/ws").head)?;
    let head = reader.head()?;
    let text = b"HTTP/1.1 200 OK\r\nServer: decoy\r\nX-Powered-By: decoy\r\n\r\n";
    wire.write_all(&masked(TEXT, text))?;
    let mut tunnel = reader.exactly(2 + text.len())?;
    wire.write_all(&masked(BINARY, &counter(60_000)))?;
    tunnel.extend(reader.exactly(4 + 60_000)?);
    wire.write_all(&masked(CLOSE, &1000_u16.to_be_bytes()))?;
    tunnel.extend(reader.rest()?);
    Ok(Transcript { pieces: vec![Piece::Head(head), Piece::Tunnel(tunnel)], end: crate::reader::End::Closed })
}

/// A frame from a client, of less than 64 KiB.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < EXTENDED => frame.push(0x80 | short),
        (_, length) => {
            frame.push(0x80 | EXTENDED);
            frame.extend(length.expect("the messages here are short").to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
