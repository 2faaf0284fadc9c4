//! Where a mistake stands, what is wrong, how to put it right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

/// Longer lines are not shown.
const EXCERPT_BYTES_MAX: usize = 4096;

/// One mistake of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub file: PathBuf,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to put it right.
    pub help: Option<String>,
    /// Another place that has to do with it.
    pub related: Option<Related>,
    pub(super) excerpt: Option<Excerpt>,
}

/// A second place that a mistake speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    pub file: PathBuf,
    pub span: Range<usize>,
    pub line: usize,
    pub column: usize,
    /// What is there.
    pub message: String,
    pub(super) excerpt: Option<Excerpt>,
}

/// The lines to show and what to mark in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    text: String,
    first_line: usize,
    mark: Range<usize>,
}

/// Every mistake of a file and its includes, by place.
#[derive(Clone, Debug, Default)]
pub struct Mistakes {
    pub(super) list: Vec<Mistake>,
    /// How many more there were.
    pub(super) left_out: usize,
    pub(super) files: Vec<PathBuf>,
}

impl Excerpt {
    /// The lines that `span` touches, at most its first three.
    pub(super) fn cut(text: &str, span: &Range<usize>, line: usize, secret: bool) -> Option<Self> {
        const LINES_MAX: usize = 3;
        let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
        let mut end = start;
        for _ in 0..LINES_MAX {
            let rest = text.get(end..)?;
            end += rest.find('\n').map_or(rest.len(), |at| at + 1);
            if end >= span.end {
                break;
            }
        }
        let lines = text.get(start..end)?.trim_end_matches(['\n', '\r']);
        if lines.len() > EXCERPT_BYTES_MAX {
            return None;
        }
        let from = (span.start - start).min(lines.len());
        let to = (span.end - start).clamp(from, lines.len());
        let mut shown = lines.to_owned();
        if secret {
            shown.replace_range(from..to, &"*".repeat(to - from));
        }
        Some(Self {
            text: shown,
            first_line: line,
            mark: from..to,
        })
    }

    fn snippet<'a>(
        &'a self,
        path: &'a str,
        kind: AnnotationKind,
        label: Option<&'a str>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        Snippet::source(self.text.as_str())
            .line_start(self.first_line)
            .path(path)
            .annotation(kind.span(self.mark.clone()).label(label))
    }
}

impl Mistake {
    /// The mistake with its marked excerpt and remedy, for people.
    fn render(&self, renderer: &Renderer) -> String {
        let path = self.file.display().to_string();
        let other = self
            .related
            .as_ref()
            .map(|related| related.file.display().to_string())
            .unwrap_or_default();
        let mut group = Group::with_title(Level::ERROR.primary_title(self.message.as_str()));
        group = match &self.excerpt {
            Some(excerpt) => group.element(excerpt.snippet(&path, AnnotationKind::Primary, None)),
            None => group.element(
                annotate_snippets::Origin::path(path.as_str())
                    .line(self.line)
                    .char_column(self.column),
            ),
        };
        let mut groups = Vec::new();
        if let Some(related) = &self.related {
            let label = related.message.as_str();
            if let Some(excerpt) = &related.excerpt {
                let kind = AnnotationKind::Context;
                group = group.element(excerpt.snippet(&other, kind, Some(label)));
            }
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        groups.push(group);
        renderer.render(&groups)
    }

    /// `file:line:column: message (help)`: one line, for logs.
    pub fn line(&self) -> String {
        let mut line = format!(
            "{}:{}:{}: {}",
            self.file.display(),
            self.line,
            self.column,
            self.message
        );
        if let Some(related) = &self.related {
            let (file, message) = (related.file.display(), &related.message);
            line = format!(
                "{line}; {message} at {file}:{}:{}",
                related.line, related.column
            );
        }
        if let Some(help) = &self.help {
            line = format!("{line} (help: {help})");
        }
        line
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "file": self.file.display().to_string(),
            "line": self.line,
            "column": self.column,
            "start": self.span.start,
            "end": self.span.end,
            "message": self.message,
            "help": self.help,
        });
        if let (Some(related), Some(object)) = (&self.related, value.as_object_mut()) {
            let related = json!({
                "file": related.file.display().to_string(),
                "line": related.line,
                "column": related.column,
                "start": related.span.start,
                "end": related.span.end,
                "message": related.message,
            });
            object.insert("related".to_owned(), related);
        }
        value
    }
}

impl Mistakes {
    /// The mistakes in the order of the files.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Mistake> {
        self.list.iter()
    }

    /// All that were found, also those that are not kept.
    pub fn count(&self) -> usize {
        self.list.len() + self.left_out
    }

    /// Every file that was read or looked for until then; they are worth watching.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// One mistake about the file as a whole.
    pub(super) fn whole(path: &Path, message: String, help: Option<String>) -> Self {
        let mistake = Mistake {
            file: path.to_owned(),
            span: 0..0,
            line: 1,
            column: 1,
            message,
            help,
            related: None,
            excerpt: None,
        };
        Self {
            list: vec![mistake],
            left_out: 0,
            files: vec![path.to_owned()],
        }
    }

    /// For people: every mistake with a marked excerpt and a remedy, coloured for terminals or not.
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for mistake in &self.list {
            text.push_str(&mistake.render(&renderer));
            text.push_str("\n\n");
        }
        let count = self.count();
        let plural = if count == 1 { "" } else { "s" };
        text.push_str(&count.to_string());
        text.push_str(" mistake");
        text.push_str(plural);
        if self.left_out > 0 {
            text = format!("{text}, {} not shown", self.left_out);
        }
        text
    }

    /// For tools: `{"count", "mistakes": [{"file", "line", "column", "start", "end", "message",
    /// "help", "related"?}]}`. Lines and columns count from 1, `start` and `end` are bytes.
    pub fn to_json(&self) -> Value {
        let mistakes: Vec<Value> = self.list.iter().map(Mistake::to_json).collect();
        json!({ "count": self.count(), "mistakes": mistakes })
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Mistakes {}
