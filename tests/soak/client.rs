//! A client: makes exchanges at random and spoils some itself.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::Watch;
use super::check::{Then, expected};
use super::plan::{After, Fault, Plan, Random, Timing};
use super::support::text;
use super::wire::Request;

/// How long an idle client stays if it may.
const IDLE: Duration = Duration::from_secs(3);

/// Opens one connection after another until it is told to stop.
pub(crate) fn run(port: u16, seed: u64, watch: &Watch) {
    let mut random = Random::new(seed);
    while !watch.is_over() {
        let result = Connection::open(port, &mut random, watch).and_then(|mut connection| {
            let name = connection.stream.local_addr().map_err(|error| error.to_string())?;
            connection.run(&mut random).map_err(|failure| format!("client {name}: {failure}"))
        });
        if let Err(failure) = result {
            watch.fail(failure);
        }
    }
}

/// What the origin did last with the connection behind ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behind {
    Open,
    /// It closes it now or soon.
    ClosedIdle,
}

/// Holds one connection after another that has made a request and is idle then, for longer than one is left alone.
pub(crate) fn idle(port: u16, seed: u64, watch: &Watch) {
    let mut random = Random::new(seed);
    while !watch.is_over() {
        let plan = std::iter::repeat_with(|| Plan::of(random.next())).find(Plan::is_simple).expect("one in many");
        let result = Connection::open(port, &mut random, watch).and_then(|mut connection| {
            if connection.exchange(&plan, &mut random)? == Then::GoOn {
                connection.wait_idle()?;
            }
            Ok(())
        });
        if let Err(failure) = result {
            watch.fail(format!("an idle client: {failure}"));
        }
    }
}

pub(crate) struct Connection<'a> {
    pub(crate) stream: TcpStream,
    pub(crate) is_slow: bool,
    pub(crate) behind: Behind,
    /// Whether our end was sent: a request is not sent once more then.
    pub(crate) has_ended: bool,
    /// Whether no request of it was answered yet: until then it may give way to others.
    pub(crate) is_fresh: bool,
    /// A body that waits for leave.
    pub(crate) waiting: Vec<u8>,
    pub(crate) watch: &'a Watch,
}

