//! The server: does what the request target says, and checks that each request is what its number says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use headsnip::net::address::Address;
use socket2::SockRef;

use super::Watch;
use super::plan::{After, Fault, Framing, LARGE, Plan, Random, Timing, Writes};
use super::support::text;
use super::wire::{Request, Response, is_alone};

/// No request head here is longer.
const LONGEST_HEAD: usize = 4_096;

/// Starts it. Its threads end with their connections, and the listener with this process.
pub(crate) fn start(watch: &Watch) -> Address {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let watch = watch.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let watch = watch.clone();
            thread::spawn(move || Connection { stream, buffer: Vec::new(), watch }.serve());
        }
    });
    address.into()
}

struct Connection {
    stream: TcpStream,
    /// Read and not yet taken.
    buffer: Vec<u8>,
    watch: Watch,
}

/// Whether another request may follow.
#[derive(PartialEq, Eq)]
enum Next {
    Request,
    Nothing,
}

impl Connection {
    fn serve(mut self) {
        self.stream.set_read_timeout(Some(super::PATIENCE)).expect("a time limit");
        self.stream.set_write_timeout(Some(super::PATIENCE)).expect("a time limit");
        self.stream.set_nodelay(true).expect("a TCP option");
        self.watch.count("origin: connections", 1);
        let mut is_used = false;
        while let Some(head) = self.head() {
            if is_used {
                self.watch.count("origin: requests behind others", 1);
            }
            is_used = true;
            let Some(id) = id(&head) else {
                self.watch.fail(format!("the origin got {:?}", text(&head)));
                return;
            };
            let plan = Plan::of(id);
            if self.exchange(&plan, &head) == Next::Nothing {
                return;
            }
        }
    }

    fn exchange(&mut self, plan: &Plan, head: &[u8]) -> Next {
        let request = Request::of(plan);
        if head != request.head {
            self.watch.fail(format!("the origin got {:?}, not {:?}; {plan:?}", text(head), text(&request.head)));
            return Next::Nothing;
        }
        let response = Response::of(plan);
        if plan.timing == Timing::Refusing {
            // It may have been answered before the client's end came.
            if self.send(plan, &response.bytes) {
                self.expect_end(plan);
            }
            return Next::Nothing;
        }
        if plan.timing == Timing::Early && plan.length == LARGE {
            return self.send_and_receive(plan, &response.bytes, &request.body);
        }
        let mut sent = 0;
        if plan.timing == Timing::Late && plan.fault == Fault::Nothing {
            sent = response.final_head.start;
        } else if plan.timing != Timing::Late {
            sent = response.bytes.len();
        }
        if !self.send(plan, &response.bytes[..sent]) || plan.timing == Timing::EarlyClose {
            return Next::Nothing;
        }
        if !self.receive(plan, &request.body) {
            return Next::Nothing;
        }
        if plan.timing == Timing::Late {
            thread::sleep(plan.thought);
        }
        let cut = response.cut(plan);
        let rest = &response.bytes[sent.min(cut)..cut];
        // Up to the last byte of the response, nothing may follow the request.
        let before_last = if plan.writes == Writes::AtOnce { 0 } else { rest.len().saturating_sub(1) };
        if !self.send(plan, &rest[..before_last]) {
            return Next::Nothing;
        }
        if plan.timing == Timing::Late {
            self.expect_silence(plan);
        }
        if !self.send(plan, &rest[before_last..]) {
            return Next::Nothing;
        }
        let next = self.end(plan);
        if next == Next::Request && is_alone(plan, &request, &response) {
            self.expect_end(plan);
            return Next::Nothing;
        }
        next
    }

    /// Reads the body while the response is written.
    fn send_and_receive(&mut self, plan: &Plan, response: &[u8], body: &[u8]) -> Next {
        let Ok(stream) = self.stream.try_clone() else { return Next::Nothing };
        let mut writer = Self { stream, buffer: Vec::new(), watch: self.watch.clone() };
        thread::scope(|scope| {
            let writing = scope.spawn(move || writer.send(plan, response));
            // A client may have left.
            self.receive(plan, body);
            drop(writing.join());
        });
        self.watch.count("origin: large early responses", 1);
        self.end(plan)
    }

