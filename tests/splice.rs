//! Invariant 8: spliced bytes are the same as copied ones, and so is the end. The counter tells which was done.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use headsnip::testing::Rules;
use support::headsnip::{Headsnip, until};
use support::{Ended, LIMIT, Origin, Peer, Running, body, timeouts};

const MEGABYTES: usize = 1024 * 1024;
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// All copied, all that can be spliced, and as users have it.
const THRESHOLDS: [Option<u64>; 3] = [None, Some(1), Some(64 * 1024)];

/// A proxy, a client and the origin connection on which the client's first bytes have arrived.
fn connect(splice_from: Option<u64>, first: &str) -> (Running, Origin, Peer, Peer) {
    let listener = Origin::new();
    let proxy = Running::splicing(&Rules::default(), listener.address(), splice_from);
    let mut client = proxy.dial();
    client.send(first);
    let mut origin = listener.accept();
    origin.expect(first);
    (proxy, listener, client, origin)
}

/// Has `sender` send it all and `reader` begin to read when the buffers between them are full, so that the proxy finds as
/// much as it reads at once.
fn pour(sender: &Peer, reader: &mut Peer, sent: Vec<u8>, expected: &[u8]) {
    let mut sender = sender.twin();
    let taken = sender.send_until_blocked_by(&sent);
    let sending = thread::spawn(move || sender.send(&sent[taken..]));
    reader.expect(expected);
    assert!(sending.join().is_ok(), "the sender failed");
}

fn check_count(proxy: &Running, splice_from: Option<u64>, what: &str) {
    let spliced = proxy.spliced();
    match splice_from {
        None => assert_eq!(spliced, 0, "{what}"),
        Some(_) => assert!(spliced > 4_000_000, "{what}: only {spliced} bytes of 32 MiB were spliced"),
    }
}

