//! Flags and environment variables, made into a [`Config`]; and the subcommands.
//!
//! Every flag has an environment variable of its name (`--head-timeout`, `HEADSNIP_HEAD_TIMEOUT`); the flag wins. All values are
//! checked before anything is bound, and a complaint names where the value came from.

mod client;
mod completions;
mod container;
mod doubts;
mod flags;
mod help;
mod manual;
mod serving;
mod value;

use std::time::Duration;

use argh::FromArgs;
use thiserror::Error;

pub use self::doubts::doubts;
use self::flags::{Flags, Subcommand};
use self::serving::config;
use self::value::{Environment, Value, wait};
use crate::config::Config;
use crate::net::address::Listen;
use crate::ops::Format;
use crate::ops::healthcheck::{Check, Question};
use crate::ops::probe::{FailOn, Probe, Report, Target};

/// The name that usage texts begin with.
const NAME: &str = "headsnip";

/// What the names of all variables begin with.
const PREFIX: &str = "HEADSNIP_";

/// How long `healthcheck` waits.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long `probe` waits for each answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve, and log so.
    Run(Box<Config>, Format),
    /// Print this and end.
    Print(String),
    /// Ask another headsnip whether it is healthy.
    Healthcheck(Question),
    /// Show what a server discloses.
    Probe(Probe),
}

/// A complaint about the command line or the environment, in whole sentences.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    /// argh's complaint, with advice.
    fn of_argh(complaint: &str, arguments: &[&str]) -> Self {
        let complaint = complaint.trim_end();
        let is_stray = |argument: &&str| complaint == format!("Unrecognized argument: {argument}");
        let info = flags::info();
        let command = info.commands.iter().find(|command| arguments.contains(&command.name));
        let advice = match arguments.iter().copied().find(is_stray) {
            Some("true" | "false") => "; to switch a flag off, write --flag=false".to_owned(),
            Some(argument) if argument.starts_with('-') => {
                let known = command.map_or(info.flags, |command| command.command.flags).iter();
                let names = known.map(|flag| flag.long.trim_start_matches('-'));
                let meant = flags::most_like(argument.trim_start_matches('-'), names);
                meant.map_or(String::new(), |name| format!("; did you mean --{name}?"))
            }
            Some(_) if command.is_none() => {
                let commands: Vec<&str> = info.commands.iter().map(|command| command.name).collect();
                format!("; the commands are: {}", commands.join(", "))
            }
            Some(_) | None => String::new(),
        };
        Self(format!("{complaint}{advice}"))
    }

    /// A complaint that names flags, with their variables in place of those that were not given.
    fn of_variables(mut self, arguments: &[&str], environment: &Environment<'_>) -> Self {
        for word in std::mem::take(&mut self.0).split_inclusive([' ', ':']) {
            let flag = word.trim_end_matches([' ', ':']);
            let name = flag.strip_prefix("--").filter(|_| !arguments.contains(&flag));
            match name.filter(|name| environment.one(None, name).is_some()) {
                Some(name) => self.0.extend([&*variable(name), &word[flag.len()..]]),
                None => self.0.push_str(word),
            }
        }
        self
    }

    /// With a pointer to the help text.
    fn with_help(self, arguments: &[String]) -> Self {
        let is_first = |name: &&str| arguments.first().is_some_and(|first| first == name);
        let command = flags::info().commands.iter().map(|command| command.name).find(is_first);
        let command = command.map_or(String::new(), |name| format!(" {name}"));
        Self(format!("{}\nRun {NAME}{command} --help for all flags.", self.0))
    }
}

/// Reads arguments (without the program's name) and the environment.
pub fn parse(arguments: &[String], environment: impl Fn(&str) -> Option<String>) -> Result<Command, UsageError> {
    understand(arguments, environment).map_err(|error| error.with_help(arguments))
}

