//! Where to ask, as it is written: `http://host:port/path`, or the path of a socket, `unix:/run/app.sock`, with the path that is asked for
//! behind a colon, as nginx writes it: `unix:/run/app.sock:/path`.

use std::str::FromStr;

use crate::net::address::Address;

/// What can be probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(super) address: Address,
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
            return Err("it is not a URL that can be probed; right would be: http://127.0.0.1:8080/".into());
        }
        if text.to_ascii_lowercase().starts_with("https://") {
            return Err(
                "probe speaks no TLS; probe the address behind whatever ends it, as http://127.0.0.1:8080/".into()
            );
        }
        if let Some(socket) = text.strip_prefix("unix:") {
            return of_socket(text, socket);
        }
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_at_checked(7).unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("http://") {
            return Err("right would be: http://127.0.0.1:8080/ or unix:/run/app.sock".into());
        }
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        if authority.contains('@') {
            return Err("it is not a URL that can be probed; right would be: http://127.0.0.1:8080/".into());
        }
        let right = "no host and port stand there; right would be: http://127.0.0.1:8080/, unix:/run/app.sock or unix:/run/app.sock:/path";
        let address = with_port.parse::<Address>().map_err(|_| right)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { address, url: format!("http://{authority}{path}"), authority: authority.to_owned(), path })
    }
}

fn of_socket(text: &str, socket: &str) -> Result<Target, String> {
    let (socket, path) = socket.find(":/").map_or((socket, "/"), |at| (&socket[..at], &socket[at + 1..]));
    let address = format!("unix:{socket}").parse::<Address>().map_err(|error| error.to_string())?;
    Ok(Target { address, url: text.to_owned(), authority: "localhost".to_owned(), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("https://a/", "no TLS"),
            ("127.0.0.1:8080", "http://"),
            ("http://", "right would be"),
            ("http://a:b/", "right would be: http://"),
            ("http://unix:/run/a", "unix:/run/app.sock:/path"),
            ("unix:app.sock", "no path with a slash"),
            ("http://u@a/", "right would be"),
            ("http://a/ b", "right would be"),
        ] {
            let complaint = url.parse::<Target>().expect_err(url);
            assert!(complaint.contains(word), "{url}: {complaint}");
        }
    }
}
