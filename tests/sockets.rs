//! What vectors cannot show: large bodies, back-pressure, half-closes under load, resets, early responses, time limits.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use headsnip::config::{Config, Timeouts};
use headsnip::net::address::Address;
use headsnip::proxy::Proxy;
use headsnip::testing::Rules;
use socket2::{Domain, SockAddr, Socket, Type};
use support::{Ended, Origin, Peer, Running, body, first_exchange, text, timeouts};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const MEGABYTES: usize = 1024 * 1024;

/// A client and its origin connection, on which one exchange has been had.
fn connect(proxy: &Running, listener: &Origin) -> (Peer, Peer) {
    first_exchange(proxy.dial(), listener, GET, OK)
}

/// Both ends of a connection on which one exchange has been had, and what keeps them up.
fn warm(timeouts: Timeouts) -> (Running, Origin, Peer, Peer) {
    let listener = Origin::new();
    let proxy = Running::with(&Rules::default(), listener.address(), timeouts);
    let (client, origin) = connect(&proxy, &listener);
    (proxy, listener, client, origin)
}

fn patient() -> Timeouts {
    Timeouts::default()
}

/// A time limit that a test can wait for.
const SHORT: Duration = Duration::from_millis(200);

fn hasty() -> Timeouts {
    timeouts(|Timeouts { connect, head, idle, exchange, .. }| {
        for limit in [connect, head, idle, exchange] {
            *limit = SHORT;
        }
    })
}

fn reply(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn chunked(content: &[u8]) -> Vec<u8> {
    let mut framed = Vec::new();
    for (index, chunk) in content.chunks(70_001).enumerate() {
        framed.extend(format!("{:x};n={index}\r\n", chunk.len()).into_bytes());
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b"0\r\n\r\n");
    framed
}

/// Response: "Content-Length", "Transfer-Encoding ending in chunked", "neither field".
#[test]
fn large_downloads_arrive_byte_for_byte() {
    for (head, content) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n", body(8 * MEGABYTES)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(&body(5 * MEGABYTES))),
        ("HTTP/1.1 200 OK\r\n\r\n", body(5 * MEGABYTES)),
    ] {
        let (_proxy, _listener, mut client, mut origin) = warm(patient());
        client.send(GET);
        origin.expect(GET);
        let sent = [head.as_bytes(), &content].concat();
        let expected = sent.clone();
        let sender = std::thread::spawn(move || {
            origin.send(sent);
            origin.finish();
            origin
        });
        client.expect(expected);
        drop(sender.join());
    }
}