/// Chunks of 300,001 bytes with extensions, and a trailer section.
fn chunked(content: &[u8], trailers: &str) -> Vec<u8> {
    let mut framed = Vec::new();
    for chunk in content.chunks(300_001) {
        framed.extend(format!("{:x};a=b\r\n", chunk.len()).into_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend(format!("0\r\n{trailers}\r\n").into_bytes());
    framed
}

#[test]
fn a_long_body_is_spliced_and_the_next_head_judged() {
    for splice_from in THRESHOLDS {
        let (proxy, _listener, mut client, mut origin) = connect(splice_from, GET);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n";
        let next = "HTTP/1.1 200 OK\r\nServer: b\r\nContent-Length: 2\r\n\r\nok";
        let told = head.replace("\r\nC", "\r\nServer: a\r\nC");
        let sent = [told.as_bytes(), &body(32 * MEGABYTES)].concat();
        pour(&origin, &mut client, sent, &[head.as_bytes(), &body(32 * MEGABYTES)].concat());
        client.send(GET);
        origin.expect(GET);
        origin.send(next);
        client.expect(OK);
        check_count(&proxy, splice_from, "a body");
    }
}

#[test]
fn long_chunks_are_spliced_and_the_trailers_judged() {
    for splice_from in THRESHOLDS {
        let (proxy, _listener, mut client, mut origin) = connect(splice_from, GET);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let content = body(32 * MEGABYTES);
        let sent = [head.as_bytes(), &chunked(&content, "X-Powered-By: a\r\nDigest: b\r\nServer: c\r\n")].concat();
        pour(&origin, &mut client, sent, &[head.as_bytes(), &chunked(&content, "Digest: b\r\n")].concat());
        client.send(GET);
        origin.expect(GET);
        origin.send(OK);
        client.expect(OK);
        check_count(&proxy, splice_from, "chunks");
    }
}

#[test]
fn a_long_upload_is_spliced_and_the_next_request_followed() {
    for splice_from in THRESHOLDS {
        let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n";
        let (proxy, _listener, mut client, mut origin) = connect(splice_from, upload);
        // With the next request right behind it.
        let sent = [&body(32 * MEGABYTES)[..], GET.as_bytes()].concat();
        pour(&client, &mut origin, sent, &body(32 * MEGABYTES));
        origin.send(OK);
        origin.expect(GET);
        origin.send(OK);
        client.expect([OK, OK].concat());
        // What is not a request is refused.
        client.send("\0\r\n\r\n");
        assert!(client.read_to_end().0.starts_with(b"HTTP/1.1 400 "));
        check_count(&proxy, splice_from, "an upload");
    }
}

#[test]
fn a_body_until_close_is_spliced_and_ends_as_the_origin_ends() {
    for splice_from in THRESHOLDS {
        for how in [Ended::Fin, Ended::Reset] {
            let (proxy, _listener, mut client, mut origin) = connect(splice_from, GET);
            let sent = [b"HTTP/1.1 200 OK\r\n\r\n", &body(32 * MEGABYTES)[..]].concat();
            pour(&origin, &mut client, sent.clone(), &sent);
            match how {
                Ended::Fin => origin.finish(),
                Ended::Reset => origin.reset(),
            }
            client.expect_end("", how);
            check_count(&proxy, splice_from, "a body until close");
        }
    }
}

/// The origin is gone before the client begins to read: what it had said still arrives, in part from a pipe.
#[test]
fn a_body_that_is_cut_arrives_as_far_as_it_came() {
    for splice_from in THRESHOLDS {
        let (_proxy, _listener, mut client, mut origin) = connect(splice_from, GET);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n";
        origin.send(head);
        client.expect(head);
        let content = body(24 * MEGABYTES);
        let taken = origin.send_until_blocked_by(&content);
        drop(origin);
        client.expect_end(&content[..taken], Ended::Fin);
    }
}

/// Bodies of many lengths, so that of some the last bytes are in the pipe while the client does not read. The proxy has the
/// whole response then; what comes next must not go before them. On a Unix-domain socket, for which the kernel takes some
/// 200 KiB and no more.
fn check_last_bytes(name: &str, idle: Duration, next: &str, reply: &str, pass: impl FnOnce(&Path)) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let listener = Origin::new();
    let timeouts = timeouts(|timeouts| timeouts.idle = idle);
    let proxy = Running::on(&format!("unix:{}", path.display()), &Rules::default(), listener.address(), timeouts);
    let content = body(MEGABYTES);
    let mut clients = Vec::new();
    for content in (128 * 1024..content.len()).step_by(24 * 1024).map(|length| &content[..length]) {
        let mut client = UnixStream::connect(&path).expect("the proxy listens");
        client.set_read_timeout(Some(LIMIT)).expect("a time limit");
        client.write_all(GET.as_bytes()).expect("the proxy reads");
        let mut origin = listener.accept();
        origin.expect(GET);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
        let response = [head.as_bytes(), content].concat();
        // The kernel takes a megabyte of it without a reader.
        origin.send(&response);
        clients.push((client, origin, [&response, reply.as_bytes()].concat()));
    }
    pass(&path);
    for (mut client, _origin, expected) in clients {
        client.write_all(next.as_bytes()).expect("the proxy reads");
        let mut found = Vec::new();
        client.read_to_end(&mut found).expect("an end");
        assert!(found == expected, "{} bytes of {}", found.len(), expected.len());
    }
    assert!(proxy.spliced() > 1_000_000, "{} bytes were spliced", proxy.spliced());
}

#[test]
fn a_client_whose_last_bytes_are_in_the_pipe_is_not_idle() {
    // The time limit has passed when it has for somebody who came later.
    check_last_bytes("idle.sock", Duration::from_millis(100), "", "", |path| {
        let mut later = UnixStream::connect(path).expect("the proxy listens");
        later.set_read_timeout(Some(LIMIT)).expect("a time limit");
        assert_eq!(later.read(&mut [0]).ok(), Some(0), "it is not closed");
    });
}

#[test]
fn a_reply_of_ours_goes_behind_what_is_in_the_pipe() {
    let reply = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    check_last_bytes("reply.sock", LIMIT, "\0\r\n\r\n", reply, |_| ());
}

#[test]
fn a_bulky_tunnel_is_spliced_both_ways() {
    for splice_from in THRESHOLDS {
        let (proxy, _listener, mut client, mut origin) = connect(splice_from, UPGRADE);
        origin.send(SWITCHED);
        client.expect(SWITCHED);
        pour(&origin, &mut client, body(32 * MEGABYTES), &body(32 * MEGABYTES));
        let downwards = proxy.spliced();
        pour(&client, &mut origin, body(32 * MEGABYTES), &body(32 * MEGABYTES));
        // A message as people write them goes at once.
        client.send("hello");
        origin.expect("hello");
        origin.finish();
        client.expect_end("", Ended::Fin);
        client.send("after the origin's FIN");
        client.finish();
        origin.expect_end("after the origin's FIN", Ended::Fin);
        check_count(&proxy, splice_from, "a tunnel");
        assert_eq!(proxy.spliced() > downwards, splice_from.is_some());
    }
}

fn await_descriptors(proxy: &Headsnip, count: usize, what: &str) {
    until(LIMIT, what, || (proxy.descriptors() == count).then_some(()));
}

/// With 192 descriptors there is one pipe. Whoever finds it taken is copied for.
#[test]
fn without_a_pipe_bytes_are_copied() {
    let listener = Origin::new();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nofile=192:192", env!("CARGO_BIN_EXE_headsnip")]);
    let proxy = Headsnip::start_by(&mut prlimit, &listener.address(), &[]);
    let idle = proxy.descriptors();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n";
    let content = body(32 * MEGABYTES);
    let mut pairs = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.dial();
        client.send(GET);
        let mut origin = listener.accept();
        origin.expect(GET);
        origin.send(head);
        client.expect(head);
        let taken = origin.send_until_blocked_by(&content);
        pairs.push((client, origin, taken));
    }
    // All wait for their clients; the pipe is full.
    await_descriptors(&proxy, idle + 8 + 2, "two a client, and one pipe");
    for (client, origin, taken) in &mut pairs {
        thread::scope(|scope| {
            scope.spawn(|| origin.send(&content[*taken..]));
            client.expect(&content);
        });
    }
}

