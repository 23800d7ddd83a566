//! "An exchange is logged as complete once its last byte was acknowledged; else `unacknowledged`."

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::resets::{SWITCHED, UPGRADE};
use super::support::watched::{Watched, narrow, read_slowly};
use super::support::{Ended, LIMIT, Origin, Peer, body, first_exchange};
use super::{BAD_REQUEST, GET, MEGABYTES, OK, Tests, test};

pub(super) const FLAGS: [&str; 3] = ["--access-log", "--log-format", "json"];

pub(super) fn tests() -> Tests {
    vec![
        test("who_resets_before_it_has_all_is_told_of", unacknowledged),
        test("who_reads_slowly_is_logged_once_it_has_all", slow),
        test("who_is_told_that_it_closes_is_logged_as_complete", closing),
        test("a_tunnel_that_the_origin_ends_first_is_logged_as_complete", tunnel),
        test("who_resets_behind_his_end_before_he_has_all_is_told_of", unacknowledged_behind_an_end),
        test("what_arrived_is_logged_as_complete", short),
        test("where_the_kernel_tells_nothing_what_was_written_is_complete", untold),
        test("what_arrives_late_is_logged_though_nothing_more_comes", late),
        test("what_a_client_on_a_socket_file_has_is_logged_as_complete", unix),
    ]
}

/// No exchange of these ended badly, and they were answered so.
fn are_complete(exchanges: &[Value], statuses: &[u16]) {
    let found: Vec<_> = exchanges.iter().map(|exchange| exchange["status"].as_u64().unwrap_or_default()).collect();
    assert_eq!(found, statuses.iter().map(|status| u64::from(*status)).collect::<Vec<_>>(), "{exchanges:#?}");
    assert!(exchanges.iter().all(|exchange| exchange["detail"] != "unacknowledged"), "{exchanges:#?}");
}

fn unacknowledged() {
    is_told_of(false);
}

fn unacknowledged_behind_an_end() {
    is_told_of(true);
}

/// A client that may have ended, and for which the proxy has written all, of which it has read nothing; what that is; and its origin.
fn written_to(proxy: &Watched, listener: &Origin, has_ended: bool) -> (TcpStream, Vec<u8>, Peer) {
    let client = narrow(proxy.port());
    (&client).write_all(GET.as_bytes()).expect("it reads");
    let mut origin = listener.accept();
    origin.expect(GET);
    if has_ended {
        client.shutdown(Shutdown::Write).expect("it is open");
        origin.expect_end("", Ended::Fin);
    }
    let answer = [b"HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n", &body(12_000)[..]].concat();
    origin.send(&answer);
    proxy.await_metric("headsnip_bytes_total{direction=\"outbound\"", |count| count >= 12_000);
    (client, answer, origin)
}

fn is_told_of(has_ended: bool) {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &FLAGS);
    let (client, _, _origin) = written_to(&proxy, &listener, has_ended);
    // The proxy looks again and again whether it has arrived.
    sleep(Duration::from_millis(1500));
    Peer::new(client).reset();
    let exchange = &proxy.await_exchanges(1)[0];
    assert_eq!(exchange["detail"], "unacknowledged", "{exchange}");
    assert_eq!(exchange["side"], "client", "{exchange}");
    assert_eq!(exchange["status"], 200, "{exchange}");
}

/// As servers end a `WebSocket` (RFC 6455 §7.1.1). How long the client takes to close is for the kernel to tell, or for nobody.
fn tunnel() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &FLAGS);
    for count in 1..=4 {
        let mut client = proxy.dial();
        client.send(UPGRADE);
        let mut origin = listener.accept();
        origin.expect(UPGRADE);
        origin.send([SWITCHED, "hello"].concat());
        origin.finish();
        client.expect_end([SWITCHED, "hello"].concat(), Ended::Fin);
        // At once or later: both are complete.
        if count % 2 == 0 {
            sleep(Duration::from_millis(50));
        }
        drop(client);
        origin.expect_end("", Ended::Fin);
        are_complete(&proxy.await_exchanges(count), &vec![101; count]);
    }
}

fn slow() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &FLAGS);
    let mut client = narrow(proxy.port());
    client.write_all(GET.as_bytes()).expect("it reads");
    let mut origin = listener.accept();
    origin.expect(GET);
    let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {MEGABYTES}\r\n\r\n");
    let answer = [head.as_bytes(), &body(MEGABYTES)].concat();
    let sent = answer.clone();
    let sending = std::thread::spawn(move || origin.send(sent));
    assert!(read_slowly(&mut client, MEGABYTES, Duration::from_secs(4)) == (answer, Ended::Fin));
    assert!(sending.join().is_ok());
    drop(client);
    are_complete(&proxy.await_exchanges(1), &[200]);
}

