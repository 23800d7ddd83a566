//! The preamble of the PROXY protocol, against a slow, plain model of the specification, and within a session.
//!
//! The fuzz target `preamble`: what stands behind a preamble is relayed as if there had been none, however it was cut.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use super::session::bench::{Bench, CONFIG, MEMORY};
use super::session::event::Event;
use super::session::wire::{OWN, Side};
use super::{CLIENT, Step};
use crate::config::Config;
use crate::net::networks::{Network, Networks};
use crate::net::preamble::{self, Ends, PreambleVersion};

/// What a receiver makes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// They are not all of a preamble.
    Partial,
    /// They are against its form.
    Refused,
    /// It would be longer than is taken.
    TooLong,
    /// So many bytes are one, which tells of these ends.
    Whole(usize, Option<(SocketAddr, SocketAddr)>),
}

/// The specification, as an operator may rely on it; a preamble of more than 4 KiB is refused.
fn model(bytes: &[u8]) -> Read {
    let is_begun = |start: &[u8]| start.starts_with(bytes) || bytes.starts_with(start);
    if is_begun(b"PROXY ") {
        return match bytes.iter().take(107).position(|byte| *byte == b'\n') {
            Some(end) => match line(&bytes[..end]) {
                Ok(told) => Read::Whole(end + 1, told),
                Err(Malformed) => Read::Refused,
            },
            None if bytes.len() < 107 => Read::Partial,
            None => Read::Refused,
        };
    }
    if !is_begun(b"\r\n\r\n\0\r\nQUIT\n") {
        return Read::Refused;
    }
    let Some(rest) = bytes.get(12..) else { return Read::Partial };
    match *rest {
        [] => Read::Partial,
        [command, ..] if command != 0x20 && command != 0x21 => Read::Refused,
        [_] | [_, _] | [_, _, _] => Read::Partial,
        [command, family, high, low, ref behind @ ..] => {
            let length = usize::from(high) * 256 + usize::from(low);
            if length > 4096 - 16 {
                return Read::TooLong;
            }
            let Some(block) = behind.get(..length) else { return Read::Partial };
            match addresses(family, block) {
                _ if command == 0x20 => Read::Whole(16 + length, None),
                Ok(told) => Read::Whole(16 + length, told),
                Err(Malformed) => Read::Refused,
            }
        }
    }
}

/// It is against its form.
struct Malformed;

/// Section 2.1, of a line without its LF.
fn line(bytes: &[u8]) -> Result<Option<(SocketAddr, SocketAddr)>, Malformed> {
    let text = bytes.strip_suffix(b"\r").filter(|text| !text.contains(&b'\r')).ok_or(Malformed)?;
    if text == b"PROXY UNKNOWN" || text.starts_with(b"PROXY UNKNOWN ") {
        return Ok(None);
    }
    ends(text).map(Some).ok_or(Malformed)
}

/// The ends that a line tells.
fn ends(text: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let words: Vec<&str> = std::str::from_utf8(text).ok()?.split(' ').collect();
    let ["PROXY", family, source, destination, source_port, destination_port] = words[..] else { return None };
    let port = |digits: &str| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        is_number.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let address = |text: &str, port: u16| match family {
        "TCP4" => Some(SocketAddr::from((text.parse::<Ipv4Addr>().ok()?, port))),
        "TCP6" => Some(SocketAddr::from((text.parse::<Ipv6Addr>().ok()?.to_canonical(), port))),
        _ => None,
    };
    Some((address(source, port(source_port)?)?, address(destination, port(destination_port)?)?))
}

/// Section 2.2: what stands behind the length.
fn addresses(family: u8, block: &[u8]) -> Result<Option<(SocketAddr, SocketAddr)>, Malformed> {
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let six = |at: usize| {
        let octets: [u8; 16] = std::array::from_fn(|place| block[at + place]);
        Ipv6Addr::from(octets).to_canonical()
    };
    let four = |at: usize| Ipv4Addr::new(block[at], block[at + 1], block[at + 2], block[at + 3]);
    match family {
        0x00 => Ok(None),
        0x11 | 0x12 if block.len() >= 12 => Ok(Some(((four(0), port(8)).into(), (four(4), port(10)).into()))),
        0x21 | 0x22 if block.len() >= 36 => Ok(Some(((six(0), port(32)).into(), (six(16), port(34)).into()))),
        // Two paths of 108 bytes each.
        0x31 | 0x32 if block.len() >= 216 => Ok(None),
        _ => Err(Malformed),
    }
}

/// What the reader makes of bytes.
#[must_use]
pub fn read(bytes: &[u8]) -> Read {
    match preamble::read(bytes) {
        Ok(None) => Read::Partial,
        Ok(Some((ends, length))) => Read::Whole(length, ends.map(|ends| (ends.source, ends.destination))),
        Err(preamble::Malformed::Form) => Read::Refused,
        Err(preamble::Malformed::Length) => Read::TooLong,
    }
}

