//! The flags and subcommands, from which the help text, the man page and the completions are made too.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfoKind, FromArgs};
use rust_fuzzy_search::fuzzy_compare;

use super::NAME;

/// Relays HTTP/1.1 to one application server and removes Server, X-Powered-By and other denied field lines from every
/// response head. Every other byte goes through unchanged, except what clients or servers could read in two ways.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    example = "In front of an application on port 3000:\n  {command_name} --listen 0.0.0.0:8080 --upstream 127.0.0.1:3000",
    example = "See what a security test sees:\n  {command_name} probe http://127.0.0.1:8080/",
    example = "Remove more, keep one:\n  {command_name} --deny '@owasp,via,x-amz-*' --keep x-amz-request-id",
    note = "Each flag has an environment variable: --head-timeout is HEADSNIP_HEAD_TIMEOUT. A flag wins over its variable.
An ADDR is host:port, [v6]:port or unix:/path. NAMES is a comma-separated list of field names, prefix* or the preset
@owasp; the flag may be repeated. NETS is a comma-separated list of 10.0.0.0/8, unix or any. A TIME is 500ms, 30s, 5m or 1h; a SIZE is 512B, 64KiB, 1MiB or 1GiB.
The variable of a flag without a value is true or false. An empty variable is ignored.",
    error_code(0, "drained, or done as asked"),
    error_code(1, "could not start, run or write its output; not healthy; something is disclosed"),
    error_code(2, "wrong usage")
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch")]
pub(super) struct Flags {
    /// where clients connect; systemd: the sockets that systemd passes (127.0.0.1:8080)
    #[argh(option, arg_name = "ADDR|systemd")]
    pub(super) listen: Option<String>,
    /// permissions of the socket file, in octal: 660 (by umask)
    #[argh(option, arg_name = "MODE")]
    pub(super) listen_mode: Option<String>,
    /// the application server; a name is resolved again for new connections (127.0.0.1:3000)
    #[argh(option, arg_name = "ADDR")]
    pub(super) upstream: Option<String>,
    /// field names to remove besides server and x-powered-by
    #[argh(option, arg_name = "NAMES")]
    pub(super) deny: Vec<String>,
    /// exceptions from the denied field names
    #[argh(option, arg_name = "NAMES")]
    pub(super) keep: Vec<String>,
    /// field names to remove from requests; an underscore or another mark counts as a dash
    #[argh(option, arg_name = "NAMES")]
    pub(super) deny_request: Vec<String>,
    /// exceptions from --deny-request
    #[argh(option, arg_name = "NAMES")]
    pub(super) keep_request: Vec<String>,
    /// a field line for final responses without a field of that name; may be repeated; in the variable, one per line
    #[argh(option, arg_name = "LINE")]
    pub(super) add: Vec<String>,
    /// add the client's address to requests, as the last value of X-Forwarded-For
    #[argh(switch)]
    pub(super) forwarded_for: bool,
    /// networks whose connections must begin with a PROXY protocol preamble; others are closed (off)
    #[argh(option, arg_name = "NETS")]
    pub(super) accept_proxy: Vec<String>,
    /// begin each connection to the upstream with a PROXY protocol preamble (off)
    #[argh(option, arg_name = "v1|v2")]
    pub(super) send_proxy: Option<String>,
    /// protocols that a connection may switch to (websocket)
    #[argh(option, arg_name = "NAMES")]
    pub(super) allow_upgrade: Vec<String>,
    /// threads, each with its own listener; auto: one per available core (1)
    #[argh(option, arg_name = "N|auto")]
    pub(super) workers: Option<String>,
    /// where /livez, /readyz and /metrics are served; clients must not reach it; systemd: the socket named admin (off)
    #[argh(option, arg_name = "ADDR|systemd|off")]
    pub(super) admin: Option<String>,
    /// clients served at once; more wait (from the open-file limit)
    #[argh(option, arg_name = "N")]
    pub(super) max_connections: Option<String>,
    /// bytes held for all clients, at least 8MiB (a quarter of the cgroup's memory, at most 256MiB)
    #[argh(option, arg_name = "SIZE")]
    pub(super) max_memory: Option<String>,
    /// the longest request or response head (64KiB)
    #[argh(option, arg_name = "SIZE")]
    pub(super) max_head: Option<String>,
    /// the most field lines of a request or response head (256)
    #[argh(option, arg_name = "N")]
    pub(super) max_fields: Option<String>,
    /// accept a bare LF as a line end in response heads
    #[argh(switch)]
    pub(super) allow_bare_lf: bool,
    /// field names that the trailer section of a request may have (none)
    #[argh(option, arg_name = "NAMES")]
    pub(super) allow_request_trailers: Vec<String>,
    /// after which exchanges an origin connection is used again: plain ones; bodyless: plain ones without a request body; or never (plain)
    #[argh(option, arg_name = "plain|bodyless|never")]
    pub(super) reuse_origin: Option<String>,
    /// how long to wait for a connection to the upstream (5s)
    #[argh(option, arg_name = "TIME")]
    pub(super) connect_timeout: Option<String>,
    /// from a request's first byte to the end of its head (30s)
    #[argh(option, arg_name = "TIME")]
    pub(super) head_timeout: Option<String>,
    /// how long a client may be silent between requests (75s)
    #[argh(option, arg_name = "TIME")]
    pub(super) idle_timeout: Option<String>,
    /// how long an exchange may stall (300s)
    #[argh(option, arg_name = "TIME")]
    pub(super) exchange_timeout: Option<String>,
    /// how long a tunnel, such as a WebSocket, may stall (as for an exchange)
    #[argh(option, arg_name = "TIME")]
    pub(super) tunnel_timeout: Option<String>,
    /// after SIGTERM, how long new connections are still accepted (2s)
    #[argh(option, arg_name = "TIME")]
    pub(super) drain_delay: Option<String>,
    /// after that, how long open exchanges may take to finish (25s)
    #[argh(option, arg_name = "TIME")]
    pub(super) drain_timeout: Option<String>,
    /// write a line per exchange to standard output
    #[argh(switch)]
    pub(super) access_log: bool,
    /// request fields to add to each access log line (none)
    #[argh(option, arg_name = "NAMES")]
    pub(super) log_fields: Vec<String>,
    /// text, for people, or json, one object per line (text)
    #[argh(option, arg_name = "text|json")]
    pub(super) log_format: Option<String>,
    /// remove nothing; count what would be removed, and log it once per name
    #[argh(switch)]
    pub(super) dry_run: bool,
    /// print the version and exit
    #[argh(switch)]
    pub(super) version: bool,
    #[argh(subcommand)]
    pub(super) subcommand: Option<Subcommand>,
}

