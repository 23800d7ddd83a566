//! Python's own http.server: HTTP/1.0, one request a connection, bodies that end with the connection, and a refusal
//! that does not wait for the request's body.

use std::process::Command;

use super::{Case, LONG, counter};
use crate::process::{Process, Stop};
use crate::server::{Server, file, port};
use crate::setup::{Needs, Setup};
use crate::wire::{Endpoint, Request};

/// The server and what is asked of it.
pub(crate) fn server() -> Server {
    let checks = cases().into_iter().map(Case::into_check).collect();
    Server::new("http_server", Needs::Python, launch, checks)
}

fn launch(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let folder = setup.scratch().join("served");
    let filled = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("long.bin"), counter(LONG)));
    filled.map_err(|error| format!("cannot fill {}: {error}", folder.display()))?;
    let mut command = Process::command(setup.python()?, &Stop::Kill);
    command.arg(file("apps/http_server_app.py")).arg(port(at)?).arg(folder);
    Ok(command)
}

fn cases() -> Vec<Case> {
    let get = |target: &str| Request::new("GET", target, &[]);
    let old = |target: &str| Request::of_version("HTTP/1.0", "GET", target, &[]);
    vec![
        Case::new("file", get("/long.bin"), &[200], 1).body(counter(LONG)),
        Case::new("file_http_1_0", old("/long.bin"), &[200], 1).body(counter(LONG)),
        Case::new("until_close", get("/until-close"), &[200], 1),
        Case::new("until_close_http_1_0", old("/until-close"), &[200], 1),
        Case::new("listing", get("/"), &[200], 1),
        Case::new("not_found", get("/missing"), &[404], 1),
        Case::new("head", Request::new("HEAD", "/long.bin", &[]), &[200], 1),
        Case::new("refused_with_the_body_unread", Request::post("/", counter(LONG), &[]), &[501], 1),
    ]
}
