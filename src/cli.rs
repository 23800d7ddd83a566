//! Flags and environment variables, made into a [`Config`].
//!
//! Every flag has an environment variable of its name (`--head-timeout`, `HEADSNIP_HEAD_TIMEOUT`); the flag wins. All values are
//! checked before anything is bound, and a complaint names where the value came from.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use crate::config::{Config, Drain, Timeouts};
use crate::http1::denylist::DenylistError;
use crate::http1::{Denylist, MAX_HEAD_CEILING, MAX_UPGRADES, Policy, Upgrades};
use crate::net::address::Address;
use argh::FromArgs;

/// The name that usage texts begin with.
const NAME: &str = "headsnip";

/// The smallest `--max-head` in bytes: below it, ordinary requests would be refused.
const MAX_HEAD_FLOOR: usize = 256;

/// The most `--workers`: more than the largest machines have cores, each with buffers of its own.
const MAX_WORKERS: usize = 512;

/// Relays HTTP/1.1 to one application server and removes Server, X-Powered-By and other denied field lines from every
/// response head. Every other byte goes through unchanged.
#[derive(FromArgs)]
#[argh(
    example = "In front of an application on port 3000:\n  {command_name} --listen 0.0.0.0:8080 --upstream 127.0.0.1:3000",
    example = "Remove more, keep one:\n  {command_name} --deny '@owasp,via,x-amz-*' --keep x-amz-request-id",
    note = "Each flag has an environment variable: --head-timeout is HEADSNIP_HEAD_TIMEOUT. A flag wins.
An ADDR is host:port, [v6]:port or unix:/path. NAMES is a comma list of field names, prefix* or the preset
@owasp; the flag may be repeated. A TIME is 500ms, 30s, 5m or 1h; a SIZE is 512B, 64KiB or 1MiB.",
    error_code(0, "drained or helped"),
    error_code(1, "could not start or run"),
    error_code(2, "wrong usage")
)]
struct Flags {
    /// where clients connect (127.0.0.1:8080)
    #[argh(option, arg_name = "ADDR")]
    listen: Option<String>,
    /// the application server; a name is resolved again as connections are dialled (127.0.0.1:3000)
    #[argh(option, arg_name = "ADDR")]
    upstream: Option<String>,
    /// field names to remove beside server and x-powered-by
    #[argh(option, arg_name = "NAMES")]
    deny: Vec<String>,
    /// field names to leave in place though they are denied
    #[argh(option, arg_name = "NAMES")]
    keep: Vec<String>,
    /// protocols that a connection may be switched to (websocket)
    #[argh(option, arg_name = "NAMES")]
    allow_upgrade: Vec<String>,
    /// threads, each with its own listener; auto: as many as it may use cores (1)
    #[argh(option, arg_name = "N")]
    workers: Option<String>,
    /// clients served at once; beyond it, they wait (from the open-file limit)
    #[argh(option, arg_name = "N")]
    max_connections: Option<String>,
    /// the longest request or response head (64KiB)
    #[argh(option, arg_name = "SIZE")]
    max_head: Option<String>,
    /// how long to wait for a connection to the upstream (5s)
    #[argh(option, arg_name = "TIME")]
    connect_timeout: Option<String>,
    /// from a request's first byte to the end of its head (30s)
    #[argh(option, arg_name = "TIME")]
    head_timeout: Option<String>,
    /// how long a client may be silent between requests (75s)
    #[argh(option, arg_name = "TIME")]
    idle_timeout: Option<String>,
    /// how long nothing may move within an exchange or a tunnel (300s)
    #[argh(option, arg_name = "TIME")]
    exchange_timeout: Option<String>,
    /// after SIGTERM, how long new connections are still taken (2s)
    #[argh(option, arg_name = "TIME")]
    drain_delay: Option<String>,
    /// after that, how long open exchanges may take to end (25s)
    #[argh(option, arg_name = "TIME")]
    drain_timeout: Option<String>,
    /// print the version and end
    #[argh(switch)]
    version: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Run(Box<Config>),
    /// Print this and end.
    Print(String),
}

/// A complaint about the command line or the environment, in whole sentences.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\nRun {NAME} --help for all flags.", self.0)
    }
}

/// Reads arguments (without the program's name) and the environment.
pub fn parse(arguments: &[String], environment: impl Fn(&str) -> Option<String>) -> Result<Command, UsageError> {
    let arguments = split_equals_signs(arguments);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let flags = match Flags::from_args(&[NAME], &arguments) {
        Ok(flags) => flags,
        Err(exit) if exit.status.is_ok() => return Ok(Command::Print(exit.output)),
        Err(exit) => return Err(UsageError(exit.output.trim_end().to_owned())),
    };
    if flags.version {
        return Ok(Command::Print(format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))));
    }
    config(flags, &Environment(&environment)).map(|config| Command::Run(Box::new(config)))
}

