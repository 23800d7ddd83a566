//! "A client that leaves is gone for the origin too": also one that has ended before, or while its request waits for a connection. "A tunnel that is
//! cut never looks ended", to whichever side.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use serde_json::Value;

use super::logged::FLAGS;
use super::support::headsnip::until;
use super::support::watched::{Watched, narrow};
use super::support::{Ended, Origin, Peer, body, full_backlog};
use super::{GET, MEGABYTES, Tests, test};

pub(super) const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
pub(super) const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Far less than what else ends these connections.
const SOON: Duration = Duration::from_secs(4);

pub(super) fn tests() -> Tests {
    vec![
        test("who_is_reset_behind_its_end_is_gone_while_the_origin_computes", computing),
        test("who_is_reset_behind_its_end_is_gone_while_a_cut_waits", cut),
        test("a_tunnel_whose_client_is_reset_behind_its_end_is_cut", || {
            let (proxy, _listener, client, origin) = tunnel(&[]);
            is_cut(&proxy, client, origin);
        }),
        test("a_tunnel_whose_origin_is_reset_behind_its_end_is_cut", || {
            let (proxy, _listener, client, origin) = tunnel(&[]);
            is_cut(&proxy, origin, client);
        }),
        test("a_web_socket_that_its_server_closes_first_leaves_nothing", closed_by_server),
        test("who_is_reset_while_the_origin_is_dialled_is_gone", || dialling(|_, _| ())),
        test("who_is_reset_behind_its_end_while_the_origin_is_dialled_is_gone", || dialling(finish)),
        test("who_is_reset_behind_its_end_behind_a_request_that_waits_is_gone", waiting),
    ]
}

fn is_empty(proxy: &Watched) {
    until(SOON, "nobody is there", || (proxy.metric("headsnip_open_connections") == 0).then_some(()));
}

fn computing() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = proxy.dial();
    client.send(GET);
    client.finish();
    let mut origin = listener.accept();
    origin.expect_end(GET, Ended::Fin);
    assert_eq!(proxy.metric("headsnip_open_connections"), 1, "the origin may answer");
    client.reset();
    is_empty(&proxy);
    proxy.await_line("client connection_terminated: client_gone");
    // A process that writes to nobody is told so.
    until(SOON, "the origin's connection is gone", || origin.try_send("late").err());
}

fn cut() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let client = narrow(proxy.port());
    (&client).write_all(GET.as_bytes()).expect("it reads");
    client.shutdown(Shutdown::Write).expect("it is open");
    let mut origin = listener.accept();
    origin.expect_end(GET, Ended::Fin);
    let answer = [b"HTTP/1.1 200 OK\r\n\r\n", &body(MEGABYTES)[..]].concat();
    origin.send_until_blocked_by(&answer);
    origin.reset();
    proxy.await_line("(reset)");
    assert_eq!(proxy.metric("headsnip_open_connections"), 1, "the client may take what was relayed");
    Peer::new(client).reset();
    is_empty(&proxy);
}

fn tunnel(flags: &[&str]) -> (Watched, Origin, Peer, Peer) {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), flags);
    let mut client = proxy.dial();
    client.send(UPGRADE);
    let mut origin = listener.accept();
    origin.expect(UPGRADE);
    origin.send(SWITCHED);
    client.expect(SWITCHED);
    (proxy, listener, client, origin)
}

/// One side ends and then resets; the other is told.
fn is_cut(proxy: &Watched, mut near: Peer, mut far: Peer) {
    near.finish();
    far.expect_end("", Ended::Fin);
    near.reset();
    is_empty(proxy);
    until(SOON, "the other side is told", || far.try_send("late").err());
}

/// The server says that it closes and does, as some do; the client says so too, and closes.
fn closed_by_server() {
    let (proxy, _listener, mut client, mut origin) = tunnel(&FLAGS);
    origin.send("bye");
    drop(origin);
    client.expect_end("bye", Ended::Fin);
    client.send("bye");
    drop(client);
    is_empty(&proxy);
    assert_eq!(proxy.metric("headsnip_failures_total"), 0);
    let exchange = &proxy.await_exchanges(1)[0];
    assert_eq!(exchange["detail"], Value::Null, "{exchange}");
}

/// Ends the client's side, and waits until that was seen: a turn of the worker later.
fn finish(proxy: &Watched, client: &mut Peer) {
    client.finish();
    let mut other = proxy.dial();
    other.send("?\r\n\r\n");
    other.expect_end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Ended::Fin);
    drop(other);
    // The one who may have an answer stays.
    proxy.await_metric("headsnip_open_connections", |count| count == 1);
}

/// Of more bytes than are read to find its end.
fn waiting() {
    let listener = Origin::new();
    let proxy = Watched::start(&listener.address(), &[]);
    let mut client = proxy.dial();
    client.send(GET);
    let mut origin = listener.accept();
    origin.expect(GET);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.send(body(80_000));
    finish(&proxy, &mut client);
    client.reset();
    is_empty(&proxy);
    proxy.await_line("client connection_terminated: client_gone");
    until(SOON, "the origin's connection is gone", || origin.try_send("late").err());
}

/// What the client does between its request and its reset.
fn dialling(before: impl FnOnce(&Watched, &mut Peer)) {
    let silent = full_backlog();
    let proxy = Watched::start(&silent.address(), &["--connect-timeout", "30s"]);
    let mut client = proxy.dial();
    client.send(GET);
    proxy.await_metric("headsnip_requests_total", |count| count == 1);
    before(&proxy, &mut client);
    client.reset();
    is_empty(&proxy);
    proxy.await_line("client connection_terminated: client_gone");
}
