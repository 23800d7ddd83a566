//! uvicorn closes a connection that is idle for some seconds, and sooner than most load balancers do, which then answer
//! 502 to a request that meets the close. Behind headsnip the client's connection stays.

use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::{asgi::launch_uvicorn, special};
use crate::compare::statuses;
use crate::reader::{End, Response};
use crate::server::{Running, Server};
use crate::setup::Needs;
use crate::wire::{Request, Transcript};

/// Clients that ask around the moment of the close, each on one connection.
const CLIENTS: u32 = 8;

/// How long they do so, in seconds, where `KEEPALIVE_SECONDS` does not say.
const SECONDS: u64 = 8;

/// uvicorn with its time for idle connections cut to a second.
pub(crate) fn server() -> Server {
    let launch = |setup: &_, at: &_| {
        let mut command = launch_uvicorn(setup, at, "httptools")?;
        command.args(["--timeout-keep-alive", "1"]);
        Ok(command)
    };
    let checks = vec![
        special("client_stays_when_the_origin_closes", client_stays),
        special("no_get_fails_around_the_close", gets_around_the_close),
    ];
    Server::new("uvicorn_idle", Needs::Python, launch, checks)
}

fn client_stays(running: &Running) -> Result<(), Failed> {
    let get = Request::new("GET", "/hello", &[]);
    let through = running.through.dial()?;
    let mut through_reader = through.reader()?;
    expect_ok(through.exchange(&mut through_reader, &get)?)?;

    // A connection made later that the server closes: it has closed the earlier one, headsnip's, before.
    let direct = running.direct.dial()?;
    let mut direct_reader = direct.reader()?;
    expect_ok(direct.exchange(&mut direct_reader, &get)?)?;
    let rest = direct_reader.rest()?;
    if !rest.is_empty() {
        return Err("the server itself says something before it closes an idle connection".into());
    }

    expect_ok(through.exchange(&mut through_reader, &get)?)?;
    expect_ok(through.exchange(&mut through_reader, &Request::post("/upload", b"more".to_vec(), &[]))?)
}

/// "its next request is carried on a fresh one": also one that meets the close. The server closes a connection that was
/// idle for a second; the pauses between requests are a little shorter, the same, and a little longer.
fn gets_around_the_close(running: &Running) -> Result<(), Failed> {
    let seconds = std::env::var("KEEPALIVE_SECONDS").map_or(Ok(SECONDS), |text| text.parse());
    let end = Instant::now() + Duration::from_secs(seconds.map_err(|error| format!("KEEPALIVE_SECONDS: {error}"))?);
    let results: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask_until(running, client, end))).collect();
        clients.into_iter().map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".into()))).collect()
    });
    let mut requests = 0;
    for result in results {
        requests += result?;
    }
    eprintln!("uvicorn_idle: {requests} GETs around the close, none failed");
    Ok(())
}

/// One client; gives the number of its requests, of which none failed.
fn ask_until(running: &Running, client: u32, end: Instant) -> Result<u32, Failed> {
    let get = Request::new("GET", "/hello", &[]);
    thread::sleep(Duration::from_millis(130) * client);
    let wire = running.through.dial()?;
    let mut reader = wire.reader()?;
    let mut made = 0;
    while Instant::now() < end {
        let response = wire.exchange(&mut reader, &get).map_err(Failed::from).and_then(expect_ok);
        response.map_err(|failed| format!("request {made} of client {client}: {}", failed.message().unwrap_or("")))?;
        made += 1;
        // Every other pause within some 3 ms of the second, where the close happens.
        let step = (made / 2 * 5 + client * 3) % 20;
        let pause = if made % 2 == 0 { 950_000 + step * 5_000 } else { 998_000 + step * 300 };
        thread::sleep(Duration::from_micros(pause.into()));
    }
    Ok(made)
}

fn expect_ok(response: Response) -> Result<(), Failed> {
    let transcript = Transcript { pieces: response.pieces, end: response.end };
    let statuses = statuses(&transcript)?;
    if statuses != [200] || transcript.end != End::Open {
        return Err(format!("expected 200 on a connection that stays, found {statuses:?}, {:?}", transcript.end).into());
    }
    Ok(())
}
