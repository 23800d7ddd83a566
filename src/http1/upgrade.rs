//! Protocols that a connection may be switched to (RFC 9110 §7.8).
//!
//! The owner allows a few by name. Of the lists in a request and in a 101 only this is kept: which of the allowed
//! protocols they name, and whether they name any other. A name counts whole, version included, in any case.

/// The most protocols that can be allowed: a bit each in a 16-bit set.
pub const MAX_UPGRADES: usize = 16;

/// The protocols that a 101 may switch to.
#[derive(Clone, Debug, Default)]
pub struct Upgrades {
    /// At most [`MAX_UPGRADES`] names.
    allowed: Vec<Box<str>>,
}

/// What an `Upgrade` list names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Protocols {
    /// A bit for each allowed protocol that is named, in the order of [`Upgrades`].
    named: u16,
    /// Whether a protocol that is not allowed is named.
    others: bool,
}

impl Upgrades {
    /// Allows these protocols. `None`: there are more than [`MAX_UPGRADES`].
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let allowed: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        (allowed.len() <= MAX_UPGRADES).then_some(Self { allowed })
    }
}

impl Protocols {
    /// Takes note of one list member.
    pub(super) fn add(&mut self, upgrades: &Upgrades, member: &[u8]) {
        match upgrades.allowed.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(member)) {
            Some(index) => self.named |= 1 << index,
            // RFC 9110 §5.6.1.2: an empty list member names nothing.
            None => self.others |= !member.is_empty(),
        }
    }

    /// Tells whether every protocol named, and at least one, is an allowed one.
    pub(super) fn are_allowed(self) -> bool {
        self.named != 0 && !self.others
    }

    /// Tells whether `asked` names, as far as that is known, all that is named here.
    pub(super) fn were_asked(self, asked: Self) -> bool {
        self.named & !asked.named == 0 && (!self.others || asked.others)
    }
}
