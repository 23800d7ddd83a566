//! `headsnip probe`: what a security test would see, before and after.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use miniz_oxide::deflate::compress_to_vec;
use serde_json::{Value, json};

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
/// it. Exit 1 if anything is disclosed; as JSON too."
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
    for advice in ["  --deny 'x-aspnet-version'\n", "refuses HTTP/2.\n", "headsnip changes no body"] {
        assert!(table.contains(advice), "{table}");
    }
    for other in ["could not be checked", "removes these lines by default", "X-Powered-By: a (on"] {
        assert!(!table.contains(other), "{table}");
    }
    let output = run(&["probe", "--format", "json", &format!("http://{server}/")]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &found["discloses"]), (Some(1), &Value::Bool(true)), "{found}");
    assert_eq!(found["deny"], serde_json::json!(["x-aspnet-version"]), "{found}");
    assert_eq!(found["names"], serde_json::json!(["server", "x-aspnet-version", "x-powered-by"]), "{found}");
    assert_eq!(found["answers"].as_array().map(Vec::len), Some(9), "{found}");
    for (place, is_spoken) in [(0, false), (5, false), (7, true), (8, true)] {
        let answer = &found["answers"][place];
        assert_eq!((&answer["http2"], &answer["missed"]), (&json!(is_spoken), &Value::Null), "{answer}");
    }
    let suite = said(&run(&["probe", "--format", "junit", &format!("http://{server}/")]));
    let is_told = |name: &str| {
        let case = suite.split("<testcase ").find(|case| case.contains(&format!(" name=\"{name}\" ")));
        case.expect("a case of each request").contains("X-AspNet-Version")
    };
    assert_eq!(["GET", "HEAD", "an unknown method"].map(is_told), [false, true, false], "{suite}");

    // What it told to deny is what mends it, but for the body.
    let upstream = server.parse().expect("an address");
    let proxy = Headsnip::start(&upstream, &["--deny", "x-aspnet-version"]);
    let output = run(&["probe", &format!("http://127.0.0.1:{}/", proxy.port())]);
    let table = said(&output);
    let told: Vec<&str> = table.lines().filter(|line| line.contains("says") || line.contains(": a")).collect();
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("1 of 9 responses") && told.len() == 1, "{table}");
    assert!(table.contains("headsnip changes no body") && !table.contains("refuses HTTP/2"), "{table}");
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
        ("ftp://a/".to_owned(), 2, "http://127.0.0.1:8080/"),
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
        ("", "7 of 9 responses could not be checked to their end."),
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
        ("HTTP/1.1 204 OK\r\nServer: a\r\n\r\n", "headsnip in front of it removes these lines by default.\n"),
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
        assert_eq!(table.contains("changes no body"), table.contains("the body says"), "{table}");
    }
    // It comes in two pieces; in one it would be seen too, so the pause decides nothing.
    let slow = server(|peer| {
        peer.read_head();
        peer.send("<html>");
        thread::sleep(Duration::from_millis(100));
        peer.send("nginx/1.18.0</html>");
        peer.finish();
    });
    let table = said(&run(&["probe", &format!("http://{slow}/")]));
    assert!(table.contains("the body says \"nginx\""), "{table}");
    let silent = server(|peer| drop(peer.read_head()));
    let output = run(&["probe", "--format", "json", "--timeout", "100ms", &format!("http://{silent}/")]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &found["clean"]), (Some(1), &Value::Bool(false)), "{found}");
    assert_eq!(found["answers"][0]["missed"], "no end in 100ms", "{found}");
}

/// What is said only once the body is there, what is long, and that nothing is said to the preface of another protocol.
#[test]
fn what_takes_its_time_or_says_nothing_to_a_preface_is_seen() {
    let waiting = server(|peer| {
        let head = peer.read_head().unwrap_or_default();
        if head.contains("Expect: ") {
            peer.expect("{}");
        }
        if !head.starts_with("PRI ") {
            peer.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
        peer.finish();
    });
    let long = "a".repeat(2 * 1024 * 1024);
    let long =
        answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{long}", long.len()));
    for address in [waiting, long] {
        let (code, told) = found(&format!("http://{address}/"), &["--fail-on", "@unseen"]);
        assert_eq!(code, Some(0), "{told}");
    }
}

/// Not only that it took too long.
#[test]
fn why_an_answer_was_not_seen_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut peer = Peer::new(stream);
            peer.read_head();
            peer.reset();
        }
    });
    let (_, told) = found(&format!("http://{address}/"), &[]);
    let missed = told["answers"][0]["missed"].as_str().unwrap_or_default();
    assert!(missed.contains("reset"), "{told}");
}

