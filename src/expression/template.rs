//! Text with `{expression}` holes, each filled as the place where it stands demands.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Expression;
use super::error::{Budget, EvalError, Mistake};
use super::fill::{Hole, Segments, fill};
use super::names::{Names, Reads, Scope, Variable};
use super::token::{Lexer, TokenKind};

/// Where the text of a template goes, which decides what a hole may hold and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The path and query of a call or rewrite, or the address of a redirect. Before `?` a hole is
    /// one path segment or a part of one, behind it one query value, percent-encoded. A hole that
    /// is just the parameter of a tail wildcard is its segments.
    Target,
    /// A header field: no control characters.
    Header,
    /// JSON: between quotes a hole is escaped text, elsewhere it is a JSON value.
    Json,
    /// Anything: the hole as it is.
    Text,
}

/// A compiled template. Cheap to clone.
#[derive(Clone)]
pub struct Template(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    place: Place,
    pieces: Vec<Piece>,
    reads: Reads,
}

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    Hole(Hole, Expression),
}

impl Template {
    /// Compiles `text`; every mistake that can be found at once.
    pub fn compile(text: &str, place: Place, names: &Names<'_>) -> Result<Self, Vec<Mistake>> {
        let mut builder = Builder {
            text,
            names,
            literal: String::new(),
            pieces: Vec::new(),
            reads: Reads::default(),
            mistakes: Vec::new(),
            position: Position::start(place),
        };
        builder.run();
        if !builder.mistakes.is_empty() {
            return Err(builder.mistakes);
        }
        Ok(Self(Arc::new(Compiled {
            text: text.into(),
            place,
            pieces: builder.pieces,
            reads: builder.reads,
        })))
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What it needs before it can be rendered.
    pub fn reads(&self) -> &Reads {
        &self.0.reads
    }

    /// The text of a template without holes.
    pub fn constant(&self) -> Option<&str> {
        match &*self.0.pieces {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text with its holes filled. On an error, what was appended is no use.
    pub fn render(
        &self,
        scope: &dyn Scope,
        budget: &Budget,
        out: &mut String,
    ) -> Result<(), EvalError> {
        let start = out.len();
        let mut path = Segments::new(out.len(), self.0.place);
        for piece in &self.0.pieces {
            match piece {
                Piece::Literal(text) => {
                    path.literal(text, out)?;
                    out.push_str(text);
                }
                Piece::Hole(hole, expression) => {
                    fill(*hole, expression, scope, budget, out)?;
                    path.filled(*hole, out);
                }
            }
        }
        path.end(out)?;
        budget.make(out.len() - start)
    }
}

/// As it stands in the file.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
            && self.0.place == other.0.place
            && self.0.reads == other.0.reads
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.0.text)
    }
}

/// Where the reader of the template's text stands, which types the next hole.
#[derive(Clone, Copy)]
enum Position {
    Path,
    Query,
    Header,
    JsonValue,
    /// Between quotes; true behind a backslash.
    JsonText(bool),
    Text,
}

impl Position {
    const fn start(place: Place) -> Self {
        match place {
            Place::Target => Self::Path,
            Place::Header => Self::Header,
            Place::Json => Self::JsonValue,
            Place::Text => Self::Text,
        }
    }

    const fn hole(self) -> Hole {
        match self {
            Self::Path => Hole::Segment,
            Self::Query => Hole::Component,
            Self::Header => Hole::Header,
            Self::JsonValue => Hole::JsonValue,
            Self::JsonText(_) => Hole::JsonText,
            Self::Text => Hole::Text,
        }
    }

    const fn after(self, c: char) -> Self {
        match (self, c) {
            (Self::Path, '?' | '#') => Self::Query,
            (Self::JsonValue, '"') => Self::JsonText(false),
            (Self::JsonText(false), '"') => Self::JsonValue,
            (Self::JsonText(guarded), c) => Self::JsonText(!guarded && c == '\\'),
            _ => self,
        }
    }

    /// Why a character cannot stand in the text itself.
    fn objection(self, c: char) -> Option<&'static str> {
        match self {
            Self::Path | Self::Query => (!c.is_ascii_graphic()
                || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '|'))
            .then_some("it is written percent-encoded in a target"),
            Self::Header => {
                (c.is_control() && c != '\t').then_some("a header cannot hold a control character")
            }
            Self::JsonValue | Self::JsonText(_) | Self::Text => None,
        }
    }
}

