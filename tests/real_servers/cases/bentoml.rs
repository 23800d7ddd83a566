//! `BentoML` as it was before it stopped sending `Server`: the case it all began with. It runs uvicorn inside, and each
//! answer holds two such lines, one of uvicorn's and one of its own.

use std::process::Command;

use super::{Case, counter};
use crate::process::{Process, Stop};
use crate::server::{Server, file, port};
use crate::setup::{BENTOML, Needs, Setup};
use crate::wire::{Endpoint, Request};

/// A number that the service makes up for each request.
const VARIES: &[&str] = &["x-bentoml-request-id"];

/// The service and what is asked of it.
pub(crate) fn server() -> Server {
    let checks = cases().into_iter().map(|case| case.varying(VARIES).into_check()).collect();
    Server::new("bentoml", Needs::Python, launch, checks)
}

fn launch(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    // Its worker leaves the process group, so its parent must end it.
    let mut command = Process::command(setup.python_with(&BENTOML)?.join("bentoml"), &Stop::Ask);
    command.current_dir(file("apps")).args(["serve", "bentoml_service:Shout", "--host", "127.0.0.1"]);
    command.args(["--port", &port(at)?]);
    command.env("BENTOML_HOME", setup.scratch().join("bentoml-home")).env("BENTOML_DO_NOT_TRACK", "True");
    Ok(command)
}

fn cases() -> Vec<Case> {
    let json =
        |target: &str, body: &str| Request::post(target, body.as_bytes().to_vec(), &["Content-Type: application/json"]);
    let hello = || json("/shout", r#"{"text": "hello"}"#);
    let letters = |byte: &u8| [byte >> 4, byte & 0xf].map(|digit| char::from(b'a' + digit));
    let long: String = counter(1_500_000).iter().flat_map(letters).collect();
    let long_request = json("/shout", &format!(r#"{{"text": "{long}"}}"#));
    let get = |target| Request::new("GET", target, &[]);
    vec![
        Case::new("ok", hello(), &[200], 2).body(b"HELLO".to_vec()),
        Case::new("several_mb_both_ways", long_request, &[200], 2).body(long.to_uppercase().into_bytes()),
        Case::new("streamed", json("/stream", r#"{"parts": 40}"#), &[200], 2),
        Case::new("bad_request", json("/shout", "{"), &[500], 1),
        Case::new("server_error", json("/fail", r#"{"text": "hello"}"#), &[500], 1),
        Case::new("not_found", get("/missing"), &[404], 1),
        Case::new("ready", get("/readyz"), &[200], 1),
        Case::new("head", Request::new("HEAD", "/readyz", &[]), &[200], 1),
        Case::new("kept_alive", hello(), &[200], 2)
            .then(get("/missing"), &[404], 1)
            .then(json("/stream", r#"{"parts": 3}"#), &[200], 2)
            .then(hello(), &[200], 2),
    ]
}
