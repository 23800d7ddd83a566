//! An exchange as a function of one number: client and origin each make the same of the number in the request target.

use std::time::Duration;

/// Pseudo-random numbers (splitmix64): small, and the same for a seed everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("64 bits are enough");
        usize::try_from(self.next() % limit).expect("it is below a usize")
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Mostly short, sometimes long.
    fn length(&mut self) -> usize {
        match self.below(100) {
            0..10 => self.below(10),
            10..60 => self.below(400),
            60..90 => self.below(20_000),
            90..99 => self.below(200_000),
            _ => self.below(3_000_000),
        }
    }

    /// Up to that many microseconds.
    pub(crate) fn pause(&mut self, most: usize) -> Duration {
        Duration::from_micros(u64::try_from(self.below(most)).expect("64 bits are enough"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Get,
    Head,
    Put,
    Post,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    Nothing,
    Length(usize),
    Chunked(usize),
}

/// How the response says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    Chunked,
    UntilClose,
    NoContent,
    NotModified,
}

/// When the final response is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// When the whole request is in.
    Late,
    /// After the request's head; its body is read later.
    Early,
    /// After the request's head; then the connection is closed with the body unread.
    EarlyClose,
    /// After the request's head, instead of the leave that its body waits for.
    Refusing,
}

/// The body of an early response that is no small one.
pub(crate) const LARGE: usize = 2_000_000;

/// What the origin does at an offset of what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    Fin,
    Reset,
    /// Says nothing more until the other side gives up.
    Stall,
}

/// What the origin does with its connection after the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    /// Closes it, having said so.
    Close,
    /// Closes it after a pause, having said nothing.
    IdleClose(Duration),
}

/// In what parts the origin sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    AtOnce,
    Pieces,
    Drip,
}

/// One exchange.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) id: u64,
    pub(crate) method: Method,
    pub(crate) upload: Upload,
    /// Whether the body waits for a 100, which is the first 1xx.
    pub(crate) expects: bool,
    pub(crate) interims: usize,
    pub(crate) framing: Framing,
    pub(crate) length: usize,
    pub(crate) timing: Timing,
    /// How long the final response is thought about.
    pub(crate) thought: Duration,
    pub(crate) fault: Fault,
    pub(crate) after: After,
    pub(crate) writes: Writes,
}

impl Plan {
    pub(crate) fn of(id: u64) -> Self {
        let mut random = Random::new(id);
        let method = random.pick(&[Method::Get, Method::Get, Method::Get, Method::Head, Method::Put, Method::Post]);
        let has_body = matches!(method, Method::Put | Method::Post);
        let upload = match (has_body, random.one_in(2), random.length()) {
            (false, _, _) => Upload::Nothing,
            (true, true, length) => Upload::Length(length),
            (true, false, length) => Upload::Chunked(length),
        };
        let interims = if random.one_in(6) { 1 + random.below(3) } else { 0 };
        let framing = match random.below(20) {
            0..9 => Framing::Length,
            9..17 => Framing::Chunked,
            // A response without a body ends with its head.
            17 if method != Method::Head => Framing::UntilClose,
            17 => Framing::Length,
            18 => Framing::NoContent,
            _ => Framing::NotModified,
        };
        let mut plan = Self {
            id,
            method,
            upload,
            expects: false,
            interims,
            framing,
            length: random.length(),
            timing: Timing::Late,
            thought: if random.one_in(8) { random.pause(10_000) } else { Duration::ZERO },
            fault: Fault::Nothing,
            after: match random.below(12) {
                0 => After::Close,
                1 => After::IdleClose(random.pause(2_000)),
                _ => After::Keep,
            },
            writes: random.pick(&[Writes::AtOnce, Writes::AtOnce, Writes::Pieces, Writes::Drip]),
        };
        if random.one_in(4_000) {
            plan.fault = Fault::Stall;
        } else if random.one_in(10) {
            plan.fault = random.pick(&[Fault::Fin, Fault::Reset]);
        } else if has_body && random.one_in(5) {
            plan.timing = random.pick(&[Timing::Early, Timing::EarlyClose]);
            plan.fit_early();
        } else if !matches!(plan.upload, Upload::Nothing | Upload::Length(0)) && random.one_in(4) {
            plan.expects = true;
            if random.one_in(3) {
                plan.timing = Timing::Refusing;
            } else {
                plan.interims = plan.interims.max(1);
            }
        }
        if plan.framing == Framing::UntilClose {
            plan.after = After::Close;
        }
        plan
    }

    /// An early response fits into the buffers of the sockets, or its sender reads while it writes; then its client may yet write all before it
    /// reads.
    fn fit_early(&mut self) {
        self.length = match self.id % 4 {
            0 => 40,
            1 if self.timing == Timing::Early => LARGE,
            _ => self.length % 16_000,
        };
        if self.framing == Framing::UntilClose {
            self.framing = Framing::Length;
        }
        if self.timing == Timing::EarlyClose || self.length == LARGE {
            self.after = After::Close;
            // A close with something unread drops what was not yet sent, as of many small parts.
            self.writes = Writes::AtOnce;
        }
    }

    /// Whether nothing is odd about it.
    pub(crate) fn is_simple(&self) -> bool {
        self.method == Method::Get
            && self.fault == Fault::Nothing
            && self.after == After::Keep
            && self.framing == Framing::Length
            && self.length < 1_000
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.method != Method::Post
    }

    pub(crate) fn has_upload(&self) -> bool {
        self.upload != Upload::Nothing
    }

    /// Whether the request may be followed by others before it is answered: what the proxy does not read yet must fit into the buffers of the
    /// sockets.
    pub(crate) fn is_fit_for_pipelining(&self) -> bool {
        let is_short = match self.upload {
            Upload::Nothing => true,
            Upload::Length(length) | Upload::Chunked(length) => length <= 2_000,
        };
        is_short && self.timing == Timing::Late && self.fault == Fault::Nothing && self.framing != Framing::UntilClose
    }
}
