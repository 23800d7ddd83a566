//! How a proxy is told to end, from any thread.

use tokio::sync::watch;

/// How far a proxy has been told to end; it never goes back.
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

/// Tells a proxy to end.
#[derive(Clone, Debug)]
pub struct Handle(watch::Sender<Closing>);

impl Handle {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Closing::No))
    }

    /// Has it drain: after the delay it takes no new connections, tells every client that its connection closes, and
    /// ends when all have.
    pub fn drain(&self) {
        self.raise(Closing::Drain);
    }

    /// Has it drain without the delay; idle clients are closed at once.
    pub fn dismiss(&self) {
        self.raise(Closing::Dismiss);
    }

    /// Has it end now, whatever is under way.
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
