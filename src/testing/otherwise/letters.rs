//! How an input is read: lines of letters, each a choice.
//!
//! Of each byte the low five bits count, so `a`, `A` and `!` are the same letter, and no byte is without a meaning to a fuzzer. What a letter
//! means is told where its line is read; what stands twice is the second variant of it.

/// A line of an input: how often each letter stands in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Line([u8; 32]);

impl Line {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut line = Self::default();
        for byte in bytes {
            let count = &mut line.0[usize::from(byte & 31)];
            *count = count.saturating_add(1);
        }
        line
    }

    pub(super) fn count(&self, letter: u8) -> usize {
        usize::from(self.0[usize::from(letter & 31)])
    }

    pub(super) fn has(&self, letter: u8) -> bool {
        self.count(letter) > 0
    }

    /// The variant that the letter chooses: the first where it stands once, and so on, round and round.
    pub(super) fn choice<T: Copy>(&self, letter: u8, variants: &[T]) -> Option<T> {
        let index = self.count(letter).checked_sub(1)?;
        variants.iter().cycle().nth(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_stands_twice_is_the_second_variant() {
        let line = Line::of(b"abB");
        assert_eq!(line.choice(b'a', &[1, 2]), Some(1));
        assert_eq!(line.choice(b'b', &[1, 2]), Some(2));
        assert_eq!(Line::of(b"bbb").choice(b'b', &[1, 2]), Some(1));
        assert_eq!(line.choice(b'c', &[1, 2]), None);
    }
}
