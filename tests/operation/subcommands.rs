//! `healthcheck`, `probe`, `man`, `completions`.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

use super::support::headsnip::Headsnip;
use super::support::{Origin, Peer};
use super::{run, with_admin};

fn said(output: &Output) -> String {
    super::plain([&output.stdout[..], &output.stderr].concat())
}

/// "Asks the admin listener named by flag or environment; exit 0 or 1 and one line."
#[test]
fn healthcheck_asks_the_admin_listener() {
    let origin = Origin::new();
    let (_proxy, admin) = with_admin(&origin, &[]);
    let mut by_variable = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    by_variable.arg("healthcheck").env("HEADSNIP_ADMIN", &admin);
    for (output, line) in [
        (run(&["healthcheck", "--admin", &admin]), "alive\n"),
        (run(&["healthcheck", "--ready", "--admin", &admin]), "ready\n"),
        (run(&["healthcheck", "--admin", &admin.replace("127.0.0.1", "0.0.0.0")]), "alive\n"),
        (by_variable.output().expect("the binary runs"), "alive\n"),
    ] {
        assert_eq!((output.status.code(), &*said(&output)), (Some(0), line));
    }
}

#[test]
fn healthcheck_says_what_is_wrong() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let proxy = Headsnip::start(&free.to_string().parse().expect("an address"), &["--admin", "127.0.0.1:0"]);
    let admin = super::admin_of(&proxy);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_address = silent.local_addr().expect("an address").to_string();
    let other = leaky_server();
    for (arguments, code, words) in [
        (vec!["healthcheck", "--ready", "--admin", &admin], 1, "the upstream cannot be reached"),
        (vec!["healthcheck", "--admin", &free.to_string()], 1, "is headsnip running there"),
        (vec!["healthcheck", "--timeout", "200ms", "--admin", &silent_address], 1, "no answer from"),
        (vec!["healthcheck", "--admin", &other], 1, "another server's address"),
        (vec!["healthcheck"], 2, "HEADSNIP_ADMIN"),
        (vec!["--admin", &admin, "healthcheck"], 2, "stand behind its name"),
    ] {
        let output = run(&arguments);
        let line = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {line}");
        assert!(line.contains(words) && (code == 2 || line.lines().count() == 1), "{arguments:?}: {line}");
    }
}

/// A server that tells its name in each way there is, on threads that end with the process.
fn leaky_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || leak(&mut Peer::new(stream)));
        }
    });
    address
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
    peer.read_to_end();
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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut peer = Peer::new(stream);
            peer.read_head();
            peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngone");
            peer.finish();
            peer.read_to_end();
        }
    });
    let output = run(&["probe", &format!("http://{address}/a?b")]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).ends_with("Nothing is disclosed.\n"), "{}", said(&output));
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    for (url, code, words) in [
        (format!("http://{free}/"), 1, "is the port right"),
        ("https://a/".to_owned(), 2, "no TLS"),
        (address.to_string(), 2, "http://127.0.0.1:8080/"),
    ] {
        let output = run(&["probe", &url]);
        assert!(output.status.code() == Some(code) && said(&output).contains(words), "{url}: {}", said(&output));
    }
}

#[test]
fn the_man_page_tells_of_each_flag_and_subcommand() {
    let page = said(&run(&["man"]));
    let help = said(&run(&["--help"]));
    let words = help.lines().filter_map(|line| line.split_whitespace().next());
    let flags: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() > 18, "{help}");
    for flag in flags {
        let word = flag.trim_end_matches(',').replace('-', "\\-");
        assert!(page.contains(&word), "{word} in {page}");
    }
    for word in ["healthcheck", "probe", "completions", "HEADSNIP_DRAIN_TIMEOUT"] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish", "nushell"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && said(&output).contains("upstream"), "{shell}");
    }
    let script = run(&["completions", "bash"]).stdout;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("completions-{}", std::process::id()));
    std::fs::write(&path, script).expect("the folder is there");
    let status = Command::new("bash").arg("-n").arg(&path).status().expect("bash runs");
    std::fs::remove_file(path).expect("it was written");
    assert!(status.success(), "bash cannot read its completions");
    let output = run(&["completions", "tcsh"]);
    assert!(
        output.status.code() == Some(2) && said(&output).contains("bash, zsh, fish or nushell"),
        "{}",
        said(&output)
    );
}
