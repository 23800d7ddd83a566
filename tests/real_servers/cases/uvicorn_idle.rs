//! uvicorn closes a connection that is idle for some seconds, and sooner than most load balancers do, which then answer
//! 502 to a request that meets the close. Behind headsnip the client's connection stays.

use libtest_mimic::Failed;

use super::{asgi::launch_uvicorn, special};
use crate::compare::statuses;
use crate::reader::{End, Response};
use crate::server::{Running, Server, Transport};
use crate::setup::Needs;
use crate::wire::{Request, Transcript};

/// uvicorn with its time for idle connections cut to a second.
pub(crate) fn server() -> Server {
    Server {
        name: "uvicorn_idle",
        needs: Needs::Python,
        transport: Transport::Tcp,
        launch: |setup, at| {
            let mut command = launch_uvicorn(setup, at, "httptools")?;
            command.args(["--timeout-keep-alive", "1"]);
            Ok(command)
        },
        checks: vec![special("client_stays_when_the_origin_closes", client_stays)],
    }
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

fn expect_ok(response: Response) -> Result<(), Failed> {
    let transcript = Transcript { pieces: response.pieces, end: response.end };
    let statuses = statuses(&transcript)?;
    if statuses != [200] || transcript.end != End::Open {
        return Err(format!("expected 200 on a connection that stays, found {statuses:?}, {:?}", transcript.end).into());
    }
    Ok(())
}
