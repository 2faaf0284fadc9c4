//! The file that an import makes: blocks, each with what could not be carried said at its place,
//! and only such blocks in force as pass `check`.

use std::fmt::Write as _;
use std::path::Path;

use super::ImportError;
use crate::config::{self, GatewaySpec, Mistakes};

/// Characters of a line of comment at most, for people to read.
const COMMENT_WIDTH: usize = 110;

/// Characters of foreign text that a note repeats.
const QUOTED_MAX: usize = 160;

/// The file as it grows.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Said once, in front of all.
    pub(super) head: Vec<String>,
    /// Listeners and the like.
    settings: Vec<Block>,
    /// Upstreams, authenticators, limits.
    named: Vec<Block>,
    routes: Vec<Block>,
}

/// A few tables of the file that stand or fall together.
#[derive(Debug)]
pub(super) struct Block {
    /// Where it comes from, such as `endpoints[3] GET /shop`.
    place: String,
    /// What could not be carried over, or is otherwise than it was.
    notes: Vec<String>,
    lines: Vec<String>,
    /// Why it is a comment only.
    left_out: Option<String>,
}

/// A file that passes `check`, and what it lacks.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) text: String,
    /// `place: note`, in the order of the file.
    pub(super) notes: Vec<String>,
    pub(super) routes: usize,
    pub(super) left_out: usize,
}

impl Block {
    pub(super) fn new(place: impl Into<String>) -> Self {
        Self {
            place: plain(&place.into()),
            notes: Vec::new(),
            lines: Vec::new(),
            left_out: None,
        }
    }

    /// Another block of the same place with the same notes.
    pub(super) fn copy_of_notes(&self) -> Self {
        Self {
            place: self.place.clone(),
            notes: self.notes.clone(),
            lines: Vec::new(),
            left_out: None,
        }
    }

    /// Says what could not be carried over.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = plain(&note.into());
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// `key = "text"`
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.line(format!("{key} = {}", quoted(text)));
    }

    /// `key = ["text", "text"]`; one alone stands without brackets, none is not written.
    pub(super) fn texts(&mut self, key: &str, texts: &[String]) {
        match texts {
            [] => {}
            [one] => self.text(key, one),
            many => self.line(format!("{key} = {}", list(many))),
        }
    }

    /// Makes a comment of it.
    pub(super) fn leave_out(&mut self, why: impl Into<String>) {
        if self.left_out.is_none() {
            self.left_out = Some(plain(&why.into()));
        }
    }

    pub(super) const fn is_left_out(&self) -> bool {
        self.left_out.is_some()
    }

    fn render(&self, out: &mut String) {
        out.push('\n');
        comment(&self.place, out);
        for note in &self.notes {
            comment(&format!("Note: {note}"), out);
        }
        if let Some(why) = &self.left_out {
            comment(&format!("Left out: {why}"), out);
        }
        for line in self.lines.iter().flat_map(|line| line.split('\n')) {
            match (self.is_left_out(), line.is_empty()) {
                (true, true) => out.push('#'),
                (true, false) => {
                    out.push_str("# ");
                    out.push_str(line);
                }
                (false, _) => out.push_str(line),
            }
            out.push('\n');
        }
    }
}

impl Page {
    pub(super) fn setting(&mut self, block: Block) {
        self.settings.push(block);
    }

    pub(super) fn named(&mut self, block: Block) {
        self.named.push(block);
    }

    pub(super) fn route(&mut self, block: Block) {
        self.routes.push(block);
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.settings.iter().chain(&self.named).chain(&self.routes)
    }

    fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        let named = self.settings.iter_mut().chain(&mut self.named);
        named.chain(&mut self.routes)
    }

    /// Makes comments of the blocks that have mistakes until there are none. What depends on a
    /// block that is left out is a mistake in turn, so a route never loses its guard.
    pub(super) fn settle(mut self, base: &Path) -> Result<Finished, ImportError> {
        loop {
            let (text, ends) = self.render();
            match config::load_text_with("routes.toml", &text, base, &|_| None) {
                Ok(spec) => return Ok(self.finish(text, &spec)),
                Err(mistakes) => {
                    if !self.give_way(&mistakes, &ends) {
                        return Err(ImportError::Unusable(mistakes));
                    }
                }
            }
        }
    }

    /// Leaves out every block with a mistake; false where there is none to leave out.
    fn give_way(&mut self, mistakes: &Mistakes, ends: &[usize]) -> bool {
        let mut changed = false;
        for mistake in mistakes.iter() {
            let at = ends.partition_point(|&end| end < mistake.line);
            if let Some(block) = self.blocks_mut().nth(at)
                && !block.is_left_out()
            {
                let help = mistake.help.as_deref().unwrap_or_default();
                let colon = if help.is_empty() { "" } else { ": " };
                block.leave_out(format!("{}{colon}{help}", mistake.message));
                changed = true;
            }
        }
        changed
    }

    /// The text, and the last line of each block.
    fn render(&self) -> (String, Vec<usize>) {
        let mut text = String::new();
        for line in &self.head {
            comment(line, &mut text);
        }
        let mut ends = Vec::new();
        let mut lines = text.matches('\n').count();
        for block in self.blocks() {
            let start = text.len();
            block.render(&mut text);
            lines += text.get(start..).unwrap_or_default().matches('\n').count();
            ends.push(lines);
        }
        (text, ends)
    }

    fn finish(&self, text: String, spec: &GatewaySpec) -> Finished {
        let mut notes = Vec::new();
        for block in self.blocks() {
            let left_out = block.left_out.iter().map(|why| format!("left out: {why}"));
            let all = left_out.chain(block.notes.iter().cloned());
            notes.extend(all.map(|note| format!("{}: {note}", block.place)));
        }
        Finished {
            text,
            notes,
            routes: spec.routes.len(),
            left_out: self.routes.iter().filter(|it| it.is_left_out()).count(),
        }
    }
}

