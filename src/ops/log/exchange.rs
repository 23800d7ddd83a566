//! What the line of an exchange says, in the access log.

use super::Format;
use super::line::{LONGEST, Value, bounded, write_fields};
use crate::http1::LogFields;
use crate::net::Peer;
use crate::ops::access::Record;

/// The names of the fields of each line.
pub(crate) const NAMES: [&str; 14] = [
    "client",
    "method",
    "target",
    "status",
    "bytes_in",
    "bytes_out",
    "first_byte_ms",
    "total_ms",
    "removed",
    "replayed",
    "side",
    "reason",
    "detail",
    "ending",
];

/// Adds its line; these fields of the request come after the others.
pub(super) fn write_exchange(text: &mut String, format: Format, client: Peer, record: &Record, fields: &LogFields) {
    let told = |text| if str::is_empty(text) { Value::Absent } else { Value::Text(text) };
    let client = client.to_string();
    let failure = record.failure.as_ref();
    let ended = failure.map(|failure| (bounded(&failure.detail, LONGEST), failure.ending.to_string()));
    let own = [
        Value::Text(&client),
        told(&record.method),
        told(&record.target),
        record.status.map_or(Value::Absent, |status| Value::Number(status.into())),
        Value::Number(record.bytes_in),
        Value::Number(record.bytes_out),
        record.first_byte.map_or(Value::Absent, Value::Took),
        Value::Took(record.took),
        Value::Number(record.removed),
        Value::Flag(record.is_replayed),
        failure.map_or(Value::Absent, |failure| Value::Text(failure.side.name())),
        failure.map_or(Value::Absent, |failure| Value::Text(failure.reason.name())),
        ended.as_ref().map_or(Value::Absent, |(detail, _)| Value::Text(detail)),
        ended.as_ref().map_or(Value::Absent, |(_, ending)| Value::Text(ending)),
    ];
    let asked = record.asked.iter().map(|text| text.as_deref().map_or(Value::Absent, Value::Text));
    write_fields(text, format, record.ended, NAMES.into_iter().zip(own).chain(fields.names().zip(asked)));
}
