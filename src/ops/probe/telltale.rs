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

/// What the pages of servers have in them, in lower case, though they name nobody, and whose they are.
const PAGES: [(&str, &str); 13] = [
    ("</h1></center>\r\n<hr><center>", "nginx"),
    ("<!doctype html public \"-//ietf//dtd html 2.0//en\">", "Apache"),
    ("<h1>http status ", "Tomcat"),
    ("<hr><p>http error ", "IIS"),
    ("<!doctype html>\n<html lang=en>\n<title>", "Werkzeug"),
    ("<pre>cannot ", "Express"),
    ("whitelabel error page", "Spring Boot"),
    ("<p>error code explanation: ", "Python http.server"),
    ("your browser sent an invalid request.\n</body></html>", "HAProxy"),
    ("\nno server is available to handle this request.\n</body></html>", "HAProxy"),
    ("<h3>guru meditation:</h3>", "Varnish"),
    ("upstream connect error or disconnect/reset before headers", "Envoy"),
    ("<p>the requested resource was not found on this server.</p>", "Django"),
];

/// Tells whether a field line names a server: `Via`, or a field of somebody's own. Others may say what they like.
pub(super) fn is_in_line(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    let Some((name, value)) = line.split_once(':') else { return false };
    (name == "via" || name.starts_with("x-"))
        && WORDS.iter().any(|word| is_within(name, word) || is_within(value, word))
}

/// How a body names a server.
pub(super) enum Word {
    /// It says so.
    Said(&'static str),
    /// It is known to be that server's.
    Known(&'static str),
}

/// What a page of the server's own, or what is no HTTP/1.1, says of who wrote it, less what it repeats of the request and of the place to
/// which it leads. Other pages may say what they like.
pub(super) fn in_body(answer: &Answer, path: &str) -> Vec<Word> {
    if !answer.has_own_page() {
        return Vec::new();
    }
    // Some name a coding and use none.
    let text = answer.text().unwrap_or_else(|| answer.body.clone());
    let mut body = String::from_utf8_lossy(&text).to_ascii_lowercase();
    for repeated in [&answer.location, path].map(str::to_ascii_lowercase) {
        if !matches!(repeated.as_str(), "" | "/") {
            body = body.replace(&repeated, "");
        }
    }
    let said: Vec<Word> = WORDS.into_iter().filter(|word| is_within(&body, word)).map(Word::Said).collect();
    if said.is_empty() {
        PAGES.into_iter().filter(|(part, _)| body.contains(part)).map(|(_, name)| Word::Known(name)).collect()
    } else {
        said
    }
}

/// Tells whether a text has that word, not as part of another.
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