struct Builder<'a> {
    text: &'a str,
    names: &'a Names<'a>,
    literal: String,
    pieces: Vec<Piece>,
    reads: Reads,
    mistakes: Vec<Mistake>,
    position: Position,
}

impl Builder<'_> {
    fn run(&mut self) {
        let mut at = 0;
        while let Some(rest) = self.text.get(at..)
            && let Some(c) = rest.chars().next()
        {
            match c {
                '{' | '}' if rest.get(1..).is_some_and(|next| next.starts_with(c)) => {
                    self.literal.push(c);
                    self.position = self.position.after(c);
                    at += 2;
                }
                '{' => match self.hole(at) {
                    Some(next) => at = next,
                    None => return,
                },
                '}' => {
                    self.mistakes.push(
                        Mistake::new(at..at + 1, "`}` closes no hole")
                            .help("write `}}` for a brace"),
                    );
                    at += 1;
                }
                _ => {
                    if c == '%' {
                        self.check_percent(at);
                    }
                    if let Some(why) = self.position.objection(c) {
                        self.mistakes.push(
                            Mistake::new(
                                at..at + c.len_utf8(),
                                format!("`{}` cannot stand here", c.escape_debug()),
                            )
                            .help(why),
                        );
                    }
                    self.literal.push(c);
                    self.position = self.position.after(c);
                    at += c.len_utf8();
                }
            }
        }
        self.flush();
    }

    /// In a target, a percent sign is part of an encoded byte; a hole cannot be the rest of one.
    fn check_percent(&mut self, at: usize) {
        let rest = self.text.get(at + 1..).unwrap_or_default();
        let digits = rest
            .bytes()
            .take(2)
            .take_while(u8::is_ascii_hexdigit)
            .count();
        if digits < 2 && matches!(self.position, Position::Path | Position::Query) {
            self.mistakes.push(
                Mistake::new(at..at + 1 + digits, "`%` without two hex digits")
                    .help("write `%25` for a percent sign"),
            );
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            let literal = std::mem::take(&mut self.literal);
            self.pieces.push(Piece::Literal(literal.into()));
        }
    }

    /// Reads the hole whose brace is at `at`, and gives where the text goes on; none where that
    /// cannot be told.
    fn hole(&mut self, at: usize) -> Option<usize> {
        let end = match closing_brace(self.text, at) {
            Ok(end) => end,
            Err(mistake) => {
                self.mistakes.push(mistake);
                return None;
            }
        };
        let inside = at + 1..end;
        let written = self.text.get(inside.clone()).unwrap_or_default();
        if written.trim().is_empty() {
            self.mistakes.push(
                Mistake::new(at..end + 1, "an empty hole").help("write `{{` and `}}` for braces"),
            );
            return Some(end + 1);
        }
        self.flush();
        match Expression::compile_part(self.text, inside.clone(), self.names) {
            Ok(expression) => self.push_hole(expression, inside),
            Err(mistakes) => self.mistakes.extend(mistakes),
        }
        Some(end + 1)
    }

    fn push_hole(&mut self, expression: Expression, inside: Range<usize>) {
        self.reads.join(expression.reads());
        let mut hole = self.position.hole();
        if let (Hole::Segment, Some(Variable::Path(index))) = (hole, expression.variable())
            && self.names.path.get(*index).is_some_and(|name| name.tail)
        {
            hole = Hole::Tail(*index);
        }
        if let Some(value) = expression.constant()
            && (value.is_null() || (hole != Hole::JsonValue && value.to_text().is_err()))
        {
            self.mistakes
                .push(Mistake::new(inside, "this value has no form as text"));
        }
        self.pieces.push(Piece::Hole(hole, expression));
    }
}

/// Where the brace is that closes the one at `open`: strings and braces inside are passed over as
/// the expression language reads them.
fn closing_brace(text: &str, open: usize) -> Result<usize, Mistake> {
    let mut lexer = Lexer::new(text, open + 1);
    let mut depth = 0_usize;
    loop {
        let token = lexer.token()?;
        match token.kind {
            TokenKind::Symbol("{") => depth += 1,
            TokenKind::Symbol("}") if depth == 0 => return Ok(token.at.start),
            TokenKind::Symbol("}") => depth -= 1,
            TokenKind::End => {
                return Err(Mistake::new(open..text.len(), "this hole is not closed")
                    .help("close it with `}`, or write `{{` for a brace"));
            }
            _ => {}
        }
    }
}