/// The names of all environment variables that mean something.
pub fn variables() -> impl Iterator<Item = String> {
    let addresses = ["listen", "upstream"];
    let rules = ["deny", "keep", "allow-upgrade"];
    let limits = ["workers", "max-connections", "max-head"];
    let times = ["connect-timeout", "head-timeout", "idle-timeout", "exchange-timeout", "drain-delay", "drain-timeout"];
    addresses.into_iter().chain(rules).chain(limits).chain(times).map(variable)
}

fn config(flags: Flags, environment: &Environment<'_>) -> Result<Config, UsageError> {
    let listen = environment.one(flags.listen, "listen");
    let listen = listen.map_or_else(|| Ok(default_address(8080)), |value| value.parse::<Address>())?;
    let upstream = environment.one(flags.upstream, "upstream");
    let upstream = upstream.map_or_else(|| Ok(default_address(3000)), |value| value.parse::<Address>())?;
    let (defaults, drain) = (Timeouts::default(), Drain::default());
    let config = Config {
        policy: Policy {
            denylist: denylist(&environment.many(flags.deny, "deny"), &environment.many(flags.keep, "keep"))?,
            upgrades: upgrades(&environment.many(flags.allow_upgrade, "allow-upgrade"))?,
            max_head: environment
                .one(flags.max_head, "max-head")
                .map_or(Ok(64 * 1024), |value| value.parse::<Size>().map(|size| size.0))?,
        },
        timeouts: Timeouts {
            connect: wait(environment.one(flags.connect_timeout, "connect-timeout"), defaults.connect)?,
            head: wait(environment.one(flags.head_timeout, "head-timeout"), defaults.head)?,
            idle: wait(environment.one(flags.idle_timeout, "idle-timeout"), defaults.idle)?,
            exchange: wait(environment.one(flags.exchange_timeout, "exchange-timeout"), defaults.exchange)?,
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
                number.map_err(|_| value.complain("it is not a number of 1 or more; right would be: 1000"))
            })
            .transpose()?,
        ..Config::new(listen, upstream)
    };
    if config.listen == config.upstream && !matches!(config.listen, Address::Tcp { port: 0, .. }) {
        return Err(UsageError(format!(
            "--listen and --upstream are both {}: headsnip would relay to itself. --upstream is where the application server listens.",
            config.listen
        )));
    }
    if matches!(config.upstream, Address::Tcp { port: 0, .. }) {
        return Err(UsageError(format!("--upstream \"{}\": nothing listens on port 0", config.upstream)));
    }
    Ok(config)
}

fn default_address(port: u16) -> Address {
    Address::Tcp { host: "127.0.0.1".into(), port }
}

fn denylist(deny: &[Value], keep: &[Value]) -> Result<Denylist, UsageError> {
    let names = |values: &'_ [Value]| values.iter().map(|value| value.text.clone()).collect::<Vec<_>>();
    let (deny_names, keep_names) = (names(deny), names(keep));
    Denylist::new(deny_names.iter().map(String::as_str), keep_names.iter().map(String::as_str)).map_err(|error| {
        let culprit = match &error {
            DenylistError::Protected { entry, .. } => entry,
            DenylistError::UnknownPreset(entry) | DenylistError::NotAName(entry) => entry,
        };
        let origin = deny.iter().chain(keep).find(|value| value.text == *culprit);
        UsageError(format!("{}: {error}", origin.map_or("--deny", |value| &value.origin)))
    })
}

fn upgrades(values: &[Value]) -> Result<Upgrades, UsageError> {
    let is_protocol = |text: &str| {
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        text.split('/').count() <= 2 && text.split('/').all(is_part)
    };
    for value in values {
        if value.text.to_ascii_lowercase().starts_with("h2") {
            return Err(value.complain("HTTP/2 would carry its responses past headsnip unseen and cannot be allowed"));
        }
        if !is_protocol(&value.text) {
            return Err(value.complain("it is not a protocol name; right would be: websocket"));
        }
    }
    let names = ["websocket"].into_iter().chain(values.iter().map(|value| &*value.text));
    Upgrades::new(names).ok_or_else(|| UsageError(format!("--allow-upgrade: more than {MAX_UPGRADES} protocols")))
}

