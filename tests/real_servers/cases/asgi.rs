//! The ASGI application behind uvicorn (h11 and httptools, TCP and unix socket), gunicorn and Hypercorn.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use libtest_mimic::Failed;

use super::{Case, LONG, both_ways, chunked_post, counter, special, websocket};
use crate::compare::{denied_lines, same_but_denied};
use crate::process::{Process, Stop};
use crate::reader::End;
use crate::server::{Check, Launch, Running, Server, Transport, file, port};
use crate::setup::{ASGI, Needs, Setup};
use crate::wire::{Endpoint, Request, Transcript};

/// What differs between the servers of this family.
#[derive(Clone, Copy)]
struct Habits {
    /// Denied lines in a 100 Continue.
    in_continue: usize,
    /// Denied lines in the refusal of a WebSocket.
    in_refusal: usize,
}

const UVICORN: Habits = Habits { in_continue: 0, in_refusal: 0 };
const HYPERCORN: Habits = Habits { in_continue: 1, in_refusal: 1 };

/// All servers of this family.
pub(crate) fn servers() -> Vec<Server> {
    let uvicorn = |name, transport, launch| server(name, transport, launch, UVICORN);
    let mut hypercorn = server("hypercorn", Transport::Tcp, launch_hypercorn, HYPERCORN);
    hypercorn.checks.extend(super::hypercorn::checks());
    let mut httptools =
        uvicorn("uvicorn_httptools_tcp", Transport::Tcp, |setup, at| launch_uvicorn(setup, at, "httptools"));
    httptools.checks.push(special("two_minutes", super::readme::two_minutes));
    vec![
        uvicorn("uvicorn_h11_tcp", Transport::Tcp, |setup, at| launch_uvicorn(setup, at, "h11")),
        uvicorn("uvicorn_h11_uds", Transport::Unix, |setup, at| launch_uvicorn(setup, at, "h11")),
        httptools,
        uvicorn("uvicorn_httptools_uds", Transport::Unix, |setup, at| launch_uvicorn(setup, at, "httptools")),
        uvicorn("gunicorn_uvicorn_worker", Transport::Tcp, launch_gunicorn),
        hypercorn,
    ]
}

/// uvicorn with this application; more arguments can be added.
pub(crate) fn launch_uvicorn(setup: &Setup, at: &Endpoint, http: &str) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&ASGI)?.join("uvicorn"), &Stop::Kill);
    command.current_dir(file("apps")).args(["asgi_app:app", "--http", http, "--no-access-log"]);
    match at {
        Endpoint::Tcp(address) => command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]),
        Endpoint::Unix(path) => command.arg("--uds").arg(path),
    };
    Ok(command)
}

fn launch_gunicorn(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&ASGI)?.join("gunicorn"), &Stop::Ask);
    let bind = format!("127.0.0.1:{}", port(at)?);
    command.current_dir(file("apps")).args(["asgi_app:app", "--bind", &bind, "--workers", "1"]);
    command.args(["--worker-class", "uvicorn_worker.UvicornWorker", "--no-control-socket"]);
    Ok(command)
}

pub(crate) fn launch_hypercorn(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&ASGI)?.join("hypercorn"), &Stop::Ask);
    let bind = format!("127.0.0.1:{}", port(at)?);
    command.current_dir(file("apps")).args(["asgi_app:app", "--bind", &bind, "--workers", "1"]);
    Ok(command)
}

fn server(name: &'static str, transport: Transport, launch: Launch, habits: Habits) -> Server {
    let cases = answers().into_iter().chain(bodies(habits)).chain(connections());
    let mut checks: Vec<(String, Check)> = cases.map(Case::into_check).collect();
    checks.push(Case::new("websocket_refused", websocket::handshake("/hello"), &[403], habits.in_refusal).into_check());
    checks.push(special("broken_body_stays_broken", broken_body));
    checks.push(special("events_come_one_by_one", events));
    checks.push(special("websocket_raw", websocket::raw));
    checks.push(special("websocket_real_client", websocket::real_client));
    Server { transport, ..Server::new(name, Needs::Python, launch, checks) }
}

fn get(target: &str) -> Request {
    Request::new("GET", target, &["Accept: */*"])
}

/// Each kind of answer once.
fn answers() -> Vec<Case> {
    vec![
        Case::new("ok", get("/hello"), &[200], 1),
        Case::new("not_found", get("/missing"), &[404], 1),
        Case::new("method_not_allowed", Request::post("/hello", b"x".to_vec(), &[]), &[405], 1),
        Case::new("server_error", get("/fail"), &[500], 1),
        Case::new("head", Request::new("HEAD", "/hello", &[]), &[200], 1),
        Case::new("no_content", get("/empty"), &[204], 1),
        Case::new("not_modified", get("/unchanged"), &[304], 1),
        Case::new("fields_of_the_application", get("/fields"), &[200], 4),
    ]
}

