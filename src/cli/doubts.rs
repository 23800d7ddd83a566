//! Warnings about configurations that are valid, but unlikely to be meant.

use std::ffi::OsString;
use std::time::Duration;

use super::{PREFIX, flags, variable};
use crate::config::Config;
use crate::net::address::{Address, Listen};
use crate::net::networks::{Network, Networks};

/// Fields that clients need if a server sends them.
const NEEDED: [&str; 6] =
    ["content-encoding", "content-range", "content-type", "location", "set-cookie", "www-authenticate"];

/// A longer `--drain-delay` outlives what ECS (120 s), systemd (90 s) and Kubernetes (30 s) wait for a process to end.
const LONGEST_DELAY: Duration = Duration::from_secs(120);

/// What to warn of before serving, a sentence each.
pub fn doubts(config: &Config, environment: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let variables =
        environment.filter_map(|(name, value)| unknown(&name.into_string().ok()?, &value.to_string_lossy()));
    let mut doubts: Vec<String> = variables.collect();
    let needed: Vec<&str> = NEEDED.into_iter().filter(|name| config.policy.denylist.denies(name.as_bytes())).collect();
    if !needed.is_empty() {
        doubts.push(format!("denying {} is likely to break clients", needed.join(", ")));
    }
    if config.policy.added.bytes().windows(2).any(|two| two == br"\n") {
        doubts.push(r"--add: a value has a backslash and an n in it; was a line end meant?".to_owned());
    }
    if !config.access_log && config.log_fields.names().next().is_some() {
        doubts.push("--log-fields has no effect without --access-log".to_owned());
    }
    if let Some(networks) = config.accept_proxy.as_ref().filter(|networks| is_closed_to_all(networks, &config.listen)) {
        doubts.push(format!(
            "--accept-proxy {networks} matches no client of --listen {}: every connection will be closed",
            config.listen
        ));
    }
    if config.policy.forwarded_for
        && config.accept_proxy.is_none()
        && matches!(config.listen, Listen::At(Address::Unix(_)))
    {
        doubts.push(format!("--forwarded-for has no effect with --listen {} and no --accept-proxy", config.listen));
    }
    if config.drain.delay > LONGEST_DELAY {
        doubts.push(format!(
            "--drain-delay is {:?}: whatever sends SIGTERM will kill the process long before that",
            config.drain.delay
        ));
    }
    doubts
}

/// Clients of a socket file have no address, and all others have one. Of sockets that are passed nobody knows yet.
fn is_closed_to_all(networks: &Networks, listen: &Listen) -> bool {
    match listen {
        Listen::At(Address::Unix(_)) => !networks.contain(None),
        Listen::At(Address::Tcp { .. }) => Networks::new(vec![Network::Unix]).as_ref() == Some(networks),
        Listen::Passed => false,
    }
}

/// A misspelt variable would leave a name in place that was meant to be removed.
fn unknown(name: &str, value: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIX)?;
    if is_of_kubernetes(rest, value) || flags::settings().any(|known| variable(known) == name) {
        return None;
    }
    let flag = rest.to_ascii_lowercase().replace('_', "-");
    let best = flags::most_like(&flag, flags::settings());
    let meant = best.map_or_else(|| "a typo?".to_owned(), |known| format!("did you mean {}?", variable(known)));
    Some(format!("unknown environment variable {name}: {meant}"))
}