/// A comment, in lines that are not too long.
fn comment(text: &str, out: &mut String) {
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width == 0 {
            out.push('#');
            width = 1;
        } else if width + 1 + length > COMMENT_WIDTH {
            out.push_str("\n#  ");
            width = 3;
        }
        out.push(' ');
        out.push_str(word);
        width += 1 + length;
    }
    out.push('\n');
}

/// Text on one line and without control characters, so that it cannot end a comment.
fn plain(text: &str) -> String {
    let sign = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(sign).collect()
}

/// Foreign text as a note repeats it: on one line, and not too much of it.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_MAX).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("`{}`", plain(&short))
}

/// A basic string of TOML in which nothing is taken for a `${NAME}` of ours.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, false))
}

/// Like [`quoted`], over several lines where the text has some.
pub(super) fn quoted_lines(text: &str) -> String {
    if text.contains('\n') {
        format!("\"\"\"\n{}\"\"\"", escaped(text, true))
    } else {
        quoted(text)
    }
}

fn escaped(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in text.replace("${", "$${").chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' if lines => out.push('\n'),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// `["a", "b"]`
pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// `{ key = "text" }` of pairs, the keys quoted where they must be.
pub(super) fn table<K: AsRef<str>>(pairs: &[(K, String)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, text)| format!("{} = {}", self::key(key.as_ref()), quoted(text)))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// A key, quoted where it must be.
pub(super) fn key(text: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !text.is_empty() && text.bytes().all(bare) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Literal text of a template.
pub(super) fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(page: Page) -> Finished {
        page.settle(Path::new("")).unwrap()
    }

    fn block(place: &str, lines: &[&str]) -> Block {
        let mut block = Block::new(place);
        for &line in lines {
            block.line(line);
        }
        block
    }

    #[test]
    fn a_block_with_a_mistake_becomes_a_comment_and_what_needs_it_too() {
        let mut page = Page::default();
        page.setting(block("port", &["listen = [{ address = \"127.0.0.1:0\" }]"]));
        page.named(block(
            "auth",
            &["[auth.a]", "jwt = { keys = \"absent.json\" }"],
        ));
        page.route(block(
            "one",
            &[
                "[[routes]]",
                "path = \"/one\"",
                "auth = \"a\"",
                "respond = { text = \"1\" }",
            ],
        ));
        page.route(block(
            "two",
            &[
                "[[routes]]",
                "path = \"/two\"",
                "respond = { text = \"2\" }",
            ],
        ));
        let made = settled(page);
        assert_eq!((made.routes, made.left_out), (1, 1));
        assert!(made.text.contains("\n# path = \"/one\"\n"), "{}", made.text);
        assert!(made.text.contains("\npath = \"/two\"\n"), "{}", made.text);
        assert!(
            made.notes[0].starts_with("auth: left out: "),
            "{:?}",
            made.notes
        );
    }

    #[test]
    fn what_was_foreign_stays_text() {
        assert_eq!(quoted("a\"\\\n${X}\u{1}"), "\"a\\\"\\\\\\n$${X}\\u0001\"");
        assert_eq!(key("a-b_1"), "a-b_1");
        assert_eq!(key("a b"), "\"a b\"");
        assert_eq!(literal("{a}"), "{{a}}");
        let mut out = String::new();
        comment(&plain("one\n[[routes]]"), &mut out);
        assert_eq!(out, "# one [[routes]]\n");
    }

    #[test]
    fn long_comments_are_broken_between_words() {
        let mut out = String::new();
        comment(&"word ".repeat(60), &mut out);
        assert!(
            out.lines()
                .all(|line| line.starts_with("# ") || line.starts_with("#  "))
        );
        assert!(
            out.lines().all(|line| line.len() <= COMMENT_WIDTH + 4),
            "{out}"
        );
    }
}
