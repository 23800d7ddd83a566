//! An origin to which the case that a request names happens.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use headsnip::net::address::Address;

use super::Case;
use super::points::{Fault, WHOLE};
use super::support::Peer;

/// What happens at each path, and how often it still does.
type Happening = Arc<Mutex<HashMap<String, Case>>>;

/// Starts it, for as long as the test runs.
pub(crate) fn start(cases: Vec<Case>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").into();
    let happening: Happening =
        Arc::new(Mutex::new(cases.into_iter().map(|case| (format!("/{}", case.0), case)).collect()));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let happening = Arc::clone(&happening);
            thread::spawn(move || serve(Peer::new(stream), &happening));
        }
    });
    address
}

fn serve(mut peer: Peer, happening: &Happening) {
    let mut has_served = false;
    while let Some(head) = peer.read_head() {
        if head.contains("Content-Length: 5") {
            peer.expect("hello");
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let case = happening.lock().expect("no thread panics with it").get(path).copied();
        match case {
            // A second try on a fresh connection is answered.
            Some((_, point, fault)) if has_served || !point.is_second() => {
                return happen(peer, point.said, fault);
            }
            Some(_) | None => {
                has_served = true;
                peer.send(WHOLE);
            }
        }
    }
}

fn happen(mut peer: Peer, said: &str, fault: Fault) {
    peer.send(said);
    match fault {
        Fault::Fin => drop(peer),
        Fault::Reset => {
            // What was said must have been read, or the reset overtakes it.
            thread::sleep(super::SILENCE / 4);
            peer.reset();
        }
        // Until the proxy has had enough.
        Fault::Silence => drop(peer.read_to_end()),
    }
}
