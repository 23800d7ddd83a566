//! The flags and subcommands, from which the help text, the man page and the completions are made too.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfoKind, FromArgs};

use super::NAME;

/// Relays HTTP/1.1 to one application server and removes Server, X-Powered-By and other denied field lines from every
/// response head. Every other byte goes through unchanged, but for what clients or servers could read in two ways.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    example = "In front of an application on port 3000:\n  {command_name} --listen 0.0.0.0:8080 --upstream 127.0.0.1:3000",
    example = "See what a security test would:\n  {command_name} probe http://127.0.0.1:8080/",
    example = "Remove more, keep one:\n  {command_name} --deny '@owasp,via,x-amz-*' --keep x-amz-request-id",
    note = "Each flag has an environment variable: --head-timeout is HEADSNIP_HEAD_TIMEOUT. A flag wins.
An ADDR is host:port, [v6]:port or unix:/path. NAMES is a comma list of field names, prefix* or the preset
@owasp; the flag may be repeated. NETS is a comma list of 10.0.0.0/8, unix or any. A TIME is 500ms, 30s, 5m or 1h; a SIZE is 512B, 64KiB, 1MiB or 1GiB.
The variable of a flag without a value is true or false. An empty variable is ignored.",
    error_code(0, "drained, or did what was asked"),
    error_code(1, "could not start, run, or write what was asked; not healthy; something is disclosed"),
    error_code(2, "wrong usage")
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch")]
pub(super) struct Flags {
    /// where clients connect; systemd: on the sockets that it passes (127.0.0.1:8080)
    #[argh(option, arg_name = "ADDR|systemd")]
    pub(super) listen: Option<String>,
    /// permissions of the socket file, in octal: 660 (by umask)
    #[argh(option, arg_name = "MODE")]
    pub(super) listen_mode: Option<String>,
    /// the application server; a name is resolved again as connections are dialled (127.0.0.1:3000)
    #[argh(option, arg_name = "ADDR")]
    pub(super) upstream: Option<String>,
    /// field names to remove beside server and x-powered-by
    #[argh(option, arg_name = "NAMES")]
    pub(super) deny: Vec<String>,
    /// field names to leave in place though they are denied
    #[argh(option, arg_name = "NAMES")]
    pub(super) keep: Vec<String>,
    /// field names to remove from requests; an underscore counts as a dash
    #[argh(option, arg_name = "NAMES")]
    pub(super) deny_request: Vec<String>,
    /// field names to leave in requests though they are denied there
    #[argh(option, arg_name = "NAMES")]
    pub(super) keep_request: Vec<String>,
    /// a line for final response heads that have none of that name; may be repeated, and the variable has a line each
    #[argh(option, arg_name = "LINE")]
    pub(super) add: Vec<String>,
    /// have requests say the client's address, as the last of X-Forwarded-For
    #[argh(switch)]
    pub(super) forwarded_for: bool,
    /// networks whose connections must begin with a PROXY protocol preamble; others are closed (off)
    #[argh(option, arg_name = "NETS")]
    pub(super) accept_proxy: Vec<String>,
    /// v1 or v2: begin each connection to the upstream with such a preamble (off)
    #[argh(option, arg_name = "v1|v2")]
    pub(super) send_proxy: Option<String>,
    /// protocols that a connection may be switched to (websocket)
    #[argh(option, arg_name = "NAMES")]
    pub(super) allow_upgrade: Vec<String>,
    /// threads, each with its own listener; auto: one for each core that it may use (1)
    #[argh(option, arg_name = "N|auto")]
    pub(super) workers: Option<String>,
    /// where /livez, /readyz and /metrics are answered; clients must not reach it; systemd: on the socket named admin (off)
    #[argh(option, arg_name = "ADDR|systemd|off")]
    pub(super) admin: Option<String>,
    /// clients served at once; beyond it, they wait (from the open-file limit)
    #[argh(option, arg_name = "N")]
    pub(super) max_connections: Option<String>,
    /// bytes held for all clients, 8MiB at least (a quarter of the cgroup's memory, at most 256MiB)
    #[argh(option, arg_name = "SIZE")]
    pub(super) max_memory: Option<String>,
    /// the longest request or response head (64KiB)
    #[argh(option, arg_name = "SIZE")]
    pub(super) max_head: Option<String>,
    /// the most field lines of a request or response head (256)
    #[argh(option, arg_name = "N")]
    pub(super) max_fields: Option<String>,
    /// take a bare LF for a line end in response heads
    #[argh(switch)]
    pub(super) allow_bare_lf: bool,
    /// field names that the trailer section of a request may have (none)
    #[argh(option, arg_name = "NAMES")]
    pub(super) allow_request_trailers: Vec<String>,
    /// which requests may follow another on an origin connection: plain ones; bodyless: none behind a body; or never (plain)
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
    /// how long nothing may move within an exchange (300s)
    #[argh(option, arg_name = "TIME")]
    pub(super) exchange_timeout: Option<String>,
    /// how long nothing may move within a tunnel, such as a WebSocket (as within an exchange)
    #[argh(option, arg_name = "TIME")]
    pub(super) tunnel_timeout: Option<String>,
    /// after SIGTERM, how long new connections are still taken (2s)
    #[argh(option, arg_name = "TIME")]
    pub(super) drain_delay: Option<String>,
    /// after that, how long open exchanges may take to end (25s)
    #[argh(option, arg_name = "TIME")]
    pub(super) drain_timeout: Option<String>,
    /// write a line for each exchange to standard output
    #[argh(switch)]
    pub(super) access_log: bool,
    /// request fields that such a line tells (none)
    #[argh(option, arg_name = "NAMES")]
    pub(super) log_fields: Vec<String>,
    /// text, for people, or json, one object a line (text)
    #[argh(option, arg_name = "text|json")]
    pub(super) log_format: Option<String>,
    /// remove nothing; count what would be removed, and log it once for each name
    #[argh(switch)]
    pub(super) dry_run: bool,
    /// print the version and end
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

/// Ask a headsnip that runs on this machine, by its admin listener, how it is; for images without a shell.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "healthcheck",
    error_code(0, "healthy"),
    error_code(1, "not healthy, or no answer"),
    error_code(2, "wrong usage")
)]
pub(super) struct Healthcheck {
    /// the --admin address of the headsnip to ask (that of process 1, if it is headsnip; else its variable)
    #[argh(option, arg_name = "ADDR")]
    pub(super) admin: Option<String>,
    /// ask whether it is ready, the upstream too, and not only alive
    #[argh(switch)]
    pub(super) ready: bool,
    /// how long the answer may take (2s)
    #[argh(option, arg_name = "TIME")]
    pub(super) timeout: Option<String>,
}

/// Ask a server in the ways that reveal what it is made of, and tell which response discloses what.
#[derive(ArgsInfo, FromArgs)]
#[argh(
    subcommand,
    name = "probe",
    example = "Through headsnip, and past it:\n  headsnip probe http://127.0.0.1:8080/\n  headsnip probe http://127.0.0.1:3000/",
    error_code(0, "nothing is disclosed"),
    error_code(1, "something is disclosed, or there was no answer"),
    error_code(2, "wrong usage")
)]
pub(super) struct Probe {
    /// print one JSON object instead of a table
    #[argh(switch)]
    pub(super) json: bool,
    /// how long each answer may take (5s)
    #[argh(option, arg_name = "TIME")]
    pub(super) timeout: Option<String>,
    /// where to ask, as in the examples; without TLS
    #[argh(positional, arg_name = "URL")]
    pub(super) url: String,
}

/// Print what a shell needs to complete flags.
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
    /// the shell that is to complete
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

/// Tells whether a flag has no value.
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