/// A number of threads; `auto`: one for each core that the process may use, by affinity and by the CPU quota of its container.
fn workers(value: &Value) -> Result<NonZeroUsize, UsageError> {
    if value.text == "auto" {
        // Where it cannot be told, one is never wrong.
        return Ok(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
    }
    let number = value.text.parse::<NonZeroUsize>().ok().filter(|number| number.get() <= MAX_WORKERS);
    number.ok_or_else(|| value.complain("it is neither \"auto\" nor a number from 1 to 512; right would be: 2"))
}

/// A time in which something must happen.
fn wait(value: Option<Value>, default: Duration) -> Result<Duration, UsageError> {
    let Some(value) = value else { return Ok(default) };
    match value.parse::<Time>()?.0 {
        Duration::ZERO => Err(value.complain("it is no time at all; right would be: 30s")),
        wait => Ok(wait),
    }
}

/// A time that may also be none.
fn pause(value: Option<Value>, default: Duration) -> Result<Duration, UsageError> {
    value.map_or(Ok(default), |value| value.parse::<Time>().map(|time| time.0))
}

/// A value and where it came from.
struct Value {
    text: String,
    /// As the user wrote it: a flag or a variable.
    origin: String,
}

impl Value {
    fn parse<T: FromStr>(&self) -> Result<T, UsageError>
    where
        T::Err: fmt::Display,
    {
        self.text.parse().map_err(|error: T::Err| self.complain(&error))
    }

    fn complain(&self, problem: impl fmt::Display) -> UsageError {
        UsageError(format!("{} \"{}\": {problem}", self.origin, self.text))
    }
}

struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn one(&self, flag: Option<String>, name: &str) -> Option<Value> {
        let from_flag = flag.map(|text| Value { text, origin: format!("--{name}") });
        from_flag.or_else(|| (self.0)(&variable(name)).map(|text| Value { text, origin: variable(name) }))
    }

    /// The members of all comma lists given.
    fn many(&self, flags: Vec<String>, name: &str) -> Vec<Value> {
        let (lists, origin) = if flags.is_empty() {
            ((self.0)(&variable(name)).into_iter().collect(), variable(name))
        } else {
            (flags, format!("--{name}"))
        };
        let members = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
        members.map(|member| Value { text: member.to_owned(), origin: origin.clone() }).collect()
    }
}

/// The environment variable of a flag.
fn variable(flag: &str) -> String {
    format!("HEADSNIP_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// `--flag=value` as two arguments: argh knows only those.
fn split_equals_signs(arguments: &[String]) -> Vec<String> {
    let split = |argument: &String| match argument.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => vec![flag.to_owned(), value.to_owned()],
        _ => vec![argument.clone()],
    };
    arguments.iter().flat_map(split).collect()
}

/// A number and the unit behind it.
fn number_and_unit(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[derive(Debug, PartialEq, Eq)]
struct Time(Duration);

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = "it is not a time; right would be: 500ms, 30s, 5m or 1h";
        let (number, unit) = number_and_unit(text);
        let number: u32 = number.parse().map_err(|_| malformed)?;
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            "" => return Err("there is no unit; right would be: 500ms, 30s, 5m or 1h"),
            _ => return Err(malformed),
        };
        unit.checked_mul(number).map(Self).ok_or(malformed)
    }
}

