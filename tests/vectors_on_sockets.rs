//! Runs the vectors of `tests/vectors/*.txt` through a proxy with real sockets on both sides.
//!
//! A step is taken when all that the steps before it must have brought about has arrived, so that the sides keep the order
//! of the vector. Vectors in which the origin speaks before the proxy has a reason to dial it cannot be put so, and are left
//! to `tests/vectors.rs`. Each is run twice: all bytes copied, and spliced wherever bytes need no look.

mod support;

use headsnip::testing::drive::{Driven, drive, policy};
use headsnip::testing::vector::{self, Vector};
use headsnip::testing::{End, Step};
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::headsnip::until;
use support::{Ended, LIMIT, Origin, Peer, Running, text};

/// In these the origin speaks unasked, on a connection that no request has opened.
const WITHOUT_A_DIAL: [&str; 3] =
    ["unsolicited-before-any-request", "unsolicited-before-the-request-is-whole", "origin-ends-before-any-request"];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut trials = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of vectors is there") {
        let path = entry.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("a vector file is text");
        let vectors = vector::parse(&text).expect("vectors can be read");
        let playable = vectors.into_iter().filter(|vector| !WITHOUT_A_DIAL.contains(&vector.name.as_str()));
        for vector in playable.map(Arc::new) {
            let (name, copied) = (format!("{}, spliced", vector.name), Arc::clone(&vector));
            trials.push(Trial::test(copied.name.clone(), move || play(&copied, None)));
            // From the first byte that needs no look, if it is not read together with one that does.
            trials.push(Trial::test(name, move || play(&vector, Some(1))));
        }
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    let is_all = conclusion.num_filtered_out == 0 && !conclusion.has_failed();
    let spliced = SPLICED.load(Ordering::Relaxed);
    println!("{spliced} bytes were spliced");
    assert!(!is_all || spliced > 500, "only {spliced} bytes of all vectors were spliced");
    conclusion.exit();
}

/// Bytes that were spliced in all vectors.
static SPLICED: AtomicU64 = AtomicU64::new(0);

fn play(vector: &Vector, splice_from: Option<u64>) -> Result<(), Failed> {
    let plan = drive(&policy(&vector.rules).ok_or("the core refuses the options")?, &vector.steps);
    let listener = Origin::new();
    let proxy = Running::splicing(&vector.rules, listener.address(), splice_from);
    let mut stage = Stage {
        client: proxy.dial(),
        pieces: if splice_from.is_some() { Pieces::Few } else { Pieces::Whole },
        listener,
        origin: None,
        dials: 0,
        heard: 0,
        is_told: false,
        to_origin: Vec::new(),
        to_client: Vec::new(),
    };
    for (index, step) in vector.steps.iter().enumerate() {
        stage.take(step, &proxy);
        stage.await_outputs(&plan, index)?;
    }
    // Every other end of the origin's closes the client too, is `origin dropped`, or has the request sent once more.
    let is_half_closed = |index: &usize| {
        let (step, end, received) = (&vector.steps[*index], &plan.ends[*index], &plan.received[..=*index]);
        let dials = |back| received.iter().nth_back(back).map(Vec::len);
        *step == Step::OriginEnd && *end == End::Open && dials(0) > Some(0) && dials(1) == dials(0)
    };
    let is_half_closed = (0..vector.steps.len()).any(|index| is_half_closed(&index));
    let end = if is_half_closed && vector.end == End::Reset {
        // Behind the FIN, only a write tells of the reset.
        stage.client.expect_end("", Ended::Fin);
        until(LIMIT, "the reset", || stage.client.try_send("more").err());
        Vec::new()
    } else if is_half_closed && vector.end == End::Open {
        stage.client.expect_end("", Ended::Fin);
        Vec::new()
    } else {
        stage.end(vector, &proxy)?
    };
    same("to client", &stage.to_client, &[&vector.to_client[..], &end].concat())?;
    same("to origin", &stage.to_origin, &vector.to_origin)?;
    let replays = u64::try_from(plan.replayed.len()).expect("64 bits are enough");
    if proxy.replays() != replays {
        return Err(format!("{} replays were counted, not {replays}", proxy.replays()).into());
    }
    drop(stage);
    if splice_from.is_none() && proxy.spliced() > 0 {
        return Err(format!("{} bytes were spliced", proxy.spliced()).into());
    }
    SPLICED.fetch_add(proxy.spliced(), Ordering::Relaxed);
    proxy.stop();
    Ok(())
}

/// How the bytes of a step are sent.
#[derive(Clone, Copy)]
enum Pieces {
    Whole,
    /// A few at a time, with pauses in which the proxy is likely to read them, so that much stands alone that needs no look.
    Few,
}

