//! What clients and origins can do to the binary that is within HTTP and out of order: drip, stall, come in numbers, reset. Each is
//! bounded in time, memory and descriptors, and costs nobody else anything.

#[path = "../support/mod.rs"]
mod support;

mod descriptors;
mod drip;
mod logs;
mod resets;
mod stalls;
mod starts;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use headsnip::net::address::Address;
use support::Peer;
use support::headsnip::{Headsnip, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\n\r\nok";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An origin that answers each GET, for as long as the test runs.
struct Answering {
    address: Address,
    accepted: Arc<AtomicUsize>,
}

impl Answering {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").into();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::Relaxed);
                // Whole requests come in one piece here. It ends with the proxy's side.
                thread::spawn(move || {
                    let mut room = [0; 4096];
                    while stream.read(&mut room).is_ok_and(|count| count > 0)
                        && stream.write_all(ANSWER.as_bytes()).is_ok()
                    {}
                });
            }
        });
        Self { address, accepted }
    }

    /// How many connections it has taken.
    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

fn exchange(client: &mut Peer) {
    client.send(GET);
    client.expect(OK);
}

fn await_descriptors(proxy: &Headsnip, most: usize) {
    until(support::LIMIT, "the descriptors to be closed", || (proxy.descriptors() <= most).then_some(()));
}
