//! headsnip in front of real servers: uvicorn, `BentoML`, gunicorn, Hypercorn, Express and Python's http.server; and in front of
//! servers that read requests otherwise than others, some of them old: gunicorn 21.2, aiohttp 3.12.13, h11 0.14, cheroot, Express 4,
//! Node's lenient parser, Bun. And between `HAProxy` and nginx.
//!
//! Most tests ask a server directly and through headsnip, with the same bytes, and compare what comes back byte by
//! byte: all that may be missing are whole `Server` and `X-Powered-By` lines. Those of faulty servers show the fault directly, and
//! through headsnip that it harms no neighbour. The first run installs packages of pinned
//! versions under the build folder. Where Python, Node, Java, nginx or `HAProxy` is missing, the tests that need it are skipped, which is said;
//! with `CI=true` in the environment they fail instead. All traffic stays on this machine.
//!
//! Reading order: `cases` (what is asked), `compare` (what must hold), `reader` and `wire` (a small HTTP client),
//! `server` and `process` (starting and ending), `setup` (what must be installed).

mod cases;
mod compare;
#[path = "../support/process.rs"]
mod process;
mod reader;
mod server;
#[path = "../support/setup.rs"]
#[expect(dead_code, reason = "the schemas are for other tests")]
mod setup;
mod wire;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use libtest_mimic::Arguments;

use server::Server;
use setup::{Needs, Setup};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
    let setup = match Setup::new() {
        Ok(setup) => Arc::new(setup),
        Err(error) => {
            eprintln!("real servers: {error}");
            return ExitCode::FAILURE;
        }
    };
    let missing =
        [setup.missing(Needs::Python), setup.missing(Needs::Node), setup.proxies_missing(), setup.java_missing()];
    for reason in missing.into_iter().flatten() {
        let outcome = if must_run { "fail, as CI=true wants it" } else { "are skipped" };
        eprintln!("real servers: {reason}; the tests that need it {outcome}");
    }
    let servers = servers().into_iter().map(|server| server.into_trials(&setup, must_run));
    let (trials, running): (Vec<_>, Vec<_>) = servers.unzip();
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    // Ends every process that was started, each at the same time as the others.
    thread::scope(|scope| {
        for shared in running {
            scope.spawn(move || drop(shared));
        }
    });
    conclusion.exit_code()
}

fn servers() -> Vec<Server> {
    let mut servers = cases::asgi::servers();
    servers.push(cases::uvicorn_idle::server());
    servers.push(cases::bentoml::server());
    servers.push(cases::story::server());
    servers.push(cases::express::server());
    servers.push(cases::express::server_for_trailers());
    servers.push(cases::http_server::server());
    servers.extend(cases::faulty_python::servers());
    servers.extend(cases::faulty_node::servers());
    servers.extend(cases::django::servers());
    servers.extend(cases::java_client::servers());
    servers.extend(cases::forwarded::servers());
    servers.extend(cases::introduced::servers());
    servers
}