/// Request: "a well-formed request with any body"; the response at the same time.
#[test]
fn large_uploads_arrive_byte_for_byte_while_a_download_runs() {
    for (framing, content) in [
        ("Content-Length: 8388608", body(8 * MEGABYTES)),
        ("Transfer-Encoding: chunked", chunked(&body(5 * MEGABYTES))),
    ] {
        let (_proxy, _listener, mut client, mut origin) = warm(patient());
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        client.send(&head);
        origin.expect(&head);
        let down = [b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n", &body(8 * MEGABYTES)[..]].concat();
        let (mut client_reader, mut origin_reader) = (client.twin(), origin.twin());
        let (up, response) = (content.clone(), down.clone());
        let threads = [
            std::thread::spawn(move || client.send(content)),
            std::thread::spawn(move || origin.send(down)),
            std::thread::spawn(move || origin_reader.expect(up)),
            std::thread::spawn(move || client_reader.expect(response)),
        ];
        for thread in threads {
            assert!(thread.join().is_ok());
        }
    }
}

/// Promise 6: a reader that reads nothing makes the writer wait, not the proxy grow.
#[test]
fn back_pressure_reaches_the_sender() {
    let (_proxy, _listener, mut client, mut origin) = warm(patient());
    client.send(GET);
    origin.expect(GET);
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n");
    let taken = origin.send_until_blocked(200 * MEGABYTES);
    assert!(taken < 100 * MEGABYTES, "{taken} bytes were taken with nobody reading");
    let (_proxy, _listener, mut client, _origin) = warm(patient());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 209715200\r\n\r\n");
    let taken = client.send_until_blocked(200 * MEGABYTES);
    assert!(taken < 100 * MEGABYTES, "{taken} bytes were taken with nobody reading");
}

/// Request: "FIN after its last request: the responses are still delivered", also long and late ones.
#[test]
fn a_half_closed_client_gets_its_whole_response() {
    let (_proxy, _listener, mut client, mut origin) = warm(patient());
    client.send(GET);
    client.finish();
    origin.expect(GET);
    // "Once all before it is written, the end goes on to the origin, as it would without us."
    origin.expect_end("", Ended::Fin);
    let response = [b"HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n", &body(4 * MEGABYTES)[..]].concat();
    let sent = response.clone();
    let sender = std::thread::spawn(move || origin.send(sent));
    client.expect_end(response, Ended::Fin);
    assert!(sender.join().is_ok());
}

/// Response: "101 ...: a tunnel both ways", with half-close and reset.
#[test]
fn a_tunnel_carries_megabytes_both_ways_and_half_closes() {
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let open = || {
        let (proxy, listener, mut client, mut origin) = warm(patient());
        client.send(upgrade);
        origin.expect(upgrade);
        origin.send(switched.replace("\r\nUpgrade", "\r\nServer: a\r\nUpgrade"));
        client.expect(switched);
        (proxy, listener, client, origin)
    };
    let (_proxy, _listener, mut client, mut origin) = open();
    let (mut client_reader, mut origin_reader) = (client.twin(), origin.twin());
    let up = std::thread::spawn(move || {
        client.send(body(3 * MEGABYTES));
        client.finish();
    });
    let down = std::thread::spawn(move || origin.send(body(4 * MEGABYTES)));
    origin_reader.expect_end(body(3 * MEGABYTES), Ended::Fin);
    assert!(up.join().is_ok() && down.join().is_ok());
    origin_reader.send("after the client's FIN");
    origin_reader.finish();
    let expected = [&body(4 * MEGABYTES)[..], b"after the client's FIN"].concat();
    client_reader.expect_end(expected, Ended::Fin);

    let (_proxy, _listener, client, mut origin) = open();
    client.reset();
    origin.expect_end("", Ended::Reset);
    let (_proxy, _listener, mut client, origin) = open();
    origin.reset();
    client.expect_end("", Ended::Reset);
}

/// Response: "a final response before the whole request is in: relayed; the rest still goes inbound".
#[test]
fn an_early_response_is_relayed_and_the_rest_of_the_request_too() {
    let (_proxy, listener, mut client, mut origin) = warm(patient());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    origin.expect("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    origin.send(OK);
    client.expect(OK);
    let mut sender = client.twin();
    let sending = std::thread::spawn(move || sender.send(body(MEGABYTES)));
    origin.expect(body(MEGABYTES));
    assert!(sending.join().is_ok());
    origin.expect_end("", Ended::Fin);
    client.send(GET);
    let mut origin = listener.accept();
    origin.expect(GET);
    origin.send(OK);
    client.expect(OK);
}

/// The same row: an origin that answers and hangs up with the body unread, as Python's http.server does.
#[test]
fn what_an_origin_said_before_it_reset_is_relayed() {
    let (_proxy, _listener, mut client, mut origin) = warm(patient());
    let said = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\n");
    origin.expect("POST / HTTP/1.1\r\nHost: a\r\n");
    let mut sender = client.twin();
    // The proxy may stop reading once all is said.
    let sending = std::thread::spawn(move || drop(sender.try_send(body(MEGABYTES))));
    origin.read(64 * 1024);
    origin.send(said);
    drop(origin);
    client.expect(said);
    assert!(sending.join().is_ok());
}

/// "a reply of ours is followed by a staged close ... so that a reset does not eat the reply".
#[test]
fn a_reply_arrives_though_the_client_goes_on_sending() {
    let listener = Origin::new();
    let proxy = Running::before(&listener);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400 Bad Request"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}", "a".repeat(100_000)), "431 Request Header Fields Too Large"),
        ("CONNECT a HTTP/1.1\r\n\r\n".to_owned(), "501 Not Implemented"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), "505 HTTP Version Not Supported"),
    ] {
        let mut client = proxy.dial();
        client.send(request);
        client.send(body(MEGABYTES));
        client.expect(reply(status));
    }
}

/// Promise 5, and "bytes when no request is waiting: discarded, that origin connection is dropped".
#[test]
fn the_client_outlives_its_origin_connection() {
    let (_proxy, listener, mut client, mut origin) = warm(patient());
    for unsolicited in ["", "HTTP/1.1 408 Request Timeout\r\nServer: a\r\n\r\n"] {
        origin.send(unsolicited);
        origin.finish();
        origin.expect_end("", Ended::Fin);
        client.send(GET);
        origin = listener.accept();
        origin.expect(GET);
        origin.send(OK);
        client.expect(OK);
    }
}

