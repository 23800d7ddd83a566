//! Which fields of a request the access log has, and their values.

use super::error::SettingError;
use super::lines::FieldLines;
use super::names::{is_meant, is_name, trimmed};

/// The most fields that are logged: each is held until its exchange is over.
pub const MOST_LOG_FIELDS: usize = 16;

/// The names of fields that are logged.
#[derive(Clone, Debug, Default)]
pub struct LogFields {
    /// In lower case, none twice; at most [`MOST_LOG_FIELDS`].
    names: Vec<Box<str>>,
}

impl LogFields {
    /// Tells of these, each whole.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, SettingError> {
        let mut fields = Self::default();
        for name in names {
            if !is_meant(name) {
                let problem = format!("{name:?} is not a field name; for example x-forwarded-for, x-request-id");
                return Err(SettingError::of(name, problem));
            }
            let name = name.to_ascii_lowercase().into_boxed_str();
            if !fields.names.contains(&name) {
                fields.names.push(name);
            }
        }
        if fields.names.len() > MOST_LOG_FIELDS {
            return Err(SettingError { culprit: None, problem: format!("more than {MOST_LOG_FIELDS} names") });
        }
        Ok(fields)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// What a request head says by each, in order: several lines as a list (RFC 9110 §5.3). `None`: it has none. Of none too that is not complete.
    pub fn values(&self, head: &[u8]) -> impl Iterator<Item = Option<Vec<u8>>> {
        self.names().map(|name| {
            let lines = FieldLines::of_head(head).filter(|line| is_name(line.name(), name.as_bytes()));
            let values: Vec<&[u8]> = lines.map(|line| trimmed(line.value())).collect();
            (!values.is_empty()).then(|| values.join(&b", "[..]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_name_all_lines_are_told_in_order() {
        let fields =
            LogFields::new(["X-Forwarded-For", "host", "x-id", "x-forwarded-for", "x-empty"]).expect("sound names");
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-for: 1.1.1.1 \r\nX_Forwarded_For: b\r\nX-FORWARDED-FOR:\t2.2.2.2, 3.3.3.3\r\nX-Empty:\r\n\r\n";
        let values: Vec<_> =
            fields.values(head).map(|value| value.map(|value| String::from_utf8(value).expect("text"))).collect();
        let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values, [Some("1.1.1.1, 2.2.2.2, 3.3.3.3"), Some("a"), None, Some("")]);
        assert!(fields.values(b"").all(|value| value.is_none()));
    }

    #[test]
    fn what_is_no_name_or_too_many_is_refused() {
        for name in ["", "a b", "x-*", "a:"] {
            assert_eq!(LogFields::new([name]).expect_err(name).culprit.as_deref(), Some(name));
        }
        let names: Vec<String> = (0..=MOST_LOG_FIELDS).map(|place| format!("x-{place}")).collect();
        let is_taken = |count: usize| LogFields::new(names[..count].iter().map(String::as_str)).is_ok();
        assert_eq!([MOST_LOG_FIELDS, MOST_LOG_FIELDS + 1].map(is_taken), [true, false]);
    }
}
