//! `/livez`, `/readyz`, and what is not there.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ::headsnip::net::address::Address;
use socket2::{Domain, Socket, Type};

use super::support::headsnip::Headsnip;
use super::support::{Origin, Peer, full_backlog};
use super::{GET, LEAKY, STRIPPED, admin_of, ask, exchange, run, with_admin, with_admin_before};

fn vacant() -> Address {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    free.to_string().parse().expect("an address")
}

/// "`/livez` (the process, never the origin), `/readyz` (503 when the origin cannot be dialled)."
#[test]
fn it_is_alive_without_an_origin_and_not_ready() {
    let proxy = Headsnip::start(&vacant(), &["--admin", "127.0.0.1:0"]);
    let admin = admin_of(&proxy);
    let (head, body) = ask(&admin, "GET", "/livez");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "alive\n", "{head} {body}");
    let (head, body) = ask(&admin, "GET", "/readyz");
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    assert!(body.starts_with("the upstream cannot be reached: Connection refused"), "{body}");
}

/// "503 while draining", while the data port still takes clients.
#[test]
fn it_is_ready_until_it_drains() {
    let origin = Origin::new();
    let (proxy, admin) = with_admin(&origin, &["--drain-delay", "20s"]);
    let (head, body) = ask(&admin, "GET", "/readyz");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "ready\n", "{head} {body}");
    drop(origin.accept());
    proxy.signal("TERM");
    proxy.await_line("SIGTERM: draining");
    let (head, body) = ask(&admin, "GET", "/readyz");
    assert!(head.starts_with("HTTP/1.1 503 ") && body == "draining\n", "{head} {body}");
    assert_eq!(ask(&admin, "GET", "/livez").1, "alive\n");
    assert_eq!(exchange(&proxy, &origin, GET, LEAKY), STRIPPED);
}

/// "Probes are bounded and cached a second."
#[test]
fn many_who_ask_dial_the_origin_once_a_second() {
    let origin = Origin::new();
    let (_proxy, admin) = with_admin(&origin, &[]);
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask(&admin, "GET", "/readyz").1, "ready\n");
    }
    let most = 1 + begun.elapsed().as_secs();
    let mut dialled = 0;
    origin.each_waiting(|_| dialled += 1);
    assert!((1..=most).contains(&dialled), "{dialled} dials in {:?}", begun.elapsed());
}

/// "No `Server` of its own"; "never reachable through the data port".
#[test]
fn it_names_nobody_and_is_not_on_the_data_port() {
    let origin = Origin::new();
    let (proxy, admin) = with_admin(&origin, &[]);
    for (method, path, status) in [
        ("GET", "/livez", "200 OK"),
        ("HEAD", "/metrics", "200 OK"),
        ("GET", "/readyz?verbose", "200 OK"),
        ("POST", "/livez", "405 Method Not Allowed"),
        ("GET", "/", "404 Not Found"),
        ("GET", "/livez/", "404 Not Found"),
    ] {
        let (head, body) = ask(&admin, method, path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{method} {path}: {head}");
        let names = head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name);
        let names: Vec<String> = names.map(str::to_ascii_lowercase).collect();
        let known = ["content-type", "cache-control", "content-length", "connection", "allow"];
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{head}");
        assert_eq!(body.is_empty(), method == "HEAD", "{method} {path}: {body}");
    }
    // What connects to the origin for readiness is not the client's.
    origin.each_waiting(drop);
    for path in ["/livez", "/readyz", "/metrics"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(exchange(&proxy, &origin, &request, LEAKY), STRIPPED, "{path}");
    }
}

#[test]
fn a_bad_line_to_the_admin_listener_is_answered_and_leaves_it_at_work() {
    let origin = Origin::new();
    let (_proxy, admin) = with_admin(&origin, &[]);
    let (head, _) = ask(&admin, "GET\0", "/livez");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(ask(&admin, "GET", "/livez").1, "alive\n");
}

/// As `nc -N` does: the answer takes a moment, since the application does not answer.
#[test]
fn who_ends_behind_its_question_is_answered() {
    let silent = full_backlog();
    let (_proxy, admin) = with_admin_before(&silent.address(), &["--connect-timeout", "200ms"]);
    let mut peer = Peer::new(TcpStream::connect(&admin).expect("the admin listener listens"));
    peer.send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.finish();
    let answer = peer.read_to_end().0;
    assert!(answer.starts_with(b"HTTP/1.1 503 "), "{}", answer.escape_ascii());
}

#[test]
fn an_admin_port_in_use_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = held.local_addr().expect("an address").to_string();
    let output = run(&["--listen", "127.0.0.1:0", "--admin", &address]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("choose another --admin"), "{said}");
}

/// Neither who is silent, nor who stops within a head, nor who does not read keeps others waiting; and they hold no more than their places.
#[test]
fn slow_clients_do_not_hold_the_admin_listener() {
    let origin = Origin::new();
    let (proxy, admin) = with_admin(&origin, &[]);
    let connect = |words: &str| {
        // So little room that an answer does not fit.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(2048).expect("a small buffer");
        let address: SocketAddr = admin.parse().expect("an address");
        socket.connect(&address.into()).expect("it listens");
        let mut peer = Peer::new(TcpStream::from(socket));
        // It may have had to give way.
        let _ = peer.try_send(words);
        peer
    };
    let before = proxy.descriptors();
    let mut slow = Vec::new();
    for words in ["", "GET /livez HTTP/1.1\r\nHost:", "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"] {
        slow.extend((0..200).map(|_| connect(words)));
        let mut times: Vec<Duration> = ["/livez", "/readyz", "/metrics"]
            .repeat(3)
            .into_iter()
            .map(|path| {
                let begun = Instant::now();
                let (head, _) = ask(&admin, "GET", path);
                assert!(head.starts_with("HTTP/1.1 200 "), "{words}: {path}: {head}");
                begun.elapsed()
            })
            .collect();
        times.sort();
        // The machine may be busy with something else now and then.
        let is_prompt = times[4] < Duration::from_millis(100) && times[8] < Duration::from_millis(900);
        assert!(is_prompt, "{words}: {times:?}");
        assert!(proxy.descriptors() <= before + 16, "{} descriptors, {before} before", proxy.descriptors());
    }
}

/// A head has a second, though nobody else waits.
#[test]
fn a_slow_head_to_the_admin_listener_is_not_waited_for() {
    let origin = Origin::new();
    let (_proxy, admin) = with_admin(&origin, &[]);
    let mut peer = Peer::new(TcpStream::connect(&admin).expect("it listens"));
    peer.send("GET /livez HTTP/1.1\r\nHost:");
    let begun = Instant::now();
    assert!(!peer.read_to_end().0.starts_with(b"HTTP/1.1 200"));
    let took = begun.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(3)).contains(&took), "{took:?}");
}
