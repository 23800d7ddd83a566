//! Sockets that are passed: they are all served, by all workers, and outlive the process; and those that do not fit are told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::support::answering::Answering;
use super::support::headsnip::{Headsnip, until};
use super::support::{LIMIT, Peer, text};
use super::{BINARY, GET, OK, given, is_answered, path};

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn copy(listener: &TcpListener) -> TcpListener {
    listener.try_clone().expect("a descriptor")
}

/// The same as [`is_answered`], on a connection without a port.
fn is_answered_on(mut client: UnixStream) {
    client.set_read_timeout(Some(LIMIT)).expect("a time limit");
    client.write_all(GET.as_bytes()).expect("the other side reads");
    let mut answer = [0; OK.len()];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(text(&answer), text(OK.as_bytes()));
}

fn start(command: &mut Command, origin: &Answering, flags: &[&str]) -> Headsnip {
    Headsnip::start_at("systemd", command, &origin.address, flags)
}

#[test]
fn a_socket_that_was_passed_outlives_the_process() {
    let (origin, (listener, address)) = (Answering::start(), listener());
    for workers in ["1", "3"] {
        // Who comes before it starts is served as well.
        let mut early = Peer::new(TcpStream::connect(address).expect("it listens"));
        early.send(GET);
        let flags = ["--workers", workers, "--drain-delay", "0s"];
        let proxy = start(&mut given(copy(&listener), None, "http"), &origin, &flags);
        proxy.await_line(&format!("listening on {address}, "));
        early.expect(OK);
        is_answered(address);
        drop(early);
        proxy.signal("TERM");
        assert!(proxy.wait(LIMIT).0.success());
        TcpStream::connect(address).expect("it is still open");
        // Nobody takes that one but the next process.
    }
}

#[test]
fn several_sockets_are_served_and_none_keeps_another_waiting() {
    let (origin, (listener, address), path) = (Answering::start(), listener(), path("passed"));
    let unix = UnixListener::bind(&path).expect("a free path");
    for workers in ["1", "2"] {
        let another = unix.try_clone().expect("a descriptor");
        let mut command = given(copy(&listener), Some(another.into()), "http:local");
        let proxy = start(&mut command, &origin, &["--workers", workers]);
        proxy.await_line(&format!("listening on {address} and unix:{}, ", path.display()));
        for _ in 0..8 {
            is_answered(address);
            is_answered(address);
            is_answered_on(UnixStream::connect(&path).expect("it listens"));
            is_answered_on(UnixStream::connect(&path).expect("it listens"));
        }
    }
    assert!(path.exists(), "it is not ours to remove");
    std::fs::remove_file(path).expect("it is there");
}

#[test]
fn an_abstract_socket_is_served() {
    let name = format!("headsnip-{}-abstract", std::process::id());
    let there = UnixAddr::from_abstract_name(&name).expect("a name");
    let origin = Answering::start();
    let unix = UnixListener::bind_addr(&there).expect("a free name");
    let proxy = start(&mut given(unix, None, "local"), &origin, &[]);
    proxy.await_line(&format!("listening on unix:@{name}, "));
    is_answered_on(UnixStream::connect_addr(&there).expect("it listens"));
}

#[test]
fn the_socket_named_admin_is_for_the_admin_listener_alone() {
    let origin = Answering::start();
    let (clients, admin) = (listener(), listener());
    let livez = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer_at = |address: SocketAddr| {
        let mut peer = Peer::new(TcpStream::connect(address).expect("it listens"));
        peer.send(livez);
        peer.read_head().expect("an answer")
    };
    // In either order.
    for names in ["http:admin", "admin:http"] {
        let [first, second] = if names.ends_with("admin") { [&clients, &admin] } else { [&admin, &clients] };
        let mut command = given(copy(&first.0), Some(copy(&second.0).into()), names);
        let proxy = start(&mut command, &origin, &["--admin", "systemd"]);
        proxy.await_line(&format!("admin on {}", admin.1));
        is_answered(clients.1);
        assert!(answer_at(admin.1).contains("no-store"), "it is the admin listener");
        assert!(!answer_at(clients.1).contains("no-store"), "it is the origin");
    }
}