    fn end(&mut self, plan: &Plan) -> Next {
        match (plan.fault, plan.after) {
            (Fault::Reset, _) => {
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
            }
            (Fault::Stall, _) => self.await_end(),
            (Fault::Fin, _) | (Fault::Nothing, After::Close) => {
                // One that was reset has no FIN to send.
                let _ = self.stream.shutdown(Shutdown::Write);
                self.await_end();
            }
            (Fault::Nothing, After::IdleClose(pause)) => thread::sleep(pause),
            (Fault::Nothing, After::Keep) if plan.framing == Framing::UntilClose => unreachable!("it says close"),
            (Fault::Nothing, After::Keep) => return Next::Request,
        }
        Next::Nothing
    }

    /// Tells whether all was taken; a client may have left.
    fn send(&mut self, plan: &Plan, bytes: &[u8]) -> bool {
        let mut random = Random::new(plan.id.rotate_left(5));
        let mut rest = bytes;
        let mut parts = 0;
        while !rest.is_empty() {
            let size = match plan.writes {
                Writes::AtOnce => rest.len(),
                Writes::Pieces => 1 + random.below(30_000),
                Writes::Drip if parts < 40 => 1 + random.below(30),
                Writes::Drip => rest.len(),
            };
            let (part, after) = rest.split_at(size.min(rest.len()));
            if self.stream.write_all(part).is_err() {
                return false;
            }
            if plan.writes == Writes::Drip && random.one_in(8) {
                thread::sleep(random.pause(500));
            }
            parts += 1;
            rest = after;
        }
        true
    }

    /// Reads the body and tells whether it came whole.
    fn receive(&mut self, plan: &Plan, body: &[u8]) -> bool {
        let mut checked = 0;
        loop {
            let count = self.buffer.len().min(body.len() - checked);
            if self.buffer[..count] != body[checked..checked + count] {
                self.watch.fail(format!("the origin got a wrong byte after {checked} of a body; {plan:?}"));
                return false;
            }
            self.buffer.drain(..count);
            checked += count;
            if checked == body.len() {
                self.watch.count("bytes up", u64::try_from(checked).expect("64 bits are enough"));
                return true;
            }
            if !self.fill() {
                return false;
            }
        }
    }

    /// The next head; none if the connection ends.
    fn head(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                return Some(self.buffer.drain(..at + 4).collect());
            }
            if self.buffer.len() > LONGEST_HEAD {
                self.watch.fail(format!("the origin got no head: {:?}", text(&self.buffer)));
                return None;
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut room = [0; 16 * 1024];
        match self.stream.read(&mut room) {
            Ok(count @ 1..) => {
                self.buffer.extend_from_slice(&room[..count]);
                true
            }
            Ok(0) | Err(_) => false,
        }
    }

    /// The end, or a reset, and nothing before it.
    fn expect_end(&mut self, plan: &Plan) {
        if !self.buffer.is_empty() || self.fill() {
            self.watch.fail(format!("the origin got {:?} behind what is alone; {plan:?}", text(&self.buffer)));
        }
    }

    fn expect_silence(&mut self, plan: &Plan) {
        self.stream.set_nonblocking(true).expect("a socket option");
        let has_more = self.stream.peek(&mut [0]).is_ok_and(|count| count > 0);
        self.stream.set_nonblocking(false).expect("a socket option");
        if has_more || !self.buffer.is_empty() {
            self.watch.fail(format!("the origin got a request that it owes no answer to yet; {plan:?}"));
        }
    }

    fn await_end(&mut self) {
        let mut room = [0; 16 * 1024];
        while self.stream.read(&mut room).is_ok_and(|count| count > 0) {}
    }
}

/// The number in the request target.
fn id(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    u64::from_str_radix(head.split(' ').nth(1)?.strip_prefix('/')?, 16).ok()
}
