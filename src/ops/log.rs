//! What is written of what happens: events on standard error, exchanges on standard output.
//!
//! Lines are for people, or for machines: then each is one JSON object. Lines about bad ends are limited for each reason, so
//! that an attack does not fill a disk, and omitted lines are counted and reported. Bytes that are not printable ASCII are
//! escaped, and a line about a client is bounded.

mod limiter;
mod line;
mod writer;

use std::fmt::{Arguments, Display};
use std::io;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use self::limiter::Limiter;
pub(super) use self::line::Value;
use self::line::{LONGEST, Level, bounded, write_event, write_fields};
use self::writer::{Output, Writer};
use super::reason::{Reason, Side};
use crate::http1::{Direction, Ending, Mended};

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

static FORMAT: OnceLock<Format> = OnceLock::new();
static LIMITER: Mutex<Limiter> = Mutex::new(Limiter::new());
static EVENTS: LazyLock<Writer> =
    LazyLock::new(|| Writer::start(Output::Error, MOST_EVENTS, Duration::ZERO, Some(left_out)));
static EXCHANGES: OnceLock<Writer> = OnceLock::new();

/// Has all further lines look so, the first call counting, and tells whether they can be written.
pub fn start(format: Format) -> Result<(), &'static io::Error> {
    FORMAT.get_or_init(|| format);
    EVENTS.check()
}

/// Returns whether lines about exchanges can be written.
pub fn start_exchanges() -> Result<(), &'static io::Error> {
    exchanges().check()
}

/// Writes one line.
pub fn event(line: Arguments<'_>) {
    write(Level::Info, &line, usize::MAX, &[]);
}

/// Writes one line about what the operator should look into.
pub fn warning(line: Arguments<'_>) {
    write(Level::Warning, &line, usize::MAX, &[]);
}

/// Tells that an exchange or a connection ended badly: whose client, on whose side and why, which rule, and what became
/// of it.
pub(crate) fn bad_end(client: &dyn Display, side: Side, reason: Reason, detail: &dyn Display, ending: Ending) {
    if !limiter().admits(side, reason, Instant::now()) {
        return;
    }
    let fields = [
        ("client", Value::Text(&printable(client))),
        ("side", Value::Text(side.name())),
        ("reason", Value::Text(reason.name())),
        ("detail", Value::Text(&printable(detail))),
        ("ending", Value::Text(&printable(&ending))),
    ];
    write(Level::Warning, &format_args!("client {client}: {side} {reason}: {detail} ({ending})"), LONGEST, &fields);
}

/// Tells that a message was mended by a rule: of each rule once a minute.
pub(crate) fn mended(client: &dyn Display, rule: Mended) {
    if limiter().is_first_in_a_while(rule, Instant::now()) {
        write(Level::Info, &format_args!("client {client}: mended: {}", rule.name()), LONGEST, &[]);
    }
}

/// Tells what a dry run leaves in place; once a name and direction, which an entry of the denylist covers.
pub(crate) fn would_remove(direction: Direction, line: &[u8], entry: &str) {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    if limiter().is_first_of(direction, name) {
        // A quotation mark of the line's own must not end the quotation.
        let line = line.escape_ascii();
        let of = if direction == Direction::Inbound { " from requests" } else { "" };
        write(Level::Info, &format_args!("dry run: would remove \"{line}\"{of}, denied by {entry}"), LONGEST, &[]);
    }
}

/// Tells of an exchange.
pub(super) fn exchange<'a>(fields: impl Iterator<Item = (&'a str, Value<'a>)>) {
    let writer = EXCHANGES.get_or_init(|| Writer::start(Output::Standard, MOST_EXCHANGES, GATHERING, None));
    writer.push(|text| write_fields(text, format(), fields));
}

/// The value of a field, bounded, with what cannot be printed escaped.
pub(super) fn printable(told: &dyn Display) -> String {
    bounded(told, LONGEST)
}

/// Has all lines written, as far as they are taken in time, and tells what was left out: the process ends.
pub fn flush() {
    if let Some(exchanges) = EXCHANGES.get() {
        exchanges.flush();
    }
    EVENTS.flush();
}

fn write(level: Level, message: &dyn Display, longest: usize, fields: &[(&str, Value<'_>)]) {
    EVENTS.push(|text| write_event(text, format(), level, &bounded(message, longest), fields));
}

fn exchanges() -> &'static Writer {
    EXCHANGES.get_or_init(|| Writer::start(Output::Standard, MOST_EXCHANGES, GATHERING, None))
}

fn format() -> Format {
    FORMAT.get().copied().unwrap_or_default()
}

fn limiter() -> MutexGuard<'static, Limiter> {
    LIMITER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells which lines were left out, in the windows that have ended or in all.
fn left_out(text: &mut String, of_all: bool) {
    for (side, reason, count) in limiter().left_out(Instant::now(), of_all) {
        let message = format!("left out {count} more lines like: {side} {reason}");
        let fields = [
            ("side", Value::Text(side.name())),
            ("reason", Value::Text(reason.name())),
            ("left_out", Value::Number(count)),
        ];
        write_event(text, format(), Level::Warning, &message, &fields);
    }
}
