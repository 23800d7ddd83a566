//! `headsnip probe`: what a security test would see, before and after.

use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use super::support::Peer;
use super::support::headsnip::Headsnip;
use super::{run, said};

/// A server that speaks so to each client, on threads that end with the process.
pub(super) fn server(speak: impl Fn(&mut Peer) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let speak = speak.clone();
            thread::spawn(move || {
                let mut peer = Peer::new(stream);
                speak(&mut peer);
                peer.read_to_end();
            });
        }
    });
    address
}

/// A server that tells its name in each way there is.
fn leaky_server() -> String {
    server(leak)
}

fn leak(peer: &mut Peer) {
    let Some(head) = peer.read_head() else { return };
    let length = |body: &str| format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let answer = if head.starts_with("PRI ") {
        peer.send(b"\0\0\0\x04\0\0\0\0\0");
        return;
    } else if head.contains("Upgrade: h2c") {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\nServer: hypercorn\r\n\r\n"
            .to_owned()
    } else if head.contains("Expect: ") {
        format!("HTTP/1.1 100 Continue\r\nserver: hypercorn\r\n\r\nHTTP/1.1 200 OK\r\n{}", length(""))
    } else if head.starts_with("GET /headsnip-probe") {
        format!("HTTP/1.1 404 Not Found\r\n{}", length("<i>nginx/1.22</i>"))
    } else if head.starts_with("HEAD ") {
        "HTTP/1.1 200 OK\r\nX-AspNet-Version: 4\r\nContent-Length: 9\r\nConnection: close\r\n\r\n".to_owned()
    } else {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nnginx\r\n0\r\nX-Powered-By: a\r\n\r\n"
            .to_owned()
    };
    peer.send(answer);
    peer.finish();
}

/// "Which head on which request discloses what, and which bodies name a known server; then the `--deny` line that would fix
/// it. Exit 1 if anything is disclosed; `--json` too."
#[test]
fn probe_tells_what_is_disclosed_before_and_after() {
    let server = leaky_server();
    let output = run(&["probe", &format!("http://{server}/")]);
    let table = said(&output);
    assert_eq!(output.status.code(), Some(1), "{table}");
    for line in [
        ["GET ", "200", "X-Powered-By: a"],
        ["a path that is not there", "404", "the body says \"nginx\""],
        ["HEAD", "200", "X-AspNet-Version: 4"],
        ["Upgrade: h2c", "101", "Server: hypercorn"],
        ["Expect: 100-continue", "100, 200", "server: hypercorn (on 100)"],
        ["the HTTP/2 preface", "not HTTP/1.1", "speaks HTTP/2"],
    ] {
        assert!(table.lines().any(|told| line.iter().all(|word| told.contains(word))), "{line:?} in\n{table}");
    }
    assert!(table.contains("  --deny 'x-aspnet-version'\n"), "{table}");
    let output = run(&["probe", "--json", &format!("http://{server}/")]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &found["discloses"]), (Some(1), &Value::Bool(true)), "{found}");
    assert_eq!(found["deny"], serde_json::json!(["x-aspnet-version"]), "{found}");
    assert_eq!(found["names"], serde_json::json!(["server", "x-aspnet-version", "x-powered-by"]), "{found}");
    assert_eq!(found["answers"].as_array().map(Vec::len), Some(9), "{found}");

    // What it told to deny is what mends it, but for the body.
    let upstream = server.parse().expect("an address");
    let proxy = Headsnip::start(&upstream, &["--deny", "x-aspnet-version"]);
    let output = run(&["probe", &format!("http://127.0.0.1:{}/", proxy.port())]);
    let table = said(&output);
    let told: Vec<&str> = table.lines().filter(|line| line.contains("says") || line.contains(": a")).collect();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("1 of 9 responses") && told.len() == 1, "{table}");
    assert!(table.contains("headsnip changes no body"), "{table}");
}

#[test]
fn probe_is_content_with_a_server_that_names_nobody() {
    let address = server(|peer| {
        peer.read_head();
        // It repeats what it was asked, which is not its name.
        peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\nConnection: close\r\n\r\nno /php");
        peer.finish();
    });
    let output = run(&["probe", &format!("http://{address}/php")]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("\n\nNothing that OWASP lists is disclosed"), "{}", said(&output));
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    for (url, code, words) in [
        (format!("http://{free}/"), 1, "is the port right"),
        ("https://a/".to_owned(), 2, "no TLS"),
        (address.clone(), 2, "http://127.0.0.1:8080/"),
    ] {
        let output = run(&["probe", &url]);
        assert!(output.status.code() == Some(code) && said(&output).contains(words), "{url}: {}", said(&output));
    }
}

/// What could not be looked at is not taken for clean, and what came is looked at all the same.
#[test]
fn probe_is_not_content_with_what_it_could_not_see() {
    let long_head = format!("HTTP/1.1 200 OK\r\nA: {}\r\nServer: hidden/1\r\n\r\n", "a".repeat(70_000));
    let long_body = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n60000\r\n{}\r\n0\r\nServer: hidden/1\r\n\r\n",
        "a".repeat(0x60000)
    );
    let chunked_page = "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nnginx\r\n0\r\n\r\n";
    for (answer, words) in [
        ("", "closed without an answer"),
        ("HTTP/1.1 200 OK\r\nServer: hidden/1\r\n", "Server: hidden/1"),
        (&*long_head, "Server: hidden/1"),
        (&*long_body, "Server: hidden/1"),
        (chunked_page, "the body says \"nginx\""),
        ("HTTP/1.1 200 OK\r\nServer : hidden/1\r\n\r\n", "Server : hidden/1"),
        ("HTTP/1.1 200 OK\nServer: hidden/1\n\n", "Server: hidden/1"),
        ("<html>nginx/1.18.0</html>", "the body says \"nginx\""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "200, cut short"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "502, not the application"),
        ("HTTP/1.1 204 OK\r\nVia: 1.1 varnish\r\n\r\n", "--deny 'via'"),
        ("HTTP/1.1 103 Hints\r\nServer: a\r\n\r\nHTTP/1.1 204 OK\r\nConnection: close\r\n\r\n", "9 of 9 responses"),
    ] {
        let told = answer.to_owned();
        let address = server(move |peer| {
            peer.read_head();
            peer.send(told.as_bytes());
            peer.finish();
        });
        let output = run(&["probe", "--timeout", "3s", &format!("http://{address}/")]);
        let table = said(&output);
        assert_eq!(output.status.code(), Some(1), "{answer:.200}: {table}");
        assert!(table.contains(words), "{words} in\n{table}");
    }
    let silent = server(|peer| drop(peer.read_head()));
    let output = run(&["probe", "--json", "--timeout", "100ms", &format!("http://{silent}/")]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &found["clean"]), (Some(1), &Value::Bool(false)), "{found}");
    assert_eq!(found["answers"][0]["missed"], "no end in 100ms", "{found}");
}