fn understand(arguments: &[String], environment: impl Fn(&str) -> Option<String>) -> Result<Command, UsageError> {
    let (arguments, switched_off) = as_argh_knows_them(arguments)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment = |name: &str| {
        if switched_off.contains(&name.to_owned()) { Some("false".to_owned()) } else { environment(name) }
    };
    let mut flags = match Flags::from_args(&[NAME], &arguments) {
        Ok(flags) => flags,
        Err(exit) if exit.status.is_ok() => return Ok(Command::Print(help(&exit.output))),
        Err(exit) => return Err(UsageError::of_argh(&exit.output, &arguments)),
    };
    if flags.version {
        return Ok(Command::Print(format!("{NAME} {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let environment = Environment(&environment);
    let Some(subcommand) = flags.subcommand.take() else {
        return serve(flags, &environment).map_err(|error| error.of_variables(&arguments, &environment));
    };
    if let Some(flag) = arguments.first().filter(|argument| argument.starts_with('-')) {
        return Err(UsageError(format!("{flag} comes before the subcommand; put a subcommand's flags after its name")));
    }
    match subcommand {
        Subcommand::Healthcheck(flags) => healthcheck(flags, &environment).map(Command::Healthcheck),
        Subcommand::Probe(flags) => probe(flags).map(Command::Probe),
        Subcommand::Completions(flags) => completions(&flags.shell).map(Command::Print),
        Subcommand::Man(flags::Man {}) => Ok(Command::Print(manual::page(&flags::info()))),
    }
}

/// The names of all environment variables that mean something.
pub fn variables() -> impl Iterator<Item = String> {
    flags::settings().map(variable)
}

fn serve(mut flags: Flags, environment: &Environment<'_>) -> Result<Command, UsageError> {
    let format = environment.one(flags.log_format.take(), "log-format");
    let formats = [("text", Format::Text), ("json", Format::Json)];
    let format = format.map_or(Ok(Format::default()), |value| value.one_of(&formats, "expected text or json"))?;
    config(flags, environment).map(|config| Command::Run(Box::new(config), format))
}

fn healthcheck(flags: flags::Healthcheck, environment: &Environment<'_>) -> Result<Question, UsageError> {
    let admin = environment
        .one(flags.admin.or_else(container::admin), "admin")
        .filter(|value| value.text != "off")
        .ok_or_else(|| {
            UsageError("healthcheck asks the admin listener: give its address with --admin or HEADSNIP_ADMIN".into())
        })?;
    let timeout = flags.timeout.map(|text| Value { text, origin: "--timeout".into() });
    Ok(Question {
        admin: match admin.listen()? {
            Listen::At(address) => address,
            Listen::Passed => return Err(admin.complain("only systemd knows that address: give it by --admin")),
        },
        check: if flags.ready { Check::Ready } else { Check::Alive },
        timeout: wait(timeout, HEALTHCHECK_TIMEOUT)?,
    })
}

fn probe(flags: flags::Probe) -> Result<Probe, UsageError> {
    let timeout = flags.timeout.map(|text| Value { text, origin: "--timeout".into() });
    let url = Value { text: flags.url, origin: "probe".into() };
    let format = flags.format.map(|text| Value { text, origin: "--format".into() });
    let formats = [("text", Report::Text), ("json", Report::Json), ("sarif", Report::Sarif), ("junit", Report::Junit)];
    Ok(Probe {
        target: url.parse::<Target>()?,
        timeout: wait(timeout, PROBE_TIMEOUT)?,
        fail_on: FailOn::new(flags.fail_on.iter().flat_map(|list| list.split(',')).map(str::trim))
            .map_err(UsageError)?,
        report: format
            .map_or(Ok(Report::Text), |value| value.one_of(&formats, "expected text, json, sarif or junit"))?,
    })
}

fn completions(shell: &str) -> Result<String, UsageError> {
    completions::script(shell, &flags::info())
        .ok_or_else(|| UsageError(format!("completions \"{shell}\": expected bash, zsh, fish or nushell")))
}

/// Of what argh's own help text is about, which begins with its name: a subcommand, or headsnip.
fn help(of_argh: &str) -> String {
    let info = flags::info();
    let name = of_argh.split_whitespace().nth(2);
    let named = info.commands.iter().find(|command| Some(command.name) == name);
    named.map_or_else(
        || help::text(NAME, &info),
        |command| help::text(&format!("{NAME} {}", command.name), &command.command),
    )
}

/// The environment variable of a flag.
fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// `--flag=value` as two arguments, `-h` and `-V` as words, and switches without a value. With the variables of those that are
/// switched off.
fn as_argh_knows_them(arguments: &[String]) -> Result<(Vec<String>, Vec<String>), UsageError> {
    let (mut known, mut switched_off) = (Vec::new(), Vec::new());
    let mut is_value = false;
    for argument in arguments {
        if is_value {
            known.push(argument.clone());
            is_value = false;
            continue;
        }
        is_value = argument.starts_with("--") && !argument.contains('=') && !flags::is_switch(argument);
        match (argument.as_str(), argument.split_once('=')) {
            ("-h", _) => known.push("--help".to_owned()),
            ("-V", _) => known.push("--version".to_owned()),
            (_, Some((flag, value))) if flags::is_switch(flag) => {
                let value = Value { text: value.to_owned(), origin: flag.to_owned() };
                if value.switch()? {
                    known.push(flag.to_owned());
                } else {
                    switched_off.push(variable(flag.trim_start_matches("--")));
                }
            }
            (_, Some((flag, value))) if flag.starts_with("--") => known.extend([flag.to_owned(), value.to_owned()]),
            _ => known.push(argument.clone()),
        }
    }
    Ok((known, switched_off))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::config::{Drain, Timeouts};

    fn parsed(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let lookup = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        match parse(&arguments, lookup) {
            Ok(Command::Run(config, _)) => Ok(*config),
            Ok(other) => panic!("{other:?}"),
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
        assert_eq!((config.drain, config.max_connections, config.max_memory), (Drain::default(), None, None));
        assert_eq!(config.timeouts.tunnel(), config.timeouts.exchange);
        assert_eq!(config.workers.get(), 1);
    }

    #[test]
    fn an_empty_variable_is_none_and_the_admin_listener_can_be_off() {
        let empty =
            [("HEADSNIP_DENY", ""), ("HEADSNIP_UPSTREAM", ""), ("HEADSNIP_ADMIN", ""), ("HEADSNIP_DRY_RUN", "")];
        let config = parsed(&[], &empty).expect("as if there were none");
        assert_eq!(
            (config.upstream.to_string().as_str(), config.admin, config.policy.dry_run),
            ("127.0.0.1:3000", None, false)
        );
        let image = [("HEADSNIP_ADMIN", "127.0.0.1:9901")];
        assert!(parsed(&[], &image).expect("an address").admin.is_some());
        assert_eq!(parsed(&["--admin", "off"], &image).expect("none").admin, None);
        assert_eq!(parsed(&[], &[("HEADSNIP_ADMIN", "off")]).expect("none").admin, None);
        // Of a file or a secret, with its line end.
        let config =
            parsed(&[], &[("HEADSNIP_UPSTREAM", " 127.0.0.1:4000\n"), ("HEADSNIP_DENY", "\n")]).expect("sound");
        assert_eq!(config.upstream, "127.0.0.1:4000".parse().expect("an address"));
    }

    #[test]
    fn what_is_made_from_the_flags_names_the_program() {
        for arguments in [&["man"][..], &["completions", "zsh"], &["completions", "bash"], &["--help"]] {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            let Ok(Command::Print(text)) = parse(&arguments, |_| None) else { panic!("{arguments:?}") };
            assert!(text.contains("headsnip") && !text.contains("Flags"), "{arguments:?}: {text}");
        }
    }

    #[test]
    fn a_drain_may_take_no_time() {
        let flags = ["--drain-delay", "0s", "--drain-timeout=0ms", "--max-connections", "3"];
        let config = parsed(&flags, &[]).expect("sound flags");
        assert_eq!(config.drain, Drain { delay: Duration::ZERO, timeout: Duration::ZERO });
        assert_eq!(config.max_connections, NonZeroUsize::new(3));
    }

    #[test]
    fn memory_is_a_size_and_tunnels_have_a_time_of_their_own() {
        let flags = ["--max-memory", "1GiB", "--exchange-timeout=1m", "--tunnel-timeout=1h"];
        let config = parsed(&flags, &[]).expect("sound flags");
        assert_eq!(config.max_memory, Some(1024 * 1024 * 1024));
        assert_eq!((config.timeouts.exchange.as_secs(), config.timeouts.tunnel().as_secs()), (60, 3600));
        let config = parsed(&["--exchange-timeout=1m"], &[("HEADSNIP_MAX_MEMORY", "8MiB")]).expect("a sound flag");
        assert_eq!((config.max_memory, config.timeouts.tunnel().as_secs()), (Some(8 * 1024 * 1024), 60));
    }

    #[test]
    fn lines_are_added_by_a_flag_each_or_by_lines_of_the_variable() {
        let variable = [("HEADSNIP_ADD", "X-A: b, c\r\n\n  X-B: d\n"), ("HEADSNIP_FORWARDED_FOR", "true")];
        let config = parsed(&[], &variable).expect("sound lines");
        assert_eq!(config.policy.added.bytes(), b"X-A: b, c\r\nX-B: d\r\n");
        assert!(config.policy.forwarded_for && !parsed(&[], &[]).expect("no flags").policy.forwarded_for);
        let config = parsed(&["--add", "X-C: e", "--add=X-D: f"], &variable).expect("sound lines");
        assert_eq!(config.policy.added.bytes(), b"X-C: e\r\nX-D: f\r\n");
        let complaint = parsed(&[], &[("HEADSNIP_ADD", "X-A: b\nc")]).expect_err("a usage error");
        assert!(complaint.starts_with("HEADSNIP_ADD: \"c\" is not a field name"), "{complaint}");
        let requests = [("HEADSNIP_DENY_REQUEST", "x_forwarded_*,proxy"), ("HEADSNIP_KEEP_REQUEST", "x-forwarded-for")];
        let list = parsed(&[], &requests).expect("sound names").policy.request_denylist;
        assert_eq!((list.entry(b"X-Forwarded-Host"), list.entry(b"X_Forwarded_For")), (Some(1), None));
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
            (vec!["--listen", "8080"], vec!["--listen \"8080\"", "expected host:port", "127.0.0.1:8080"]),
            (vec!["--listen"], vec!["--listen"]),
            (vec!["serve"], vec!["serve", "the commands are: healthcheck, probe", "Run headsnip --help"]),
            (vec!["--access-log", "false"], vec!["--flag=false"]),
            (vec!["probe", "a"], vec!["http://", "Run headsnip probe --help"]),
            (vec!["--head-timeout", "30"], vec!["--head-timeout \"30\"", "unit is missing", "30s"]),
            (vec!["--head-timeout", "0s"], vec!["longer than zero"]),
            (vec!["--drain-delay", "2"], vec!["--drain-delay \"2\"", "unit is missing"]),
            (vec!["--max-connections", "0"], vec!["--max-connections \"0\"", "1 or more"]),
            (vec!["--workers", "0"], vec!["--workers \"0\"", "from 1 to 512"]),
            (vec!["--workers", "all"], vec!["auto or a number"]),
            (vec!["--head-timeout", "-1s"], vec!["not a time"]),
            (vec!["--head-timeout", "s"], vec!["not a time"]),
            (vec!["--head-timeout", "9999999m"], vec!["longer than a year"]),
            (vec!["--head-timeout", "99999999999999999999999ms"], vec!["longer than a year"]),
            (vec!["--max-head", "65536"], vec!["--max-head \"65536\"", "unit is missing", "64KiB"]),
            (vec!["--max-head", "64KB"], vec!["--max-head \"64KB\"", "not a size", "64KiB"]),
            (vec!["--max-head", "2MiB"], vec!["out of range", "1MiB"]),
            (vec!["--max-memory", "7MiB"], vec!["--max-memory", "too few", "8MiB"]),
            (vec!["--max-memory", "64"], vec!["--max-memory \"64\"", "unit is missing"]),
            (vec!["--max-memory", "99999999999999GiB"], vec!["too large"]),
            (vec!["--max-memory", "MiB"], vec!["not a size"]),
            (vec!["--tunnel-timeout", "0s"], vec!["longer than zero"]),
            (vec!["--deny", "server,te"], vec!["--deny", "\"te\"", "cannot be denied"]),
            (vec!["--deny", "t*"], vec!["\"t*\" covers \"transfer-encoding\""]),
            (vec!["--deny", "@owsap"], vec!["\"@owsap\"", "@owasp"]),
            (vec!["--keep", "x y"], vec!["--keep", "\"x y\""]),
            (vec!["--deny", ""], vec!["--deny", "\"\" is not a field name"]),
            (vec!["--listen-mode", "888"], vec!["--listen-mode \"888\"", "octal", "for example 660"]),
            (vec!["--listen-mode", "660"], vec!["--listen-mode 0660", "127.0.0.1:8080", "use --listen unix:/path"]),
            (vec!["--listen", "systemd", "--listen-mode", "660"], vec!["--listen-mode 0660", "SocketMode="]),
            (vec!["--upstream", "systemd"], vec!["--upstream \"systemd\"", "for example 127.0.0.1:8080"]),
            (
                vec!["--deny-request", "x-a,Host"],
                vec!["--deny-request", "\"Host\" covers \"host\"", "cannot be denied"],
            ),
            (vec!["--deny-request", "content_*"], vec!["\"content_*\" covers \"content-length\""]),
            (vec!["--keep-request", "a b"], vec!["--keep-request", "\"a b\""]),
            (vec!["--add", "nosniff"], vec!["--add: \"nosniff\"", "X-Content-Type-Options: nosniff"]),
            (vec!["--add", "A: b\r\nC: d"], vec!["\"A: b\\r\\nC: d\"", "control byte"]),
            (vec!["--add", "Content-Type: text/html"], vec!["\"Content-Type\"", "cannot be added"]),
            (vec!["--allow-upgrade", "h2c"], vec!["--allow-upgrade: \"h2c\"", "cannot be allowed"]),
            (vec!["--allow-upgrade", "a,b,c,d,e,f,g,h,i,j,k,l,m,n"], vec!["--allow-upgrade", "more than 13"]),
            (vec!["--max-fields", "0"], vec!["--max-fields \"0\"", "1 to 65535"]),
            (vec!["--max-fields", "many"], vec!["--max-fields \"many\"", "65535"]),
            (vec!["--reuse-origin", "always"], vec!["\"always\"", "plain, bodyless or never"]),
            (
                vec!["--allow-request-trailers", "x-a,Content_Length"],
                vec!["\"Content_Length\"", "cannot be a trailer field"],
            ),
            (vec!["--upstream", "127.0.0.1:8080"], vec!["relay to itself"]),
            (vec!["--upstream", "http://127.0.0.1:3000/"], vec!["not a URL: 127.0.0.1:3000\n"]),
            (vec!["--upstream", "http://app"], vec!["not a URL: app:80\n"]),
            (vec!["--upstream", "https://app:443"], vec!["not a URL", "for example"]),
            (vec!["--upstream", "app:80\n"], vec!["\"app:80\\n\""]),
            (vec!["healthcheck", "--admin", "off"], vec!["admin listener", "HEADSNIP_ADMIN"]),
        ] {
            let complaint = parsed(&arguments, &[]).expect_err("a usage error");
            for word in words {
                assert!(complaint.contains(word), "{arguments:?}: {complaint:?} lacks {word:?}");
            }
        }
        let complaint = parsed(&["healthcheck"], &[("HEADSNIP_ADMIN", "off")]).expect_err("a usage error");
        assert!(complaint.contains("admin listener"), "{complaint}");
        let complaint = parsed(&[], &[("HEADSNIP_MAX_HEAD", "1")]).expect_err("a usage error");
        assert!(complaint.starts_with("HEADSNIP_MAX_HEAD \"1\": "), "{complaint}");
        for (arguments, environment, words) in [
            (&[][..], [("HEADSNIP_MAX_MEMORY", "1MiB")], "HEADSNIP_MAX_MEMORY: 1048576 bytes"),
            (&["--max-memory", "2MiB"], [("HEADSNIP_MAX_MEMORY", "1MiB")], "--max-memory: 2097152 bytes"),
            (
                &["--listen", "[::]:80"],
                [("HEADSNIP_UPSTREAM", "[::]:80")],
                "--listen [::]:80 is where HEADSNIP_UPSTREAM ",
            ),
            (&[], [("HEADSNIP_LISTEN_MODE", "660")], "HEADSNIP_LISTEN_MODE 0660: only for a socket file, and --listen"),
            (&[], [("HEADSNIP_DENY", "server,te")], "HEADSNIP_DENY: \"te\""),
            (&[], [("HEADSNIP_ALLOW_UPGRADE", "'tcp'")], "HEADSNIP_ALLOW_UPGRADE: \"'tcp'\" is not a protocol name"),
        ] {
            let complaint = parsed(arguments, &environment).expect_err("a usage error");
            assert!(complaint.starts_with(words), "{complaint}");
        }
    }

    /// The commands are of no help to who has named one already.
    #[test]
    fn a_stray_word_after_a_command_is_told_alone() {
        let complaint = parsed(&["probe", "http://a/", "b"], &[]).expect_err("a usage error");
        assert_eq!(complaint, "Unrecognized argument: b\nRun headsnip probe --help for all flags.");
    }

    #[test]
    fn an_equals_sign_in_what_is_no_flag_is_a_part_of_it() {
        let arguments = ["probe", "http://127.0.0.1:1/?a=b"].map(str::to_owned);
        let Ok(Command::Probe(probe)) = parse(&arguments, |_| None) else { panic!("it is sound") };
        assert!(format!("{probe:?}").contains("/?a=b"), "{probe:?}");
    }

    #[test]
    fn limits_themselves_are_within_them() {
        for time in ["8784h", "527040m"] {
            let config = parsed(&["--exchange-timeout", time], &[]).expect("a year of 366 days");
            assert_eq!(config.timeouts.exchange, Duration::from_secs(366 * 24 * 3600));
        }
        parsed(&["--exchange-timeout", "8785h"], &[]).expect_err("an hour more");
        let sizes =
            ["256B", "8KiB", "1024KiB"].map(|size| parsed(&["--max-head", size], &[]).expect("a size").policy.max_head);
        assert_eq!(sizes, [256, 8 * 1024, 1024 * 1024]);
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
