//! Values of flags and environment variables: where each came from, and what is wrong with it. Inlined for each flag, these functions would make the
//! binary larger by some KB.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{UsageError, variable};
use crate::http1::SettingError;
use crate::net::address::{Address, Listen};

/// The longest time: a longer one is a typo.
const LONGEST_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// A value and where it came from.
pub(super) struct Value {
    pub(super) text: String,
    /// As the user wrote it: a flag or a variable.
    pub(super) origin: String,
}

impl Value {
    pub(super) fn parse<T: FromStr>(&self) -> Result<T, UsageError>
    where
        T::Err: fmt::Display,
    {
        self.text.parse().map_err(|error: T::Err| self.complain(&error))
    }

    /// An address; for a URL, the complaint has the address in it.
    pub(super) fn address(&self) -> Result<Address, UsageError> {
        self.parse().map_err(|error| {
            let place = self.text.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default());
            let addresses = place.map(|place| [place.to_owned(), format!("{place}:80")]);
            match addresses.into_iter().flatten().find(|address| address.parse::<Address>().is_ok()) {
                Some(address) => self.complain(format_args!("expected an address, not a URL: {address}")),
                None => error,
            }
        })
    }

    /// An address to listen on, or none where systemd knows it.
    pub(super) fn listen(&self) -> Result<Listen, UsageError> {
        self.text.parse().or_else(|_| self.address().map(Listen::At))
    }

    /// One of a few words, each with what it means; `expected` names them.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)], expected: &str) -> Result<T, UsageError> {
        let meant = words.iter().find(|(word, _)| *word == self.text).map(|(_, meaning)| *meaning);
        meant.ok_or_else(|| self.complain(expected))
    }

    /// Of a flag that needs no value.
    pub(super) fn switch(&self) -> Result<bool, UsageError> {
        match &*self.text.to_ascii_lowercase() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(self.complain("expected true or false")),
        }
    }

    #[inline(never)]
    pub(super) fn complain(&self, problem: impl fmt::Display) -> UsageError {
        UsageError(format!("{} {:?}: {problem}", self.origin, self.text))
    }
}

/// What is wrong with values of a flag, told of where the culprit came from.
pub(super) fn blame<'v>(mut values: impl Iterator<Item = &'v Value>, flag: &str, error: &SettingError) -> UsageError {
    let origin = values.find(|value| error.culprit.as_ref().is_none_or(|culprit| value.text == *culprit));
    UsageError(format!("{}: {error}", origin.map_or(flag, |value| &value.origin)))
}

pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// What a variable says, without white space around it: the line end of a file or a secret, say. An empty one is what a template leaves
    /// of one that is not set.
    fn variable(&self, name: &str) -> Option<String> {
        let text = (self.0)(&variable(name))?;
        Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    #[inline(never)]
    pub(super) fn one(&self, flag: Option<String>, name: &str) -> Option<Value> {
        let from_flag = flag.map(|text| Value { text, origin: format!("--{name}") });
        from_flag.or_else(|| self.variable(name).map(|text| Value { text, origin: variable(name) }))
    }

    /// A flag without a value.
    pub(super) fn switch(&self, is_given: bool, name: &str) -> Result<bool, UsageError> {
        match self.one(None, name) {
            _ if is_given => Ok(true),
            None => Ok(false),
            Some(value) => value.switch(),
        }
    }

    /// The members of all comma lists given.
    pub(super) fn many(&self, flags: Vec<String>, name: &str) -> Vec<Value> {
        let (lists, origin) = if flags.is_empty() {
            (self.variable(name).into_iter().collect(), variable(name))
        } else {
            (flags, format!("--{name}"))
        };
        let members = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
        members.map(|member| Value { text: member.to_owned(), origin: origin.clone() }).collect()
    }

    /// The lines given, one by each flag, or the lines of the variable that are not empty.
    pub(super) fn lines(&self, flags: Vec<String>, name: &str) -> Vec<Value> {
        if !flags.is_empty() {
            return flags.into_iter().map(|text| Value { text, origin: format!("--{name}") }).collect();
        }
        let lines = self.variable(name).unwrap_or_default();
        let lines = lines.split('\n').map(str::trim).filter(|line| !line.is_empty());
        lines.map(|line| Value { text: line.to_owned(), origin: variable(name) }).collect()
    }
}

/// A number and the unit after it.
fn number_and_unit(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = "not a time; for example 500ms, 30s, 5m or 1h";
        let (number, unit) = number_and_unit(text);
        let milliseconds: u64 = match unit {
            _ if number.is_empty() => return Err(malformed),
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "" => return Err("the unit is missing; for example 500ms, 30s, 5m or 1h"),
            _ => return Err(malformed),
        };
        let time = number.parse().ok().and_then(|number| milliseconds.checked_mul(number)).map(Duration::from_millis);
        let time = time.filter(|time| *time <= LONGEST_TIME);
        time.map(Self).ok_or("longer than a year; for example 500ms, 30s, 5m or 1h")
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = number_and_unit(text);
        let unit = match unit {
            "B" => Some(1),
            "KiB" => Some(1024),
            "MiB" => Some(1024 * 1024),
            "GiB" => Some(1024 * 1024 * 1024),
            _ => None,
        };
        let bytes = number.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        bytes.map(Self).ok_or(match unit {
            Some(_) if !number.is_empty() => "too large; for example 512B, 64KiB or 1MiB",
            None if is_number => "the unit is missing; for example 512B, 64KiB or 1MiB",
            Some(_) | None => "not a size; for example 512B, 64KiB or 1MiB",
        })
    }
}

/// A time in which something must happen.
#[inline(never)]
pub(super) fn wait(value: Option<Value>, default: Duration) -> Result<Duration, UsageError> {
    let Some(value) = value else { return Ok(default) };
    match value.parse::<Time>()?.0 {
        Duration::ZERO => Err(value.complain("must be longer than zero")),
        wait => Ok(wait),
    }
}

/// A time that may also be none.
pub(super) fn pause(value: Option<Value>, default: Duration) -> Result<Duration, UsageError> {
    value.map_or(Ok(default), |value| value.parse::<Time>().map(|time| time.0))
}
