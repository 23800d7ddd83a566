//! The clients and the origin, on one thread. Each knows every byte that it must send and receive, so neither parses HTTP, and a
//! byte that differs is an error.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::jobs::Job;

const LISTENER: Token = Token(usize::MAX - 1);

/// How long nothing may happen. A proxy under valgrind is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a job through the proxy at an address, with so many exchanges on each connection, one after another.
pub(crate) fn run(job: &Job, proxy: SocketAddr, origin: &mut TcpListener, each: u32) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    poll.registry().register(origin, LISTENER, Interest::READABLE)?;
    let done = exchange(job, proxy, origin, each, &mut poll);
    poll.registry().deregister(origin)?;
    done
}

fn exchange(
    job: &Job,
    proxy: SocketAddr,
    origin: &TcpListener,
    each: u32,
    poll: &mut Poll,
) -> Result<(), Box<dyn Error>> {
    let mut peers: Slab<Peer<'_>> = Slab::new();
    for _ in 0..job.connections {
        let stream = std::net::TcpStream::connect(proxy)?;
        stream.set_nonblocking(true)?;
        add(&mut peers, poll, TcpStream::from_std(stream), |stream| Peer::client(stream, job))?;
    }
    let mut events = Events::with_capacity(1024);
    let mut room = vec![0; 256 << 10];
    let mut busy = job.connections;
    let mut received = 0;
    while busy > 0 {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(format!("{busy} of {} clients wait in vain", job.connections).into());
        }
        for event in &events {
            if event.token() == LISTENER {
                loop {
                    match origin.accept() {
                        Ok((stream, _)) => add(&mut peers, poll, stream, |stream| Peer::origin(stream, job))?,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                continue;
            }
            // It may have been removed earlier in this batch.
            let Some(peer) = peers.get_mut(event.token().0) else { continue };
            let before = peer.received;
            if peer.go_on(each, &mut room)? == Going::Over {
                peers.remove(event.token().0);
                continue;
            }
            if peer.is_client && peer.received > before {
                received += usize::try_from(peer.received - before)?;
                busy -= usize::from(peer.received == each);
            }
        }
        // The next events are sent once all have arrived, so that no two of a stream are relayed as one.
        if !job.event.is_empty() && received == job.connections {
            received = 0;
            for (_, origin) in peers.iter_mut().filter(|(_, peer)| !peer.is_client) {
                origin.speak(&job.event);
                origin.go_on(each, &mut room)?;
            }
        }
    }
    Ok(())
}

fn add<'a>(
    peers: &mut Slab<Peer<'a>>,
    poll: &Poll,
    mut stream: TcpStream,
    peer: impl FnOnce(TcpStream) -> Peer<'a>,
) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    let slot = peers.vacant_entry();
    poll.registry().register(&mut stream, Token(slot.key()), Interest::READABLE | Interest::WRITABLE)?;
    slot.insert(peer(stream));
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    Over,
}

/// One end of a connection: a client, which speaks first, or the origin.
struct Peer<'a> {
    stream: TcpStream,
    is_client: bool,
    is_speaking: bool,
    /// How far it is in what it speaks or hears.
    at: usize,
    speaks: &'a [u8],
    hears: &'a [u8],
    /// What it hears behind the first message, if that is the head of a stream.
    event: &'a [u8],
    /// How many messages it has heard.
    received: u32,
}

impl<'a> Peer<'a> {
    fn client(stream: TcpStream, job: &'a Job) -> Self {
        let (speaks, hears) = (&job.request[0], &job.response[1]);
        Self { stream, is_client: true, is_speaking: true, at: 0, speaks, hears, event: &job.event, received: 0 }
    }

    fn origin(stream: TcpStream, job: &'a Job) -> Self {
        let (speaks, hears) = (&job.response[0], &job.request[1]);
        Self { stream, is_client: false, is_speaking: false, at: 0, speaks, hears, event: &[], received: 0 }
    }

    fn speak(&mut self, bytes: &'a [u8]) {
        (self.speaks, self.at, self.is_speaking) = (bytes, 0, true);
    }

    /// Sends and receives as far as the socket goes; a client stops behind its last message.
    fn go_on(&mut self, last: u32, room: &mut [u8]) -> Result<Going, Box<dyn Error>> {
        loop {
            if self.is_speaking {
                match self.stream.write(&self.speaks[self.at..]) {
                    Ok(count) => self.at += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Going::On),
                    Err(error) => return Err(error.into()),
                }
                if self.at == self.speaks.len() {
                    (self.at, self.is_speaking) = (0, false);
                }
                continue;
            }
            let count = match self.stream.read(room) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Going::On),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(error.into()),
            };
            let heard = room.get(..count).unwrap_or_default();
            if count == 0 {
                let is_between = !self.is_client && self.at == 0;
                return if is_between { Ok(Going::Over) } else { Err("a connection ended within an exchange".into()) };
            }
            if self.hears.get(self.at..self.at + count) != Some(heard) {
                return Err(format!("unexpected: {:?}", String::from_utf8_lossy(heard)).into());
            }
            self.at += count;
            if self.at == self.hears.len() {
                self.at = 0;
                self.received += 1;
                if self.is_client && self.received == last {
                    return Ok(Going::On);
                }
                if self.event.is_empty() {
                    self.is_speaking = true;
                } else {
                    self.hears = self.event;
                }
            }
        }
    }
}
