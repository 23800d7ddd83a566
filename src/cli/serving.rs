//! From the flags and variables of serving to a configuration.

use std::num::NonZeroUsize;

use super::flags::Flags;
use super::value::{Environment, Size, Value, blame, pause, wait};
use super::{UsageError, client};
use crate::config::{Config, Drain, Timeouts};
use crate::http1::{
    AddedLines, Denylist, MAX_FIELDS_CEILING, MAX_HEAD_CEILING, Policy, RequestDenylist, RequestTrailers, Reuse,
    Upgrades,
};
use crate::net::address::{Address, Listen};
use crate::net::preamble::PreambleVersion;

const REUSES: [(&str, Reuse); 3] = [("plain", Reuse::Plain), ("bodyless", Reuse::Bodyless), ("never", Reuse::Never)];

const VERSIONS: [(&str, PreambleVersion); 2] = [("v1", PreambleVersion::V1), ("v2", PreambleVersion::V2)];

/// The most `--workers`: more than the largest machines have cores, each with buffers of its own.
const MAX_WORKERS: usize = 512;

/// The smallest `--max-head` in bytes: below it, ordinary requests would be refused.
const MAX_HEAD_FLOOR: usize = 256;

/// What the flags and variables of serving say, checked.
pub(super) fn config(flags: Flags, environment: &Environment<'_>) -> Result<Config, UsageError> {
    let listen = environment.one(flags.listen, "listen");
    let listen = listen.map_or_else(|| Ok(Listen::At(default_address(8080))), |value| value.listen())?;
    let upstream = environment.one(flags.upstream, "upstream");
    let upstream = upstream.map_or_else(|| Ok(default_address(3000)), |value| value.address())?;
    let admin = environment.one(flags.admin, "admin").filter(|value| value.text != "off");
    let admin = admin.map(|value| value.listen()).transpose()?;
    let listen_mode = environment.one(flags.listen_mode, "listen-mode").map(|value| value.parse()).transpose()?;
    let (policy, defaults, drain) = (Policy::default(), Timeouts::default(), Drain::default());
    let (deny, keep) = (environment.many(flags.deny, "deny"), environment.many(flags.keep, "keep"));
    let denylist = Denylist::new(texts(&deny), texts(&keep));
    let denylist = denylist.map_err(|error| blame(deny.iter().chain(&keep), "--deny", &error))?;
    let (deny, keep) =
        (environment.many(flags.deny_request, "deny-request"), environment.many(flags.keep_request, "keep-request"));
    let request_denylist = RequestDenylist::new(texts(&deny), texts(&keep));
    let request_denylist =
        request_denylist.map_err(|error| blame(deny.iter().chain(&keep), "--deny-request", &error))?;
    let config = Config {
        listen,
        listen_mode,
        admin,
        policy: Policy {
            added: added(&environment.lines(flags.add, "add"), &denylist)?,
            denylist,
            request_denylist,
            forwarded_for: environment.switch(flags.forwarded_for, "forwarded-for")?,
            upgrades: upgrades(&environment.many(flags.allow_upgrade, "allow-upgrade"))?,
            max_head: environment
                .one(flags.max_head, "max-head")
                .map_or(Ok(policy.max_head), |value| max_head(&value))?,
            max_fields: environment.one(flags.max_fields, "max-fields").map_or(Ok(policy.max_fields), |value| {
                let number = value.text.parse().ok().filter(|number| (1..=MAX_FIELDS_CEILING).contains(number));
                number.ok_or_else(|| value.complain(format_args!("expected a number from 1 to {MAX_FIELDS_CEILING}")))
            })?,
            allow_bare_lf: environment.switch(flags.allow_bare_lf, "allow-bare-lf")?,
            request_trailers: request_trailers(
                &environment.many(flags.allow_request_trailers, "allow-request-trailers"),
            )?,
            reuse: environment
                .one(flags.reuse_origin, "reuse-origin")
                .map_or(Ok(policy.reuse), |value| value.one_of(&REUSES, "expected plain, bodyless or never"))?,
            dry_run: environment.switch(flags.dry_run, "dry-run")?,
        },
        timeouts: Timeouts {
            connect: wait(environment.one(flags.connect_timeout, "connect-timeout"), defaults.connect)?,
            head: wait(environment.one(flags.head_timeout, "head-timeout"), defaults.head)?,
            idle: wait(environment.one(flags.idle_timeout, "idle-timeout"), defaults.idle)?,
            exchange: wait(environment.one(flags.exchange_timeout, "exchange-timeout"), defaults.exchange)?,
            tunnel: environment
                .one(flags.tunnel_timeout, "tunnel-timeout")
                .map(|value| wait(Some(value), defaults.exchange))
                .transpose()?,
        },
        drain: Drain {
            delay: pause(environment.one(flags.drain_delay, "drain-delay"), drain.delay)?,
            timeout: pause(environment.one(flags.drain_timeout, "drain-timeout"), drain.timeout)?,
        },
        workers: environment.one(flags.workers, "workers").map_or(Ok(NonZeroUsize::MIN), |value| workers(&value))?,
        max_connections: environment
            .one(flags.max_connections, "max-connections")
            .map(|value| {
                let number = value.text.parse::<NonZeroUsize>();
                number.map_err(|_| value.complain("expected a number of 1 or more"))
            })
            .transpose()?,
        max_memory: environment
            .one(flags.max_memory, "max-memory")
            .map(|value| value.parse::<Size>().map(|size| size.0))
            .transpose()?,
        accept_proxy: client::networks(&environment.many(flags.accept_proxy, "accept-proxy"))?,
        send_proxy: environment
            .one(flags.send_proxy, "send-proxy")
            .map(|value| value.one_of(&VERSIONS, "expected v1 or v2"))
            .transpose()?,
        access_log: environment.switch(flags.access_log, "access-log")?,
        log_fields: client::log_fields(&environment.many(flags.log_fields, "log-fields"))?,
        ..Config::new(default_address(8080), upstream)
    };
    config.check().map(|()| config).map_err(|error| UsageError(error.to_string()))
}

