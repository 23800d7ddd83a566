//! What is left out of a head or trailer section, for the plain model: ranges of its bytes, in any order.

use std::ops::Range;

use super::super::Rules;
use super::head::{self, Field, Section};

/// The bytes of `span` that lie in none of the ranges.
pub(super) fn without(bytes: &[u8], span: Range<usize>, withheld: &[Range<usize>]) -> Vec<u8> {
    let mut is_left = vec![true; span.end];
    for place in withheld.iter().flat_map(Clone::clone) {
        if let Some(is_left) = is_left.get_mut(place) {
            *is_left = false;
        }
    }
    let kept = bytes.iter().zip(&is_left).enumerate().filter(|(place, (_, is_left))| span.contains(place) && **is_left);
    kept.map(|(_, (byte, _))| *byte).collect()
}

/// The members that are not wanted of one line's list, with a comma each; the whole line if none is left of those it had.
/// An empty member names nothing and stays.
pub(super) fn members_withheld(bytes: &[u8], field: &Field, goes: impl Fn(&[u8]) -> bool) -> Vec<Range<usize>> {
    let pieces = pieces(bytes, field);
    let mut named = pieces.iter().filter(|(_, member)| !member.is_empty()).peekable();
    if named.peek().is_some() && named.all(|(_, member)| goes(member)) {
        return vec![field.lines.clone()];
    }
    let mut withheld = Vec::new();
    let mut one_stays = false;
    for (piece, member) in pieces {
        if member.is_empty() || !goes(&member) {
            one_stays = true;
        } else if one_stays {
            withheld.push(piece.start - 1..piece.end);
        } else {
            withheld.push(piece.start..piece.end + 1);
        }
    }
    withheld
}

/// What stands between the commas of a field's value, white space included, and the member of it, in lower case.
pub(super) fn pieces(bytes: &[u8], field: &Field) -> Vec<(Range<usize>, Vec<u8>)> {
    let value = bytes.get(field.value_at.clone()).unwrap_or_default();
    let mut at = field.value_at.start;
    let piece = |text: &[u8]| {
        let unfolded: Vec<u8> = text.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
        let piece = at..at + text.len();
        at = piece.end + 1;
        (piece, head::trimmed(&unfolded).to_ascii_lowercase())
    };
    value.split(|&byte| byte == b',').map(piece).collect()
}

/// The denied lines of a response's section, which stands in a head with this status, or behind a body.
pub(super) fn denied(section: &Section, status: Option<u16>, rules: &Rules) -> Vec<Range<usize>> {
    // RFC 9110 §7.8: without it, a 101 or a 426 does not say what it must.
    let is_needed = |field: &Field| field.name == b"upgrade" && matches!(status, Some(101 | 426));
    let is_denied = |field: &Field| !rules.dry_run && is_named(&field.name, rules);
    let denied = section.fields.iter().filter(|field| is_denied(field) && !is_needed(field));
    denied.map(|field| field.lines.clone()).collect()
}

/// What is mended of the lines of a response's section, whatever they say.
pub(super) fn mends(section: &Section) -> Vec<Range<usize>> {
    section.fields.iter().flat_map(|field| field.mends.clone()).collect()
}

/// Field names compare without regard to case (RFC 9110 §5.1), and only whole.
pub(super) fn is_named(name: &[u8], rules: &Rules) -> bool {
    let names = |patterns: &[String]| {
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == pattern.as_bytes(),
        })
    };
    names(&rules.deny) && !names(&rules.keep)
}