/// Promise 4.
#[test]
fn clients_do_not_share_an_origin_connection() {
    let (proxy, listener, mut first, mut first_origin) = warm(patient());
    let mut second = proxy.dial();
    second.send(GET);
    let mut second_origin = listener.accept();
    second_origin.expect(GET);
    for _ in 0..3 {
        first.send(GET);
        first_origin.expect(GET);
        first_origin.send(OK);
        first.expect(OK);
    }
    second_origin.send(OK);
    second.expect(OK);
    second.send(GET);
    second_origin.expect(GET);
}

/// Response: "FIN or reset within a message: cut", a client that has gone, and an origin that cannot be dialled.
#[test]
fn the_end_of_one_side_ends_the_other() {
    let (_proxy, _listener, mut client, mut origin) = warm(patient());
    client.send(GET);
    origin.expect(GET);
    origin.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    client.reset();
    assert!(origin.try_send(body(64 * MEGABYTES)).is_err(), "nobody reads what a client left behind");

    let gone = Origin::new().address();
    let proxy = Running::with(&Rules::default(), gone, patient());
    let mut client = proxy.dial();
    client.send(GET);
    client.expect_end(reply("502 Bad Gateway"), Ended::Fin);
}

/// "a head not finished in time: 408", though bytes keep dripping; a stalled upload likewise.
#[test]
fn a_head_or_an_upload_not_finished_in_time_is_a_408() {
    let (_proxy, _listener, mut client, _origin) = warm(timeouts(|timeouts| timeouts.head = SHORT));
    let mut reader = client.twin();
    let dripping = std::thread::spawn(move || {
        client.send("GET / HTTP/1.1\r\nA: ");
        while client.try_send("a").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    reader.expect(reply("408 Request Timeout"));
    drop(reader.read_to_end());
    assert!(dripping.join().is_ok());

    let (_proxy, _listener, mut client, _origin) = warm(hasty());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    client.expect_end(reply("408 Request Timeout"), Ended::Fin);
}

/// "Nothing for too long: 504": a client that waits for leave to send its body owes nothing; with leave, or once it has begun, it does.
#[test]
fn an_origin_that_is_silent_to_an_expectation_is_a_504() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    let leave = "HTTP/1.1 100 Continue\r\n\r\n";
    for (said, body, status) in
        [("", "", "504 Gateway Timeout"), (leave, "", "408 Request Timeout"), ("", "half", "408 Request Timeout")]
    {
        let (_proxy, _listener, mut client, mut origin) = warm(hasty());
        client.send(request.to_owned() + body);
        origin.expect(request.to_owned() + body);
        origin.send(said);
        client.expect_end(said.to_owned() + &reply(status), Ended::Fin);
    }
}

/// "nothing for too long: 504 if nothing went out, else cut".
#[test]
fn a_silent_origin_is_a_504_or_a_cut() {
    for (said, outcome, ended) in [
        ("", reply("504 Gateway Timeout"), Ended::Fin),
        ("HTTP/1.1 100 Continue\r\n\r\n", reply("504 Gateway Timeout"), Ended::Fin),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", String::new(), Ended::Fin),
        ("HTTP/1.1 200 OK\r\n\r\nhalf", String::new(), Ended::Reset),
    ] {
        let (_proxy, _listener, mut client, mut origin) = warm(hasty());
        client.send(GET);
        origin.expect(GET);
        origin.send(said);
        client.expect_end(format!("{said}{outcome}"), ended);
    }
}

/// "cannot be dialled ... not in time: 504", by a listener whose backlog is full.
#[test]
fn a_dial_not_done_in_time_is_a_504() {
    let full = support::full_backlog();
    let proxy = Running::with(&Rules::default(), full.address(), hasty());
    let mut client = proxy.dial();
    client.send(GET);
    client.expect_end(reply("504 Gateway Timeout"), Ended::Fin);
}

/// Response: "neither field", "if the origin was reset, so is the client". The kernel tells of the reset once: here as a rule the
/// writer of the upload, and the reader then sees an end like any other.
#[test]
fn a_reset_is_passed_on_whoever_is_told_of_it() {
    let listener = Origin::new();
    let proxy = Running::before(&listener);
    for _ in 0..40 {
        let mut client = proxy.dial();
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 800000000\r\n\r\n";
        client.send(request);
        let mut origin = listener.accept();
        origin.expect(request);
        let mut sending = client.twin();
        let uploading = std::thread::spawn(move || {
            let block = body(1000);
            loop {
                if let Err(error) = sending.try_send(&block) {
                    return error.kind();
                }
            }
        });
        origin.read(100_000);
        origin.send("HTTP/1.1 200 OK\r\n\r\nhello");
        client.expect("HTTP/1.1 200 OK\r\n\r\nhello");
        origin.reset();
        let (rest, ended) = client.read_to_end();
        let refused = uploading.join().expect("it ends with the connection");
        // Here, too, one of the two is told. After a FIN, writing would have broken the pipe.
        assert!(rest.is_empty() && (ended == Ended::Reset || refused == ErrorKind::ConnectionReset), "{refused:?}");
    }
}

/// "`--idle-timeout`: a client between requests": one that has not yet read the whole of its response is not. By a
/// Unix-domain socket, for which the kernel holds some 200 KB.
#[test]
fn a_slow_reader_is_not_idle() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("slow-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for sockets");
    let (front, listener) = (folder.join("front"), Origin::new());
    let timeouts = timeouts(|timeouts| timeouts.idle = SHORT);
    let listen = format!("unix:{}", front.display());
    let proxy = Running::on(&listen, &Rules::default(), listener.address(), timeouts);
    std::thread::scope(|scope| {
        // Of some of these the kernel takes all but the last block, which the proxy holds meanwhile.
        for length in (8..64).map(|blocks| blocks * 8 * 1024) {
            let mut client = UnixStream::connect(&front).expect("it listens");
            client.write_all(GET.as_bytes()).expect("it reads");
            let mut origin = listener.accept();
            origin.expect(GET);
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let response = [response.as_bytes(), &body(length)].concat();
            let sent = response.clone();
            scope.spawn(move || {
                origin.send(sent);
                origin.read_to_end()
            });
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(600));
                let mut found = Vec::new();
                client.set_read_timeout(Some(support::LIMIT)).expect("a time limit");
                client.read_to_end(&mut found).expect("an end");
                assert!(found == response, "{} of {} bytes", found.len(), response.len());
            });
        }
    });
    proxy.stop();
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

