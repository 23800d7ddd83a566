//! What of a head is withheld because of all its lines together: upgrade offers that must not be accepted, framing lines that must
//! go, and keep-alive where the connection closes.

use super::edits::{CLOSE_LINE, Edits, Mended, Why};
use super::framing::{Fields, Surplus, TransferEncoding, is_of_offer};
use super::lines::{FieldLine, FieldLines};
use super::message::Version;
use super::names::{Name, members, trimmed};
use super::upgrade::Upgrades;

/// Withholds the upgrade offers of a request head that must not be accepted, and what belongs to them (RFC 9110 §7.6.1, §7.8). Returns how many lines
/// are withheld; the fields reflect what is forwarded.
pub(super) fn withhold_offers(
    upgrades: &Upgrades,
    head: &[u8],
    version: Version,
    fields: &mut Fields,
    edits: &mut Edits,
) -> usize {
    let Some(offered) = fields.upgrade else { return 0 };
    let is_old = version == Version::Http10;
    let is_refused = offered.names_others() || (is_old && offered.allowed().is_some());
    if !is_refused {
        return 0;
    }
    let why = Why::Mended(Mended::UpgradeOffer);
    let stays = offered.allowed().filter(|_| !is_old);
    let (mut gone, mut has_empty) = (0, false);
    for line in FieldLines::of_head(head) {
        let name = Name::of(line.name());
        let is_kept = if name == Name::Upgrade {
            let is_kept = withhold_members(&line, why, edits, |member| is_old || !upgrades.allow(member));
            has_empty |= is_kept;
            is_kept
        } else if stays.is_none() && name == Name::Connection {
            withhold_members(&line, why, edits, is_of_offer)
        } else {
            let is_kept = stays.is_some() || name != Name::Http2Settings;
            if !is_kept {
                edits.withhold(line.place(), why);
            }
            is_kept
        };
        gone += usize::from(!is_kept);
    }
    edits.sort();
    // Of lines that name nothing there may be one left.
    fields.upgrade = stays.or(has_empty.then(Default::default));
    fields.has_options_of_offer &= stays.is_some();
    gone
}

/// Withholds members of a line's list, each with a comma; the whole line, if it had one and none is left. Returns whether the line stays.
fn withhold_members(
    line: &FieldLine<'_>,
    why: Why,
    edits: &mut Edits,
    mut is_withheld: impl FnMut(&[u8]) -> bool,
) -> bool {
    let pieces = || line.value().split(|byte| *byte == b',');
    let fates: Vec<bool> = pieces().map(|piece| !trimmed(piece).is_empty() && is_withheld(trimmed(piece))).collect();
    let is_left = pieces().zip(&fates).any(|(piece, is_withheld)| !is_withheld && !trimmed(piece).is_empty());
    if !is_left && fates.contains(&true) {
        edits.withhold(line.place(), why);
        return false;
    }
    let (mut at, mut has_kept) = (line.value_start(), false);
    for (piece, is_withheld) in pieces().zip(fates) {
        let end = at + piece.len();
        match (is_withheld, has_kept) {
            (true, true) => edits.withhold(at - 1..end, why),
            (true, false) => edits.withhold(at..end + 1, why),
            (false, _) => has_kept = true,
        }
        at = end + 1;
    }
    true
}

/// Withholds of a response head the framing lines that must go.
pub(super) fn withhold_surplus(head: &[u8], surplus: Surplus, edits: &mut Edits) {
    let mut has_length = false;
    let mut codings = TransferEncoding::default();
    for line in FieldLines::of_head(head) {
        let mut withhold = |why| edits.withhold(line.place(), Why::Mended(why));
        let name = Name::of(line.name());
        if name != Name::ContentLength && name != Name::TransferEncoding {
            continue;
        }
        match surplus {
            Surplus::None => {}
            Surplus::Both => withhold(Mended::LengthOfNothing),
            Surplus::Lengths if name == Name::ContentLength => withhold(Mended::BothLengths),
            Surplus::Lengths if codings.see(line.value()) => withhold(Mended::CodingRepeated),
            Surplus::Lengths => {}
            Surplus::Repeats => {
                // All say the same: the first stays.
                let is_repeat = |_: &[u8]| std::mem::replace(&mut has_length, true);
                withhold_members(&line, Why::Mended(Mended::LengthRepeated), edits, is_repeat);
            }
        }
    }
    edits.sort();
}

/// Has a response head say that its connection closes: lines that say only keep-alive give way.
pub(super) fn close(head: &[u8], edits: &mut Edits) {
    for line in FieldLines::of_head(head) {
        if Name::of(line.name()) == Name::Connection && says_only_keep_alive(line.value()) {
            edits.withhold(line.place(), Why::Belied);
        }
    }
    edits.sort();
    edits.add(CLOSE_LINE);
}

fn says_only_keep_alive(value: &[u8]) -> bool {
    let mut options = members(value).filter(|option| !option.is_empty()).peekable();
    options.peek().is_some() && options.all(|option| option.eq_ignore_ascii_case(b"keep-alive"))
}