fn max_head(value: &Value) -> Result<usize, UsageError> {
    let Size(size) = value.parse()?;
    let is_sound = (MAX_HEAD_FLOOR..=MAX_HEAD_CEILING).contains(&size);
    is_sound.then_some(size).ok_or_else(|| value.complain("out of range: 256B to 1MiB"))
}

fn default_address(port: u16) -> Address {
    Address::Tcp { host: "127.0.0.1".into(), port }
}

fn texts(values: &[Value]) -> impl Iterator<Item = &str> {
    values.iter().map(|value| &*value.text)
}

fn added(values: &[Value], denylist: &Denylist) -> Result<AddedLines, UsageError> {
    AddedLines::new(texts(values), denylist).map_err(|error| blame(values.iter(), "--add", &error))
}

fn upgrades(values: &[Value]) -> Result<Upgrades, UsageError> {
    let upgrades = Upgrades::new(["websocket"].into_iter().chain(texts(values)));
    upgrades.map_err(|error| blame(values.iter(), "--allow-upgrade", &error))
}

fn request_trailers(values: &[Value]) -> Result<RequestTrailers, UsageError> {
    RequestTrailers::new(texts(values)).map_err(|error| blame(values.iter(), "--allow-request-trailers", &error))
}

/// A number of threads; `auto`: one for each core that the process may use, by affinity and by the CPU quota of its container.
fn workers(value: &Value) -> Result<NonZeroUsize, UsageError> {
    if value.text == "auto" {
        // If it is unknown, one is never wrong.
        return Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    let number = value.text.parse::<NonZeroUsize>().ok().filter(|number| number.get() <= MAX_WORKERS);
    number.ok_or_else(|| value.complain("expected auto or a number from 1 to 512"))
}
