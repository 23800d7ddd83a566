//! Who a server takes the client to be that reads the PROXY protocol: nginx behind `HAProxy`, and gunicorn, whose workers read it each in their own way.
//!
//! The client is at 127.0.0.9, so that it is told from all others of this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::Value;

use super::forwarded::{same, text};
use super::special;
use crate::process::{Process, Stop};
use crate::reader::Reader;
use crate::server::{Client, Launch, Running, Server, file, free_port, port};
use crate::setup::{ASGI, Needs, Setup};
use crate::wire::{Endpoint, Order, Request, Wire};

/// Where the client is.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// How long `HAProxy` may take to begin, and until it has looked often enough whether headsnip is there.
const LIMIT: Duration = Duration::from_secs(30);

/// How many connections, most of them looks, headsnip has taken before the client comes.
const LOOKS: u64 = 20;

/// What is told of a look of which the response was not acknowledged.
const RESET: &str = "\"reason\":\"connection_terminated\",\"detail\":\"unacknowledged\"";

/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(10);

const BEHIND_HAPROXY: &[&str] = &[
    "--accept-proxy",
    "127.0.0.1/32",
    "--send-proxy",
    "v2",
    "--admin",
    "127.0.0.1:0",
    "--access-log",
    "--log-format",
    "json",
];

const TO_GUNICORN: &[&str] = &["--send-proxy", "v1", "--admin", "127.0.0.1:0"];

/// One request on a connection of the origin's, as gunicorn's threads need it.
const TO_THREADS: &[&str] = &["--send-proxy", "v1", "--reuse-origin", "never"];

/// Each server, told what.
pub(crate) fn servers() -> Vec<Server> {
    let server = |name, launch: Launch, flags, checks| Server {
        flags,
        ..Server::new(name, Needs::Python, launch, vec![checks])
    };
    let (nginx, threads) =
        ("the_first_client_is_told_through_all", "the_client_is_told_where_each_request_has_a_connection");
    let (asgi, gthread): (Launch, Launch) =
        (|setup, at| launch_gunicorn(setup, at, "asgi"), |setup, at| launch_gunicorn(setup, at, "gthread"));
    let nginx = server("introduced_nginx", launch_nginx, BEHIND_HAPROXY, special(nginx, through_all));
    let gunicorn = special("the_client_is_told_on_each_connection", whatever_connection);
    vec![
        Server { client: Client::Balancer, ..nginx },
        server("introduced_gunicorn", asgi, TO_GUNICORN, gunicorn),
        server("introduced_gunicorn_threads", gthread, TO_THREADS, special(threads, of_each_request)),
    ]
}

fn launch_nginx(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let told = "$proxy_protocol_addr:$proxy_protocol_port";
    let text = format!(
        "daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ listen {at} proxy_protocol; location / {{ return 200 \"{told}\"; }} }}
        }}\n"
    );
    let folder = setup.scratch().join("introduced_nginx");
    std::fs::create_dir_all(&folder).map_err(|error| format!("no folder for nginx: {error}"))?;
    let configuration = folder.join("nginx.conf");
    std::fs::write(&configuration, text).map_err(|error| format!("no configuration for nginx: {error}"))?;
    let mut command = Process::command("nginx", &Stop::Ask);
    command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c").arg(&configuration);
    Ok(command)
}

fn launch_gunicorn(setup: &Setup, at: &Endpoint, worker: &str) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&ASGI)?.join("gunicorn"), &Stop::Ask);
    let application = if worker == "asgi" { "client_asgi:app" } else { "client_wsgi:app" };
    let bind = format!("127.0.0.1:{}", port(at)?);
    command.current_dir(file("apps")).args([application, "--bind", &bind, "--worker-class", worker, "--threads", "2"]);
    command.args(["--proxy-protocol", "--proxy-allow-from", "127.0.0.0/8", "--keep-alive", "1", "--no-control-socket"]);
    Ok(command)
}

/// Who asks, and what it is called.
struct Person {
    wire: Wire,
    reader: Reader<Wire>,
    name: String,
}

impl Person {
    fn of(at: &Endpoint) -> Result<Self, String> {
        let (wire, name) = at.dial_from(CLIENT)?;
        Ok(Self { reader: wire.reader()?, wire, name: name.to_string() })
    }

    /// What the server answers.
    fn ask(&mut self, method: &'static str) -> Result<String, String> {
        Ok(text(&self.wire.exchange(&mut self.reader, &Request::new(method, "/", &[]))?.pieces))
    }

    /// That the server takes it for who it is.
    fn is_told(&mut self, what: &str) -> Result<(), Failed> {
        let told = self.ask("GET")?;
        same(what, &told, &self.name)
    }
}

