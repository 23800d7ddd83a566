//! The access log and JSON lines.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::support::headsnip::{Headsnip, until};
use super::support::{LIMIT, Origin};
use super::{GET, LEAKY, STRIPPED, exchange};

/// headsnip whose standard output is a file.
struct Logged {
    proxy: Headsnip,
    path: PathBuf,
}

impl Logged {
    fn start(origin: &Origin, flags: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("access-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
        command.stdout(File::create(&path).expect("the folder is there"));
        let flags = [&["--access-log", "--drain-delay", "0s"], flags].concat();
        Self { proxy: Headsnip::start_by(&mut command, &origin.address(), &flags), path }
    }

    fn await_lines(&self, count: usize) -> Vec<String> {
        until(LIMIT, "lines of the access log", || {
            let text = std::fs::read_to_string(&self.path).expect("the file is there");
            (text.lines().count() >= count && text.ends_with('\n')).then(|| text.lines().map(str::to_owned).collect())
        })
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// "Method, target (escaped, bounded), status, bytes each way, milliseconds to the first byte and in all, lines removed,
/// replayed or not, reason if it ended badly."
#[test]
fn an_exchange_is_a_line_of_fields() {
    let origin = Origin::new();
    let logged = Logged::start(&origin, &["--log-format", "json"]);
    exchange(&logged.proxy, &origin, GET, LEAKY);
    let upload = "POST /\"a\\b?c=d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let cut = "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\n\r\nok";
    exchange(&logged.proxy, &origin, upload, cut);
    let mut refused = logged.proxy.dial();
    refused.send("GET / HTTP/9.9\r\n\r\n");
    refused.read_to_end();
    let lines = logged.await_lines(3);
    let values: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let fields = [
        "time",
        "client",
        "method",
        "target",
        "status",
        "bytes_in",
        "bytes_out",
        "first_byte_ms",
        "total_ms",
        "removed",
        "replayed",
        "side",
        "reason",
        "detail",
        "ending",
    ];
    for (value, line) in values.iter().zip(&lines) {
        let names: Vec<&str> =
            line.split("\":").filter_map(|part| part.rsplit('"').next()).take(fields.len()).collect();
        assert_eq!(names, fields, "{line}");
        assert!(value["client"].as_str().is_some_and(|client| client.starts_with("127.0.0.1:")), "{line}");
        assert!(value["total_ms"].as_f64().is_some(), "{line}");
    }
    let is = |value: &Value, expected: Value| {
        for (name, expected) in expected.as_object().expect("an object") {
            assert_eq!(&value[name], expected, "{name} of {value}");
        }
    };
    is(
        &values[0],
        serde_json::json!({
            "method": "GET", "target": "/a", "status": 200, "bytes_in": GET.len(), "bytes_out": LEAKY.len() - 17, "removed": 1,
            "replayed": false, "reason": null,
        }),
    );
    assert!(values[0]["first_byte_ms"].as_f64() <= values[0]["total_ms"].as_f64(), "{}", values[0]);
    is(
        &values[1],
        serde_json::json!({
            "method": "POST", "target": "/\"a\\x5cb?c=d", "status": 200, "bytes_in": upload.len(), "removed": 1, "side": "origin",
            "reason": "http_response_incomplete", "detail": "response_incomplete", "ending": "cut",
        }),
    );
    is(
        &values[2],
        serde_json::json!({
            "method": null, "target": null, "status": 505, "bytes_in": 0, "removed": 0, "side": "client",
            "reason": "http_request_error", "detail": "version_unsupported", "ending": "replied 505", "first_byte_ms": null,
        }),
    );
    for line in logged.proxy.log() {
        let value: Value = serde_json::from_str(&line).expect(&line);
        assert!(["time", "level", "message"].iter().all(|name| value[name].is_string()), "{line}");
    }
}

#[test]
fn pipelined_requests_are_told_apart() {
    let origin = Origin::new();
    let logged = Logged::start(&origin, &[]);
    let requests = ["/1", "/22", "/333"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let mut client = logged.proxy.dial();
    client.send(requests.concat());
    let mut server = origin.accept();
    for (request, body) in requests.iter().zip(["a", "bb", "ccc"]) {
        server.expect(request);
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }
    let lines = logged.await_lines(3);
    for (index, (line, request)) in lines.iter().zip(&requests).enumerate() {
        let target = request.split(' ').nth(1).expect("a target");
        let expected = format!("target={target} status=200 bytes_in={} bytes_out={} ", request.len(), 39 + index);
        assert!(line.contains(&expected), "{expected} in {line}");
        assert!(line.starts_with("time=20") && line.ends_with(" removed=0 replayed=false"), "{line}");
    }
}

#[test]
fn a_replayed_request_says_so() {
    let origin = Origin::new();
    let logged = Logged::start(&origin, &[]);
    let mut client = logged.proxy.dial();
    client.send(GET);
    let mut server = origin.accept();
    server.expect(GET);
    server.send(LEAKY);
    client.read(LEAKY.len() - 17);
    client.send(GET);
    server.expect(GET);
    drop(server);
    let mut fresh = origin.accept();
    fresh.expect(GET);
    fresh.send(LEAKY);
    let lines = logged.await_lines(2);
    assert!(lines[0].ends_with(" replayed=false") && lines[1].ends_with(" replayed=true"), "{lines:#?}");
}

/// An early answer does not end the line of its request; a tunnel is told when it is over.
#[test]
fn a_line_is_written_when_all_is_over() {
    let origin = Origin::new();
    let logged = Logged::start(&origin, &[]);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    let mut client = logged.proxy.dial();
    client.send(head);
    let mut server = origin.accept();
    server.expect(head);
    server.send(LEAKY);
    client.read(LEAKY.len() - 17);
    client.send("body");
    server.expect("body");
    let line = &logged.await_lines(1)[0];
    assert!(line.contains(&format!(" bytes_in={} ", head.len() + 4)), "{line}");
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = logged.proxy.dial();
    client.send(upgrade);
    let mut server = origin.accept();
    server.expect(upgrade);
    server.send(switched);
    client.expect(switched);
    client.send("ping");
    server.expect("ping");
    server.send("pong!");
    client.expect("pong!");
    drop(client);
    drop(server);
    let line = &logged.await_lines(2)[1];
    let bytes = format!(" status=101 bytes_in={} bytes_out={} ", upgrade.len() + 4, switched.len() + 5);
    assert!(line.contains(&bytes), "{bytes} in {line}");
}

/// A reader of the log that has stopped reading stops nobody else, and what was lost is told.
#[test]
fn an_access_log_that_nobody_reads_is_lost_and_counted() {
    let origin = Origin::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    command.stdout(Stdio::from(writer));
    let proxy = Headsnip::start_by(&mut command, &origin.address(), &["--access-log", "--drain-delay", "0s"]);
    // The command keeps its end of the pipe.
    drop(command);
    let target = "a".repeat(1000);
    let request = format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut client = proxy.dial();
    client.send(&request);
    let mut server = origin.accept();
    let answer = "HTTP/1.1 204 No Content\r\n\r\n";
    for _ in 0..2_500 {
        server.expect(&request);
        server.send(answer);
        client.expect(answer);
        client.send(&request);
    }
    proxy.signal("TERM");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    let (status, log) = proxy.wait(LIMIT);
    assert!(status.success(), "{log:#?}");
    let told = text.lines().filter(|line| line.contains(" status=204 ")).count();
    let lost: usize = log.iter().filter_map(|line| lost_by(line)).sum();
    assert!(lost > 500 && told + lost >= 2_500, "{told} told, {lost} lost");
}

/// As of `2>&1`, of a container, of the journal: what does not fit is taken in pieces, from whoever is woken first.
#[test]
fn no_line_is_torn_where_both_logs_go_to_one_socket() {
    // Who is woken first differs: of four tries without a remedy, three tore a line.
    for _ in 0..4 {
        fill_one_socket_with_both_logs();
    }
}

fn fill_one_socket_with_both_logs() {
    // More than are gathered for one write of the access log; as many names as are told.
    const REQUESTS: usize = 400;
    const NAMES: usize = 256;
    let origin = Origin::new();
    let (reader, writer) = UnixStream::pair().expect("a socket pair");
    socket2::SockRef::from(&writer).set_send_buffer_size(1).expect("it can be small");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    command.stdout(OwnedFd::from(writer.try_clone().expect("a descriptor"))).stderr(OwnedFd::from(writer));
    let flags = ["--access-log", "--log-format", "json", "--dry-run", "--deny-request", "x-*", "--drain-delay", "0s"];
    let gate = Arc::new(Mutex::new(()));
    let reader = Gated { reader, gate: Arc::clone(&gate) };
    let proxy = Headsnip::start_read("127.0.0.1:0", &mut command, &origin.address(), &flags, |_| reader);
    // The command keeps its ends of the socket.
    drop(command);
    let closed = gate.lock().expect("no reader panics");
    let mut client = proxy.dial();
    let mut server = None;
    let answer = "HTTP/1.1 204 No Content\r\n\r\n";
    for turn in 0..REQUESTS {
        let (target, value) = ("a".repeat(500), "b".repeat(400));
        let request = format!("GET /{target} HTTP/1.1\r\nHost: a\r\nX-{turn}: {value}\r\n\r\n");
        client.send(&request);
        let server = server.get_or_insert_with(|| origin.accept());
        server.expect(request);
        server.send(answer);
        client.expect(answer);
    }
    drop((closed, client));
    proxy.signal("TERM");
    let (_, lines) = proxy.wait(LIMIT);
    let told = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!((told("\"status\":204"), told("dry run: would remove")), (REQUESTS, NAMES));
    for line in &lines {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

/// Reads while nobody holds the gate.
struct Gated {
    reader: UnixStream,
    gate: Arc<Mutex<()>>,
}

impl Read for Gated {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        drop(self.gate.lock().expect("no test panics with the gate"));
        self.reader.read(room)
    }
}

/// How many lines an event says were lost.
fn lost_by(event: &str) -> Option<usize> {
    event.split("the access log has lost ").nth(1)?.split(' ').next()?.parse().ok()
}

#[test]
fn an_access_log_that_cannot_be_written_is_told() {
    let origin = Origin::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    command.stdout(File::options().write(true).open("/dev/full").expect("the device is there"));
    let proxy = Headsnip::start_by(&mut command, &origin.address(), &["--access-log", "--drain-delay", "0s"]);
    for _ in 0..3 {
        assert_eq!(exchange(&proxy, &origin, GET, LEAKY), STRIPPED);
    }
    proxy.await_line("No space left on device");
    proxy.signal("TERM");
    let (status, log) = proxy.wait(LIMIT);
    assert!(status.success(), "{log:#?}");
    assert_eq!(log.iter().filter_map(|line| lost_by(line)).sum::<usize>(), 3, "{log:#?}");
}

/// A disk that is full for a while.
#[test]
fn a_line_that_is_written_in_part_spoils_no_other() {
    let origin = Origin::new();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("full-access-log-{}", std::process::id()));
    let mut file = File::create(&path).expect("the folder is there");
    // No number of lines fills the rest.
    file.write_all(&[b'\n'; 100]).expect("it was created");
    let mut command = Command::new("prlimit");
    command.args(["--fsize=1024:", env!("CARGO_BIN_EXE_headsnip")]);
    command.stdout(File::options().append(true).open(&path).expect("it was created"));
    let flags = ["--access-log", "--log-format", "json", "--drain-delay", "0s"];
    let proxy = Headsnip::start_by(&mut command, &origin.address(), &flags);
    let read = || std::fs::read_to_string(&path).expect("it is there");
    // So many that the last of them is written in part.
    let mut count = 0;
    while read().len() < 1024 {
        assert_eq!(exchange(&proxy, &origin, GET, LEAKY), STRIPPED);
        count += 1;
    }
    proxy.await_line("the access log has lost");
    assert!(!read().ends_with('\n'), "{}", read());
    let room = Command::new("prlimit").args(["--pid", &proxy.id().to_string(), "--fsize=unlimited"]).status();
    assert!(room.expect("prlimit runs").success(), "the limit cannot be set");
    assert_eq!(exchange(&proxy, &origin, GET, LEAKY), STRIPPED);
    proxy.signal("TERM");
    let (status, log) = proxy.wait(LIMIT);
    assert!(status.success(), "{log:#?}");
    let text = read();
    let is_whole = |line: &&str| serde_json::from_str::<Value>(line).is_ok();
    let (whole, torn): (Vec<_>, Vec<_>) = text.lines().filter(|line| !line.is_empty()).partition(is_whole);
    assert_eq!(torn.len(), 1, "{text}");
    let lost: usize = log.iter().filter_map(|line| lost_by(line)).sum();
    assert_eq!(whole.len() + lost, count + 1, "{log:#?}");
}

#[test]
fn a_start_that_removes_nothing_is_warned_of() {
    let origin = Origin::new();
    let flags = ["--keep", "server,x-powered-by", "--log-format", "json"];
    let proxy = Headsnip::start(&origin.address(), &flags);
    let line = proxy.await_line("nothing is removed: --keep exempts every denied name");
    let told: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(told["level"], "warning", "{line}");
}

/// systemd.exec(5), `$JOURNAL_STREAM`: the device and the inode of what goes to the journal, which notes times itself.
#[test]
fn a_line_has_a_time_unless_it_goes_to_the_journal() {
    for (inode_of, is_dated) in [("this one", false), ("another", true), ("none", true)] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let own = std::fs::metadata(format!("/proc/self/fd/{}", writer.as_raw_fd())).expect("it is open");
        let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
        command.args(["--listen", "127.0.0.1:0"]).stderr(writer).env_remove("JOURNAL_STREAM");
        match inode_of {
            "this one" => command.env("JOURNAL_STREAM", format!("{}:{}", own.dev(), own.ino())),
            "another" => command.env("JOURNAL_STREAM", format!("{}:{}", own.dev(), own.ino() + 1)),
            _ => &mut command,
        };
        let mut child = command.spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).expect("a line");
        child.kill().and_then(|()| child.wait()).expect("it runs until then");
        let (before, _) = line.split_once("headsnip: listening on ").expect("the line of the start");
        if is_dated {
            let time = humantime::parse_rfc3339(before.trim_end()).expect("a time");
            assert!(time.elapsed().is_ok_and(|since| since < LIMIT), "{line}");
        } else {
            assert_eq!(before, "");
        }
    }
}