impl<'a> Connection<'a> {
    fn open(port: u16, random: &mut Random, watch: &'a Watch) -> Result<Self, String> {
        let is_slow = random.one_in(12);
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            if is_slow {
                socket.set_recv_buffer_size(4_096)?;
            }
            socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(super::PATIENCE))?;
            stream.set_write_timeout(Some(super::PATIENCE))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = open().map_err(|error: Error| format!("cannot connect: {error}"))?;
        watch.count(if is_slow { "connections, slow readers" } else { "connections" }, 1);
        Ok(Self { stream, is_slow, behind: Behind::Open, has_ended: false, is_fresh: true, waiting: Vec::new(), watch })
    }

    fn run(&mut self, random: &mut Random) -> Result<(), String> {
        for _ in 0..=random.below(40) {
            if self.watch.is_over() {
                break;
            }
            if self.behind == Behind::ClosedIdle {
                thread::sleep(random.pause(2_500));
            }
            let plan = Plan::of(random.next());
            let then = match random.below(24) {
                0 => self.abandon(&plan, random),
                1 if plan.timing != Timing::Refusing => self.half_close(&plan),
                2..5 => self.pipeline(random),
                _ => self.exchange(&plan, random),
            };
            if then? == Then::Leave {
                return Ok(());
            }
        }
        self.expect_silence()
    }

    fn exchange(&mut self, plan: &Plan, random: &mut Random) -> Result<Then, String> {
        let request = Request::of(plan);
        let waits = plan.expects && (plan.timing == Timing::Refusing || !random.one_in(4));
        let sent = if waits {
            self.watch.count("client: waits for leave", 1);
            self.waiting = request.body;
            self.send(&request.head, random)
        } else {
            self.send(&request.bytes(), random)
        };
        self.check(plan, sent)
    }

    /// Says nothing for a while: another may be given the place.
    fn wait_idle(&mut self) -> Result<(), String> {
        self.stream.set_read_timeout(Some(IDLE)).expect("a time limit");
        match self.stream.read(&mut [0]) {
            Ok(0) => self.watch.count("idle clients that gave way", 1),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                self.watch.count("idle clients that stayed", 1);
            }
            other => return Err(format!("wanted silence or FIN, found {other:?}")),
        }
        Ok(())
    }

    /// Some requests at once, and perhaps our end behind them.
    fn pipeline(&mut self, random: &mut Random) -> Result<Then, String> {
        let mut plans: Vec<Plan> = Vec::new();
        let count = 2 + random.below(5);
        while plans.len() < count {
            let plan = Plan::of(random.next());
            // Only the last one may be the last of the client's connection.
            if plan.is_fit_for_pipelining() && (plan.after != After::Close || plans.len() == count - 1) {
                plans.push(plan);
            }
        }
        let requests: Vec<u8> = plans.iter().flat_map(|plan| Request::of(plan).bytes()).collect();
        let sent = self.stream.write_all(&requests);
        let ends = random.one_in(3);
        self.watch.count(if ends { "client: half-closed behind many" } else { "client: pipelined" }, 1);
        if ends {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        sent.map_err(|error| format!("{error} sending {plans:#?}"))?;
        for (index, plan) in plans.iter().enumerate() {
            // Until then, more waits, and our end behind it.
            self.has_ended = ends && index == count - 1;
            let then = self.check(plan, Ok(())).map_err(|failure| format!("{failure}\nin a pipeline of {plans:#?}"))?;
            if then == Then::Leave {
                return Ok(Then::Leave);
            }
        }
        if ends {
            self.expect_end(&plans[count - 1])?;
            return Ok(Then::Leave);
        }
        Ok(Then::GoOn)
    }

    /// The last request, and FIN after it: its response must come whole, if the origin sends it whole.
    fn half_close(&mut self, plan: &Plan) -> Result<Then, String> {
        let sent = self.stream.write_all(&Request::of(plan).bytes());
        // One that was reset has no FIN to send.
        let _ = self.stream.shutdown(Shutdown::Write);
        self.has_ended = true;
        self.watch.count("client: half-closed", 1);
        let then = self.check(plan, sent).map_err(|failure| format!("{failure}\nhalf-closed"))?;
        if then == Then::GoOn {
            self.expect_end(plan)?;
        }
        Ok(Then::Leave)
    }

    /// Leaves in the middle of the request or of the response, by FIN or reset.
    fn abandon(&mut self, plan: &Plan, random: &mut Random) -> Result<Then, String> {
        let request = Request::of(plan);
        // Where a body is refused, none may come.
        let request = if plan.timing == Timing::Refusing { request.head } else { request.bytes() };
        let most = if random.one_in(2) { request.len() } else { random.below(request.len()) };
        // It may be refused already, as an early response ends the connection.
        let _ = self.stream.write_all(&request[..most]);
        if most == request.len() && random.one_in(2) {
            let mut room = vec![0; 1 + random.below(20_000)];
            // What a spoiled response may look like is checked where it is read to its end.
            let is_sound = plan.fault == Fault::Nothing && self.behind == Behind::Open;
            if let (Ok(count), true) = (self.stream.read(&mut room), is_sound) {
                let response = expected(plan);
                if !response.kept(response.bytes.len()).starts_with(&room[..count]) {
                    return Err(format!("found {:?} of {plan:?}", text(&room[..count])));
                }
            }
        }
        if random.one_in(2) {
            SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket option");
        }
        self.watch.count("client: left in the middle", 1);
        Ok(Then::Leave)
    }

    /// Sends at once or in parts.
    fn send(&mut self, bytes: &[u8], random: &mut Random) -> Result<(), Error> {
        if !random.one_in(8) {
            return self.stream.write_all(bytes);
        }
        self.watch.count("client: dripped", 1);
        let mut rest = bytes;
        for _ in 0..50 {
            let (part, after) = rest.split_at(rest.len().min(1 + random.below(60)));
            self.stream.write_all(part)?;
            if random.one_in(8) {
                thread::sleep(random.pause(400));
            }
            rest = after;
        }
        self.stream.write_all(rest)
    }
}
