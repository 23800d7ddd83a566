//! Which lines the trailer section of a request may have: none, except for names that the operator allows.
//!
//! Servers are known to take a trailer line for the next request, or for one of its fields. A name that frames, routes,
//! authenticates or turns a request into another (RFC 9110 §6.5.1) cannot be allowed.

use super::error::SettingError;
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
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, SettingError> {
        let names: Result<Vec<Box<str>>, _> = names.into_iter().map(checked).collect();
        Ok(Self { names: names? })
    }

    pub(super) fn allow(&self, name: &[u8]) -> bool {
        self.names.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(name))
    }
}

fn checked(name: &str) -> Result<Box<str>, SettingError> {
    if !is_meant(name) {
        let problem = format!("{name:?} is not a field name; for example x-checksum, grpc-status");
        return Err(SettingError::of(name, problem));
    }
    let read = with_dashes(name);
    let Some(protected) = PROTECTED.split_ascii_whitespace().find(|protected| overlap(&read, protected)) else {
        return Ok(name.into());
    };
    let what = "which frames, routes or authenticates a request and cannot be a trailer field";
    Err(SettingError::of(name, format!("\"{name}\" covers \"{protected}\", {what}")))
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
            let error = RequestTrailers::new([name]).expect_err(name).to_string();
            assert!(error.ends_with("cannot be a trailer field"), "{error}");
        }
        for name in ["", "a b", "x-*"] {
            assert_eq!(RequestTrailers::new([name]).expect_err(name).culprit.as_deref(), Some(name));
        }
        let trailers = RequestTrailers::new(["x-checksum", "grpc-status"]).expect("sound names");
        assert!(trailers.allow(b"X-Checksum") && !trailers.allow(b"x-check"));
    }
}
