//! Clients that send their heads a byte at a time.

use std::time::{Duration, Instant};

use super::support::headsnip::Headsnip;
use super::support::{Ended, Peer};
use super::{Answering, await_descriptors, exchange};

const DRIPPING: usize = 500;
const EXCHANGES: u32 = 300;
const HEAD_TIMEOUT: Duration = Duration::from_secs(3);

/// The time of one exchange, of many.
fn usual_time(client: &mut Peer) -> Duration {
    let mut times: Vec<_> = (0..EXCHANGES)
        .map(|_| {
            let begun = Instant::now();
            exchange(client);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// "`--head-timeout`: from a request's first byte to the end of its head", "a head goes inbound once it is whole".
#[test]
fn five_hundred_dripping_clients_cost_an_honest_one_nothing() {
    let origin = Answering::start();
    let timeout = format!("{}ms", HEAD_TIMEOUT.as_millis());
    let proxy = Headsnip::start(&origin.address, &["--head-timeout", &timeout]);
    let mut honest = proxy.dial();
    exchange(&mut honest);
    let idle = proxy.descriptors();
    let usual = usual_time(&mut honest);
    let begun = Instant::now();
    let mut dripping: Vec<_> = (0..DRIPPING).map(|_| proxy.dial()).collect();
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'a'));
    let mut worst = Duration::ZERO;
    while begun.elapsed() < HEAD_TIMEOUT * 2 / 3 {
        let byte = head.next().expect("it has no end");
        for client in &mut dripping {
            client.send([byte]);
        }
        worst = worst.max(usual_time(&mut honest));
    }
    println!("an exchange takes {usual:?}, and {worst:?} beside {DRIPPING} dripping clients");
    assert!(worst < usual * 3 + Duration::from_millis(1), "{usual:?} usually, then {worst:?}");
    assert_eq!(origin.accepted(), 1, "no more than the honest client's");
    for client in &mut dripping {
        client.expect_end("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Ended::Fin);
    }
    let taken = begun.elapsed();
    assert!(taken >= HEAD_TIMEOUT && taken < HEAD_TIMEOUT * 3 / 2, "all were ended after {taken:?}");
    drop(dripping);
    await_descriptors(&proxy, idle);
    exchange(&mut honest);
    assert_eq!(origin.accepted(), 1);
}
