//! Java's own client as it is by default, which offers h2c on each plain connection: to Hypercorn, which takes it where the request
//! has no body and no length, and to uvicorn, which declines it, but by httptools then reads a body as if it had not.

use std::process::Command;
use std::time::Duration;

use libtest_mimic::Failed;

use super::asgi::{launch_hypercorn, launch_uvicorn};
use super::special;
use crate::process::run_to_end;
use crate::server::{Client, Launch, Running, Server, file};
use crate::setup::Needs;
use crate::wire::Endpoint;

/// How long the client may take for all its requests, its own compilation with it: three seconds where this was written.
const CLIENT_LIMIT: Duration = Duration::from_secs(120);

/// How often the server itself is asked until it fails: its client may send head and body apart.
const DIRECTLY: u32 = 5;

/// The servers of the ASGI application once more, each for this client alone.
pub(crate) fn servers() -> Vec<Server> {
    let server = |name, launch: Launch, check| Server {
        client: Client::Java,
        ..Server::new(name, Needs::Python, launch, vec![special("java_client", check)])
    };
    vec![
        server("hypercorn_for_java", launch_hypercorn, is_served),
        server("uvicorn_for_java", |setup, at| launch_uvicorn(setup, at, "httptools"), is_served_only_through),
    ]
}

fn is_served(running: &Running) -> Result<(), Failed> {
    ask(running, &running.through).map_err(|error| format!("through headsnip: {error}").into())
}

/// The server itself loses the body of a POST that comes with its head.
fn is_served_only_through(running: &Running) -> Result<(), Failed> {
    let is_lost = |error: String| error.contains(r#"POST: 200, HTTP_1_1, {"length":0,"#);
    if (0..DIRECTLY).any(|_| ask(running, &running.direct).is_err_and(is_lost)) {
        return is_served(running);
    }
    Err("the server itself reads the body of a request that offers h2c".into())
}

/// Runs the client, which ends well if each answer is as it should be.
fn ask(running: &Running, at: &Endpoint) -> Result<(), String> {
    let mut client = Command::new(running.setup.java()?);
    // Little memory and little compilation: it runs beside other tests.
    client.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]).arg(file("apps/JavaClient.java"));
    client.arg(format!("http://{at}")).arg("HTTP_1_1");
    let log = running.setup.scratch().join(format!("{at}.client.log"));
    run_to_end(client, &log, CLIENT_LIMIT)
}