/// The rules of all sessions, with a preamble before them from everywhere, and one to each origin.
static INTRODUCED: LazyLock<Config> = LazyLock::new(|| {
    let networks = Networks::new(vec![Network::Any]);
    Config { accept_proxy: networks, send_proxy: Some(PreambleVersion::V1), ..CONFIG.clone() }
});

/// Holds for each input: the reader agrees with the model on it and on each beginning of it; what it reads can be written and is read again;
/// and a session relays what stands behind the preamble as one does that asks for none, or closes without a word.
///
/// # Panics
///
/// If that is broken.
pub fn preamble(input: &[u8]) {
    for end in 0..=input.len().min(4200) {
        assert_eq!(read(&input[..end]), model(&input[..end]), "{}", input[..end].escape_ascii());
    }
    let told = model(input);
    if let Read::Whole(_, Some((source, destination))) = told {
        for version in [PreambleVersion::V1, PreambleVersion::V2] {
            let written = preamble::written(version, Some(Ends { source, destination })).expect("it can be told");
            let is_alike = source.is_ipv4() == destination.is_ipv4();
            assert_eq!(read(&written), Read::Whole(written.len(), is_alike.then_some((source, destination))));
        }
    }
    for most in [0, 1, 7] {
        within_session(input, told, most);
    }
}