/// "FIN within a body: goes on": closing a Unix-domain socket is an end like another, and what was written before it arrives.
#[test]
fn who_closes_a_socket_file_has_sent_what_was_written() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("closed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for sockets");
    let (front, listener) = (folder.join("front"), Origin::new());
    let proxy = Running::on(&format!("unix:{}", front.display()), &Rules::default(), listener.address(), patient());
    let mut client = UnixStream::connect(&front).expect("it listens");
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 1024 * MEGABYTES);
    client.write_all(head.as_bytes()).expect("it reads");
    let mut origin = listener.accept();
    // As much as all between the two hold, for the origin reads nothing yet.
    client.set_write_timeout(Some(SHORT)).expect("a time limit");
    let mut written = head.len();
    while let Ok(count) = client.write(&[b'a'; 8192]) {
        written += count;
    }
    drop(client);
    // The one worker that serves this has looked at that before.
    let mut bystander = UnixStream::connect(&front).expect("it listens");
    bystander.set_read_timeout(Some(support::LIMIT)).expect("a time limit");
    bystander.write_all(GET.as_bytes()).expect("it reads");
    let mut beside = listener.accept();
    beside.expect(GET);
    beside.send(OK);
    bystander.read_exact(&mut [0; OK.len()]).expect("the response");
    let (received, ended) = origin.read_to_end();
    assert_eq!((received.len(), ended), (written, Ended::Fin));
    proxy.stop();
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

/// "A name is resolved as connections are dialled."
#[test]
fn an_upstream_name_is_resolved_and_one_without_an_address_is_a_502() {
    let listener = Origin::new();
    let Address::Tcp { port, .. } = listener.address() else { unreachable!("it listens on TCP") };
    let named = |host: &str| {
        let upstream = Address::Tcp { host: host.into(), port };
        Running::with(&Rules::default(), upstream, patient())
    };
    let proxy = named("localhost");
    connect(&proxy, &listener);

    // RFC 6761 §6.4: a name that never resolves.
    let nameless = named("nowhere.invalid");
    let mut client = nameless.dial();
    client.send(GET);
    client.expect_end(reply("502 Bad Gateway"), Ended::Fin);
}

