//! What must hold of what an operator writes: the denylist and the command line.

use std::time::Duration;

use super::property::equal;
use crate::cli::{self, Command};
use crate::config::Config;
use crate::http1::{Denylist, Policy, RequestDenylist, RequestTrailers, Upgrades};

/// Names that carry framing or the connection itself.
const PROTECTED: [&str; 8] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "trailer",
    "te",
    "sec-websocket-key",
    "sec-websocket-accept",
    "sec-websocket-",
];

/// The denylist does what a plain reading of its entries says. The first two lines are what to deny and what to keep, comma lists;
/// each further line is a name that is asked for. The fuzz target `denylist`.
///
/// # Panics
///
/// If it does not.
pub fn denylist(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let mut list = || lines.next().filter(|line| !line.is_empty()).map_or(vec![], |line| line.split(',').collect());
    let (deny, keep): (Vec<&str>, Vec<&str>) = (list(), list());
    let is_sound = |entry: &&&str| {
        let name = entry.strip_suffix('*').unwrap_or(entry);
        let is_quoted = name.starts_with(['\'', '`', '^']) || name.ends_with(['\'', '`', '^']);
        let is_token = !name.is_empty()
            && !is_quoted
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte));
        is_token || **entry == "*" || **entry == "@owasp"
    };
    let covers = |entry: &str, name: &str| {
        let (entry, name) = (entry.to_ascii_lowercase(), name.to_ascii_lowercase());
        entry.strip_suffix('*').map_or(entry == name, |prefix| name.starts_with(prefix))
    };
    let is_sound = deny.iter().chain(&keep).all(|entry| is_sound(&entry))
        && !deny.iter().any(|entry| {
            PROTECTED.iter().any(|name| covers(entry, name)) || entry.to_ascii_lowercase().starts_with("sec-websocket-")
        });
    let Ok(denylist) = Denylist::new(deny.iter().copied(), keep.iter().copied()) else {
        assert!(!is_sound, "{deny:?} less {keep:?} is refused");
        return;
    };
    assert!(is_sound, "{deny:?} less {keep:?} is taken");
    let owasp = include_str!("../http1/owasp-secure-headers-remove.txt");
    let owasp: Vec<&str> = owasp.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let any = |entries: &[&str], name: &str| {
        entries.iter().any(|entry| match *entry {
            "@owasp" => owasp.iter().any(|entry| covers(entry, name)),
            entry => covers(entry, name),
        })
    };
    for name in lines.chain(PROTECTED).chain(owasp.iter().copied()).chain(["Server", "x-powered-BY", ""]) {
        let expected = (any(&deny, name) || any(&["server", "x-powered-by"], name)) && !any(&keep, name);
        assert_eq!(denylist.denies(name.as_bytes()), expected, "{name:?} of {deny:?} less {keep:?}");
    }
}

/// What the command line makes is sound, says the same when written out and read again, and by flags as by variables;
/// what it refuses it explains. Each line is an argument, or a variable where it has the form `NAME=value` and a name of
/// ours. The fuzz target `command_line`.
///
/// # Panics
///
/// If that is broken.
pub fn command_line(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let is_variable = |line: &&str| line.starts_with("HEADSNIP_") && line.contains('=');
    let (variables, arguments): (Vec<&str>, Vec<&str>) = text.split('\n').partition(is_variable);
    let variables: Vec<_> = variables.iter().filter_map(|line| line.split_once('=')).collect();
    let config = match parse(&arguments, &variables) {
        Ok(Some(config)) => config,
        Ok(None) => return,
        Err(complaint) => {
            let (what, advice) = complaint.split_once('\n').unwrap_or_default();
            assert!(!what.trim().is_empty() && advice.contains("--help"), "{complaint:?}");
            return;
        }
    };
    let broken = is_sound(&config).and_then(|()| is_read_again(&config, &arguments, &variables)).err();
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}