/// Returns whether Kubernetes made the variable, for a service whose name begins with "headsnip": of the service `headsnip-admin` come
/// `HEADSNIP_ADMIN_SERVICE_HOST`, `HEADSNIP_ADMIN_SERVICE_PORT` (and one for each port that has a name), `HEADSNIP_ADMIN_PORT`, and
/// `HEADSNIP_ADMIN_PORT_9901_TCP` with three that go on after it.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_of_port = || {
        let (_, behind) = rest.rsplit_once("_PORT_")?;
        let (number, protocol) = behind.split_once('_')?;
        number.parse::<u16>().ok()?;
        matches!(protocol.split('_').next()?, "TCP" | "UDP" | "SCTP").then_some(())
    };
    rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || (rest.ends_with("_PORT") && is_url)
        || is_of_port().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse};
    use super::*;

    fn doubted(arguments: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let Ok(Command::Run(config, _)) = parse(&arguments, |_| None) else { unreachable!("it is served") };
        doubts(&config, environment.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn a_misspelt_variable_is_told_with_what_is_likely_meant() {
        for (name, meant) in [
            ("HEADSNIP_DENI", "did you mean HEADSNIP_DENY?"),
            ("HEADSNIP_UPSTREAN", "did you mean HEADSNIP_UPSTREAM?"),
            ("HEADSNIP_MAX_CONNECTION", "did you mean HEADSNIP_MAX_CONNECTIONS?"),
            ("HEADSNIP_HEADER_TIMEOUT", "did you mean HEADSNIP_HEAD_TIMEOUT?"),
            ("HEADSNIP_QQQ", "a typo?"),
        ] {
            let line = format!("unknown environment variable {name}: {meant}");
            assert_eq!(doubted(&[], &[(name, "")]), [line]);
        }
        assert!(doubted(&[], &[("HEADSNIP_DENY", "a"), ("HOME", "/"), ("HEADSNIPPY", "b")]).is_empty());
    }

    /// Kubernetes, "Service discovery: environment variables".
    #[test]
    fn variables_that_kubernetes_makes_are_no_typos() {
        for service in ["HEADSNIP", "HEADSNIP_ADMIN", "HEADSNIP_FOR_A_2"] {
            for (end, value) in [
                ("SERVICE_HOST", "10.0.0.9"),
                ("SERVICE_PORT", "8080"),
                ("SERVICE_PORT_HTTP", "8080"),
                ("PORT", "tcp://10.0.0.9:8080"),
                ("PORT_8080_TCP", "tcp://10.0.0.9:8080"),
                ("PORT_8080_TCP_PROTO", "tcp"),
                ("PORT_53_UDP_ADDR", "10.0.0.9"),
                ("PORT_8080_TCP_PORT", "8080"),
            ] {
                let name = format!("{service}_{end}");
                assert!(doubted(&[], &[(&name, value)]).is_empty(), "{name}");
            }
        }
        for (name, value) in [("HEADSNIP_ADMIN_PORT", "9901"), ("HEADSNIP_PORT_A_TCP", ""), ("HEADSNIP_PORT_1_X", "")] {
            assert_eq!(doubted(&[], &[(name, value)]).len(), 1, "{name}");
        }
    }

    #[test]
    fn what_clients_need_and_a_long_delay_are_doubted() {
        let line = "denying content-type, set-cookie is likely to break clients";
        assert_eq!(doubted(&["--deny", "set-cookie,content-type"], &[]), [line]);
        let line = r"--add: a value has a backslash and an n in it; was a line end meant?";
        assert_eq!(doubted(&["--add", r"X-A: b\nX-B: c"], &[]), [line]);
        assert!(doubted(&["--add", "X-A: b"], &[]).is_empty());
        let line = "denying location is likely to break clients";
        assert_eq!(doubted(&["--deny", "loc*"], &[]), [line]);
        let line = "--log-fields has no effect without --access-log";
        assert_eq!(doubted(&["--log-fields", "host"], &[]), [line]);
        assert!(doubted(&["--log-fields", "host", "--access-log"], &[]).is_empty());
        let of = |networks: &str, listen: &str| doubted(&["--accept-proxy", networks, "--listen", listen], &[]);
        let line = "--accept-proxy unix matches no client of --listen 127.0.0.1:80: every connection will be closed";
        assert_eq!(of("unix", "127.0.0.1:80"), [line]);
        let line =
            "--accept-proxy 10.0.0.0/8,::1/128 matches no client of --listen unix:/a: every connection will be closed";
        assert_eq!(of("10.0.0.0/8,::1", "unix:/a"), [line]);
        for (networks, listen) in
            [("any", "unix:/a"), ("unix,::1", "[::]:80"), ("unix", "systemd"), ("::1,unix", "unix:/a")]
        {
            assert!(of(networks, listen).is_empty(), "{networks} {listen}");
        }
        let line = "--forwarded-for has no effect with --listen unix:/a and no --accept-proxy";
        assert_eq!(doubted(&["--forwarded-for", "--listen", "unix:/a"], &[]), [line]);
        assert!(doubted(&["--forwarded-for"], &[]).is_empty());
        assert!(doubted(&["--forwarded-for", "--listen", "unix:/a", "--accept-proxy", "any"], &[]).is_empty());
        assert!(doubted(&["--deny", "@owasp", "--drain-delay", "120s"], &[]).is_empty());
        let line = "--drain-delay is 3600s: whatever sends SIGTERM will kill the process long before that";
        assert_eq!(doubted(&["--drain-delay", "1h"], &[]), [line]);
    }
}
