//! Messages that are sound but for a twist: what servers, proxies and clients are known to read in two ways, or to send against the rules.

use super::super::random::Random;

/// A message, of which each part can be changed by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    /// Empty lines, or a 1xx, before it.
    pub(super) before: String,
    pub(super) start: String,
    /// Lines without their ends.
    pub(super) fields: Vec<String>,
    /// With its framing.
    pub(super) body: String,
}

impl Message {
    pub(super) fn text(&self) -> String {
        let fields: String = self.fields.iter().flat_map(|field| [field, "\r\n"]).collect();
        format!("{}{}\r\n{fields}\r\n{}", self.before, self.start, self.body)
    }

    /// Gives it a body with a length, or in chunks.
    pub(super) fn fill(&mut self, random: &mut Random) {
        let length = random.of(&[0, 1, 2, 5, 17, 40]);
        let data = "abcdefghij".repeat(4)[..length].to_owned();
        if random.one_in(2) {
            self.fields.push(format!("Content-Length: {length}"));
            self.body = data;
            return;
        }
        self.fields.push("Transfer-Encoding: chunked".to_owned());
        let mut rest = &*data;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(1 + random.below(rest.len()));
            self.body = format!("{}{:x}\r\n{chunk}\r\n", self.body, chunk.len());
            rest = behind;
        }
        self.body += "0\r\n\r\n";
    }

    fn is_chunked(&self) -> bool {
        self.body.ends_with("0\r\n\r\n")
    }

    /// Puts a line anywhere among the others.
    pub(super) fn add(&mut self, random: &mut Random, line: &str) {
        let place = random.below(self.fields.len() + 1);
        self.fields.insert(place, line.to_owned());
    }

    /// Changes the line of that name, if there is one.
    fn edit(&mut self, name: &str, edit: impl FnOnce(&str) -> Vec<String>) {
        if let Some(place) = self.fields.iter().position(|field| field.starts_with(name)) {
            let value = self.fields[place].split_once(": ").map_or("", |(_, value)| value).to_owned();
            self.fields.splice(place..=place, edit(&value));
        }
    }

    /// Says the length otherwise.
    pub(super) fn twist_length(&mut self, random: &mut Random) {
        let variant = random.below(10);
        let line = |value: &str| vec![format!("Content-Length: {value}")];
        self.edit("Content-Length", |value| match variant {
            0 => line(&format!("{value}, {value}")),
            1 => [line(value), line(value)].concat(),
            2 => line(&format!("0{value}")),
            3 => line(&format!("+{value}")),
            4 => [line(value), line("1")].concat(),
            5 => line("9223372036854775808"),
            6 => vec![format!("Content_Length: {value}"), format!("content-length:{value}")],
            7 => vec![format!("Content-Length : {value}")],
            8 => line(&format!("{value},")),
            _ => [line(value), vec!["Transfer-Encoding: chunked".to_owned()]].concat(),
        });
    }

    /// Says the coding otherwise.
    pub(super) fn twist_coding(&mut self, random: &mut Random) {
        let codings = [
            "Chunked",
            "chunked, chunked",
            "gzip, chunked",
            "chunked, gzip",
            "identity",
            "gzip",
            ",chunked",
            "chunked;a",
            "x\u{b}chunked",
        ];
        let (coding, variant) = (random.of(&codings), random.below(4));
        let line = |value: &str| format!("Transfer-Encoding: {value}");
        self.edit("Transfer-Encoding", |_| match variant {
            0 => vec![line("chunked"), line("chunked")],
            1 => vec![line("chunked"), "Content-Length: 5".to_owned()],
            _ => vec![line(coding)],
        });
    }

    /// Writes a chunk line otherwise, or what is behind the last.
    pub(super) fn twist_chunks(&mut self, random: &mut Random) {
        if !self.is_chunked() {
            return;
        }
        let lines: Vec<usize> = self.body.match_indices("\r\n").map(|(at, _)| at).collect();
        let at = random.of(&lines);
        let twist = random.of(&[";a", ";a=\"b;c\"", " ", "\t", ";\n", "\r", " ;a = b", ";\u{7f}"]);
        match random.below(4) {
            0 => self.body.insert_str(at, twist),
            1 => self.body.insert_str(0, random.of(&["0", "00", "+", "0x", "fffffffffffffffff"])),
            2 => self.body = self.body.to_uppercase(),
            _ => self.twist_trailers(random),
        }
    }

    /// Puts lines into the trailer section.
    pub(super) fn twist_trailers(&mut self, random: &mut Random) {
        if !self.is_chunked() {
            return;
        }
        let line = random.of(&[
            "X-T: a",
            "Server: a",
            "server : a",
            "X-T: a\r\n b",
            "Content-Length: 9",
            "X-Forwarded-For: 6",
            "A",
        ]);
        self.body.truncate(self.body.len() - 2);
        self.body = format!("{}{line}\r\n\r\n", self.body);
    }

    /// Writes a line against the grammar, or as old ones were.
    pub(super) fn twist_lines(&mut self, random: &mut Random) {
        if random.one_in(5) {
            self.start += random.of(&["\r\n X: a", "\n", " ", "\0"]);
            return;
        }
        let place = random.below(self.fields.len());
        let Some(line) = self.fields.get_mut(place) else { return };
        match random.below(8) {
            0 => *line += "\r\n folded",
            1 => *line += "\r\n\t",
            2 => *line = line.replacen(':', " :", 1),
            3 => *line = line.replacen(':', "", 1),
            4 => *line += "\n",
            5 => *line += "\0",
            6 => *line = line.replace('-', "_"),
            _ => *line = format!(" {line}"),
        }
    }

    /// Makes the head about as long, or of about as many lines, as a head may be.
    pub(super) fn twist_size(&mut self, random: &mut Random) {
        if random.one_in(4) {
            let count = random.of(&[63, 64, 65, 255, 256, 257]);
            self.fields.resize_with(count, || "A:".to_owned());
            return;
        }
        let length = self.text().len() - self.before.len() - self.body.len();
        let wanted = random.of(&[480, 505, 510, 511, 512, 513, 514, 530]);
        let padding = usize::saturating_sub(wanted, length + "P: \r\n".len());
        self.add(random, &format!("P: {}", "p".repeat(padding)));
    }
}
