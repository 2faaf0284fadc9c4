//! Finds every statement that TOML refuses, and takes each out, so that the rest can be read.
//!
//! A parser that goes on behind a mistake tends to see what follows as part of it: after a bracket
//! that is not closed, every line is wrong. So the statement with the first mistake is found, told
//! once and taken out, and the text is parsed again, until nothing is wrong.

use std::ops::Range;

use toml::de::DeTable;

/// Mistakes after which the rest is left alone.
const MISTAKES_MAX: usize = 50;

/// A text that TOML refused, put right.
#[derive(Debug, Default)]
pub struct Mended {
    /// As long as the text was, so that places stay what they are.
    pub text: String,
    /// What was wrong, and where.
    pub mistakes: Vec<(Range<usize>, String)>,
    /// Values that were taken out: something stands there, but what is not known.
    pub broken: Vec<Range<usize>>,
    /// Whole sections were taken out: what is not found may be there.
    pub incomplete: bool,
    /// There is too much wrong to say more.
    pub hopeless: bool,
}

/// Takes out of `text` what TOML refuses.
pub fn mend(text: &str) -> Mended {
    let mut mended = Mended {
        text: text.to_owned(),
        ..Mended::default()
    };
    for _ in 0..MISTAKES_MAX {
        let Some((at, message)) = first_mistake(&mended.text) else {
            return mended;
        };
        mended.take_out(at, message);
    }
    mended.hopeless = first_mistake(&mended.text).is_some();
    mended
}

fn first_mistake(text: &str) -> Option<(Range<usize>, String)> {
    let (_, errors) = DeTable::parse_recoverable(text);
    errors
        .into_iter()
        .map(|error| (error.span().unwrap_or(0..0), error.message().to_owned()))
        .min_by_key(|(span, _)| span.start)
}

impl Mended {
    /// Tells a mistake and takes out the statement that it stands in.
    fn take_out(&mut self, at: Range<usize>, message: String) {
        let here = self.statement(at.start);
        let before = here.start.checked_sub(1).map(|end| self.statement(end));
        // A statement that is not closed is refused only behind its end, in the next one.
        let culprit = before
            .filter(|before| before.end == here.start && self.alone(before).is_some())
            .unwrap_or(here);
        let (mut at, message) = self.alone(&culprit).unwrap_or((at, message));
        if message.contains("multi-line") && at.start >= culprit.end.saturating_sub(1) {
            // The end of the text says nothing: what matters is where the string was opened.
            at = self
                .value_of(&culprit)
                .map_or(at, |value| value.start..value.start + 3);
        }
        let duplicate = message.contains("duplicate");
        self.mistakes.push((at, message));
        if is_header(self.slice(&culprit)) {
            let end = self.next_header(culprit.end);
            self.incomplete |= !duplicate;
            self.blank(culprit.start..end);
        } else if let Some(value) = self.value_of(&culprit).filter(|_| !duplicate) {
            self.blank(value.clone());
            self.text.replace_range(value.start..value.start + 2, "''");
            self.broken.push(value);
        } else {
            self.incomplete |= !duplicate;
            self.blank(culprit);
        }
    }

    /// The first mistake of a statement when it stands alone.
    fn alone(&self, statement: &Range<usize>) -> Option<(Range<usize>, String)> {
        let (at, message) = first_mistake(self.slice(statement))?;
        Some((
            statement.start + at.start..statement.start + at.end,
            message,
        ))
    }

    /// The lines of the statement at `at`: from one that looks like the start of a statement to the
    /// next such.
    fn statement(&self, at: usize) -> Range<usize> {
        let mut start = 0;
        let mut next = 0;
        for line in self.text.split_inclusive('\n') {
            let begin = next;
            next += line.len();
            if begin > 0 && starts_statement(line) {
                if begin > at {
                    return start..begin;
                }
                start = begin;
            }
        }
        start..self.text.len()
    }

    fn next_header(&self, from: usize) -> usize {
        let mut next = from;
        for line in self.slice(&(from..self.text.len())).split_inclusive('\n') {
            if is_header(line) {
                return next;
            }
            next += line.len();
        }
        self.text.len()
    }

    /// Where the value stands in a statement whose key is fine; none where it has no room for two
    /// quotes.
    fn value_of(&self, statement: &Range<usize>) -> Option<Range<usize>> {
        let slice = self.slice(statement);
        let equals = slice.find('=')?;
        let key = slice.get(..=equals)?;
        if first_mistake(&format!("{key} 0")).is_some() {
            return None;
        }
        let rest = slice.get(equals + 1..)?;
        let value = rest.trim();
        let start = statement.start + equals + 1 + (rest.len() - rest.trim_start().len());
        (value.len() >= 2).then(|| start..start + value.len())
    }

    fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// Puts spaces in the place of everything but line ends.
    fn blank(&mut self, range: Range<usize>) {
        let blank: String = self
            .slice(&range)
            .bytes()
            .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
            .collect();
        if blank.len() == range.len() {
            self.text.replace_range(range, &blank);
        }
    }
}

fn is_header(line: &str) -> bool {
    line.starts_with('[')
}

/// Whether a line looks like `[header` or `key = value`. Lines of lists and of tables in braces are
/// indented, or start with what no key starts with.
fn starts_statement(line: &str) -> bool {
    if is_header(line) {
        return true;
    }
    let Some((key, _)) = line.split_once('=') else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'');
    line.starts_with(plain) && key.trim_end().chars().all(|c| plain(c) || c == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let mended = mend(text);
        assert!(!mended.hopeless, "{text}");
        assert_eq!(mended.text.len(), text.len());
        let line = |at: usize| text.get(..at).unwrap().matches('\n').count() + 1;
        mended
            .mistakes
            .iter()
            .map(|(at, _)| line(at.start.min(text.len())))
            .collect()
    }

    #[test]
    fn each_wrong_statement_is_told_once() {
        for (text, expected) in [
            ("a = 1\nb = 2\n", &[][..]),
            ("a = \nb = 2\nc = x\n", &[1, 3]),
            ("a = [1, 2\nb = 2\nc = 3\n", &[1]),
            ("a = { b = [ }\nc = 'x\nd = 4\n", &[1, 2]),
            ("[a\nb = 1\n[c]\nd = 1\n", &[1]),
            ("[a]\nb = 1\nb = 2\n[a]\nc = 1\n", &[3, 4]),
            ("a = \"\"\"\nb = 1\n", &[1]),
            ("a = 'x'\n= 5\nb = 1\n", &[2]),
        ] {
            assert_eq!(lines(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_wrong_stays() {
        let mended = mend("[a]\nx = [1\ny = 2\n[b]\nz = 'ä\n");
        let table = DeTable::parse(&mended.text).unwrap();
        assert!(table.get_ref().contains_key("a") && table.get_ref().contains_key("b"));
        assert_eq!(mended.broken.len(), 2);
        assert!(!mended.incomplete);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_mended_or_given_up(text in "([a-c.\\[\\]{}=\", \n1'\\\\ä]|\"\"\"){0,80}") {
            let mended = mend(&text);
            proptest::prop_assert_eq!(mended.text.len(), text.len());
            proptest::prop_assert!(mended.hopeless || first_mistake(&mended.text).is_none());
        }
    }
}
