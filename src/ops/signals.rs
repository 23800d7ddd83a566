//! What signals ask for. The first SIGTERM or SIGINT ends the proxy in its way, and the next one at once, whichever it is: but one that comes
//! within a second counts as the first, since supervisors send to the group and to the process. SIGHUP, SIGUSR1 and SIGUSR2 ask for nothing,
//! and would kill a process that does not listen to them; so would SIGXFSZ, which says that the file of a log is full. Before anything
//! is served, SIGTERM and SIGINT end the process at once: the kernel would do that too, but for the first process of a container.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// How long a repeated signal counts as the first one.
const REPEAT: Duration = Duration::from_secs(1);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGHUP: nothing, which is logged.
    Nothing,
    /// The first is this: to end in its way.
    End(EndSignal),
    /// Another one: to end now.
    Now(EndSignal),
}

/// A signal that ends the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum EndSignal {
    /// From who supervises.
    #[strum(to_string = "SIGTERM")]
    Terminate,
    /// From a terminal.
    #[strum(to_string = "SIGINT")]
    Interrupt,
}

/// Signals that do not kill the process any more, or that end it in order.
#[derive(Debug)]
pub struct Survived {
    hung_up: Arc<AtomicBool>,
    /// Whether those that end the proxy end the process.
    is_starting: Arc<AtomicBool>,
}

impl Survived {
    /// Has the process live on after them; needs no runtime, and so comes before all else.
    pub fn begin() -> io::Result<Self> {
        let hung_up = Arc::default();
        flag::register(SIGHUP, Arc::clone(&hung_up))?;
        flag::register(SIGUSR1, Arc::default())?;
        flag::register(SIGUSR2, Arc::default())?;
        flag::register(SIGXFSZ, Arc::default())?;
        let is_starting = Arc::new(AtomicBool::new(true));
        for signal in [SIGTERM, SIGINT] {
            flag::register_conditional_shutdown(signal, 0, Arc::clone(&is_starting))?;
        }
        // Whoever starts the process may have blocked them, and its threads inherit that.
        SigSet::all().thread_unblock()?;
        Ok(Self { hung_up, is_starting })
    }

    /// Listens to all. Must be called within a runtime.
    pub fn listen(self) -> io::Result<Signals> {
        let signals = Signals {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            has_hung_up: self.hung_up.load(Ordering::Relaxed),
            endings: Endings::default(),
        };
        self.is_starting.store(false, Ordering::Relaxed);
        Ok(signals)
    }
}

/// Signals that are listened to.
#[derive(Debug)]
pub struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
    /// Before it was listened to.
    has_hung_up: bool,
    endings: Endings,
}

impl Signals {
    /// Waits for the next that asks for something.
    pub async fn next(&mut self) -> Wish {
        if std::mem::take(&mut self.has_hung_up) {
            return Wish::Nothing;
        }
        loop {
            let ending = tokio::select! {
                _ = self.hang_up.recv() => return Wish::Nothing,
                _ = self.terminate.recv() => EndSignal::Terminate,
                _ = self.interrupt.recv() => EndSignal::Interrupt,
            };
            if let Some(asked) = self.endings.next(ending, Instant::now()) {
                return asked;
            }
        }
    }
}

/// When the first came of those that end the proxy.
#[derive(Debug, Default)]
struct Endings(Option<Instant>);

impl Endings {
    /// What one asks for; `None`: it is a repeat of the first.
    fn next(&mut self, ending: EndSignal, now: Instant) -> Option<Wish> {
        match self.0 {
            None => {
                self.0 = Some(now);
                Some(Wish::End(ending))
            }
            Some(first) if now.duration_since(first) < REPEAT => None,
            Some(_) => Some(Wish::Now(ending)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_within_a_second_is_the_same_signal() {
        let (mut endings, begun) = (Endings::default(), Instant::now());
        let mut after = |milliseconds, ending| endings.next(ending, begun + Duration::from_millis(milliseconds));
        assert_eq!(after(0, EndSignal::Terminate), Some(Wish::End(EndSignal::Terminate)));
        assert_eq!(after(1, EndSignal::Terminate), None);
        assert_eq!(after(999, EndSignal::Interrupt), None);
        // Of the first, not of the last.
        assert_eq!(after(1000, EndSignal::Interrupt), Some(Wish::Now(EndSignal::Interrupt)));
        assert_eq!(after(1001, EndSignal::Terminate), Some(Wish::Now(EndSignal::Terminate)));
        assert_eq!(
            [EndSignal::Terminate, EndSignal::Interrupt].map(|ending| ending.to_string()),
            ["SIGTERM", "SIGINT"]
        );
    }
}
