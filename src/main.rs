//! headsnip: flags, then a proxy or a question, then an exit code.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use headsnip::cli::{self, Command};
use headsnip::config::{Config, Drain};
use headsnip::ops::signals::{EndSignal, Survived, Wish};
use headsnip::ops::supervisor::{State, Supervisor};
use headsnip::ops::{Event, Log, Observer};
use headsnip::proxy::{Drained, Handle, Proxy, Pulse};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Could not start or run; not healthy; something is disclosed.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(argument) => {
            let shown = argument.to_string_lossy();
            return complain(USAGE, format_args!("the argument {shown:?} is not UTF-8 text"));
        }
    };
    // To pass over one would leave in place what it says to remove.
    let is_no_text = |name: &String| matches!(std::env::var(name), Err(std::env::VarError::NotUnicode(_)));
    if let Some(name) = cli::variables().find(is_no_text) {
        return complain(USAGE, format_args!("the environment variable {name} is not UTF-8 text"));
    }
    match cli::parse(&arguments, |name| std::env::var(name).ok()) {
        Ok(Command::Run(config, format)) => {
            let log = Log::start(format);
            match if config.access_log { log.and_then(Log::with_exchanges) } else { log } {
                Ok(log) => {
                    // It lives as long as the process does.
                    let log = Box::leak(Box::new(log));
                    let code = run(*config, log);
                    log.flush();
                    code
                }
                Err(error) => complain(FAILED, format_args!("cannot start a thread for the log: {error}")),
            }
        }
        Ok(Command::Print(text)) => print(&text, ExitCode::SUCCESS),
        Ok(Command::Healthcheck(question)) => match question.ask() {
            Ok(line) => print(&format!("{line}\n"), ExitCode::SUCCESS),
            Err(line) => complain(FAILED, line),
        },
        Ok(Command::Probe(probe)) => match probe.run() {
            Ok(findings) => {
                let code = if findings.is_failed() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
                print(&findings.told(probe.report), code)
            }
            Err(line) => complain(FAILED, line),
        },
        Err(error) => complain(USAGE, error),
    }
}

fn run(config: Config, log: &'static Log) -> ExitCode {
    let survived = match Survived::begin() {
        Ok(survived) => survived,
        Err(error) => return fail(log, format_args!("cannot handle signals: {error}")),
    };
    for doubt in cli::doubts(&config, std::env::vars_os()) {
        log.observe(Event::Warning(format_args!("{doubt}")));
    }
    let (drain, told) = (config.drain, Greeting::new(&config));
    let name = config.upstream.name().map(|(host, port)| (host.to_owned(), port));
    let mut proxy = match Proxy::bind(config, Arc::new(|event: Event<'_>| log.observe(event))) {
        Ok(proxy) => proxy,
        Err(error) => return fail(log, format_args!("{error}")),
    };
    let supervisor = Rc::new(Supervisor::from_environment(log));
    let pulse = supervisor.patience().map(|patience| proxy.pulse(patience / 2));
    let addresses: Vec<String> = proxy.addresses().iter().map(ToString::to_string).collect();
    let (admin, memory, ready) = (proxy.admin_address().cloned(), proxy.memory(), Rc::clone(&supervisor));
    let tell_of_start = move || {
        let addresses = addresses.join(" and ");
        log.observe(Event::Notice(format_args!("listening on {addresses}, {told}; memory: {memory}")));
        if told.denied.is_empty() {
            log.observe(Event::Warning(format_args!("nothing is removed: --keep exempts every denied name")));
        }
        if let Some(admin) = admin {
            log.observe(Event::Notice(format_args!("admin on {admin}")));
        }
        if let Some(name) = name {
            look_up(name, log);
        }
        ready.tell(State::Ready);
    };
    let failed = Rc::new(Cell::new(false));
    let (watching, has_failed) = (keep_watch(Rc::clone(&supervisor), pulse, log), Rc::clone(&failed));
    let listening = listen_to_signals(survived, proxy.handle(), drain, supervisor, log, tell_of_start);
    let handle = proxy.handle();
    let drained = proxy.run(async move {
        let error = tokio::select! {
            Err(error) = listening => error,
            never = watching => match never {},
        };
        log.observe(Event::Error(format_args!("cannot handle signals: {error}")));
        has_failed.set(true);
        handle.cut();
    });
    let Drained { finished, cut, .. } = match drained {
        Ok(drained) if !failed.get() => drained,
        Ok(_) => return ExitCode::from(FAILED),
        Err(error) => return fail(log, format_args!("cannot start a worker: {error}")),
    };
    // Omitted lines are reported before, so that this is the last line.
    log.flush();
    log.observe(Event::Notice(format_args!("drained: {finished} connections finished, {cut} cut")));
    ExitCode::SUCCESS
}

/// Warns if the upstream's name has no address. A resolver may take its time, so nobody waits for that.
fn look_up((host, port): (String, u16), log: &'static Log) {
    let ask = move || {
        if let Err(error) = (&*host, port).to_socket_addrs() {
            log.observe(Event::Warning(format_args!("cannot resolve {host} of --upstream yet: {error}")));
        }
    };
    // It is asked again for clients, and then each failure is logged.
    let _ = thread::Builder::new().name("resolver".into()).spawn(ask);
}

fn fail(log: &Log, problem: fmt::Arguments<'_>) -> ExitCode {
    log.observe(Event::Error(problem));
    ExitCode::from(FAILED)
}

/// Names of a list in the first log line.
const MOST_LISTED: usize = 10;

/// What the first log line says.
struct Greeting {
    upstream: String,
    denied: Vec<String>,
    kept: Vec<String>,
    denied_of_requests: Vec<String>,
    added: usize,
    is_dry_run: bool,
}

impl Greeting {
    fn new(config: &Config) -> Self {
        let Config { upstream, policy, .. } = config;
        Self {
            upstream: upstream.to_string(),
            denied: policy.denylist.entries().collect(),
            kept: policy.denylist.exceptions().collect(),
            denied_of_requests: policy.request_denylist.entries().collect(),
            added: policy.added.bytes().split_inclusive(|byte| *byte == b'\n').count(),
            is_dry_run: policy.dry_run,
        }
    }
}

impl fmt::Display for Greeting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_dry_run { "a dry run, looking for" } else { "removing" };
        let denied = if self.denied.is_empty() { "nothing" } else { &listed(&self.denied) };
        write!(formatter, "upstream {}, {verb} {denied}", self.upstream)?;
        if !self.kept.is_empty() {
            write!(formatter, ", but keeping {}", self.kept.join(", "))?;
        }
        if !self.denied_of_requests.is_empty() {
            write!(formatter, "; from requests: {}", listed(&self.denied_of_requests))?;
        }
        match self.added {
            0 => Ok(()),
            1 => formatter.write_str("; adding a line"),
            count => write!(formatter, "; adding {count} lines"),
        }
    }
}

