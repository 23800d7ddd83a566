//! What is relayed while there is no room.

use std::time::Duration;

use super::support::answering::{Answering, answer, get};
use super::support::watched::{Watched, narrow, read_slowly};
use super::support::{Ended, Peer, body};
use super::{MEBIBYTES, alone, as_many, exchange, half_heads};

const CLIENTS: usize = 60;
const LENGTH: usize = 2_000_000;

/// Of 8 MiB, what is not left to what each client may always hold.
const ANYONES: u64 = 7 * MEBIBYTES;

/// Bytes that are charged for a pipe.
const PIPE: u64 = 256 * 1024;

const SPLICED: &str = "headsnip_bytes_total{direction=\"outbound\",path=\"splice\"}";

/// "No response is cut for it": sixty clients that do not read would have the proxy hold twice what it may.
#[test]
fn slow_readers_get_the_whole_of_their_responses() {
    let _alone = alone();
    let origin = Answering::start();
    let proxy = Watched::start(&origin.address, &["--max-memory", "8MiB"]);
    let clients = (0..CLIENTS).map(|_| {
        let mut client = Peer::new(narrow(proxy.port()));
        client.send(get(LENGTH).replace("Host: a", "Host: a\r\nConnection: close"));
        client.into_stream()
    });
    let clients: Vec<_> = clients.collect();
    proxy.await_metric("headsnip_requests_total", |count| count == 60);
    let held = (0..20).map(|_| {
        // Others are served meanwhile.
        exchange(&mut proxy.dial());
        std::thread::sleep(Duration::from_millis(20));
        proxy.metric("headsnip_memory_bytes")
    });
    let held = held.max().unwrap_or_default();
    println!("{CLIENTS} clients that read nothing: {held} bytes are held");
    assert!(held > 6 * MEBIBYTES && held <= 8 * MEBIBYTES, "{held} bytes are held");
    // The request says that it is the last.
    let first = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n");
    let wanted = [first.as_bytes(), &body(LENGTH)].concat();
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| {
                let mut client = client;
                let (found, ended) = read_slowly(&mut client, LENGTH, Duration::from_millis(500));
                assert!(found == wanted && ended == Ended::Fin, "{} of {} bytes, {ended:?}", found.len(), wanted.len());
            });
        }
    });
    assert_eq!(proxy.gave_way("memory"), 0);
    assert!(!proxy.log().iter().any(|line| line.contains("memory_limit_reached")), "{:#?}", proxy.log());
}

/// "Pipes are not lent" where there is no room, and are again when there is.
#[test]
fn pipes_are_lent_while_there_is_room() {
    let _alone = alone();
    let origin = Answering::start();
    let proxy = Watched::start(&origin.address, &["--max-memory", "8MiB"]);
    let mut client = proxy.dial();
    let mut download = || {
        let before = proxy.metric(SPLICED);
        client.send(get(LENGTH));
        client.expect(answer(LENGTH));
        proxy.metric(SPLICED) - before
    };
    assert!(download() > 0, "there is room");
    let held = || proxy.metric("headsnip_memory_bytes");
    let mut clients = Vec::new();
    // First there is room for much, but not for a pipe; then there is none.
    for most in [ANYONES - PIPE * 3 / 4, ANYONES] {
        while held() < most {
            let count = clients.len() + 20;
            assert!(count < as_many(4000), "{} bytes are held by {count}", held());
            clients.extend(half_heads(&proxy, 20, 3_500));
            proxy.await_metric("headsnip_open_connections", |open| open > u64::try_from(count).expect("few"));
        }
        assert_eq!(download(), 0, "there is no room, {} bytes being held", held());
    }
    drop(clients);
    proxy.await_metric("headsnip_memory_bytes", |held| held < 4 * MEBIBYTES);
    assert!(download() > 0, "there is room again");
}