/// The same within a session to which at most so many bytes come at once; 0: all.
fn within_session(input: &[u8], told: Read, most: usize) {
    let run = |config: &'static Config, bytes: &[u8]| {
        let mut bench = Bench::with(config, MEMORY);
        bench.run(&Event::AtMost(most));
        bench.run(&Event::Step(Step::Client(bytes.to_vec())));
        let (to_origin, client) = (bench.to_origin(), bench.client.borrow());
        let seen = (to_origin, client.received.clone(), client.seen);
        drop(client);
        bench.finish();
        seen
    };
    let (to_origin, to_client, seen) = run(&INTRODUCED, input);
    match told {
        Read::Partial => assert_eq!((&*to_origin, &*to_client, seen), (&b""[..], &b""[..], Side::Open)),
        Read::Refused | Read::TooLong => {
            assert_eq!((&*to_origin, &*to_client), (&b""[..], &b""[..]));
            assert_ne!(seen, Side::Open, "it is closed");
        }
        Read::Whole(length, ends) => {
            let mut expected = run(&CONFIG, &input[length..]);
            if !expected.0.is_empty() {
                // Where the preamble tells none, those of the connection itself.
                let (source, destination) = ends.unwrap_or_else(|| ((CLIENT, 1).into(), OWN.into()));
                let sent =
                    preamble::written(PreambleVersion::V1, Some(Ends { source, destination })).expect("it can be told");
                expected.0.splice(..0, sent);
            }
            assert_eq!((to_origin, to_client, seen), expected);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::bench::COUNTERS;
    use super::*;
    use crate::ops::reason::{Reason, Side as Fault};
    use crate::proxy::handle::Closing;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    /// A preamble of the second version.
    fn second(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).expect("it is short").to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, block].concat()
    }

    /// Every form, with what it tells: ends, nothing (`own`), or that it is refused or not whole.
    fn forms() -> Vec<(Vec<u8>, &'static str)> {
        let four = [203, 0, 113, 7, 10, 0, 0, 1, 0x13, 0x88, 0, 80];
        let mut six = [0; 36];
        (six[0], six[1], six[15], six[31], six[33], six[35]) = (0x20, 0x01, 1, 2, 9, 80);
        let mut mapped = [0; 36];
        (mapped[10], mapped[11], mapped[12], mapped[15]) = (0xff, 0xff, 10, 1);
        (mapped[26], mapped[27], mapped[28], mapped[31]) = (0xff, 0xff, 10, 2);
        let tlvs = [&four[..], &[0xea, 0, 3, 1, 2, 3, 3, 0, 4, 0, 0, 0, 0]].concat();
        // A length within it that is not true: TLVs are skipped.
        let bad_tlv = [&four[..], &[0xea, 0xff, 0xff, 1]].concat();
        let text = |line: &str| line.as_bytes().to_vec();
        vec![
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 5000 80\r\n"), "203.0.113.7:5000 10.0.0.1:80"),
            (text("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), "[2001:db8::1]:65535 [::1]:0"),
            (text("PROXY TCP6 ::ffff:10.0.0.7 ::ffff:10.0.0.1 1 2\r\n"), "10.0.0.7:1 10.0.0.1:2"),
            (text("PROXY UNKNOWN\r\n"), "own"),
            (text("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 and more\r\n"), "own"),
            (text(&format!("PROXY UNKNOWN {}\r\n", "a".repeat(91))), "own"),
            (text(&format!("PROXY UNKNOWN {}\r\n", "a".repeat(92))), "refused"),
            (text(&format!("PROXY UNKNOWN {}", "a".repeat(92))), "partial"),
            (text(&format!("PROXY UNKNOWN {}", "a".repeat(93))), "refused"),
            (text("PROXY UNKNOWNS\r\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 5000 80\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 5000 80 \n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 5000 80\rX\r\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 5000 65536\r\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 +50 80\r\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 05000 80\r\n"), "refused"),
            (text("PROXY TCP6 ::1 ::1 0 00\r\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1  5000 80\r\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 5000\r\n"), "refused"),
            (text("PROXY TCP4 203.0.113.7 10.0.0.1 5000 80 1\r\n"), "refused"),
            (text("PROXY TCP4 ::1 ::1 5000 80\r\n"), "refused"),
            (text("PROXY TCP6 10.0.0.1 10.0.0.1 5000 80\r\n"), "refused"),
            (text("PROXY TCP4 010.0.0.1 10.0.0.1 5000 80\r\n"), "refused"),
            (text("PROXY UDP4 10.0.0.1 10.0.0.1 5000 80\r\n"), "refused"),
            (text("PROXY-TCP4 10.0.0.1 10.0.0.1 5000 80\r\n"), "refused"),
            (text("proxy TCP4 10.0.0.1 10.0.0.1 5000 80\r\n"), "refused"),
            (text("PROXY\r\n"), "refused"),
            (text("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "refused"),
            (text("P"), "partial"),
            (Vec::new(), "partial"),
            (second(0x21, 0x11, &four), "203.0.113.7:5000 10.0.0.1:80"),
            (second(0x21, 0x12, &four), "203.0.113.7:5000 10.0.0.1:80"),
            (second(0x21, 0x11, &tlvs), "203.0.113.7:5000 10.0.0.1:80"),
            (second(0x21, 0x11, &bad_tlv), "203.0.113.7:5000 10.0.0.1:80"),
            (second(0x21, 0x21, &six), "[2001::1]:9 [::2]:80"),
            (second(0x21, 0x21, &mapped), "10.0.0.1:0 10.0.0.2:0"),
            (second(0x21, 0x31, &[b'/'; 216]), "own"),
            (second(0x21, 0x31, &[b'/'; 215]), "refused"),
            (second(0x21, 0x00, b""), "own"),
            (second(0x21, 0x00, &[7; 9]), "own"),
            (second(0x20, 0x00, b""), "own"),
            (second(0x20, 0x11, &four), "own"),
            // Of LOCAL the family is ignored.
            (second(0x20, 0x11, b""), "own"),
            (second(0x20, 0xff, b"abc"), "own"),
            (second(0x21, 0x11, &four[..11]), "refused"),
            (second(0x21, 0x21, &six[..35]), "refused"),
            (second(0x21, 0x41, &four), "refused"),
            (second(0x21, 0x13, &four), "refused"),
            (second(0x22, 0x11, &four), "refused"),
            (second(0x11, 0x11, &four), "refused"),
            (second(0x21, 0x00, &[0; 4080]), "own"),
            (second(0x21, 0x00, &[0; 4081]), "too long"),
            (second(0x20, 0x00, &[0; 65_535]), "too long"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec(), "partial"),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec(), "refused"),
        ]
    }

    #[test]
    fn each_form_tells_what_it_should_cut_anywhere() {
        for (bytes, told) in forms() {
            let said = match read(&bytes) {
                Read::Partial => "partial".to_owned(),
                Read::Refused => "refused".to_owned(),
                Read::TooLong => "too long".to_owned(),
                Read::Whole(length, _) if length != bytes.len() => format!("{length} of {}", bytes.len()),
                Read::Whole(_, None) => "own".to_owned(),
                Read::Whole(_, Some((source, destination))) => format!("{source} {destination}"),
            };
            assert_eq!(said, told, "{}", bytes.escape_ascii());
            preamble(&bytes);
            preamble(&[&bytes, GET].concat());
            preamble(&[&bytes, GET, &bytes].concat());
        }
    }

    /// All that one byte can change: another one in its place, one more before it, or none.
    #[test]
    fn each_form_with_any_one_byte_changed_is_read_as_the_model_reads_it() {
        let mut refused = [0, 0];
        for (form, _) in forms().into_iter().filter(|(form, _)| form.len() < 300) {
            for at in 0..=form.len() {
                let (before, behind) = form.split_at(at);
                let without = behind.get(1..).unwrap_or_default();
                let changed =
                    (0..=u8::MAX).flat_map(|byte| [without, behind].map(|rest| [before, &[byte], rest].concat()));
                for bytes in changed.chain([[before, without].concat()]) {
                    let told = model(&bytes);
                    assert_eq!(read(&bytes), told, "{}", bytes.escape_ascii());
                    refused[usize::from(matches!(told, Read::Refused | Read::TooLong))] += 1;
                }
            }
        }
        assert!(refused[0] > 100_000 && refused[1] > 100_000, "{refused:?} of either kind");
    }

    /// A session in front of which a preamble of the first version stands, after these bytes of its client.
    fn after(bytes: &[u8]) -> Bench {
        let mut bench = Bench::with(&INTRODUCED, MEMORY);
        bench.run(&Event::Step(Step::Client(bytes.to_vec())));
        bench
    }

    const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 5000 80\r\n";

    fn refused() -> u64 {
        COUNTERS.with(|counters| counters.failures(Fault::Client, Reason::PreambleRefused).value())
    }

    #[test]
    fn each_origin_connection_begins_with_a_preamble_before_a_replay_too() {
        let mut bench = after(&[LINE, GET].concat());
        bench.run(&Event::Step(Step::Origin(OK.into())));
        bench.run(&Event::Step(Step::Client(GET.to_vec())));
        bench.run(&Event::Step(Step::OriginEnd));
        assert_eq!(bench.to_origin(), [LINE, GET, GET, LINE, GET].concat(), "once more, on a connection of its own");
        bench.run(&Event::Step(Step::Origin(OK.into())));
        assert_eq!(bench.client.borrow().received, [OK, OK].concat().as_bytes());
        bench.finish();
    }

    #[test]
    fn who_does_not_say_who_it_is_in_time_is_closed_without_a_word() {
        let before = refused();
        for (bytes, counted) in [(&LINE[..9], 1), (b"", 0)] {
            let counted = refused() + counted;
            let mut bench = after(bytes);
            assert_eq!(bench.client.borrow().seen, Side::Open);
            bench.run(&Event::TimePasses);
            let client = bench.client.borrow();
            assert_eq!((&*client.received, client.seen == Side::Open, refused()), (&b""[..], false, counted));
        }
        assert_eq!(refused(), before + 1);
        // Behind it, a request has the time that it has.
        let mut bench = after(&LINE[..9]);
        bench.run(&Event::Ticks(6));
        bench.run(&Event::Step(Step::Client([&LINE[9..], &GET[..9]].concat())));
        bench.run(&Event::Ticks(6));
        assert_eq!(bench.client.borrow().seen, Side::Open);
        bench.run(&Event::TimePasses);
        assert!(bench.client.borrow().received.starts_with(b"HTTP/1.1 408 "));
        bench.finish();
    }

    #[test]
    fn who_leaves_before_it_has_said_so_is_gone_and_who_leaves_behind_a_request_is_answered() {
        let before = refused();
        for (bytes, counted) in [(&LINE[..9], 1), (b"", 1)] {
            let mut bench = after(bytes);
            bench.run(&Event::Step(Step::ClientEnd));
            assert_ne!(bench.client.borrow().seen, Side::Open);
            assert_eq!(refused(), before + counted);
        }
        let mut bench = after(&LINE[..9]);
        bench.run(&Event::Step(Step::Client([&LINE[9..], GET].concat())));
        bench.run(&Event::Step(Step::ClientEnd));
        bench.run(&Event::Step(Step::Origin(OK.into())));
        assert_eq!(bench.client.borrow().received, OK.as_bytes());
        bench.finish();
    }

    #[test]
    fn an_end_of_the_proxy_or_another_client_closes_who_has_said_nothing() {
        for event in [Event::Close(Closing::Dismiss), Event::Close(Closing::Cut), Event::PlaceWanted(Vec::new())] {
            let mut bench = after(b"");
            bench.run(&Event::Ticks(1));
            // For a second it is left alone.
            bench.run(&Event::Ticks(5));
            bench.run(&event);
            assert_ne!(bench.client.borrow().seen, Side::Open, "{event:?}");
        }
        let mut bench = after(b"");
        bench.run(&Event::Close(Closing::Drain));
        bench.run(&Event::Step(Step::Client([LINE, GET].concat())));
        assert_eq!(bench.to_origin(), [LINE, GET].concat(), "who has connected may ask once");
        bench.finish();
    }

    #[test]
    fn who_comes_from_elsewhere_is_closed_without_a_word() {
        static ELSEWHERE: LazyLock<Config> = LazyLock::new(|| {
            let networks = Networks::new(vec!["10.0.0.0/8".parse().expect("a network")]);
            Config { accept_proxy: networks, ..CONFIG.clone() }
        });
        let before = refused();
        let bench = Bench::with(&ELSEWHERE, MEMORY);
        let client = bench.client.borrow();
        assert_eq!((&*client.received, client.seen == Side::Open, refused()), (&b""[..], false, before + 1));
    }
}
