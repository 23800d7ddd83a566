//! Thousands of heads that are not finished, and clients that ask beside them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::support::answering::{Answering, OK};
use super::support::watched::Watched;
use super::{MEBIBYTES, alone, as_many, await_told, exchange, half_heads};

const CLIENTS: usize = 4096;

/// Bytes of a head that is not finished.
const LARGE: usize = 60_000;

/// Such heads never give way.
const SMALL: usize = 3_500;

/// What a client costs beside what is held for it, and what the allocator loses between buffers of many sizes: 1.4 times the budget and
/// 5 KiB a client were measured.
const EACH: usize = 6 * 1024;

/// The most that was seen meanwhile.
#[derive(Debug, Default)]
struct Peaks {
    held: u64,
    asked: u32,
    slowest: Duration,
}

/// Asks, on a connection that is there and on new ones, and looks at the numbers, until it is over.
fn ask_until(proxy: &Watched, is_over: &AtomicBool) -> Peaks {
    let mut peaks = Peaks::default();
    let mut client = proxy.dial();
    while !is_over.load(Ordering::Relaxed) {
        for client in [&mut client, &mut proxy.dial()] {
            let begun = Instant::now();
            exchange(client);
            peaks.asked += 1;
            peaks.slowest = peaks.slowest.max(begun.elapsed());
        }
        peaks.held = peaks.held.max(proxy.metric("headsnip_memory_bytes"));
        sleep(Duration::from_millis(5));
    }
    peaks
}

#[test]
fn large_half_heads_give_way_and_an_honest_client_is_served() {
    let _alone = alone();
    let origin = Answering::start();
    let proxy = Watched::start(&origin.address, &["--max-memory", "16MiB"]);
    let budget = 16 * MEBIBYTES;
    exchange(&mut proxy.dial());
    let base = proxy.peak_resident();
    let is_over = AtomicBool::new(false);
    let count = as_many(CLIENTS);
    let (mut clients, peaks) = scope(|scope| {
        let asking = scope.spawn(|| ask_until(&proxy, &is_over));
        let clients = half_heads(&proxy, count, LARGE);
        // Those who are left hold what they hold for a while.
        sleep(Duration::from_secs(1));
        is_over.store(true, Ordering::Relaxed);
        (clients, asking.join().expect("the honest client is served"))
    });
    let grown = proxy.peak_resident() - base;
    println!("{count} half heads of {LARGE} bytes, base {base} bytes, {grown} more: {peaks:?}");
    assert!(peaks.slowest < Duration::from_secs(2), "{peaks:?}");
    assert!(peaks.held <= budget, "{peaks:?}");
    let most = usize::try_from(budget * 3 / 2).expect("it fits") + count * EACH;
    assert!(grown < most, "{grown} bytes more than {base}, {most} may be: {peaks:?}");
    let gave_way = await_told(&proxy, &mut clients);
    assert!(gave_way > 0);
    proxy.await_metric("headsnip_responses_total{class=\"5xx\"}", |count| count == proxy.gave_way("memory"));
    proxy.await_line("memory_limit_reached: unfinished_head (replied 503)");
    drop(clients);
    // Some buffers are kept for later.
    proxy.await_metric("headsnip_open_connections", |count| count == 0);
    let left = proxy.metric("headsnip_memory_bytes");
    println!("{gave_way} gave way; {left} bytes are held when all have gone");
    assert!(left < budget / 4, "{left} bytes are held for nobody");
}

/// "Each client may always hold 4 KiB": though all of them together hold more than the budget.
#[test]
fn small_half_heads_never_give_way() {
    let _alone = alone();
    let origin = Answering::start();
    let proxy = Watched::start(&origin.address, &["--max-memory", "8MiB"]);
    let mut clients = half_heads(&proxy, as_many(CLIENTS), SMALL);
    proxy.await_metric("headsnip_memory_bytes", |held| held > 8 * MEBIBYTES || clients.len() < CLIENTS);
    println!("{} half heads hold {} bytes", clients.len(), proxy.metric("headsnip_memory_bytes"));
    exchange(&mut proxy.dial());
    for client in &mut clients {
        client.send("\r\n\r\n");
    }
    for client in &mut clients {
        client.expect(OK);
    }
    assert_eq!(proxy.gave_way("memory"), 0);
}
