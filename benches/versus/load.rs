//! The clients: as many connections as the job says, each asking again as soon as it has its answer, all on one thread. Every
//! answer is taken apart and its length checked, the first on each connection byte for byte.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::jobs::{EVENT, Job, Kind, SMALL, content};

/// What a load came to.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) requests: u32,
    pub(crate) time: Duration,
    /// Of each request.
    pub(crate) latencies: Vec<Duration>,
}

/// Microseconds on a clock that all processes share.
pub(crate) fn now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros())
}

/// Runs a job for so long, and to the end of what is under way.
pub(crate) fn run(job: &Job, proxy: SocketAddr, duration: Duration) -> Result<Done, Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut clients = Vec::new();
    for index in 0..job.connections {
        clients.push(Client::open(job, proxy, &poll, index)?);
    }
    let begun = Instant::now();
    let mut done = Done::default();
    let mut events = Events::with_capacity(1024);
    let mut room = vec![0; 256 << 10];
    let mut busy = clients.len();
    while busy > 0 {
        poll.poll(&mut events, Some(Duration::from_secs(10)))?;
        if events.is_empty() {
            return Err(format!("{busy} of {} clients wait in vain", job.connections).into());
        }
        let is_over = begun.elapsed() >= duration;
        for event in &events {
            let index = event.token().0;
            loop {
                match clients[index].go_on(job, &mut room, &mut done)? {
                    Going::Waits if is_over && job.kind == Kind::Events => {}
                    Going::Waits => break,
                    Going::Answered if !is_over => {
                        if job.kind == Kind::Closing {
                            clients[index] = Client::open(job, proxy, &poll, index)?;
                            break;
                        }
                        clients[index].ask();
                        continue;
                    }
                    Going::Answered | Going::Idle => {}
                }
                if !std::mem::replace(&mut clients[index].is_idle, true) {
                    busy -= 1;
                }
                break;
            }
        }
    }
    done.time = begun.elapsed();
    Ok(done)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Going {
    /// The socket must move first.
    Waits,
    Answered,
    /// It has had its last answer.
    Idle,
}

struct Client {
    stream: TcpStream,
    sent: usize,
    asked_at: Instant,
    answer: Answer,
    /// Content of the first answer, which is compared.
    first: Option<Vec<u8>>,
    is_idle: bool,
}

/// How much of an answer has come.
enum Answer {
    Head(Vec<u8>),
    Length(usize),
    Chunked { line: Vec<u8>, data: usize, total: usize, is_last: bool },
}

impl Client {
    fn open(job: &Job, proxy: SocketAddr, poll: &Poll, index: usize) -> Result<Self, Box<dyn Error>> {
        let mut stream = TcpStream::from_std({
            let stream = std::net::TcpStream::connect(proxy)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            stream
        });
        poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let first = (job.kind == Kind::KeepAlive).then(Vec::new);
        Ok(Self { stream, sent: 0, asked_at: Instant::now(), answer: Answer::Head(Vec::new()), first, is_idle: false })
    }

    fn ask(&mut self) {
        self.sent = 0;
        self.asked_at = Instant::now();
        self.answer = Answer::Head(Vec::new());
    }

    fn go_on(&mut self, job: &Job, room: &mut [u8], done: &mut Done) -> Result<Going, Box<dyn Error>> {
        if self.is_idle {
            return Ok(Going::Idle);
        }
        while self.sent < job.request.len() {
            match self.stream.write(&job.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Going::Waits),
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            let count = match self.stream.read(room) {
                Ok(0) => return Err("the connection ended before the answer did".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Going::Waits),
                Err(error) => return Err(error.into()),
            };
            if job.kind == Kind::Events {
                self.take_events(&room[..count], done)?;
            } else if self.take(job, &room[..count])? {
                done.requests += 1;
                done.latencies.push(self.asked_at.elapsed());
                return Ok(Going::Answered);
            }
        }
    }

    /// Takes bytes of an answer; true once it is whole.
    fn take(&mut self, job: &Job, mut bytes: &[u8]) -> Result<bool, Box<dyn Error>> {
        loop {
            match &mut self.answer {
                Answer::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
                    bytes = &bytes[end + 4 - before..];
                    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
                    self.answer = framing(&text, job)?;
                }
                Answer::Length(left) => {
                    if let Some(first) = &mut self.first {
                        first.extend_from_slice(bytes);
                    }
                    *left = left.checked_sub(bytes.len()).ok_or("more bytes than were announced")?;
                    return if *left == 0 { self.compare(job).map(|()| true) } else { Ok(false) };
                }
                Answer::Chunked { line, data, total, is_last } => {
                    while let Some(byte) = bytes.first() {
                        if *data > 0 {
                            let part = (*data).min(bytes.len());
                            if let Some(first) = &mut self.first {
                                first.extend_from_slice(&bytes[..part]);
                            }
                            (*data, *total, bytes) = (*data - part, *total + part, &bytes[part..]);
                            continue;
                        }
                        bytes = &bytes[1..];
                        line.push(*byte);
                        if !line.ends_with(b"\r\n") || line.len() == 2 && !*is_last {
                            // The line end behind the data.
                            if line == b"\r\n" {
                                line.clear();
                            }
                            continue;
                        }
                        if *is_last {
                            let is_right = *total == job.body && bytes.is_empty();
                            return if is_right {
                                self.compare(job).map(|()| true)
                            } else {
                                Err("a wrong length".into())
                            };
                        }
                        *data = usize::from_str_radix(std::str::from_utf8(line)?.trim_end(), 16)?;
                        *is_last = *data == 0;
                        line.clear();
                    }
                    return Ok(false);
                }
            }
        }
    }

    fn compare(&mut self, job: &Job) -> Result<(), Box<dyn Error>> {
        let Some(found) = self.first.take() else { return Ok(()) };
        let wanted = if job.body == SMALL.len() { SMALL.as_bytes().to_vec() } else { content(job.body) };
        if found == wanted { Ok(()) } else { Err("a wrong body".into()) }
    }

    /// Takes events, each with the time of its sending. The delay of each is its latency.
    fn take_events(&mut self, bytes: &[u8], done: &mut Done) -> Result<(), Box<dyn Error>> {
        let Answer::Head(held) = &mut self.answer else { return Err("a stream has no length".into()) };
        held.extend_from_slice(bytes);
        let arrived = now();
        while let Some(end) = held.windows(2).position(|two| two == b"\r\n") {
            let line: Vec<u8> = held.drain(..end + 2).collect();
            if line.len() == EVENT + 2 {
                let sent: u128 = std::str::from_utf8(&line)?.trim().parse()?;
                done.requests += 1;
                done.latencies.push(Duration::from_micros(u64::try_from(arrived.saturating_sub(sent))?));
            }
        }
        Ok(())
    }
}

fn framing(head: &str, job: &Job) -> Result<Answer, Box<dyn Error>> {
    if !head.starts_with("http/1.1 200 ") {
        return Err(format!("answered {:?}", head.lines().next().unwrap_or_default()).into());
    }
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        let length = length.trim().parse()?;
        return if length == job.body { Ok(Answer::Length(length)) } else { Err("a wrong length".into()) };
    }
    let is_chunked = head.lines().any(|line| line.trim_end() == "transfer-encoding: chunked");
    let chunked = Answer::Chunked { line: Vec::new(), data: 0, total: 0, is_last: false };
    if is_chunked { Ok(chunked) } else { Err(format!("no length in {head:?}").into()) }
}