/// A `--max-head` in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Size(usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = number_and_unit(text);
        let unit = match unit {
            "B" => Some(1),
            "KiB" => Some(1024),
            "MiB" => Some(1024 * 1024),
            _ => None,
        };
        let bytes = number.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
        match bytes {
            Some(bytes) if (MAX_HEAD_FLOOR..=MAX_HEAD_CEILING).contains(&bytes) => Ok(Self(bytes)),
            Some(_) => Err("it is out of range; right would be: 256B to 1MiB".to_owned()),
            None => Err("it is not a size; right would be: 512B, 64KiB or 1MiB".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let lookup = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        match parse(&arguments, lookup) {
            Ok(Command::Run(config)) => Ok(*config),
            Ok(Command::Print(text)) => panic!("printed {text:?}"),
            Err(error) => Err(error.0),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = parsed(&[], &[]).expect("no arguments are fine");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.upstream.to_string(), "127.0.0.1:3000");
        assert_eq!(config.policy.max_head, 65536);
        assert_eq!(config.policy.denylist.entries().collect::<Vec<_>>(), ["server", "x-powered-by"]);
        assert_eq!(config.timeouts, Timeouts::default());
        assert_eq!((config.drain, config.max_connections), (Drain::default(), None));
        assert_eq!(config.workers.get(), 1);
    }

    #[test]
    fn a_drain_may_take_no_time() {
        let flags = ["--drain-delay", "0s", "--drain-timeout=0ms", "--max-connections", "3"];
        let config = parsed(&flags, &[]).expect("sound flags");
        assert_eq!(config.drain, Drain { delay: Duration::ZERO, timeout: Duration::ZERO });
        assert_eq!(config.max_connections, NonZeroUsize::new(3));
    }

    #[test]
    fn workers_are_a_number_or_auto() {
        let workers = |value| parsed(&["--workers", value], &[]).expect("a sound flag").workers.get();
        assert_eq!((workers("1"), workers("512")), (1, 512));
        assert_eq!(Ok(workers("auto")), std::thread::available_parallelism().map(NonZeroUsize::get).map_err(|_| ()));
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let environment =
            [("HEADSNIP_LISTEN", "[::1]:1"), ("HEADSNIP_DENY", "via, age"), ("HEADSNIP_IDLE_TIMEOUT", "5m")];
        let config = parsed(&[], &environment).expect("sound variables");
        assert_eq!(config.listen.to_string(), "[::1]:1");
        assert_eq!(config.timeouts.idle, Duration::from_secs(300));
        assert!(config.policy.denylist.denies(b"Age") && config.policy.denylist.denies(b"via"));
        let flags = ["--listen=[::1]:2", "--deny", "x-a", "--deny", "x-b,x-c*", "--keep", "x-cc"];
        let config = parsed(&flags, &environment).expect("sound flags");
        assert_eq!(config.listen.to_string(), "[::1]:2");
        let denylist = config.policy.denylist;
        assert!(["x-a", "x-b", "x-c", "x-cd"].iter().all(|name| denylist.denies(name.as_bytes())));
        assert!(["via", "x-cc"].iter().all(|name| !denylist.denies(name.as_bytes())));
    }

    #[test]
    fn complaints_say_what_where_and_what_would_be_right() {
        for (arguments, words) in [
            (vec!["--lisen", "a:1"], vec!["--lisen", "--listen"]),
            (vec!["--listen", "8080"], vec!["--listen \"8080\"", "no port", "127.0.0.1:8080"]),
            (vec!["--listen"], vec!["--listen"]),
            (vec!["serve"], vec!["serve"]),
            (vec!["--head-timeout", "30"], vec!["--head-timeout \"30\"", "no unit", "30s"]),
            (vec!["--head-timeout", "0s"], vec!["no time at all"]),
            (vec!["--drain-delay", "2"], vec!["--drain-delay \"2\"", "no unit"]),
            (vec!["--max-connections", "0"], vec!["--max-connections \"0\"", "1 or more"]),
            (vec!["--workers", "0"], vec!["--workers \"0\"", "from 1 to 512"]),
            (vec!["--workers", "all"], vec!["\"auto\""]),
            (vec!["--head-timeout", "-1s"], vec!["not a time"]),
            (vec!["--max-head", "64KB"], vec!["--max-head \"64KB\"", "64KiB"]),
            (vec!["--max-head", "2MiB"], vec!["out of range", "1MiB"]),
            (vec!["--deny", "server,te"], vec!["--deny", "\"te\"", "cannot be denied"]),
            (vec!["--deny", "t*"], vec!["\"t*\" covers \"transfer-encoding\""]),
            (vec!["--deny", "@owsap"], vec!["\"@owsap\"", "@owasp"]),
            (vec!["--keep", "x y"], vec!["--keep", "\"x y\""]),
            (vec!["--deny", ""], vec!["--deny", "\"\" is not a field name"]),
            (vec!["--allow-upgrade", "h2c"], vec!["--allow-upgrade \"h2c\"", "cannot be allowed"]),
            (vec!["--upstream", "127.0.0.1:8080"], vec!["relay to itself"]),
            (vec!["--upstream", "http://127.0.0.1:80"], vec!["URL"]),
        ] {
            let complaint = parsed(&arguments, &[]).expect_err("a usage error");
            for word in words {
                assert!(complaint.contains(word), "{arguments:?}: {complaint:?} lacks {word:?}");
            }
        }
        let complaint = parsed(&[], &[("HEADSNIP_MAX_HEAD", "1")]).expect_err("a usage error");
        assert!(complaint.starts_with("HEADSNIP_MAX_HEAD \"1\": "), "{complaint}");
    }

    #[test]
    fn every_flag_has_its_variable() {
        let Ok(Command::Print(help)) = parse(&["--help".to_owned()], |_| None) else { panic!("no help") };
        let named: Vec<String> = variables().collect();
        let flags = help.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_whitespace().next());
        let flags: Vec<String> =
            flags.filter(|flag| !matches!(*flag, "version" | "help" | "help,")).map(variable).collect();
        assert_eq!(flags, named);
    }
}
