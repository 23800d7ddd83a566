//! What an attack leaves in the log.

use std::time::Duration;

use super::Answering;
use super::support::headsnip::Headsnip;

const ATTACKS: usize = 1_000;

/// "Rate-limited, with the count of what was left out. Field values of clients are never logged raw."
#[test]
fn an_attack_neither_fills_the_log_nor_speaks_in_it() {
    let origin = Answering::start();
    let proxy = Headsnip::start(&origin.address, &["--drain-delay", "0s"]);
    for turn in 0..ATTACKS {
        let mut client = proxy.dial();
        client.send(format!(
            "GET /secret{turn} HTTP/1.1\r\nHost: a\r\nX-Secret: \x1b[2Jsecret\r\nBad Name: secret\r\n\r\n"
        ));
        let (reply, _) = client.read_to_end();
        assert!(reply.starts_with(b"HTTP/1.1 400 "));
    }
    proxy.signal("TERM");
    let (status, log) = proxy.wait(Duration::from_secs(10));
    assert!(status.success(), "{log:#?}");
    let told: Vec<_> = log.iter().filter(|line| line.contains(": client http_request_error: ")).collect();
    assert!(told.iter().all(|line| line.ends_with(": control_byte (replied 400)")), "{told:#?}");
    // A window lasts ten seconds, and this may take more than one.
    assert!((10..=50).contains(&told.len()), "{} lines of {ATTACKS}", told.len());
    let left_out: usize = log
        .iter()
        .filter_map(|line| {
            let rest = line.strip_prefix("headsnip: left out ")?;
            rest.strip_suffix(" more lines like: client http_request_error")?.parse::<usize>().ok()
        })
        .sum();
    assert_eq!(told.len() + left_out, ATTACKS, "{log:#?}");
    let is_plain = |line: &String| line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    assert!(log.iter().all(|line| line.len() <= 512 && !line.contains("ecret") && is_plain(line)), "{log:#?}");
    assert!(log.last().is_some_and(|line| line.starts_with("headsnip: drained: ")), "{log:#?}");
}
