//! The response lines that the OWASP Secure Headers Project recommends, with its values: those that any response may carry.
//!
//! Left out are `Cache-Control` and `Clear-Site-Data`, which are right for some responses alone. The value of `Permissions-Policy` is that of
//! OWASP's cheat sheet on headers, which is shorter.

pub(super) const LINES: [(&str, &str); 10] = [
    (
        "Content-Security-Policy",
        "default-src 'self'; form-action 'self'; object-src 'none'; frame-ancestors 'none'; upgrade-insecure-requests",
    ),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "geolocation=(), camera=(), microphone=()"),
    ("Referrer-Policy", "no-referrer"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "deny"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
];

/// The flag that adds a line, quoted for a shell. No value holds what double quotes do not.
pub(super) fn flag(name: &str) -> Option<String> {
    let (name, value) = LINES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    let quote = if value.contains('\'') { '"' } else { '\'' };
    Some(format!("--add {quote}{name}: {value}{quote}"))
}