/// What can be done beside serving.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
pub(super) enum Subcommand {
    Healthcheck(Healthcheck),
    Probe(Probe),
    Completions(Completions),
    Man(Man),
}

/// Ask the admin listener of a running headsnip whether it is healthy; for images without a shell.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "healthcheck",
    error_code(0, "healthy"),
    error_code(1, "not healthy, or no answer"),
    error_code(2, "wrong usage")
)]
pub(super) struct Healthcheck {
    /// the --admin address of the running headsnip (that of process 1 if it is headsnip, else the variable)
    #[argh(option, arg_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// ask whether it is ready, including the upstream, not only alive
    #[argh(switch)]
    pub(super) ready: bool,
    /// how long the answer may take (2s)
    #[argh(option, arg_name = "TIME")]
    pub(super) timeout: Option<String>,
}

/// Send a server the requests that reveal its software, and show which response discloses what.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "probe",
    example = "Through headsnip, and past it:\n  headsnip probe http://127.0.0.1:8080/\n  headsnip probe http://127.0.0.1:3000/",
    example = "A socket, and a path behind it:\n  headsnip probe unix:/run/app.sock:/hello",
    error_code(0, "nothing was found that --fail-on names"),
    error_code(1, "something was found, there was no answer, or it could not be written"),
    error_code(2, "wrong usage")
)]
pub(super) struct Probe {
    /// what makes the exit code 1: @lines, @pages, @http2, @unseen, @missing, @nothing, or field names that are disclosed or missing
    /// (@lines,@pages,@http2,@unseen)
    #[argh(option, arg_name = "NAMES")]
    pub(super) fail_on: Vec<String>,
    /// output format (text)
    #[argh(option, arg_name = "text|json|sarif|junit")]
    pub(super) format: Option<String>,
    /// how long each answer may take (5s)
    #[argh(option, arg_name = "TIME")]
    pub(super) timeout: Option<String>,
    /// the URL or the socket to probe, as in the examples
    #[argh(positional, arg_name = "URL")]
    pub(super) url: String,
}

