//! The backticks around code in a line.

/// What stands around a code span whose end is not known yet.
///
/// A span ends at a run of as many backticks as it began with, so its fence has to be longer than any run in it, and a
/// backtick at either end needs a space beside it.
pub(super) struct Fence {
    ticks: usize,
    is_padded: bool,
    /// The longest run of backticks in the code, and the one it ends with.
    longest: usize,
    last: usize,
}

impl Fence {
    pub(super) fn new(code: &str) -> Fence {
        let longest = longest_run(code);
        Fence {
            ticks: longest + 1,
            is_padded: code.starts_with('`') || code.ends_with('`'),
            longest,
            last: run_at_end(code),
        }
    }

    /// Makes it fit for `more` behind the code; whether its beginning changes.
    ///
    /// A fence that has to grow at least doubles, so that a span of many pieces is written anew only a few times.
    pub(super) fn extend(&mut self, more: &str) -> bool {
        let first = more.bytes().take_while(|byte| *byte == b'`').count();
        self.longest = self.longest.max(self.last + first).max(longest_run(more));
        self.last = if first == more.len() {
            self.last + first
        } else {
            run_at_end(more)
        };
        let is_short = self.ticks <= self.longest;
        if is_short {
            self.ticks = (self.longest + 1).max(self.ticks * 2);
        }
        let needs_pad = self.last > 0 && !self.is_padded;
        self.is_padded |= needs_pad;
        is_short || needs_pad
    }

    /// Writes the code with its fence.
    pub(super) fn write(&self, code: &str, markdown: &mut String) {
        markdown.extend(std::iter::repeat_n('`', self.ticks));
        if self.is_padded {
            markdown.push(' ');
        }
        markdown.push_str(code);
        self.end(markdown);
    }

    /// Writes what stands behind the code.
    pub(super) fn end(&self, markdown: &mut String) {
        if self.is_padded {
            markdown.push(' ');
        }
        markdown.extend(std::iter::repeat_n('`', self.ticks));
    }

    /// The length of what [`Self::end`] writes.
    pub(super) fn end_bytes(&self) -> usize {
        self.ticks + usize::from(self.is_padded)
    }
}

fn run_at_end(code: &str) -> usize {
    code.bytes().rev().take_while(|byte| *byte == b'`').count()
}

/// The longest run of backticks in a text.
pub(super) fn longest_run(code: &str) -> usize {
    if memchr::memchr(b'`', code.as_bytes()).is_none() {
        return 0;
    }
    let runs = code.as_bytes().chunk_by(|one, other| one == other);
    runs.filter(|run| run[0] == b'`')
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Fence;

    fn of(pieces: &[&str]) -> String {
        let mut fence = Fence::new(pieces[0]);
        for more in &pieces[1..] {
            fence.extend(more);
        }
        let mut markdown = String::new();
        fence.write(&pieces.concat(), &mut markdown);
        markdown
    }

    #[test]
    fn a_fence_fits_its_code_in_however_many_pieces() {
        for (pieces, markdown) in [
            (&["a"][..], "`a`"),
            (&["a`b"], "``a`b``"),
            (&["`"], "`` ` ``"),
            (&["a", "b"], "`ab`"),
            (&["a", "`b"], "``a`b``"),
            (&["a", "`"], "`` a` ``"),
            (&["a`", "`b"], "```` a``b ````"),
            (&["`", "`", "`", "a"], "```` ```a ````"),
        ] {
            assert_eq!(of(pieces), markdown, "{pieces:?}");
        }
    }

    #[test]
    fn many_pieces_change_the_beginning_a_few_times_only() {
        let mut fence = Fence::new("a");
        let changes = (1..2_000)
            .filter(|at| fence.extend(&"`".repeat(at % 300)))
            .count();
        assert!(changes < 25, "{changes}");
    }
}
