//! What must hold between the answer of a server asked directly and its answer through headsnip: the bytes are the
//! same, but that whole denied field lines are gone from heads and trailer sections.

use crate::reader::{End, Piece, lines, name, status};
use crate::wire::Transcript;

/// The names that headsnip removes without being told to.
const DENIED: [&str; 2] = ["server", "x-powered-by"];

/// What is shown of both sides from a little before the first difference.
const SHOWN: usize = 120;

/// How many denied lines were sent.
pub(crate) fn denied_lines(transcript: &Transcript) -> usize {
    let sections = transcript.pieces.iter().filter_map(section);
    sections.flat_map(lines).filter(|line| is_named(line, &DENIED)).count()
}

/// The status of each head, informational ones too.
pub(crate) fn statuses(transcript: &Transcript) -> Result<Vec<u16>, String> {
    let heads = transcript.pieces.iter().filter_map(|piece| match piece {
        Piece::Head(head) => Some(head),
        Piece::Body(_) | Piece::Trailers(_) | Piece::Tunnel(_) => None,
    });
    heads.map(|head| status(head)).collect()
}

/// Compares the two. `varies` are the names, lower case, of field lines whose value the server makes up each time;
/// `date` is always one.
pub(crate) fn same_but_denied(direct: &Transcript, through: &Transcript, varies: &[&str]) -> Result<(), String> {
    if let Some(leak) = through.pieces.iter().filter_map(section).flat_map(lines).find(|line| is_named(line, &DENIED)) {
        return Err(format!("a denied line came through: {:?}", leak.escape_ascii().to_string()));
    }
    if direct.end != through.end {
        return Err(format!("directly the end is {:?}, through headsnip {:?}", direct.end, through.end));
    }
    let expected: Vec<Piece> = direct.pieces.iter().map(|piece| plain(piece, varies)).collect();
    let found: Vec<Piece> = through.pieces.iter().map(|piece| plain(piece, varies)).collect();
    if expected.len() != found.len() {
        return Err(format!("directly {}, through headsnip {}", outline(&expected), outline(&found)));
    }
    for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
        // A cut connection may take the last of its bytes with it, but may not change any.
        let cut = direct.end == End::Cut && index + 1 == direct.pieces.len();
        if expected != found && !(cut && bytes(expected).starts_with(bytes(found))) {
            return Err(difference(expected, found));
        }
    }
    Ok(())
}

/// The body without chunk framing.
pub(crate) fn content(head: &[u8], body: &[u8]) -> Vec<u8> {
    if crate::reader::value(head, "transfer-encoding").is_none() {
        return body.to_vec();
    }
    let mut content = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
        // The reader has checked these lines and lengths; a cut body ends early.
        let size = String::from_utf8_lossy(&rest[..at]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16).unwrap_or(0);
        let chunk = &rest[at + 2..];
        content.extend_from_slice(&chunk[..size.min(chunk.len())]);
        rest = &chunk[chunk.len().min(size + 2)..];
    }
    content
}

/// The bytes in which denied lines could stand.
fn section(piece: &Piece) -> Option<&[u8]> {
    match piece {
        Piece::Head(section) | Piece::Trailers(section) => Some(section),
        Piece::Body(_) | Piece::Tunnel(_) => None,
    }
}

fn is_named(line: &[u8], names: &[&str]) -> bool {
    name(line).is_some_and(|found| names.iter().any(|name| found.eq_ignore_ascii_case(name.as_bytes())))
}

/// The piece with denied lines cut out and varying values made equal.
fn plain(piece: &Piece, varies: &[&str]) -> Piece {
    let plain_section = |section: &[u8]| -> Vec<u8> {
        let kept = lines(section).filter(|line| !is_named(line, &DENIED));
        kept.flat_map(|line| {
            let varying = is_named(line, &["date"]) || is_named(line, varies);
            match name(line) {
                Some(name) if varying => [name, b": (varies)\r\n"].concat(),
                _ => line.to_vec(),
            }
        })
        .collect()
    };
    match piece {
        Piece::Head(section) => Piece::Head(plain_section(section)),
        Piece::Trailers(section) => Piece::Trailers(plain_section(section)),
        Piece::Body(_) | Piece::Tunnel(_) => piece.clone(),
    }
}

fn bytes(piece: &Piece) -> &[u8] {
    match piece {
        Piece::Head(bytes) | Piece::Body(bytes) | Piece::Trailers(bytes) | Piece::Tunnel(bytes) => bytes,
    }
}

fn kind(piece: &Piece) -> &'static str {
    match piece {
        Piece::Head(_) => "head",
        Piece::Body(_) => "body",
        Piece::Trailers(_) => "trailers",
        Piece::Tunnel(_) => "tunnel",
    }
}

fn outline(pieces: &[Piece]) -> String {
    let parts: Vec<_> = pieces.iter().map(|piece| format!("{} of {}", kind(piece), bytes(piece).len())).collect();
    format!("[{}]", parts.join(", "))
}

fn difference(expected: &Piece, found: &Piece) -> String {
    let (left, right) = (bytes(expected), bytes(found));
    let at = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let from = at.saturating_sub(SHOWN / 3);
    let shown = |bytes: &[u8]| {
        let end = bytes.len().min(from + SHOWN);
        bytes.get(from..end).unwrap_or_default().escape_ascii().to_string()
    };
    format!(
        "{} of {} bytes differs at {at} from {} of {} bytes expected:\n  expected {:?}\n  found    {:?}",
        kind(found),
        right.len(),
        kind(expected),
        left.len(),
        shown(left),
        shown(right),
    )
}