/// Print a completion script for a shell.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "completions",
    example = "source <(headsnip completions bash)",
    error_code(0, "printed"),
    error_code(1, "could not be written"),
    error_code(2, "wrong usage")
)]
pub(super) struct Completions {
    /// the shell to print it for
    #[argh(positional, arg_name = "bash|zsh|fish|nushell")]
    pub(super) shell: String,
}

/// Print the man page.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "man",
    example = "headsnip man | man -l -",
    error_code(0, "printed"),
    error_code(1, "could not be written"),
    error_code(2, "wrong usage")
)]
pub(super) struct Man {}

/// All of it, for what is made from it.
pub(super) fn info() -> CommandInfoWithArgs {
    // argh knows the type's name alone.
    CommandInfoWithArgs { name: NAME, ..Flags::get_args_info() }
}

/// How alike two names must be for one to be a misspelling of the other, from 0 to 1.
const ALIKE: f32 = 0.3;

/// The one of these names that was probably meant.
pub(super) fn most_like<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = names.map(|name| (fuzzy_compare(given, name), name)).filter(|(alike, _)| *alike >= ALIKE);
    // Of equals the first.
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, name)| name)
}

/// Returns whether a flag has no value.
pub(super) fn is_switch(flag: &str) -> bool {
    let info = info();
    let mut flags = info.flags.iter().chain(info.commands.iter().flat_map(|command| command.command.flags));
    flags.any(|known| known.long == flag && known.kind == FlagInfoKind::Switch)
}

/// The names of all flags of serving that set something.
pub(super) fn settings() -> impl Iterator<Item = &'static str> {
    let flags = info().flags;
    flags.iter().map(|flag| flag.long.trim_start_matches("--")).filter(|name| !matches!(*name, "help" | "version"))
}

/// A small command line, with each kind of thing that is told.
#[cfg(test)]
pub(super) fn small() -> CommandInfoWithArgs {
    use argh::{ErrorCodeInfo, FlagInfo, Optionality, PositionalInfo, SubCommandInfo};

    let option = |long, arg_name, description| FlagInfo {
        kind: FlagInfoKind::Option { arg_name },
        optionality: Optionality::Optional,
        long,
        description,
        ..FlagInfo::default()
    };
    let flags = vec![
        FlagInfo { long: "--help", description: "tell this", ..FlagInfo::default() },
        option("--at", "ADDR", "where [it is]"),
        option("--format", "text|json", "how"),
        FlagInfo { optionality: Optionality::Repeating, ..option("--drop", "NAMES", "it's what to drop") },
        // As long as fits before what is said of it, which no line can hold; and longer by one, of which a whole line is said, and a word.
        option("--it-is-of-thirty", "COLUMNS-TO-Z", "a".repeat(67).leak()),
        option("--it-is-of-more", "COLUMNS-THAN-30", format!("{} {} c", "a".repeat(32), "a".repeat(33)).leak()),
        FlagInfo { long: "--secret", hidden: true, ..FlagInfo::default() },
    ];
    let ask = CommandInfoWithArgs {
        name: "ask",
        description: "Asks \"it\".",
        flags: vec![option("--late", "TIME", "when")].leak(),
        positionals: vec![
            PositionalInfo { name: "URL", description: "whom", optionality: Optionality::Required, hidden: false },
            PositionalInfo { name: "high|low", description: "how", optionality: Optionality::Required, hidden: false },
        ]
        .leak(),
        error_codes: vec![ErrorCodeInfo { code: 7, description: "no answer" }].leak(),
        ..CommandInfoWithArgs::default()
    };
    CommandInfoWithArgs {
        name: NAME,
        description: "Asks and tells.",
        examples: &["Once:\n  {command_name} --at 127.0.0.1:1"],
        flags: flags.leak(),
        notes: &["A note."],
        commands: vec![SubCommandInfo { name: "ask", command: ask }],
        error_codes: vec![ErrorCodeInfo { code: 3, description: "all is lost" }].leak(),
        ..CommandInfoWithArgs::default()
    }
}