/// A server that answers each request so.
fn answering(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    server(move |peer| {
        peer.read_head();
        peer.send(&answer);
        peer.finish();
    })
}

fn found(url: &str, flags: &[&str]) -> (Option<i32>, Value) {
    let output = run(&[&["probe", "--format", "json"], flags, &[url]].concat());
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// "nginx's own 301 and 404 pages found": by the name in them, and without it; whatever coding they are in.
#[test]
fn pages_of_servers_are_found() {
    let nginx = |status: &str, name: &str| {
        format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n<hr><center>{name}</center>\r\n\
             </body>\r\n</html>\r\n"
        )
    };
    let whole = |status: &str, more: &str, page: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n", page.len());
        [head.as_bytes(), page].concat()
    };
    let page = compress_to_vec(nginx("404 Not Found", "nginx/1.22.1").as_bytes(), 6);
    let gzip = [b"\x1f\x8b\x08\0\0\0\0\0\0\0", &page[..], &[0; 8]].concat();
    let chunked = |codings: &str| {
        let head = format!("HTTP/1.1 404 Not Found\r\n{codings}\r\nConnection: close\r\n\r\n{:x}\r\n", gzip.len());
        [head.as_bytes(), &gzip, b"\r\n0\r\n\r\n"].concat()
    };
    let moved = "301 Moved Permanently";
    let tomcat =
        b"<!doctype html><html lang=\"en\"><body><h1>HTTP Status 404 \xe2\x80\x93 Not Found</h1></body></html>";
    for (answer, expected) in [
        (whole(moved, "Location: /a/\r\n", nginx(moved, "nginx").as_bytes()), json!(["nginx"])),
        (whole("404 Not Found", "", nginx("404 Not Found", "").as_bytes()), json!(["nginx"])),
        (whole("404 Not Found", "Content-Encoding: gzip\r\n", &gzip), json!(["nginx"])),
        (chunked("Transfer-Encoding: chunked\r\nContent-Encoding: gzip"), json!(["nginx"])),
        (chunked("Transfer-Encoding: gzip, chunked"), json!(["nginx"])),
        (whole("404 Not Found", "", b"<pre>Cannot GET /a</pre>"), json!(["express"])),
        (whole("404 Not Found", "", tomcat), json!(["tomcat"])),
        (whole("404 Not Found", "", format!("{}<i>nginx/1.22</i>", "a".repeat(200_000)).as_bytes()), json!(["nginx"])),
        // What it repeats, and what an application writes, is no server's name.
        (whole(moved, "Location: https://a/php/\r\n", b"see https://a/php/"), json!([])),
        (whole("200 OK", "", nginx("404 Not Found", "nginx").as_bytes()), json!([])),
    ] {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let (code, found) = found(&format!("http://{}/", answering(answer)), &["--timeout", "3s"]);
        assert_eq!(found["answers"][0]["body"], expected, "{told}");
        assert_eq!(code, Some(i32::from(expected != json!([]))), "{told}");
    }
    for (coding, other) in [
        ("br", whole("404 Not Found", "Content-Encoding: br\r\n", b"\x0b\x02\x80nginx\x03")),
        ("no gzip", whole("404 Not Found", "Content-Encoding: gzip\r\n", b"<a>")),
        ("gzip, gzip", whole("404 Not Found", "Content-Encoding: gzip, gzip\r\n", &gzip)),
        ("gzip twice", chunked("Content-Encoding: gzip\r\nTransfer-Encoding: gzip, chunked")),
    ] {
        let (code, found) = found(&format!("http://{}/", answering(other)), &["--timeout", "3s"]);
        let missed = &found["answers"][0]["missed"];
        assert_eq!((code, missed), (Some(1), &json!("the coding of its body cannot be read")), "{coding}");
    }
}

