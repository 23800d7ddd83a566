//! The words of health answers, shared by the admin listener and `healthcheck`.

/// What is said by one that drains.
pub(super) const DRAINING: &str = "draining";

/// How what is said begins where the application is not to be reached.
pub(super) const UNREACHABLE: &str = "the upstream cannot be reached: ";

/// What a headsnip can be asked about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Whether it is there.
    Alive,
    /// Whether it may be sent clients.
    Ready,
}

impl Check {
    /// The paths of the admin listener.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Alive => "/livez",
            Self::Ready => "/readyz",
        }
    }

    /// What it says if all is well.
    pub(super) const fn good(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Ready => "ready",
        }
    }
}
