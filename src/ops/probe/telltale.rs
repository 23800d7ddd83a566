//! Words by which servers and frameworks name themselves outside the fields that OWASP lists.

use super::answer::Answer;

/// In lower case.
const WORDS: [&str; 34] = [
    "apache",
    "basehttp",
    "bentoml",
    "caddy",
    "cherrypy",
    "cloudflare",
    "cowboy",
    "daphne",
    "envoy",
    "gunicorn",
    "haproxy",
    "httpstatus.",
    "hypercorn",
    "internet information services",
    "jetty",
    "kestrel",
    "lighttpd",
    "litespeed",
    "nginx",
    "openresty",
    "passenger",
    "php",
    "puma",
    "starlette",
    "tengine",
    "tomcat",
    "tornado",
    "traceback (most recent call last)",
    "undertow",
    "unicorn",
    "uvicorn",
    "varnish",
    "waitress",
    "werkzeug",
];

/// Returns whether a field line names a server: `Via`, or a field of somebody's own. Others may say what they like.
pub(super) fn is_in_line(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    let Some((name, value)) = line.split_once(':') else { return false };
    (name == "via" || name.starts_with("x-"))
        && WORDS.iter().any(|word| is_within(name, word) || is_within(value, word))
}

/// What an error page, or what is no HTTP/1.1, says of who wrote it, less what it repeats of the request. Other pages may say what
/// they like.
pub(super) fn in_body(answer: &Answer, path: &str) -> Vec<&'static str> {
    if answer.statuses.last().is_some_and(|status| *status < 400) {
        return Vec::new();
    }
    let body = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
    let body = if path == "/" { body } else { body.replace(&path.to_ascii_lowercase(), "") };
    WORDS.into_iter().filter(|word| is_within(&body, word)).collect()
}

/// Returns whether a text has that word, not as part of another.
fn is_within(text: &str, word: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, found)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + found.len()..].chars().next());
        !is_letter(before) && (!is_letter(after) || word.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_names_a_server_is_told_from_others() {
        for line in ["Via: 1.1 varnish (Varnish/6.0)", "X-Varnish: 1", "x-backend-server: gunicorn/20\r\n"] {
            assert!(is_in_line(line.as_bytes()), "{line}");
        }
        for line in ["Via: 1.1 a", "X-Request-Id: nginxes", "Content-Type: text/x-php", "Set-Cookie: a=php", "nginx"] {
            assert!(!is_in_line(line.as_bytes()), "{line}");
        }
    }
}
