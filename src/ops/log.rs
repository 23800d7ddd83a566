//! What is written of what happens: events on standard error, exchanges on standard output.
//!
//! Lines are for people, or for machines: then each is one JSON object. Lines about bad ends are limited for each reason, so
//! that an attack does not fill a disk, and omitted lines are counted and reported. Bytes that are not printable ASCII are
//! escaped, and a line about a client is bounded.

pub(crate) mod exchange;
mod limiter;
mod line;
mod writer;

use std::fmt::{Arguments, Display};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::exchange::write_exchange;
use self::limiter::Limiter;
use self::line::{LONGEST, Level, Value, bounded, write_event};
use self::writer::{Order, Output, Writer};
use super::observer::{Event, Observer};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Events that wait for standard error, in bytes.
const MOST_EVENTS: usize = 256 * 1024;

/// Exchanges that wait for standard output, in bytes: a tenth of a second of a busy core's.
const MOST_EXCHANGES: usize = 1024 * 1024;

/// How long lines about exchanges are gathered: one write for many.
const GATHERING: Duration = Duration::from_millis(50);

/// An observer that writes lines, on threads of its own, which end with it.
#[derive(Debug)]
pub struct Log {
    lines: Arc<Lines>,
    exchanges: Option<Arc<Writer>>,
}

#[derive(Debug)]
struct Lines {
    format: Format,
    limiter: Mutex<Limiter>,
    events: Writer,
}

impl Log {
    /// Writes events to standard error. Fails if there can be no thread for that.
    pub fn start(format: Format) -> io::Result<Self> {
        let events = Writer::new(Output::Error, MOST_EVENTS, Duration::ZERO);
        let lines = Arc::new(Lines { format, limiter: Mutex::new(Limiter::new()), events });
        let writing = Arc::clone(&lines);
        spawn(Box::new(move || {
            writing
                .events
                .run(&|text, of_all| writing.leave_out(text, of_all), &|loss| writing.tell(Level::Warning, loss));
        }))?;
        Ok(Self { lines, exchanges: None })
    }

    /// Writes exchanges to standard output, too. Fails if there can be no thread for that.
    pub fn with_exchanges(mut self) -> io::Result<Self> {
        let exchanges = Arc::new(Writer::new(Output::Standard, MOST_EXCHANGES, GATHERING));
        let (writing, lines) = (Arc::clone(&exchanges), Arc::clone(&self.lines));
        spawn(Box::new(move || writing.run(&|_, _| {}, &|loss| lines.tell(Level::Warning, loss))))?;
        self.exchanges = Some(exchanges);
        Ok(self)
    }

    /// Has all lines written, as far as they are taken in time, and tells what was left out: the process ends.
    pub fn flush(&self) {
        if let Some(exchanges) = &self.exchanges {
            exchanges.flush();
        }
        self.lines.events.flush();
    }
}

impl Observer for Log {
    fn observe(&self, event: Event<'_>) {
        let (lines, limiter) = (&self.lines, || self.lines.limiter());
        match event {
            Event::BadEnd { client, side, reason, detail, ending } => {
                if limiter().admits(side, reason, Instant::now()) {
                    let fields = [
                        ("client", Value::Text(&client.to_string())),
                        ("side", Value::Text(side.name())),
                        ("reason", Value::Text(reason.name())),
                        ("detail", Value::Text(&bounded(&detail, LONGEST))),
                        ("ending", Value::Text(&ending.to_string())),
                    ];
                    lines.write(Level::Warning, &event, LONGEST, &fields);
                }
            }
            // Of each rule once a minute.
            Event::Mended { rule, .. } => {
                if limiter().is_first_in_a_while(rule, Instant::now()) {
                    lines.write(Level::Info, &event, LONGEST, &[]);
                }
            }
            // Once a name and direction.
            Event::WouldRemove { direction, line, .. } => {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                if limiter().is_first_of(direction, name) {
                    lines.write(Level::Info, &event, LONGEST, &[]);
                }
            }
            Event::Exchange { client, record, fields } => {
                if let Some(exchanges) = &self.exchanges {
                    exchanges.push(|text| write_exchange(text, lines.format, client, record, fields));
                }
            }
            Event::Error(text) => lines.tell(Level::Error, text),
            Event::Warning(text) => lines.tell(Level::Warning, text),
            Event::Notice(text) => lines.tell(Level::Info, text),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(exchanges) = &self.exchanges {
            drop(exchanges.ask(Order::End));
        }
        drop(self.lines.events.ask(Order::End));
    }
}

impl Lines {
    fn tell(&self, level: Level, message: Arguments<'_>) {
        self.write(level, &message, usize::MAX, &[]);
    }

    fn write(&self, level: Level, message: &dyn Display, longest: usize, fields: &[(&str, Value<'_>)]) {
        self.events.push(|text| write_event(text, self.format, level, &bounded(message, longest), fields));
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells which lines were left out, in the windows that have ended or in all.
    fn leave_out(&self, text: &mut String, of_all: bool) {
        for (side, reason, count) in self.limiter().left_out(Instant::now(), of_all) {
            let message = format!("left out {count} more lines like: {side} {reason}");
            let fields = [
                ("side", Value::Text(side.name())),
                ("reason", Value::Text(reason.name())),
                ("left_out", Value::Number(count)),
            ];
            write_event(text, self.format, Level::Warning, &message, &fields);
        }
    }
}

// Boxed: each other type would be another 2 KB of the binary.
fn spawn(run: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name("log".into()).spawn(run).map(drop)
}
