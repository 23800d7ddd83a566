//! headsnip: flags, then a proxy, then an exit code.

mod cli;

use std::io::{self, Write};
use std::process::ExitCode;

use cli::Command;
use headsnip::config::Config;
use headsnip::proxy::Proxy;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Could not start or run.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
    let Ok(arguments) = arguments else {
        return complain(USAGE, "an argument is not UTF-8 text");
    };
    match cli::parse(&arguments, |name| std::env::var(name).ok()) {
        Ok(Command::Run(config)) => run(*config),
        // A closed pipe is the reader's choice.
        Ok(Command::Print(text)) => {
            io::stdout().write_all(text.as_bytes()).map_or(ExitCode::SUCCESS, |()| ExitCode::SUCCESS)
        }
        Err(error) => complain(USAGE, error),
    }
}

fn run(config: Config) -> ExitCode {
    warn_of_unknown_variables();
    let upstream = config.upstream.clone();
    let denied = config.policy.denylist.entries().collect::<Vec<_>>().join(", ");
    let proxy = match Proxy::bind(config) {
        Ok(proxy) => proxy,
        Err(error) => return complain(FAILED, error),
    };
    match proxy.address() {
        Ok(address) => say(format_args!("listening on {address}, upstream {upstream}, removing {denied}")),
        Err(error) => return complain(FAILED, error),
    }
    match proxy.run(stopped) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(FAILED, error),
    }
}

/// Waits for SIGINT or SIGTERM.
async fn stopped() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// A misspelt variable would leave a name in place that was meant to be removed. Those that Kubernetes makes for a
/// service called "headsnip" are not ours.
fn warn_of_unknown_variables() {
    let is_kubernetes = |rest: &str| rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_");
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        let unknown = name.strip_prefix("HEADSNIP_").is_some_and(|rest| !is_kubernetes(rest));
        if unknown && !cli::variables().any(|known| known == name) {
            say(format_args!("the environment variable {name} means nothing to headsnip: a typo?"));
        }
    }
}

fn complain(code: u8, problem: impl std::fmt::Display) -> ExitCode {
    say(format_args!("{problem}"));
    ExitCode::from(code)
}

fn say(line: std::fmt::Arguments<'_>) {
    // With no standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "headsnip: {line}");
}