/// As in a sandbox without `sock_diag(7)`, which is what the third socket of the first thread is for.
fn untold() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "strace is not installed");
        println!("skipped: strace is not installed");
        return;
    }
    let listener = Origin::new();
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("arrival-untold-{}", std::process::id()));
    let mut strace = Command::new("strace");
    let refuse = ["-e", "trace=socket", "-e", "inject=socket:error=EAFNOSUPPORT:when=3"];
    strace.args(["-D", "-f", "-o"]).arg(&trace).args(refuse).arg(env!("CARGO_BIN_EXE_headsnip"));
    let proxy = Watched::start_by(strace, "127.0.0.1:0", &listener.address(), &FLAGS);
    let _stay = first_exchange(proxy.dial(), &listener, GET, OK);
    are_complete(&proxy.await_exchanges(1), &[200]);
    let traced = std::fs::read_to_string(trace).expect("strace writes it");
    let refused = traced.lines().find(|line| line.contains("INJECTED")).unwrap_or_default();
    assert!(refused.contains("NETLINK_SOCK_DIAG"), "{traced}");
}

/// By whichever side: an end in order says that all before it arrived.
fn closing() {
    let closed = OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    for (answer, ended) in [(&*closed, Some(Ended::Fin)), (OK, None)] {
        let listener = Origin::new();
        let proxy = Watched::start(&listener.address(), &FLAGS);
        for count in 1..=3 {
            let mut client = proxy.dial();
            client.send(GET);
            let mut origin = listener.accept();
            origin.expect(GET);
            origin.send(answer);
            client.expect(answer);
            if let Some(ended) = ended {
                client.expect_end("", ended);
                // Its own time is not the exchange's.
                sleep(Duration::from_millis(500));
            }
            drop(client);
            let exchanges = proxy.await_exchanges(count);
            are_complete(&exchanges, &vec![200; count]);
            let took = exchanges.iter().filter_map(|exchange| exchange["total_ms"].as_f64());
            assert!(took.fold(0.0, f64::max) < 400.0, "{exchanges:#?}");
        }
    }
}

fn short() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &FLAGS);
    let mut client = proxy.dial();
    let head = GET.replace("GET", "HEAD");
    client.send([GET, GET, &head, GET, GET].concat());
    let mut origin = listener.accept();
    let (without, empty) = (OK.trim_end_matches("ok"), "HTTP/1.1 204 No Content\r\n\r\n");
    // A HEAD is not plain: what is behind it goes on a connection of its own.
    let mut exchange = |origin: &mut Peer, request: &str, answer: &str| {
        origin.expect(request);
        origin.send(answer);
        client.expect(answer);
    };
    exchange(&mut origin, GET, OK);
    exchange(&mut origin, GET, OK);
    exchange(&mut origin, &head, without);
    let mut origin = listener.accept();
    exchange(&mut origin, GET, empty);
    exchange(&mut origin, GET, OK);
    // One that stays is logged though nothing more comes of it.
    are_complete(&proxy.await_exchanges(5), &[200, 200, 200, 204, 200]);
    client.send("GET /\r\n\r\n");
    client.expect_end(BAD_REQUEST, Ended::Fin);
    drop(client);
    are_complete(&proxy.await_exchanges(6), &[200, 200, 200, 204, 200, 400]);
}

fn late() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[&FLAGS[..], &["--workers", "1"]].concat());
    let (mut client, answer, _origin) = written_to(&proxy, &listener, false);
    // Lines of others that stay say that the worker has looked at all.
    let others = [1, 2].map(|count| {
        let mut other = proxy.dial();
        other.send(GET);
        let mut origin = listener.accept();
        origin.expect(GET);
        origin.send("HTTP/1.1 204 No Content\r\n\r\n");
        are_complete(&proxy.await_exchanges(count), &vec![204; count]);
        (other, origin)
    });
    let mut found = vec![0; answer.len()];
    client.read_exact(&mut found).expect("all of it");
    assert!(found == answer);
    are_complete(&proxy.await_exchanges(3), &[204, 204, 200]);
    drop((client, others));
}

fn unix() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ends-{}.sock", std::process::id()));
    let listener = Origin::new();
    let listen = format!("unix:{}", file.display());
    let command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let proxy = Watched::start_by(command, &listen, &listener.address(), &FLAGS);
    let mut client = UnixStream::connect(&file).expect("the proxy listens");
    client.set_read_timeout(Some(LIMIT)).expect("a time limit");
    client.write_all([GET, GET].concat().as_bytes()).expect("it reads");
    let mut origin = listener.accept();
    for _ in 0..2 {
        origin.expect(GET);
        origin.send(OK);
    }
    let mut found = vec![0; 2 * OK.len()];
    client.read_exact(&mut found).expect("two answers");
    are_complete(&proxy.await_exchanges(2), &[200, 200]);
    drop(client);
    drop(proxy);
    let _ = std::fs::remove_file(file);
}