/// `--idle-timeout`: a client between requests is closed with nothing said.
#[test]
fn an_idle_client_is_closed_quietly() {
    let (proxy, _listener, mut client, _origin) = warm(hasty());
    client.expect_end("", Ended::Fin);
    proxy.dial().expect_end("", Ended::Fin);
}

/// Promise 3: the end of the process is no clean end to a body that ends with the connection.
#[test]
fn stopping_resets_an_undelimited_body() {
    let (proxy, _listener, mut client, mut origin) = warm(patient());
    client.send(GET);
    origin.expect(GET);
    origin.send("HTTP/1.1 200 OK\r\n\r\nhalf");
    client.expect("HTTP/1.1 200 OK\r\n\r\nhalf");
    proxy.stop();
    client.expect_end("", Ended::Reset);
}

/// The kernel completes no connection to a socket file whose backlog is full, and makes nobody wait either.
#[test]
fn a_full_backlog_of_a_socket_file_is_waited_for() {
    let path = std::env::temp_dir().join(format!("headsnip-{}-backlog", std::process::id()));
    let owner = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    owner.bind(&SockAddr::unix(&path).expect("a path")).expect("a free path");
    owner.listen(0).expect("it listens");
    let waiting = UnixStream::connect(&path).expect("there is one place");
    let upstream = || Address::Unix(path.clone());
    let impatient = timeouts(|timeouts| timeouts.connect = SHORT);
    let proxy = Running::with(&Rules::default(), upstream(), impatient);
    let mut client = proxy.dial();
    client.send(GET);
    client.expect_end(reply("504 Gateway Timeout"), Ended::Fin);
    let proxy = Running::with(&Rules::default(), upstream(), Timeouts::default());
    let mut client = proxy.dial();
    client.send(GET);
    drop(owner.accept().expect("it waits"));
    drop(waiting);
    let (mut origin, _) = owner.accept().expect("the proxy dials again");
    origin.write_all(OK.as_bytes()).expect("the proxy reads");
    client.expect(OK);
    std::fs::remove_file(path).expect("it was there");
}

/// `unix:/path` for both addresses; IPv6.
#[test]
fn unix_sockets_and_ipv6_serve_as_well() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sockets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for sockets");
    let (front, back) = (folder.join("front"), folder.join("back"));
    let origin = std::os::unix::net::UnixListener::bind(&back).expect("a socket file");
    // What a killed process left behind.
    drop(std::os::unix::net::UnixListener::bind(&front).expect("a socket file"));
    let listen = format!("unix:{}", front.display());
    let proxy = Running::on(&listen, &Rules::default(), Address::Unix(back.clone()), patient());
    let mut client = UnixStream::connect(&front).expect("the proxy listens");
    support::exchange_on_unix(&mut client, &origin, GET, OK);
    assert!(refusal(&listen).contains("another process holds it"), "{}", refusal(&listen));
    proxy.stop();
    assert!(!front.exists(), "the socket file goes with the proxy");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");

    let listener = Origin::new();
    let proxy = Running::on("[::1]:0", &Rules::default(), listener.address(), patient());
    assert!(proxy.address.to_string().starts_with("[::1]:"), "{}", proxy.address);
    let mut client = proxy.dial();
    client.send(GET);
    listener.accept().expect(GET);
    assert!(refusal(&proxy.address.to_string()).contains("another process holds it"));
    // A label is at most 63 bytes, so that nobody need be asked.
    let name = format!("{}:80", "a".repeat(64));
    assert!(refusal(&name).contains("give --listen an IP address"), "{}", refusal(&name));
}

fn refusal(listen: &str) -> String {
    let address = |text: &str| text.parse().expect("an address");
    Proxy::bind(Config::new(address(listen), address("127.0.0.1:1")), std::sync::Arc::new(()))
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// Invariant 3 on sockets: a byte at a time, each way.
#[test]
fn bytes_may_come_one_by_one() {
    let (_proxy, _listener, mut client, mut origin) = warm(patient());
    for byte in GET.bytes() {
        client.send([byte]);
    }
    origin.expect(GET);
    for byte in "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 2\r\n\r\nok".bytes() {
        origin.send([byte]);
    }
    let found = client.read(OK.len());
    assert_eq!(text(&found), text(OK.as_bytes()));
}