/// `None`: there is something to print.
fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Option<Config>, String> {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    match cli::parse(&arguments, variable) {
        Ok(Command::Run(config, _)) => Ok(Some(*config)),
        Ok(Command::Healthcheck(_) | Command::Probe(_)) => Ok(None),
        Ok(Command::Print(text)) => {
            assert!(!text.is_empty(), "nothing is printed");
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn is_sound(config: &Config) -> Result<(), String> {
    let Config { timeouts, policy, workers, .. } = config;
    let waits = [timeouts.connect, timeouts.head, timeouts.idle, timeouts.exchange, timeouts.tunnel()];
    equal("a wait without time", &waits.contains(&Duration::ZERO), &false)?;
    equal("whether a head's limit is sound", &(256..=1024 * 1024).contains(&policy.max_head), &true)?;
    equal("whether there are not too many workers", &(workers.get() <= 512), &true)?;
    equal("a protected name", &PROTECTED.iter().find(|name| policy.denylist.denies(name.as_bytes())), &None)
}

/// The flags that say what a configuration is, but for protocols to switch to and names of trailers, of which nothing else tells.
fn written(config: &Config) -> Vec<String> {
    let Config { timeouts, drain, policy, .. } = config;
    let times = [
        ("connect-timeout", timeouts.connect),
        ("head-timeout", timeouts.head),
        ("idle-timeout", timeouts.idle),
        ("exchange-timeout", timeouts.exchange),
        ("tunnel-timeout", timeouts.tunnel()),
        ("drain-delay", drain.delay),
        ("drain-timeout", drain.timeout),
    ];
    let time = |time: Duration| {
        if time.subsec_millis() == 0 { format!("{}s", time.as_secs()) } else { format!("{}ms", time.as_millis()) }
    };
    let mut flags: Vec<String> = times.iter().map(|(name, value)| format!("--{name}={}", time(*value))).collect();
    flags.push(format!("--listen={}", config.listen));
    flags.extend(config.listen_mode.map(|mode| format!("--listen-mode={mode}")));
    flags.push(format!("--upstream={}", config.upstream));
    flags.extend(config.admin.as_ref().map(|admin| format!("--admin={admin}")));
    flags.extend(written_names(config).map(|(name, names)| format!("--{name}={}", names.join(","))));
    flags.extend(String::from_utf8_lossy(policy.added.bytes()).lines().map(|line| format!("--add={line}")));
    flags.extend(config.accept_proxy.as_ref().map(|networks| format!("--accept-proxy={networks}")));
    flags.extend(config.send_proxy.map(|version| format!("--send-proxy={version:?}").to_lowercase()));
    let switches = [
        ("forwarded-for", policy.forwarded_for),
        ("access-log", config.access_log),
        ("dry-run", policy.dry_run),
        ("allow-bare-lf", policy.allow_bare_lf),
    ];
    flags.extend(switches.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| format!("--{name}")));
    flags.push(format!("--max-head={}B", policy.max_head));
    flags.push(format!("--max-fields={}", policy.max_fields));
    flags.push(format!("--reuse-origin={:?}", policy.reuse).to_lowercase());
    flags.push(format!("--workers={}", config.workers));
    flags.extend(config.max_connections.map(|number| format!("--max-connections={number}")));
    flags.extend(config.max_memory.map(|size| format!("--max-memory={size}B")));
    flags
}

/// The flags that take names, and those that a configuration has.
fn written_names(config: &Config) -> impl Iterator<Item = (&'static str, Vec<String>)> {
    let Policy { denylist, request_denylist, .. } = &config.policy;
    let usual = ["server", "x-powered-by"].into_iter().filter(|name| !denylist.denies(name.as_bytes()));
    let lists = [
        ("deny", denylist.entries().collect()),
        ("keep", usual.map(str::to_owned).chain(denylist.exceptions()).collect()),
        ("deny-request", request_denylist.entries().collect()),
        ("keep-request", request_denylist.exceptions().collect()),
        ("log-fields", config.log_fields.names().map(str::to_owned).collect()),
    ];
    lists.into_iter().filter(|(_, names): &(_, Vec<String>)| !names.is_empty())
}

/// All that is told of a configuration.
fn settings(config: &Config) -> String {
    let mut config = config.clone();
    config.timeouts.tunnel = Some(config.timeouts.tunnel());
    let of_names: Vec<_> = written_names(&config).collect();
    let policy = Policy {
        denylist: Denylist::default(),
        request_denylist: RequestDenylist::default(),
        upgrades: Upgrades::default(),
        request_trailers: RequestTrailers::default(),
        ..std::mem::take(&mut config.policy)
    };
    format!("{of_names:?} {policy:?} {config:?}")
}

fn is_read_again(config: &Config, arguments: &[&str], variables: &[(&str, &str)]) -> Result<(), String> {
    let written = written(config);
    let again = parse(&written.iter().map(String::as_str).collect::<Vec<_>>(), &[])?.ok_or("it prints something")?;
    equal("what was written out", &settings(&again), &settings(config))?;
    // Flags as one argument or as two, where each has a value.
    let joined: Option<Vec<String>> = arguments
        .chunks(2)
        .map(|pair| match pair {
            [flag, value] if flag.starts_with("--") && !flag.contains('=') && !value.starts_with("--") => {
                Some(format!("{flag}={value}"))
            }
            _ => None,
        })
        .collect();
    if let Some(joined) = joined {
        let joined: Vec<&str> = joined.iter().map(String::as_str).collect();
        let again = parse(&joined, variables)?.ok_or("it prints something")?;
        equal("flags with an equals sign", &format!("{again:?}"), &format!("{config:?}"))?;
    }
    Ok(())
}
