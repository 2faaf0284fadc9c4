//! Collects what is found wrong while a file is read, checked and lowered.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use super::mistake::{Excerpt, Mistake, Mistakes, Related};
use super::source::{Place, Source};

/// More than this are counted, not kept.
const MISTAKES_MAX: usize = 500;

/// A mistake while it is being written down: places are not yet lines.
#[derive(Debug, Default)]
pub struct Finding {
    place: Place,
    message: String,
    help: Option<String>,
    related: Option<(Place, String)>,
    secret: bool,
}

/// Collects what is found wrong, each mistake once.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Finding>,
    known: HashSet<(Place, String)>,
    left_out: usize,
    /// Sections could not be read, so what is not found may be there.
    incomplete: bool,
    /// What is known already, or too much, is written here and forgotten.
    forgotten: Finding,
}

impl Finding {
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    pub fn maybe_help(&mut self, help: Option<String>) -> &mut Self {
        self.help = help.or(self.help.take());
        self
    }

    pub fn related(&mut self, place: Place, message: impl Into<String>) -> &mut Self {
        self.related = Some((place, message.into()));
        self
    }

    /// The marked text is not to be shown.
    pub fn secret(&mut self) -> &mut Self {
        self.secret = true;
        self
    }
}

impl Findings {
    /// Writes down a mistake at `place`.
    pub fn add(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        let message = message.into();
        if self.found.len() >= MISTAKES_MAX {
            self.left_out += 1;
            return &mut self.forgotten;
        }
        if !self.known.insert((place, message.clone())) {
            return &mut self.forgotten;
        }
        self.found.push(Finding {
            place,
            message,
            ..Finding::default()
        });
        self.found.last_mut().unwrap_or(&mut self.forgotten)
    }

    /// Writes down that something is not there, unless it may be in what could not be read.
    pub fn absent(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        if self.incomplete {
            return &mut self.forgotten;
        }
        self.add(place, message)
    }

    /// From now on, what is not found may be in what could not be read.
    pub fn incomplete(&mut self) {
        self.incomplete = true;
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are, also those that are not kept.
    pub fn count(&self) -> usize {
        self.found.len() + self.left_out
    }

    /// Relates those that came after the first `before` to another place, where they have none.
    pub fn relate_since(&mut self, before: usize, place: Place, message: &str) {
        for finding in self.found.iter_mut().skip(before) {
            if finding.related.is_none() {
                finding.related(place, message);
            }
        }
    }

    /// Gives those that came after the first `before`, and whose message is meant, another remedy.
    pub fn help_since(&mut self, before: usize, help: &str, meant: impl Fn(&str) -> bool) {
        for finding in self.found.iter_mut().skip(before) {
            if meant(&finding.message) {
                finding.help(help);
            }
        }
    }

    /// Brings the mistakes into the order of the files and gives each its line and excerpt.
    pub fn finish(mut self, sources: &[Source], files: Vec<PathBuf>) -> Mistakes {
        self.found
            .sort_by(|one, other| (one.place, &one.message).cmp(&(other.place, &other.message)));
        let list = self
            .found
            .into_iter()
            .map(|finding| finding.finish(sources))
            .collect();
        Mistakes {
            list,
            left_out: self.left_out,
            files,
        }
    }
}

impl Finding {
    fn finish(self, sources: &[Source]) -> Mistake {
        let here = Spot::find(self.place, sources, self.secret);
        let related = self.related.map(|(place, message)| {
            let there = Spot::find(place, sources, self.secret);
            Related {
                file: there.file,
                span: there.span,
                line: there.line,
                column: there.column,
                message,
                excerpt: there.excerpt,
            }
        });
        Mistake {
            file: here.file,
            span: here.span,
            line: here.line,
            column: here.column,
            message: self.message,
            help: self.help,
            related,
            excerpt: here.excerpt,
        }
    }
}

/// A place in words.
struct Spot {
    file: PathBuf,
    span: Range<usize>,
    line: usize,
    column: usize,
    excerpt: Option<Excerpt>,
}

impl Spot {
    fn find(place: Place, sources: &[Source], secret: bool) -> Self {
        let Some(source) = sources.get(place.file as usize) else {
            return Self {
                file: PathBuf::new(),
                span: 0..0,
                line: 1,
                column: 1,
                excerpt: None,
            };
        };
        let span = source.clamp(place.span());
        let (line, column) = source.position(span.start);
        Self {
            file: source.name.clone(),
            line,
            column,
            excerpt: Excerpt::cut(&source.text, &span, line, secret),
            span,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Vec<Source> {
        vec![Source {
            name: "routes.toml".into(),
            base: PathBuf::new(),
            text: "[server]\nworkers = \"two\"\n".into(),
        }]
    }

    #[test]
    fn mistakes_stand_in_the_order_of_the_file() {
        let mut findings = Findings::default();
        findings.add(Place::new(0, 19..24), "later");
        findings.add(Place::new(0, 0..8), "earlier");
        findings.add(Place::new(0, 0..8), "earlier");
        let mistakes = findings.finish(&sources(), vec![]);
        let found: Vec<_> = mistakes
            .iter()
            .map(|mistake| (mistake.line, mistake.column, mistake.message.as_str()))
            .collect();
        assert_eq!(found, [(1, 1, "earlier"), (2, 11, "later")]);
    }

    #[test]
    fn a_mistake_shows_its_place_and_a_remedy() {
        let mut findings = Findings::default();
        findings
            .add(Place::new(0, 19..24), "expected a number, found text")
            .help("write `workers = 2`")
            .related(Place::new(0, 0..8), "in this section");
        let mistakes = findings.finish(&sources(), vec![]);
        let text = mistakes.to_string();
        assert!(text.contains("--> routes.toml:2:11"), "{text}");
        assert!(text.contains("^^^^^"), "{text}");
        assert!(text.contains("help: write `workers = 2`"), "{text}");
        assert!(text.contains("in this section"), "{text}");
        assert!(text.ends_with("1 mistake"), "{text}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let mut findings = Findings::default();
        findings.add(Place::new(0, 19..24), "too short").secret();
        let text = findings.finish(&sources(), vec![]).to_string();
        assert!(!text.contains("two"), "{text}");
        assert!(text.contains("*****"), "{text}");
    }

    #[test]
    fn a_flood_is_counted_but_not_kept() {
        let mut findings = Findings::default();
        for at in 0..2000 {
            findings.add(Place::new(0, 0..1), format!("mistake {at}"));
        }
        let mistakes = findings.finish(&sources(), vec![]);
        assert_eq!(mistakes.iter().len(), MISTAKES_MAX);
        assert_eq!(mistakes.count(), 2000);
    }
}
