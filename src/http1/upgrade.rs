//! Protocols that a connection may be switched to (RFC 9110 §7.8).
//!
//! The owner allows a few by name. Of the lists in a request and in a 101 only this is kept: which of the allowed
//! protocols they name, and whether they name any other. A name counts whole, version included, in any case.

use std::num::NonZeroU16;

use super::error::Violation;

/// The most protocols that can be allowed: a bit each in a 16-bit set with two others.
pub const MAX_UPGRADES: usize = 14;

/// The protocols that a 101 may switch to. Their bytes are not inspected: with `h2c` among them, heads would pass unseen.
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
    /// Allows these protocols and no other: unlike [`Denylist::new`](super::Denylist::new), it adds to no default. `None`: there are more than [`MAX_UPGRADES`].
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let allowed: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        (allowed.len() <= MAX_UPGRADES).then_some(Self { allowed })
    }

    /// Returns whether a 101 may switch to the protocol of that name.
    pub(super) fn allow(&self, member: &[u8]) -> bool {
        self.allowed.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(member))
    }
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
    fn as_many_are_told_from_others_as_can_be_allowed() {
        let known: Vec<String> = (0..MAX_UPGRADES).map(|number| format!("p/{number}")).collect();
        let upgrades = Upgrades::new(known.iter().map(String::as_str)).expect("that many");
        assert!(Upgrades::new(known.iter().map(String::as_str).chain(["one/more"])).is_none());
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
