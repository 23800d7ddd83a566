//! The page on how a team gets here: `FastAPI` of today, with a middleware that is to remove Server.

use std::process::Command;

use super::Case;
use crate::process::{Process, Stop};
use crate::server::{Server, file, port};
use crate::setup::{Needs, STORY, Setup};
use crate::wire::{Endpoint, Request};

/// The application and what is asked of it: the middleware has seen no Server, and the response has one.
pub(crate) fn server() -> Server {
    let get = |target| Request::new("GET", target, &[]);
    let cases = [
        Case::new("middleware_runs_too_early", get("/hello"), &[200], 1).body(br#"{"hello":"world"}"#.to_vec()),
        Case::new("not_found", get("/missing"), &[404], 1),
    ];
    Server::new("fastapi_story", Needs::Python, launch, cases.map(Case::into_check).into())
}

fn launch(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&STORY)?.join("uvicorn"), &Stop::Kill);
    command.current_dir(file("apps")).args(["story_app:app", "--host", "127.0.0.1", "--port", &port(at)?]);
    Ok(command)
}
