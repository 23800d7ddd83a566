//! Where to ask, as it is written: `http://host:port/path`, `https://host:port/path`, or the path of a socket, `unix:/run/app.sock`, with the path that is asked for
//! behind a colon, as nginx writes it: `unix:/run/app.sock:/path`.

use std::str::FromStr;

use crate::net::address::Address;

/// What is said to `https://` where it cannot be probed.
const NO_TLS: &str = "this headsnip was built without TLS: build it with `cargo install --locked --path . --features https`, or probe the \
                      address behind what terminates TLS, such as http://127.0.0.1:8080/";

/// What can be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(super) address: Address,
    /// Whether TLS is spoken there.
    pub(super) is_secure: bool,
    /// As it was written, less the fragment, which is for browsers alone.
    pub(super) url: String,
    /// As in `Host`.
    pub(super) authority: String,
    /// Begins with a slash.
    pub(super) path: String,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err("not a URL that can be probed; for example http://127.0.0.1:8080/".into());
        }
        if let Some(socket) = text.strip_prefix("unix:") {
            return of_socket(text, socket);
        }
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let is_secure = scheme.eq_ignore_ascii_case("https");
        if !is_secure && !scheme.eq_ignore_ascii_case("http") {
            return Err("expected a URL such as http://127.0.0.1:8080/, or unix:/run/app.sock".into());
        }
        if is_secure && cfg!(not(feature = "https")) {
            return Err(NO_TLS.into());
        }
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let with_port =
            if has_port { authority.to_owned() } else { format!("{authority}:{}", if is_secure { 443 } else { 80 }) };
        if authority.contains('@') {
            return Err("not a URL that can be probed; for example http://127.0.0.1:8080/".into());
        }
        let right = "expected a host and a port, as in http://127.0.0.1:8080/, or a socket, as in unix:/run/app.sock or unix:/run/app.sock:/path";
        let address = with_port.parse::<Address>().map_err(|_| right)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let url = format!("{}://{authority}{path}", if is_secure { "https" } else { "http" });
        Ok(Self { address, is_secure, url, authority: authority.to_owned(), path })
    }
}

fn of_socket(text: &str, socket: &str) -> Result<Target, String> {
    let (socket, path) = socket.find(":/").map_or((socket, "/"), |at| (&socket[..at], &socket[at + 1..]));
    let address = format!("unix:{socket}").parse::<Address>().map_err(|error| error.to_string())?;
    let (url, authority, path) = (text.to_owned(), "localhost".to_owned(), path.to_owned());
    Ok(Target { address, is_secure: false, url, authority, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_spoken_where_it_was_built_in() {
        let target = "HTTPS://app/a#b".parse::<Target>();
        if cfg!(feature = "https") {
            let target = target.expect("it is built in");
            assert_eq!((&*target.address.to_string(), &*target.url), ("app:443", "https://app/a"));
            assert!(target.is_secure && !"http://app:443/".parse::<Target>().expect("a URL").is_secure);
        } else {
            assert_eq!(target, Err(NO_TLS.to_owned()));
        }
    }

    #[test]
    fn urls_that_can_be_probed() {
        for (url, address, authority, path) in [
            ("http://127.0.0.1:8080/", "127.0.0.1:8080", "127.0.0.1:8080", "/"),
            ("http://app", "app:80", "app", "/"),
            ("http://[::1]/a?b#c", "[::1]:80", "[::1]", "/a?b"),
            ("HTTP://app:1?b", "app:1", "app:1", "/?b"),
            ("unix:/run/app.sock", "unix:/run/app.sock", "localhost", "/"),
            ("unix:/run/#1", "unix:/run/#1", "localhost", "/"),
            ("unix:/run/a:b.sock:/a/b?c:/d", "unix:/run/a:b.sock", "localhost", "/a/b?c:/d"),
        ] {
            let target: Target = url.parse().expect(url);
            assert_eq!((&*target.address.to_string(), &*target.authority, &*target.path), (address, authority, path));
        }
        for (url, word) in [
            ("ftp://a/", "http://"),
            ("127.0.0.1:8080", "http://"),
            ("http://", "expected a host"),
            ("http://a:b/", "as in http://"),
            ("http://unix:/run/a", "unix:/run/app.sock:/path"),
            ("unix:app.sock", "a path with a slash"),
            ("http://u@a/", "for example http://"),
            ("http://a/ b", "for example http://"),
        ] {
            let complaint = url.parse::<Target>().expect_err(url);
            assert!(complaint.contains(word), "{url}: {complaint}");
        }
    }
}
