//! Lines on standard error.

use std::fmt::{Arguments, Display};
use std::io::Write;

use crate::http1::Ending;

/// Writes one line. A log that cannot be written is no reason to stop serving.
pub(crate) fn event(line: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "headsnip: {line}");
}

/// Tells that an exchange or a connection ended badly: whose client, why (a word of RFC 9209 §2.3), which rule, and what
/// became of it.
pub(crate) fn bad_end(client: &dyn Display, reason: &str, detail: &dyn Display, ending: Ending) {
    event(format_args!("client {client}: {reason}: {detail} ({ending})"));
}
