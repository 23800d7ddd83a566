//! A relay that knows no HTTP: recv, send, and epoll. The floor.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// Bytes read at once, as headsnip reads.
const ROOM: usize = 64 << 10;

/// Relays between two addresses until it is killed.
pub(crate) fn run(listen: &str, upstream: &str) -> Result<(), Box<dyn Error>> {
    let upstream: SocketAddr = upstream.parse()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::from_std(super::listen(&listen.parse::<SocketAddr>()?.into())?.into());
    let accepting = Token(usize::MAX - 1);
    poll.registry().register(&mut listener, accepting, Interest::READABLE)?;
    let mut pairs: Slab<Pair> = Slab::new();
    let mut events = Events::with_capacity(1024);
    let mut room = vec![0; ROOM];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == accepting {
                while let Ok((client, _)) = listener.accept() {
                    let origin = std::net::TcpStream::connect(upstream)?;
                    origin.set_nonblocking(true)?;
                    let origin = TcpStream::from_std(origin);
                    let slot = pairs.vacant_entry();
                    let token = slot.key() * 2;
                    let mut sides = [Side::new(client)?, Side::new(origin)?];
                    for (offset, side) in sides.iter_mut().enumerate() {
                        let both = Interest::READABLE | Interest::WRITABLE;
                        poll.registry().register(&mut side.stream, Token(token + offset), both)?;
                    }
                    slot.insert(Pair { sides });
                }
                continue;
            }
            let (index, offset) = (event.token().0 / 2, event.token().0 % 2);
            let is_over = pairs.get_mut(index).is_some_and(|pair| {
                // What became writable is of interest only to what waits for it.
                let unblocked = event.is_writable() && !pair.sides[1 - offset].held.is_empty();
                (event.is_readable() && pair.pump(offset, &mut room)) || (unblocked && pair.pump(1 - offset, &mut room))
            });
            if is_over {
                pairs.remove(index);
            }
        }
    }
}

struct Pair {
    sides: [Side; 2],
}

struct Side {
    stream: TcpStream,
    /// What this side sent and the other did not take.
    held: Vec<u8>,
    has_ended: bool,
}

impl Side {
    fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, held: Vec::new(), has_ended: false })
    }
}

impl Pair {
    /// Moves what one side has sent; true once the pair is over.
    fn pump(&mut self, from: usize, room: &mut [u8]) -> bool {
        let [a, b] = &mut self.sides;
        let (source, sink) = if from == 0 { (a, b) } else { (b, a) };
        loop {
            while !source.held.is_empty() {
                match sink.stream.write(&source.held) {
                    Ok(count) => drop(source.held.drain(..count)),
                    Err(error) => return error.kind() != ErrorKind::WouldBlock,
                }
            }
            if source.has_ended {
                return true;
            }
            let count = match source.stream.read(room) {
                Ok(0) => {
                    source.has_ended = true;
                    continue;
                }
                Ok(count) => count,
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            };
            let taken = match sink.stream.write(&room[..count]) {
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => return true,
            };
            if taken < count {
                source.held.extend_from_slice(&room[taken..count]);
                return false;
            }
            // A short read means that there is no more; edge-triggered readiness tells of what comes.
            if count < room.len() {
                return false;
            }
        }
    }
}
