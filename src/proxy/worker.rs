//! A worker: one thread, one current-thread runtime, one listener. What its sessions share is here.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{LocalSet, spawn_local};

use super::deadline::Deadlines;
use super::relay::Memory;
use super::session::Session;
use crate::config::Config;
use crate::net::listener::Listener;
use crate::ops::log;

/// The pause after a failed accept: with no descriptor left, the next try would fail at once and for ever.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the sessions of a worker share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) config: &'static Config,
    pub(super) deadlines: Deadlines,
    pub(super) memory: Memory,
}

impl Worker {
    fn new(config: &'static Config) -> Self {
        Self { config, deadlines: Deadlines::new(config.timeouts.shortest()), memory: Memory::new() }
    }
}

/// Serves until `stop` is ready; then all connections are dropped.
pub(super) async fn serve<F: Future>(config: &'static Config, listener: Listener, stop: F) -> F::Output {
    let worker = Rc::new(Worker::new(config));
    let sessions = LocalSet::new();
    let accepting = accept(Rc::clone(&worker), listener);
    let serving = async {
        spawn_local(async move { worker.deadlines.sweep().await });
        spawn_local(accepting);
        stop.await
    };
    sessions.run_until(serving).await
}

async fn accept(worker: Rc<Worker>, listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(client) => drop(spawn_local(Session::new(Rc::clone(&worker), client))),
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    // The peer gave up before it was accepted: the next one may be fine.
    if error.kind() != io::ErrorKind::ConnectionAborted {
        log::event(format_args!("cannot accept a connection: {error}"));
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
