//! An origin that answers by itself for as long as a test runs, each request as its target says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::spawn;

use ::headsnip::net::address::Address;

use super::body;

/// What is answered at once.
pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What is answered so once it is released.
pub const HOLD: &str = "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n";

/// What is answered by so many bytes of `body`.
pub fn get(count: usize) -> String {
    format!("GET /{count} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub fn answer(count: usize) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n").as_bytes(), &body(count)].concat()
}

pub struct Answering {
    pub address: Address,
    released: Arc<(Mutex<usize>, Condvar)>,
}

impl Answering {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").into();
        let released = Arc::<(Mutex<usize>, Condvar)>::default();
        let waiting = Arc::clone(&released);
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let waiting = Arc::clone(&waiting);
                // It ends with the proxy's side.
                spawn(move || answer_all(stream, &waiting));
            }
        });
        Self { address, released }
    }

    /// Has so many more of those that hold be answered.
    pub fn release(&self, count: usize) {
        *self.released.0.lock().expect("no test panics with it") += count;
        self.released.1.notify_all();
    }
}

fn answer_all(mut stream: TcpStream, (released, changed): &(Mutex<usize>, Condvar)) {
    let mut head = Vec::new();
    let mut room = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut room) {
        // The proxy sends one request at a time.
        head.extend_from_slice(&room[..count]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let target = text.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        head.clear();
        if target == "hold" {
            let released = released.lock().expect("no test panics with it");
            let mut released = changed.wait_while(released, |count| *count == 0).expect("no test panics with it");
            *released -= 1;
        }
        let answer = target.parse().map_or_else(|_| OK.as_bytes().to_vec(), answer);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