/// The sum of the samples of that name.
fn metric(running: &Running, name: &str) -> Result<u64, String> {
    let said = running.headsnip_said();
    let admin = said
        .split_once("admin on ")
        .and_then(|(_, rest)| rest.split(|letter: char| !matches!(letter, '0'..='9' | '.' | ':')).next());
    let admin = admin.and_then(|admin| admin.parse().ok()).ok_or_else(|| format!("no admin listener in {said}"))?;
    let transcript = Endpoint::Tcp(admin).converse(&[Request::new("GET", "/metrics", &[])], Order::OneByOne)?;
    let text = text(&transcript.pieces);
    let samples =
        text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{', ','])));
    Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// `HAProxy` in front of headsnip, which it looks at every 20 ms: by a connection alone, and by a request.
fn haproxy(running: &Running, at: SocketAddr) -> Result<Process, String> {
    let text = format!(
        "defaults
            mode http
            timeout connect 5s
            timeout check 5s
            timeout client 30s
            timeout server 30s
        frontend all
            bind {at}
            default_backend introduced
        backend introduced
            server headsnip {through} send-proxy-v2 check inter 20ms
        backend looked_at
            option httpchk GET /
            server headsnip {through} send-proxy-v2 check inter 20ms\n",
        through = running.through,
    );
    let configuration = running.setup.scratch().join("haproxy.cfg");
    std::fs::write(&configuration, text).map_err(|error| format!("no configuration for HAProxy: {error}"))?;
    let mut command = Process::command("haproxy", &Stop::Kill);
    command.args(["-db", "-f"]).arg(&configuration);
    let mut process = Process::start(command, running.setup.scratch().join("haproxy.log"))?;
    process
        .until(LIMIT, |_| Endpoint::Tcp(at).dial().ok())
        .map_err(|error| format!("HAProxy did not start: {error}"))?;
    Ok(process)
}

/// Looks again and again until there is something to see.
fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> Result<T, Failed> {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        std::thread::sleep(PAUSE);
    }
    Err(format!("there is never {what}").into())
}

/// The clients of the access log.
fn exchanges(running: &Running) -> Vec<String> {
    let said = running.headsnip_said();
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["method"] == "GET").filter_map(|line| Some(line["client"].as_str()?.to_owned())).collect()
}

fn through_all(running: &Running) -> Result<(), Failed> {
    let at = free_port()?;
    let _balancer = haproxy(running, at)?;
    let connections = || metric(running, "headsnip_connections_total").ok();
    until("a look by HAProxy, and more", || connections().filter(|count| *count >= LOOKS))?;
    let front = Endpoint::Tcp(at);
    let (mut client, mut other) = (Person::of(&front)?, Person::of(&front)?);
    for _ in 0..3 {
        client.is_told("nginx takes the client for")?;
        other.is_told("nginx takes another for")?;
    }
    let names = [&client.name, &other.name];
    let exchanges = until("three exchanges of each in the access log", || {
        let clients = exchanges(running);
        let are_there = names.iter().all(|name| clients.iter().filter(|client| client == name).count() == 3);
        are_there.then_some(clients)
    })?;
    let looks = exchanges.iter().filter(|client| client.starts_with("127.0.0.1:")).count();
    if looks == 0 || looks + 6 != exchanges.len() {
        return Err(format!("not only looks, and six requests: {exchanges:?}").into());
    }
    only_the_balancer_is_heard(running)
}

/// Who is not the balancer may not say who it is; and that is the only fault of all.
fn only_the_balancer_is_heard(running: &Running) -> Result<(), Failed> {
    let (wire, _) = running.through.dial_from(CLIENT)?;
    // It may be closed already.
    let _ = wire.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if wire.reader()?.rest().is_ok_and(|rest| !rest.is_empty()) {
        return Err("who is not the balancer is answered".into());
    }
    // Looks are none. HAProxy resets the connection of its own requests, of some before it has acknowledged the response.
    let faults = until("a fault", || {
        let said = running.headsnip_said();
        let is_fault = |line: &&str| line.contains("\"level\":\"warning\"") && !line.contains(RESET);
        let faults: Vec<String> = said.lines().filter(is_fault).map(str::to_owned).collect();
        (!faults.is_empty()).then_some(faults)
    })?;
    if faults.len() != 1 || !faults[0].contains("network_not_accepted") {
        return Err(format!("the faults told are {faults:?}").into());
    }
    let refused = metric(running, "headsnip_failures_total{side=\"client\",reason=\"preamble_refused\"}")?;
    same("connections without a sound preamble", &refused.to_string(), "1")
}

fn whatever_connection(running: &Running) -> Result<(), Failed> {
    let dials = |expected| {
        let dials = metric(running, "headsnip_origin_dials_total")?;
        same("connections of gunicorn's", &dials.to_string(), expected)
    };
    let mut client = Person::of(&running.through)?;
    for _ in 0..3 {
        client.is_told("gunicorn takes the client for")?;
    }
    dials("1")?;
    // Behind a HEAD nothing follows, so there is another connection.
    client.ask("HEAD")?;
    client.is_told("on another connection, for")?;
    dials("2")?;
    // A connection made later that gunicorn closes since it is idle: it has closed the earlier one, headsnip's, before.
    let mut later = Person::of(&running.direct)?;
    later.is_told("gunicorn takes who says nothing for")?;
    later.reader.rest()?;
    client.is_told("on a third connection, for")?;
    dials("3")
}

/// gunicorn's threads know of a connection's preamble at its first request alone.
fn of_each_request(running: &Running) -> Result<(), Failed> {
    let mut direct = Person::of(&running.direct)?;
    direct.wire.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n")?;
    same("directly, first", &direct.ask("GET")?, "203.0.113.7:5000")?;
    direct.is_told("directly, behind that, the connection's own:")?;
    let mut client = Person::of(&running.through)?;
    for _ in 0..3 {
        client.is_told("gunicorn takes the client for")?;
    }
    Ok(())
}
