//! What an operator asks for of heads, in the plain model: lines that go from requests, lines that are added to responses, and the client's address.

use super::super::{CLIENT, Rules};
use super::edits;
use super::head::{self, Field, Section};

/// The rules for reading what was edited: a line that is added may have a head outgrow the limits.
pub(super) fn without_limits(rules: &Rules) -> Rules {
    Rules { max_head: usize::MAX, max_fields: usize::MAX, ..rules.clone() }
}

/// A sound request head, less its denied lines, and with the client's address.
pub(super) fn request(bytes: Vec<u8>, rules: &Rules) -> Vec<u8> {
    let bytes = edit(bytes, rules, |bytes, section| {
        let denied = section.fields.iter().filter(|field| is_denied_in_requests(field, rules));
        let denied: Vec<_> = denied.map(|field| field.lines.clone()).collect();
        edits::without(bytes, 0..section.end, &denied)
    });
    if !rules.forwarded_for {
        return bytes;
    }
    edit(bytes, rules, |bytes, section| {
        let (forwarded, mut values): (Vec<_>, Vec<String>) = section
            .fields
            .iter()
            .filter(|field| dashed(&field.name) == b"x-forwarded-for")
            .map(|field| (field.lines.clone(), field.value.iter().map(|byte| char::from(*byte)).collect()))
            .unzip();
        values.retain(|value: &String| !value.is_empty());
        values.push(CLIENT.to_string());
        // A byte each, whatever the byte.
        let line = format!("X-Forwarded-For: {}\r\n", values.join(", "))
            .chars()
            .map(|byte| u32::from(byte).to_be_bytes()[3])
            .collect();
        [edits::without(bytes, 0..section.empty_line, &forwarded), line, bytes[section.empty_line..].to_vec()].concat()
    })
}

fn edit(bytes: Vec<u8>, rules: &Rules, edited: impl FnOnce(&[u8], &Section) -> Vec<u8>) -> Vec<u8> {
    match head::request(&bytes, &without_limits(rules)) {
        Ok(Some(head)) => edited(&bytes, &head.section),
        Ok(None) | Err(_) => bytes,
    }
}

/// A field of a request's head or trailer section that does not go on.
pub(super) fn is_denied_in_requests(field: &Field, rules: &Rules) -> bool {
    let name = dashed(&field.name);
    let names = |patterns: &[String]| {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(&dashed(prefix.as_bytes())),
            None => name == dashed(pattern.as_bytes()),
        })
    };
    !rules.dry_run && names(&rules.deny_request) && !names(&rules.keep_request)
}

/// Servers take `_`, and some of them any other mark, for `-` in the names of a request.
pub(super) fn dashed(name: &[u8]) -> Vec<u8> {
    name.iter().map(|&byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' }).collect()
}

/// What is added to a final response head that says this: what it has no field of the name of. Last what would be denied if the application said it.
pub(super) fn missing(section: &Section, rules: &Rules) -> Vec<u8> {
    let missing = rules.add.iter().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_there = section.has(name.to_ascii_lowercase().as_bytes());
        (!is_there).then(|| {
            (edits::is_named(name.to_ascii_lowercase().as_bytes(), rules), format!("{name}: {}\r\n", value.trim()))
        })
    });
    let (denied, others): (Vec<_>, Vec<_>) = missing.partition(|(is_denied, _)| *is_denied);
    others.into_iter().chain(denied).flat_map(|(_, line)| line.into_bytes()).collect()
}
