//! Protocols that a connection may be switched to (RFC 9110 §7.8).
//!
//! The owner allows a few by name. Of the lists in a request and in a 101 only this is kept: which of the allowed
//! protocols they name, and whether they name any other. A name counts whole, version included, in any case.

use std::num::NonZeroU16;

use super::error::{SettingError, Violation};
use super::names::is_meant;

/// The most protocols that can be allowed: a bit each in a 16-bit set with two others.
pub const MAX_UPGRADES: usize = 14;

/// The protocols that a 101 may switch to. Their bytes are not inspected.
#[derive(Clone, Debug)]
pub struct Upgrades {
    /// At most [`MAX_UPGRADES`] names.
    allowed: Vec<Box<str>>,
}

/// What an `Upgrade` list names: a bit for each allowed protocol, in the order of [`Upgrades`], and one for any other. The
/// lowest bit is always set, so that `Option` costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protocols(NonZeroU16);

/// Names nothing.
const NONE: NonZeroU16 = NonZeroU16::MIN;

/// Names a protocol that is not allowed.
const OTHERS: u16 = 1 << (MAX_UPGRADES + 1);

impl Default for Protocols {
    fn default() -> Self {
        Self(NONE)
    }
}

impl Default for Upgrades {
    /// `websocket`.
    fn default() -> Self {
        Self { allowed: vec!["websocket".into()] }
    }
}

impl Upgrades {
    /// Allows these protocols and no other: unlike [`Denylist::new`](super::Denylist::new), it adds to no default. At most [`MAX_UPGRADES`].
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, SettingError> {
        let mut upgrades = Self { allowed: Vec::new() };
        for name in names {
            check(name)?;
            if !upgrades.allow(name.as_bytes()) {
                upgrades.allowed.push(name.into());
            }
        }
        if upgrades.allowed.len() > MAX_UPGRADES {
            let problem = format!("more than {} protocols besides websocket", MAX_UPGRADES - 1);
            return Err(SettingError { culprit: None, problem });
        }
        Ok(upgrades)
    }

    /// With HTTP/2, for who looks at what a server does, and forwards none of it.
    #[cfg(feature = "cli")]
    pub(crate) fn with_h2c() -> Self {
        Self { allowed: vec!["websocket".into(), "h2c".into()] }
    }

    /// Returns whether a 101 may switch to the protocol of that name.
    pub(super) fn allow(&self, member: &[u8]) -> bool {
        self.allowed.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(member))
    }
}

/// Checks that heads are not sent in that protocol, and that it can be meant.
fn check(protocol: &str) -> Result<(), SettingError> {
    let refused = |problem| Err(SettingError::of(protocol, format!("{protocol:?} {problem}")));
    let name = protocol.to_ascii_lowercase();
    let mut parts = name.split('/');
    if name.starts_with("h2") || name.starts_with("http") || parts.next() == Some("tls") {
        return refused("would carry its responses past headsnip unseen and cannot be allowed");
    }
    if parts.count() > 1 || !name.split('/').all(is_meant) {
        return refused("is not a protocol name; for example websocket");
    }
    Ok(())
}

impl Protocols {
    /// Records one list member.
    pub(super) fn add(&mut self, upgrades: &Upgrades, member: &[u8]) {
        match upgrades.allowed.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(member)) {
            Some(index) => self.0 |= 1 << (index + 1),
            // RFC 9110 §5.6.1.2: an empty list member names nothing.
            None if member.is_empty() => {}
            None => self.0 |= OTHERS,
        }
    }

    /// Returns whether a protocol is named that no 101 may switch to.
    pub(super) fn names_others(self) -> bool {
        self.0.get() & OTHERS != 0
    }

    /// What is named of those that a 101 may switch to. `None`: nothing.
    pub(super) fn allowed(self) -> Option<Self> {
        NonZeroU16::new(self.0.get() & !OTHERS).filter(|allowed| *allowed != NONE).map(Self)
    }

    /// Returns whether a 101 may name these, in answer to a request that offered those: a server may not switch to what it was not
    /// offered (RFC 9110 §7.8).
    pub(super) fn check(self, offered: Option<Self>) -> Result<(), Violation> {
        if self.names_others() {
            Err(Violation::UpgradeNotAllowed)
        } else if self.0 == NONE || self.0.get() & !offered.unwrap_or_default().0.get() != 0 {
            Err(Violation::UpgradeUnasked)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn websocket_is_allowed_by_default_and_nothing_else() {
        let names = |name: &[u8]| {
            let mut protocols = Protocols::default();
            protocols.add(&Upgrades::default(), name);
            protocols
        };
        assert_eq!(names(b"WebSocket").check(Some(names(b"websocket"))), Ok(()));
        assert_eq!(names(b"h2c").check(Some(names(b"h2c"))), Err(Violation::UpgradeNotAllowed));
    }

    #[test]
    fn what_carries_heads_and_what_is_no_name_cannot_be_allowed() {
        for (name, words) in [
            ("h2c", "cannot be allowed"),
            ("H2C-14", "cannot be allowed"),
            ("HTTP/2.0", "cannot be allowed"),
            ("TLS/1.3", "cannot be allowed"),
            ("tls", "cannot be allowed"),
            ("", "not a protocol name"),
            ("a b", "not a protocol name"),
            ("*", "not a protocol name"),
            ("\"tcp\"", "not a protocol name"),
            ("'tcp'", "not a protocol name"),
            ("a/b/c", "not a protocol name"),
            ("a/", "not a protocol name"),
            ("/1", "not a protocol name"),
        ] {
            let error = Upgrades::new(["websocket", name]).expect_err(name);
            assert!(error.culprit.as_deref() == Some(name) && error.problem.contains(words), "{name}: {error}");
        }
        for name in ["mqtt", "SPDY/3.1", "websocket/13", "tlsx"] {
            Upgrades::new([name]).expect("a protocol");
        }
    }

    #[test]
    fn as_many_are_told_from_others_as_can_be_allowed() {
        let known: Vec<String> = (0..MAX_UPGRADES).map(|number| format!("p/{number}")).collect();
        let upgrades = Upgrades::new(known.iter().map(String::as_str)).expect("that many");
        Upgrades::new(known.iter().map(String::as_str).chain(["P/0", "p/13"])).expect("each counts once");
        Upgrades::new(known.iter().map(String::as_str).chain(["one/more"])).expect_err("too many");
        let names = |name: &str| {
            let mut protocols = Protocols::default();
            protocols.add(&upgrades, name.as_bytes());
            protocols
        };
        for name in &known {
            assert_eq!(names(name).check(Some(names(name))), Ok(()), "{name}");
            assert_eq!(names(name).check(None), Err(Violation::UpgradeUnasked), "{name}");
            assert_eq!(names("other").check(Some(names(name))), Err(Violation::UpgradeNotAllowed), "{name}");
        }
    }
}
