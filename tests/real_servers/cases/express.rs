//! Express on Node's http server: `X-Powered-By` on each answer, and on informational responses, a 101 and in trailer
//! sections what the application puts there.

use std::process::Command;

use libtest_mimic::Failed;

use super::{Case, LONG, both_ways, chunked_post, counter, special, websocket, with_trailer};
use crate::compare::{denied_lines, same_but_denied, statuses};
use crate::process::{Process, Stop};
use crate::reader::{End, Piece};
use crate::server::{Check, Running, Server, file, port};
use crate::setup::{EXPRESS, Needs, Setup};
use crate::wire::{Endpoint, Request, Send, Transcript};

/// The application and what is asked of it.
pub(crate) fn server() -> Server {
    let mut checks: Vec<(String, Check)> = cases().into_iter().map(Case::into_check).collect();
    checks.push(special("tunnel_of_several_mb", tunnel));
    Server::new("express", Needs::Node, launch, checks)
}

/// The same behind a headsnip that lets a trailer line of requests pass.
pub(crate) fn server_for_trailers() -> Server {
    let upload = || with_trailer(chunked_post("/upload", &counter(LONG)), "X-Check: trailer");
    let case = Case::new("several_mb_up_with_a_trailer_line", upload(), &[200], 1)
        .then(Request::new("GET", "/hello", &[]), &[200], 1)
        .then(upload(), &[200], 1);
    let flags = &["--allow-request-trailers", "x-check"];
    Server { flags, ..Server::new("express_for_trailers", Needs::Node, launch, vec![case.into_check()]) }
}

fn launch(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.node()?, &Stop::Kill);
    command.arg(file("apps/express_app.js")).arg(port(at)?);
    command.env("NODE_PATH", setup.node_with(&EXPRESS)?).env("NODE_ENV", "production");
    Ok(command)
}

fn cases() -> Vec<Case> {
    let get = |target: &str| Request::new("GET", target, &[]);
    let expect = Request::post("/upload", counter(100_000), &["Expect: 100-continue"]);
    let upload = || Request::post("/upload", counter(LONG), &[]);
    vec![
        Case::new("ok", get("/hello"), &[200], 1),
        Case::new("not_found", get("/missing"), &[404], 1),
        Case::new("server_error", get("/fail"), &[500], 1),
        Case::new("head", Request::new("HEAD", "/hello", &[]), &[200], 1),
        Case::new("no_content", get("/empty"), &[204], 1),
        Case::new("decoy_body", get("/decoy"), &[200], 1),
        Case::new("trailers", get("/trailers"), &[200], 3),
        Case::new("early_hints", get("/hints"), &[103, 103, 200], 3),
        Case::new("several_mb_down", get(&format!("/download/{LONG}")), &[200], 1).body(counter(LONG)),
        Case::new("several_mb_streamed", get(&format!("/stream/{LONG}")), &[200], 1).body(counter(LONG)),
        Case::new("several_mb_up", upload(), &[200], 1),
        Case::new("several_mb_up_chunked", chunked_post("/upload", &counter(LONG)), &[200], 1),
        Case::new("several_mb_both_ways", Request::post("/echo", counter(LONG), &[]), &[200], 1).body(counter(LONG)),
        Case::new("expect_continue", Request { send: Send::OnceAsked, ..expect }, &[100, 200], 1),
        Case::new("closed_on_request", Request::new("GET", "/hello", &["Connection: close"]), &[200], 1),
        Case::new("http_1_0_streamed", Request::of_version("HTTP/1.0", "GET", "/stream/300000", &[]), &[200], 1),
        Case::new("kept_alive", get("/hints"), &[103, 103, 200], 3)
            .then(get("/trailers"), &[200], 3)
            .then(Request::new("HEAD", "/stream/1000", &[]), &[200], 1)
            .then(upload(), &[200], 1)
            .then(get("/hello"), &[200], 1),
        Case::new("pipelined", get("/hello"), &[200], 1)
            .then(get("/trailers"), &[200], 3)
            .then(get("/stream/1000"), &[200], 1)
            .pipelined(),
    ]
}

/// Several MB through what a 101 opened, sent back byte by byte, until the client has said all.
fn tunnel(running: &Running) -> Result<(), Failed> {
    let (direct, through) = both_ways(running, through_tunnel)?;
    if statuses(&direct)? != [101] || denied_lines(&direct) != 2 {
        return Err("the server itself sends no 101 with two denied lines".into());
    }
    if direct.pieces.last() != Some(&Piece::Tunnel(counter(LONG))) {
        return Err("the server itself does not send back what it got".into());
    }
    Ok(same_but_denied(&direct, &through, &[])?)
}

fn through_tunnel(at: &Endpoint) -> Result<Transcript, String> {
    let wire = at.dial()?;
    let mut reader = wire.reader()?;
    wire.write_all(&websocket::handshake("/tunnel").head)?;
    let head = reader.head()?;
    let sent = counter(LONG);
    let tunnel = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let result = wire.write_all(&sent);
            wire.finish_writing();
            result
        });
        let tunnel = reader.rest();
        writer.join().map_err(|_| "the writer panicked".to_owned())??;
        tunnel
    })?;
    Ok(Transcript { pieces: vec![Piece::Head(head), Piece::Tunnel(tunnel)], end: End::Closed })
}