/// The first of these names, and how many there are besides: `@owasp` has some ninety.
fn listed(names: &[String]) -> String {
    match names.split_at_checked(MOST_LISTED) {
        Some((first, others @ [_, _, ..])) => format!("{} and {} more", first.join(", "), others.len()),
        _ => names.join(", "),
    }
}

/// Notifies the watchdog for as long as all workers respond.
async fn keep_watch(supervisor: Rc<Supervisor>, pulse: Option<Pulse>, log: &'static Log) -> Infallible {
    let Some(mut pulse) = pulse else { return std::future::pending().await };
    loop {
        if pulse.next().await {
            supervisor.tell(State::Alive);
        } else {
            log.observe(Event::Warning(format_args!("a worker is stuck: the watchdog is not notified")));
        }
    }
}

/// Ends the proxy as signals ask.
async fn listen_to_signals(
    survived: Survived,
    handle: Handle,
    Drain { delay, timeout, .. }: Drain,
    supervisor: Rc<Supervisor>,
    log: &'static Log,
    tell_of_start: impl FnOnce(),
) -> io::Result<Infallible> {
    let mut signals = survived.listen()?;
    // Whoever has read that it listens may send a signal.
    tell_of_start();
    loop {
        match signals.next().await {
            Wish::Nothing => log.observe(Event::Notice(format_args!("SIGHUP: ignored; nothing is reloaded"))),
            Wish::End(EndSignal::Interrupt) => {
                supervisor.tell(State::Stopping);
                handle.dismiss();
                log.observe(Event::Notice(format_args!(
                    "SIGINT: draining; idle clients are closed, the others have {timeout:?} to finish"
                )));
            }
            Wish::End(EndSignal::Terminate) => {
                let taken = if delay.is_zero() {
                    String::new()
                } else {
                    format!("new clients are accepted for {delay:?} more while the upstream is there, then ")
                };
                supervisor.tell(State::Stopping);
                // Done when it is told.
                handle.drain();
                log.observe(Event::Notice(format_args!("SIGTERM: draining; {taken}all have {timeout:?} to finish")));
            }
            Wish::Now(signal) => {
                handle.cut();
                log.observe(Event::Notice(format_args!("a second signal, {signal}: ending now")));
            }
        }
    }
}

/// What cannot be written was not done. A reader that has closed its end knows that.
fn print(text: &str, code: ExitCode) -> ExitCode {
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        Err(error) => complain(FAILED, format_args!("cannot write to standard output: {error}")),
    }
}

fn complain(code: u8, problem: impl fmt::Display) -> ExitCode {
    // Without standard error there is nowhere to complain.
    let _ = writeln!(io::stderr(), "headsnip: {problem}");
    ExitCode::from(code)
}
