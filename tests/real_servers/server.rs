//! A real server with headsnip in front of it, both started when the first test wants them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::process::{Process, Stop};
use crate::setup::{Needs, Setup};
use crate::wire::Endpoint;

/// How long a server may take until it accepts connections; `BentoML` takes three seconds where this was written.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Ports are taken from here on, below those that the kernel gives to connections by itself.
const FIRST_PORT: u16 = 20_000;

/// How a server is started so that it listens at the endpoint.
pub(crate) type Launch = fn(&Setup, &Endpoint) -> Result<Command, String>;

/// What is asked of a running server.
pub(crate) type Check = Box<dyn Fn(&Running) -> Result<(), Failed> + Send>;

/// Over what headsnip reaches the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Unix,
}

/// What is needed on this machine beside the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// The tests ask, or a client that comes with the server's packages.
    Own,
    /// A program for Java's own client.
    Java,
    /// `HAProxy`, with nginx at the other end.
    Balancer,
}

/// A server of a kind and version, which may not run yet.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) transport: Transport,
    /// Who asks it, beside the tests themselves.
    pub(crate) client: Client,
    /// What headsnip is told in front of it.
    pub(crate) flags: &'static [&'static str],
    pub(crate) launch: Launch,
    /// The names and checks of its tests.
    pub(crate) checks: Vec<(String, Check)>,
}

/// A server and the headsnip in front of it.
pub(crate) struct Running {
    /// The server itself.
    pub(crate) direct: Endpoint,
    /// The server through headsnip.
    pub(crate) through: Endpoint,
    pub(crate) setup: Arc<Setup>,
    // In this order: headsnip ends first, so that it sees no origin vanish.
    headsnip: Process,
    process: Process,
    log: PathBuf,
}

impl Running {
    /// All that headsnip has printed.
    pub(crate) fn headsnip_said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

/// The state that the tests of one server share. While it lives, its processes live.
pub(crate) struct Shared {
    name: &'static str,
    transport: Transport,
    flags: &'static [&'static str],
    launch: Launch,
    setup: Arc<Setup>,
    running: OnceLock<Result<Running, String>>,
    told: AtomicBool,
}

impl Server {
    /// A server that the tests ask over TCP, with headsnip as it is by default in front of it.
    pub(crate) fn new(name: &'static str, needs: Needs, launch: Launch, checks: Vec<(String, Check)>) -> Self {
        Self { name, needs, transport: Transport::Tcp, client: Client::Own, flags: &[], launch, checks }
    }

    /// The tests of this server, and what they share, to be kept until all have run.
    pub(crate) fn into_trials(self, setup: &Arc<Setup>, must_run: bool) -> (Vec<Trial>, Arc<Shared>) {
        let shared = Arc::new(Shared {
            name: self.name,
            transport: self.transport,
            flags: self.flags,
            launch: self.launch,
            setup: Arc::clone(setup),
            running: OnceLock::new(),
            told: AtomicBool::new(false),
        });
        let missing = setup.missing(self.needs).or_else(|| match self.client {
            Client::Own => None,
            Client::Java => setup.java_missing(),
            Client::Balancer => setup.proxies_missing(),
        });
        let skipped = missing.is_some() && !must_run;
        let trial = |(name, check): (String, Check)| {
            let shared = Arc::clone(&shared);
            let name = format!("{}::{name}", self.name);
            Trial::test(name, move || shared.check(&check)).with_ignored_flag(skipped)
        };
        (self.checks.into_iter().map(trial).collect(), shared)
    }
}

impl Shared {
    fn check(&self, check: &Check) -> Result<(), Failed> {
        let running = match self.running.get_or_init(|| self.start()) {
            Ok(running) => running,
            // The whole story once is enough.
            Err(_) if self.told.swap(true, Ordering::Relaxed) => {
                return Err(format!("{} is not there; another test says why", self.name).into());
            }
            Err(reason) => return Err(reason.into()),
        };
        check(running).map_err(|failed| {
            let reason = failed.message().unwrap_or("it panicked");
            let printed = running.headsnip.printed();
            let of_server = running.process.printed();
            format!("{reason}\n--- headsnip printed:\n{printed}\n--- {} printed:\n{of_server}", self.name).into()
        })
    }

    fn start(&self) -> Result<Running, String> {
        let direct = match self.transport {
            Transport::Tcp => Endpoint::Tcp(free_port()?),
            Transport::Unix => Endpoint::Unix(self.setup.scratch().join(format!("{}.sock", self.name))),
        };
        let command = (self.launch)(&self.setup, &direct)?;
        let mut process = Process::start(command, self.log("server"))?;
        let accepts = |_: &str| direct.dial().ok().map(|_| ());
        process.until(START_LIMIT, accepts).map_err(|error| format!("{} did not start: {error}", self.name))?;

        let mut command = Process::command(binary()?, &Stop::Kill);
        command.args(["--listen", "127.0.0.1:0", "--upstream", &direct.to_string()]).args(self.flags);
        let log = self.log("headsnip");
        let mut headsnip = Process::start(command, log.clone())?;
        let address = headsnip
            .until(START_LIMIT, listening_address)
            .map_err(|error| format!("headsnip did not start: {error}"))?;
        Ok(Running { direct, through: Endpoint::Tcp(address), setup: Arc::clone(&self.setup), headsnip, process, log })
    }

    fn log(&self, of: &str) -> PathBuf {
        self.setup.scratch().join(format!("{}.{of}.log", self.name))
    }
}

/// The port that a launcher must pass on.
pub(crate) fn port(endpoint: &Endpoint) -> Result<String, String> {
    match endpoint {
        Endpoint::Tcp(address) => Ok(address.port().to_string()),
        Endpoint::Unix(_) => Err("this server is not started on a unix socket".to_owned()),
    }
}

/// A file of this folder of tests.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/real_servers").join(name)
}

/// The address in headsnip's start line.
fn listening_address(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("listening on ")?;
    rest.split_once(',')?.0.parse().ok()
}

/// The program under test.
pub(crate) fn binary() -> Result<String, String> {
    let built = option_env!("CARGO_BIN_EXE_headsnip").map(str::to_owned);
    built.or_else(|| std::env::var("HEADSNIP_BIN").ok()).ok_or_else(|| "there is no headsnip to test".to_owned())
}

/// A port that nobody listens on. Each is given once, and another run of the tests begins elsewhere.
pub(crate) fn free_port() -> Result<SocketAddr, String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = u16::try_from(std::process::id() % 1_000).unwrap_or_default();
    for _ in 0..100 {
        let port = FIRST_PORT + spread * 10 + NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("no port is free".to_owned())
}
