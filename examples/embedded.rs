//! Two proxies inside one program, each with an observer of its own, before an origin that answers and one that does not. Nothing is
//! written but what this program makes of the events and the counters.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use headsnip::config::Config;
use headsnip::ops::{Event, Observer};
use headsnip::proxy::Proxy;

/// No read waits longer.
const LIMIT: Duration = Duration::from_secs(10);

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: uvicorn\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Hands what happens to whatever log the program has; here it is printed.
struct Teller(&'static str);

impl Observer for Teller {
    fn observe(&self, event: Event<'_>) {
        let Self(name) = self;
        match event {
            Event::Exchange { record, .. } => println!("{name}: {} took {:?}", record.target, record.took),
            Event::BadEnd { side, reason, .. } => println!("{name}: {side} {reason}"),
            // An event is, as text, what the log of the binary would say.
            Event::Mended { .. }
            | Event::WouldRemove { .. }
            | Event::Error(_)
            | Event::Warning(_)
            | Event::Notice(_)
            | _ => {
                println!("{name}: {event}");
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let origin = TcpListener::bind("127.0.0.1:0")?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let addresses = [("front", origin.local_addr()?), ("back", silent.local_addr()?)];
    std::thread::spawn(move || origin.incoming().flatten().for_each(|client| drop(answer(client))));
    // Takes connections, and closes them without a word.
    std::thread::spawn(move || silent.incoming().for_each(drop));
    for (name, upstream) in addresses {
        let mut config = Config::new("127.0.0.1:0".parse()?, upstream.into());
        config.access_log = true;
        // By default each takes the open-file limit to be its own.
        config.max_connections = 100.try_into().ok();
        let proxy = Proxy::bind(config, Arc::new(Teller(name)))?;
        let (address, handle, counts) = (proxy.address().to_string().parse()?, proxy.handle(), proxy.counts());
        let running = std::thread::spawn(move || proxy.run(std::future::pending()));
        println!("{name}: {}", fetch(address)?.lines().next().unwrap_or_default());
        handle.dismiss();
        running.join().map_err(|_| "the proxy panicked")??;
        let requests = |line: &&str| line.starts_with("headsnip_requests_total ");
        println!("{name}: {}", counts.exposition().lines().find(requests).unwrap_or_default());
    }
    Ok(())
}

fn fetch(proxy: SocketAddr) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(REQUEST)?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

fn answer(mut client: TcpStream) -> std::io::Result<()> {
    client.set_read_timeout(Some(LIMIT))?;
    client.read_exact(&mut vec![0; REQUEST.len()])?;
    client.write_all(RESPONSE)
}