/// A kernel or a sandbox that refuses splice, at once or only out of the pipe: what is in the pipe is taken back, and all is
/// copied. By strace, where it is installed and may trace; with `CI` in the environment it must.
#[test]
fn where_splice_is_refused_bytes_are_copied() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed");
        println!("skipped: strace is not installed");
        return;
    }
    for when in ["1+", "2+"] {
        let listener = Origin::new();
        let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("splice-refused-{}", std::process::id()));
        let mut strace = Command::new("strace");
        // It traces from a process of its own, so that ours is headsnip.
        strace.args(["-D", "-q", "-e", "trace=splice", "-e", &format!("inject=splice:error=EINVAL:when={when}"), "-o"]);
        let proxy =
            Headsnip::start_by(strace.arg(&trace).arg(env!("CARGO_BIN_EXE_headsnip")), &listener.address(), &[]);
        let mut client = proxy.dial();
        client.send(GET);
        let mut origin = listener.accept();
        origin.expect(GET);
        let sent = [b"HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n", &body(16 * MEGABYTES)[..]].concat();
        let expected = sent.clone();
        pour(&origin, &mut client, sent, &expected);
        let traced = std::fs::read_to_string(&trace).expect("strace wrote it");
        assert!(traced.contains("(INJECTED)"), "{when}: {traced}");
        std::fs::remove_file(&trace).expect("it is ours");
    }
}

/// A client that leaves with a full pipe before it takes the pipe along, and the next has a new one.
#[test]
fn a_full_pipe_is_closed_with_its_client() {
    let listener = Origin::new();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nofile=192:192", env!("CARGO_BIN_EXE_headsnip")]);
    let proxy = Headsnip::start_by(&mut prlimit, &listener.address(), &[]);
    let idle = proxy.descriptors();
    let mut taken_along = 0;
    for _ in 0..20 {
        let mut client = proxy.dial();
        client.send(GET);
        let mut origin = listener.accept();
        origin.expect(GET);
        origin.send("HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
        origin.send_until_blocked_by(&body(32 * MEGABYTES));
        await_descriptors(&proxy, idle + 4, "the client, the origin and a pipe");
        client.reset();
        // On a busy machine the pipe may not have been filled again; an empty one is kept.
        let left = until(LIMIT, "all are closed, but for a pipe", || {
            let left = proxy.descriptors();
            [idle, idle + 2].contains(&left).then_some(left)
        });
        taken_along += usize::from(left == idle);
        if taken_along == 3 {
            return;
        }
    }
    panic!("only {taken_along} of 20 took a pipe along");
}

/// Splice goes past no urgent mark: there it tells the end, or that nothing is there. The bytes behind it go all the same.
#[test]
fn bytes_behind_an_urgent_mark_are_not_lost() {
    for (splice_from, head) in THRESHOLDS.into_iter().flat_map(|from| {
        [(from, "HTTP/1.1 200 OK\r\n\r\n"), (from, "HTTP/1.1 200 OK\r\nContent-Length: 5214304\r\n\r\n")]
    }) {
        let (_proxy, _listener, mut client, mut origin) = connect(splice_from, GET);
        let (before, behind, last) = (body(4 * MEGABYTES), body(1_000_000), body(20_000));
        let expected = [head.as_bytes(), &before[..], &behind[..], &last[..]].concat();
        let sending = thread::spawn(move || {
            origin.send([head.as_bytes(), &before[..]].concat());
            origin.send_urgent(b'!');
            origin.send(behind);
            // A read that stops at the mark is short, so that the runtime waits for more to come.
            for piece in last.chunks(1_000) {
                thread::sleep(Duration::from_millis(5));
                origin.send(piece);
            }
            if !head.contains("Length") {
                origin.finish();
            }
            origin
        });
        client.expect(expected);
        let origin = sending.join();
        assert!(origin.is_ok(), "the sender failed");
    }
}