/// A socket, as itself and with the path that is asked for.
#[test]
fn a_socket_is_probed() {
    let folder = std::env::temp_dir().join(format!("headsnip-probe-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let socket = folder.join("app.sock");
    let listener = UnixListener::bind(&socket).expect("a free path");
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match std::io::Read::read(&mut client, &mut byte) {
                    Ok(1) => head.push(byte[0]),
                    _ => break,
                }
            }
            let is_right = head.starts_with(b"GET /a?b HTTP/1.1\r\nHost: localhost\r\n");
            let name = if is_right { "right" } else { "other" };
            let answer = format!("HTTP/1.1 200 OK\r\nServer: {name}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            // Who is gone is not told.
            let _ = client.write_all(answer.as_bytes());
        }
    });
    let url = format!("unix:{}:/a?b", socket.display());
    let (code, told) = found(&url, &[]);
    assert_eq!((code, &told["url"]), (Some(1), &json!(url)));
    assert_eq!(told["answers"][0]["lines"], json!([{"status": 200, "line": "Server: right"}]), "{told}");
    assert_eq!(found(&format!("unix:{}", socket.display()), &[]).1["answers"][0]["lines"][0]["line"], "Server: other");
    std::fs::remove_dir_all(&folder).expect("it was made");
    let output = run(&["probe", &url]);
    assert!(output.status.code() == Some(1) && said(&output).contains("nothing listens there"), "{}", said(&output));
}

/// What makes the exit code 1 is the user's to say.
#[test]
fn probe_fails_on_what_it_was_told_to() {
    let url = format!(
        "http://{}/",
        answering(
            "HTTP/1.1 404 Not Found\r\nVia: 1.1 varnish\r\nX-Frame-Options: deny\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    );
    for (flags, code) in [
        (&[][..], 1),
        (&["--fail-on", "server,x-powered-by"], 0),
        (&["--fail-on", "server, VIA"], 1),
        (&["--fail-on", "server", "--fail-on", "v*"], 1),
        (&["--fail-on", "@lines"], 1),
        (&["--fail-on", "@pages,@http2,@unseen"], 0),
        (&["--fail-on", "@missing"], 1),
        (&["--fail-on", "x-content-type-options"], 1),
        (&["--fail-on", "x-frame-options"], 0),
        (&["--fail-on", "@nothing"], 0),
        (&["--fail-on", "@owsap"], 2),
        (&["--format", "xml"], 2),
    ] {
        let output = run(&[&["probe"], flags, &[url.as_str()]].concat());
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {}", said(&output));
    }
}

/// What OWASP recommends for any response, but `Referrer-Policy`.
const OWASP: [&str; 9] = [
    "content-security-policy",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
];

/// "Which of OWASP's recommended response headers are missing, and the `--add` flags for them": with these, none is.
#[test]
fn what_owasp_recommends_is_told_with_the_flags_that_add_it() {
    let server =
        answering("HTTP/1.1 200 OK\r\nreferrer-policy: same-origin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let url = format!("http://{server}/");
    let (code, told) = found(&url, &[]);
    assert_eq!((code, told["clean"].as_bool()), (Some(0), Some(true)));
    let missing: Vec<&str> = told["missing"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(missing, OWASP, "{told}");
    let flags: Vec<&str> = told["add"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let text = said(&run(&["probe", &url]));
    assert!(flags.iter().all(|flag| text.contains(&format!("\n  {flag}\n"))) && flags.len() == 9, "{text}");
    assert_eq!(text.matches("lacks fields that OWASP recommends").count(), 1, "{text}");
    // As a shell takes them.
    let script = format!("printf '%s\\n' {}", flags.join(" "));
    let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let arguments = String::from_utf8(output.stdout).expect("text");
    let proxy = Headsnip::start(&server.parse().expect("an address"), &arguments.lines().collect::<Vec<_>>());
    let (code, told) = found(&format!("http://127.0.0.1:{}/", proxy.port()), &["--fail-on", "@missing"]);
    assert_eq!((code, &told["missing"]), (Some(0), &json!([])), "{told}");
    // Of what was not seen, nothing is missing.
    for unseen in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"] {
        let (_, told) = found(&format!("http://{}/", answering(unseen)), &["--timeout", "3s"]);
        assert_eq!(told["missing"], json!([]), "{told}");
    }
}
