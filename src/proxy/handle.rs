//! Ends a proxy, from any thread.

use tokio::sync::watch;

/// How far a proxy has been ordered to end; it never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closing {
    #[default]
    No,
    /// Every client may have the response that is due, an idle one another.
    Drain,
    /// The same, but idle clients are closed.
    Dismiss,
    /// Everything ends at once.
    Cut,
}

/// Ends a proxy.
#[derive(Clone, Debug)]
pub struct Handle(watch::Sender<Closing>);

impl Handle {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Closing::No))
    }

    /// Drains it: after the delay it accepts no new connections, sends `Connection: close` to every client, and
    /// ends when all have closed.
    pub fn drain(&self) {
        self.raise(Closing::Drain);
    }

    /// Drains it without the delay; idle clients are closed at once.
    pub fn dismiss(&self) {
        self.raise(Closing::Dismiss);
    }

    /// Ends it now, whatever is under way.
    pub fn cut(&self) {
        self.raise(Closing::Cut);
    }

    fn raise(&self, to: Closing) {
        self.0.send_if_modified(|closing| {
            let rises = *closing < to;
            *closing = to.max(*closing);
            rises
        });
    }

    pub(super) fn orders(&self) -> watch::Receiver<Closing> {
        self.0.subscribe()
    }
}