#[test]
fn sockets_that_do_not_fit_are_told() {
    let failed = |mut command: Command, flags: &[&str], words: &str| {
        command.args(["--upstream", "127.0.0.1:1"]).args(flags).stderr(Stdio::piped());
        let output = command.output().expect("it runs");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(words), "{flags:?} {words}: {said}");
    };
    let socket = || listener().0;
    let both = |names| given(socket(), Some(socket().into()), names);
    let (systemd, with_admin) = (["--listen", "systemd"], ["--listen", "systemd", "--admin", "systemd"]);
    failed(Command::new(BINARY), &systemd, "no socket was passed (LISTEN_FDS)");
    let mut others = Command::new(BINARY);
    others.envs([("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    failed(others, &systemd, "no socket was passed (LISTEN_FDS)");
    failed(given(socket(), None, "admin"), &with_admin, "only the socket for the admin listener");
    failed(both("http:admin"), &systemd, "use --admin systemd");
    failed(both("http:http"), &with_admin, "no socket named admin was passed");
    failed(both("admin:admin"), &["--listen", "127.0.0.1:0", "--admin", "systemd"], "more than one socket named admin");
    failed(both("http:admin"), &["--listen", "127.0.0.1:0", "--admin", "systemd"], "--listen is not systemd");
    // As with Accept=yes.
    let (listening, address) = listener();
    let client = TcpStream::connect(address).expect("it listens");
    failed(given(client, None, "http"), &systemd, "it does not listen");
    drop(listening);
    failed(
        given(std::fs::File::open("/dev/null").expect("it is there"), None, "http"),
        &systemd,
        "fd 3 is not a socket",
    );
}

#[test]
fn sockets_that_nobody_asked_for_are_a_warning() {
    let origin = Answering::start();
    let proxy = Headsnip::start_by(&mut given(listener().0, None, "http"), &origin.address, &[]);
    proxy.await_line("sockets were passed (LISTEN_FDS) and are not used");
}

/// "A restart loses nobody": clients come all the while, each with some requests on its connection, and all are answered.
#[test]
fn a_restart_under_load_loses_nobody() {
    const RESTARTS: usize = 3;
    let (origin, (listener, address)) = (Answering::start(), listener());
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = || {
        while !is_over.load(Ordering::Relaxed) {
            let mut client = Peer::new(TcpStream::connect(address).expect("it listens all the while"));
            for _ in 0..3 {
                client.send(GET);
                let head = client.read_head().expect("nobody is lost");
                assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
                assert_eq!(client.read(2), b"ok");
                answered.fetch_add(1, Ordering::Relaxed);
                if head.contains("Connection: close") {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        // However it ends, so do they.
        let _over = Over(&is_over);
        for _ in 0..=RESTARTS {
            let flags = ["--workers", "2", "--drain-delay", "50ms"];
            let proxy = start(&mut given(copy(&listener), None, "http"), &origin, &flags);
            let before = answered.load(Ordering::Relaxed);
            until(LIMIT, "some exchanges", || (answered.load(Ordering::Relaxed) > before + 100).then_some(()));
            proxy.signal("TERM");
            let (status, log) = proxy.wait(LIMIT);
            assert!(status.success() && log.iter().any(|line| line.ends_with(" finished, 0 cut")), "{log:?}");
        }
        // Who waits now is served by the last one.
        let last = start(&mut given(copy(&listener), None, "http"), &origin, &[]);
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("a client was lost");
        }
        drop(last);
    });
    println!("{} exchanges over {RESTARTS} restarts, none lost", answered.load(Ordering::Relaxed));
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