/// Bodies both ways.
fn bodies(habits: Habits) -> Vec<Case> {
    let expect = ["Expect: 100-continue"];
    let asked = Request { send: crate::wire::Send::OnceAsked, ..Request::post("/upload", counter(100_000), &expect) };
    let several_mb = format!("/download/{LONG}");
    let streamed = format!("/stream/{LONG}");
    vec![
        Case::new("decoy_body", get("/decoy"), &[200], 1),
        Case::new("decoy_stream", get("/decoy-stream"), &[200], 1),
        Case::new("several_mb_down", get(&several_mb), &[200], 1).body(counter(LONG)),
        Case::new("several_mb_streamed", get(&streamed), &[200], 1).body(counter(LONG)),
        Case::new("several_mb_up", Request::post("/upload", counter(LONG), &[]), &[200], 1),
        Case::new("several_mb_up_chunked", chunked_post("/upload", &counter(LONG)), &[200], 1),
        Case::new("several_mb_both_ways", Request::post("/echo", counter(LONG), &[]), &[200], 1).body(counter(LONG)),
        Case::new("expect_continue", asked, &[100, 200], 1 + habits.in_continue),
    ]
}

/// Connections that carry more than one exchange, or end with one.
fn connections() -> Vec<Case> {
    let old = |target| Request::of_version("HTTP/1.0", "GET", target, &[]);
    let upload = || Request::post("/upload", counter(10_000), &[]);
    let item = |body: &str| Request::post("/items", body.as_bytes().to_vec(), &["Content-Type: application/json"]);
    vec![
        Case::new("closed_on_request", Request::new("GET", "/hello", &["Connection: close"]), &[200], 1),
        Case::new("http_1_0", old("/hello"), &[200], 1),
        Case::new("http_1_0_streamed", old("/stream/300000"), &[200], 1).body(counter(300_000)),
        Case::new("kept_alive", get("/hello"), &[200], 1)
            .then(Request::new("HEAD", "/hello", &[]), &[200], 1)
            .then(upload(), &[200], 1)
            .then(get("/stream/100000"), &[200], 1)
            .then(get("/missing"), &[404], 1)
            .then(get("/empty"), &[204], 1)
            .then(chunked_post("/upload", &counter(10_000)), &[200], 1)
            .then(get("/hello"), &[200], 1),
        Case::new("results_of_posts", item(r#"{"name": "one"}"#), &[201], 1)
            .then(item(r#"{"title": "one"}"#), &[422], 1)
            .then(Request::post("/form", b"name=one".to_vec(), &[]), &[303], 1)
            .then(Request::new("HEAD", "/hello", &[]), &[200], 1)
            .then(get("/unchanged"), &[304], 1)
            .then(item(r#"{"name": "two"}"#), &[201], 1)
            .then(get("/hello"), &[200], 1),
        Case::new("pipelined", get("/hello"), &[200], 1)
            .then(upload(), &[200], 1)
            .then(Request::new("HEAD", "/hello", &[]), &[200], 1)
            .then(get("/stream/100000"), &[200], 1)
            .then(get("/missing"), &[404], 1)
            .pipelined(),
    ]
}

/// An application that fails within its body: the client must see that the body is not whole.
fn broken_body(running: &Running) -> Result<(), Failed> {
    let (direct, through) = both_ways(running, |at| at.converse(&[get("/broken")], crate::wire::Order::OneByOne))?;
    if direct.end != End::Cut {
        return Err(format!("the server itself ends a broken body by {:?}", direct.end).into());
    }
    Ok(same_but_denied(&direct, &through, &[])?)
}

/// A stream whose second event is not sent before the first was received: a proxy that holds events back stands still.
fn events(running: &Running) -> Result<(), Failed> {
    static KEY: AtomicU64 = AtomicU64::new(0);
    let ask = |at: &Endpoint| {
        let target = format!("/events/{}", KEY.fetch_add(1, Ordering::Relaxed));
        let release = Request::post(&format!("{target}/release"), Vec::new(), &[]);
        let wire = at.dial()?;
        let mut reader = wire.reader()?;
        wire.write_all(&get(&target).head)?;
        reader.until_seen(b"data: one\n\n\r\n")?;
        running.direct.converse(&[release], crate::wire::Order::OneByOne)?;
        let response = reader.response("GET")?;
        Ok(Transcript { pieces: response.pieces, end: response.end })
    };
    let (direct, through) = both_ways(running, ask)?;
    if denied_lines(&direct) != 1 {
        return Err("the server itself sends no denied line".into());
    }
    Ok(same_but_denied(&direct, &through, &[])?)
}