impl Pieces {
    fn send(self, peer: &mut Peer, bytes: &[u8]) {
        let (count, pause) = match self {
            Self::Whole => (bytes.len().max(1), Duration::ZERO),
            // Of much, larger ones: a pause is longer than it says.
            Self::Few => (4.max(bytes.len() / 2000), Duration::from_micros(20)),
        };
        for piece in bytes.chunks(count) {
            // A proxy that has answered may have closed already.
            let _ = peer.try_send(piece);
            std::thread::sleep(pause);
        }
    }
}

struct Stage {
    client: Peer,
    pieces: Pieces,
    listener: Origin,
    /// `None` before the proxy has dialled, and after the origin was reset.
    origin: Option<Peer>,
    /// How many origin connections there have been, and how many bytes have come on the last.
    dials: usize,
    heard: usize,
    /// Whether the origin was told that the client has ended.
    is_told: bool,
    to_origin: Vec<u8>,
    to_client: Vec<u8>,
}

impl Stage {
    fn take(&mut self, step: &Step, proxy: &Running) {
        match (step, &mut self.origin) {
            (Step::Client(bytes), _) => self.pieces.send(&mut self.client, bytes),
            (Step::ClientEnd, _) => self.client.finish(),
            (Step::Origin(bytes), Some(origin)) => self.pieces.send(origin, bytes),
            (Step::OriginEnd, Some(origin)) => origin.finish(),
            (Step::OriginReset, origin @ Some(_)) => {
                if let Some(origin) = origin.take() {
                    origin.reset();
                }
            }
            (Step::Drain, _) => proxy.drain(),
            (Step::Origin(_) | Step::OriginEnd | Step::OriginReset, None) => {}
        }
    }

    /// Reads all that must have gone out by the end of a step.
    fn await_outputs(&mut self, plan: &Driven, index: usize) -> Result<(), Failed> {
        let sent: usize = plan.sent[..=index].iter().map(Vec::len).sum();
        self.to_client.extend(self.client.read(sent - self.to_client.len()));
        for (connection, length) in plan.received[index].iter().enumerate() {
            if self.dials == connection {
                self.dials += 1;
                self.heard = 0;
                if let Some(mut former) = self.origin.replace(self.listener.accept_speaking()) {
                    same("to the origin that had ended", &former.read_to_end().0, &Vec::new())?;
                }
            }
            if self.dials == connection + 1 && self.heard < *length {
                let origin = self.origin.as_mut().ok_or("no origin connection")?;
                self.to_origin.extend(origin.read(length - self.heard));
                self.heard = *length;
            }
        }
        if plan.ends[index] == End::Open && plan.told[index] && !std::mem::replace(&mut self.is_told, true) {
            let origin = self.origin.as_mut().ok_or("no origin connection")?;
            origin.expect_end("", Ended::Fin);
        }
        match self.origin.take_if(|_| plan.ends[index] == End::OriginDropped) {
            Some(mut dropped) => same("to the origin that was dropped", &dropped.read_to_end().0, &Vec::new()),
            None => Ok(()),
        }
    }

    /// Checks how the client's connection stands, and gives what came beside the origin's bytes.
    fn end(&mut self, vector: &Vector, proxy: &Running) -> Result<Vec<u8>, Failed> {
        let (reply, ended) = match &vector.end {
            End::Open | End::OriginDropped => return self.stays_open(proxy).map(|()| Vec::new()),
            End::Closed | End::Cut => (String::new(), Ended::Fin),
            End::Reset => (String::new(), Ended::Reset),
            End::Reply(code) => (reply(*code, &vector.rules.add), Ended::Fin),
        };
        let (extra, found) = self.client.read_to_end();
        self.to_client.extend(&extra);
        if found == ended { Ok(reply.into_bytes()) } else { Err(format!("ended by {found:?}, not {ended:?}").into()) }
    }

    /// Checks that nothing comes behind what has come. What the proxy's one thread had to do for this client is done when another has
    /// been answered; one that drains is asked by nobody else.
    fn stays_open(&mut self, proxy: &Running) -> Result<(), Failed> {
        if let Some(mut witness) = proxy.try_dial() {
            witness.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut origin = self.listener.accept_speaking();
            origin.send("HTTP/1.1 204 No Content\r\n\r\n");
            witness.read_head().ok_or("another client is not served")?;
        }
        if self.client.is_readable() { Err("more came, or the end".into()) } else { Ok(()) }
    }
}

/// Our own reply, by the contract: the status-line, `Content-Length: 0`, `Connection: close`, and the lines that the operator adds.
fn reply(code: u16, added: &[String]) -> String {
    let reason = [
        (400, "Bad Request"),
        (431, "Request Header Fields Too Large"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (505, "HTTP Version Not Supported"),
    ];
    let reason = reason.iter().find(|(known, _)| *known == code).map_or("", |(_, reason)| reason);
    let added: String = added.iter().flat_map(|line| [line, "\r\n"]).collect();
    format!("HTTP/1.1 {code} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n{added}\r\n")
}

fn same(what: &str, found: &Vec<u8>, expected: &Vec<u8>) -> Result<(), Failed> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n   found {}\nexpected {}", text(found), text(expected)).into())
}
