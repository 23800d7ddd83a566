//! Which lines the trailer section of a request may have: none, except for names that the operator allows.
//!
//! Servers are known to take a trailer line for the next request, or for one of its fields. A name that frames, routes,
//! authenticates or turns a request into another (RFC 9110 §6.5.1) cannot be allowed.

use thiserror::Error;

use super::names::{is_meant, overlap, with_dashes};

/// Names that cannot be allowed; with a star, all that begin so. Any other mark counts as a dash.
const PROTECTED: &str = "authorization cache-control connection content-* cookie expect forwarded host http2-settings if-* keep-alive \
    max-forwards origin pragma proxy* range referer sec-* te trailer transfer-encoding upgrade via www-authenticate x-forwarded-* \
    x-http-method x-http-method-override x-method-override x-original-* x-real-ip x-rewrite-*";

/// The names that lines of a request's trailer section may have.
#[derive(Clone, Debug, Default)]
pub struct RequestTrailers {
    names: Vec<Box<str>>,
}

impl RequestTrailers {
    /// Allows these names, each whole.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, TrailersError> {
        let names: Result<Vec<Box<str>>, _> = names.into_iter().map(checked).collect();
        Ok(Self { names: names? })
    }

    pub(super) fn allow(&self, name: &[u8]) -> bool {
        self.names.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(name))
    }
}

fn checked(name: &str) -> Result<Box<str>, TrailersError> {
    if !is_meant(name) {
        return Err(TrailersError::NotAName(name.to_owned()));
    }
    let read = with_dashes(name);
    match PROTECTED.split_ascii_whitespace().find(|protected| overlap(&read, protected)) {
        Some(protected) => Err(TrailersError::Protected { name: name.to_owned(), protected }),
        None => Ok(name.into()),
    }
}

/// Why a list of names was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrailersError {
    /// It frames, routes or authenticates a request.
    #[error(
        "\"{name}\" covers \"{protected}\", which frames, routes or authenticates a request and cannot be a trailer field"
    )]
    Protected {
        /// As it was given.
        name: String,
        /// The name, or with a star the beginning of names, that it is.
        protected: &'static str,
    },
    /// Not a field name.
    #[error("{0:?} is not a field name; for example x-checksum, grpc-status")]
    NotAName(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_routes_or_authenticates_is_refused() {
        for name in [
            "Content-Length",
            "transfer_encoding",
            "x.forwarded.for",
            "HOST",
            "Authorization",
            "X-Forwarded-For",
            "proxy",
            "if-match",
        ] {
            assert!(matches!(RequestTrailers::new([name]), Err(TrailersError::Protected { .. })), "{name}");
        }
        for name in ["", "a b", "x-*"] {
            assert_eq!(RequestTrailers::new([name]).err(), Some(TrailersError::NotAName(name.to_owned())));
        }
        let trailers = RequestTrailers::new(["x-checksum", "grpc-status"]).expect("sound names");
        assert!(trailers.allow(b"X-Checksum") && !trailers.allow(b"x-check"));
    }
}
