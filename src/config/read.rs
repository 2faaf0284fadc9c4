//! Reads the file and its includes into one table, with the place of every key and value.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{self, Lookup};
use super::files;
use super::findings::Findings;
use super::mend;
use super::source::{Place, Source, offset_in_token};
use super::written::{Entry, Node, Table, Value};

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Files that includes may bring.
const INCLUDES_MAX: usize = 1000;

/// Tables and lists within each other.
const DEPTH_MAX: usize = 32;

/// What was read, and what was found wrong on the way.
pub struct Read<'a> {
    lookup: Lookup<'a>,
    pub sources: Vec<Source>,
    /// Everything that was read or looked for.
    pub files: Vec<PathBuf>,
    pub findings: Findings,
    /// There is too much wrong to say more.
    pub hopeless: bool,
}

impl<'a> Read<'a> {
    pub fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            sources: Vec::new(),
            files: Vec::new(),
            findings: Findings::default(),
            hopeless: false,
        }
    }

    /// The file at `path` with its includes as one table.
    pub fn file(&mut self, path: &Path) -> Result<Table, String> {
        self.files.push(path.to_owned());
        let text = text_of(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        Ok(self.text(path, text, base))
    }

    /// A text with its includes as one table; paths in it are relative to `base`.
    pub fn text(&mut self, name: &Path, text: String, base: &Path) -> Table {
        let mut root = self.document(name, text, base);
        let position = root.entries.iter().position(|entry| entry.key == "include");
        if let Some(position) = position {
            let include = root.entries.remove(position);
            for (path, place) in self.included(&include.node, name, base) {
                self.include(&path, place, &mut root);
            }
        }
        root
    }

    /// The files that `include` names, each once.
    fn included(&mut self, node: &Node, name: &Path, base: &Path) -> Vec<(PathBuf, Place)> {
        let mut found: Vec<(PathBuf, Place)> = Vec::new();
        // A pattern may well mean the file that it stands in.
        let mut seen = HashSet::from([name.to_owned()]);
        if matches!(node.value, Value::Broken) {
            return found;
        }
        let Value::List(patterns) = &node.value else {
            self.findings
                .add(
                    node.place,
                    format!("expected a list of file names, found {}", node.value.kind()),
                )
                .help("write `include = [\"routes.d/*.toml\"]`");
            return found;
        };
        for pattern in patterns {
            if matches!(pattern.value, Value::Broken) {
                continue;
            }
            let Some(text) = pattern.text() else {
                let kind = pattern.value.kind();
                self.findings
                    .add(pattern.place, format!("expected a file name, found {kind}"));
                continue;
            };
            match files::matching(base, text.as_str()) {
                Ok(matches) => {
                    let new = matches
                        .files
                        .into_iter()
                        .filter(|path| seen.insert(path.clone()));
                    found.extend(new.map(|path| (path, pattern.place)));
                    self.files.extend(matches.folders);
                }
                Err(error) => {
                    self.findings.add(pattern.place, error);
                }
            }
        }
        if let Some((_, place)) = found.get(INCLUDES_MAX) {
            let message = format!("more than {INCLUDES_MAX} files are included");
            self.findings.add(*place, message);
            found.truncate(INCLUDES_MAX);
        }
        found
    }

    fn include(&mut self, path: &Path, place: Place, root: &mut Table) {
        self.files.push(path.to_owned());
        let text = match text_of(path) {
            Ok(text) => text,
            Err(error) => {
                self.findings
                    .add(place, format!("cannot include {}: {error}", path.display()));
                return;
            }
        };
        let base = path.parent().unwrap_or(Path::new(""));
        let part = self.document(path, text, base);
        for entry in part.entries {
            if entry.key == "include" {
                self.findings
                    .add(entry.key_place, "an included file cannot include others")
                    .help("list every file in the `include` of the first file");
                continue;
            }
            self.join(root, entry);
        }
    }

    /// Adds a section of an included file: lists grow, named things stand side by side.
    fn join(&mut self, root: &mut Table, entry: Entry) {
        let Some(known) = root.entries.iter_mut().find(|known| known.key == entry.key) else {
            root.entries.push(entry);
            return;
        };
        match (&mut known.node.value, entry.node.value) {
            (Value::List(list), Value::List(more)) => list.extend(more),
            (Value::Table(table), Value::Table(more)) => {
                let known_place = known.key_place;
                if !super::keys::is_named(&known.key) {
                    self.findings
                        .add(entry.key_place, format!("`[{}]` stands twice", known.key))
                        .related(known_place, "and here");
                    return;
                }
                for one in more.entries {
                    if let Some(other) = table.get(&one.key) {
                        self.findings
                            .add(
                                one.key_place,
                                format!("`{}.{}` stands twice", known.key, one.key),
                            )
                            .related(other.key_place, "and here")
                            .help("give one of them another name, or remove it");
                        continue;
                    }
                    table.entries.push(one);
                }
            }
            (value, other) => {
                let message = format!(
                    "`{}` is {} here and {} in another file",
                    entry.key,
                    other.kind(),
                    value.kind()
                );
                self.findings
                    .add(entry.key_place, message)
                    .related(known.key_place, "the other");
            }
        }
    }

    /// One text as a table. Everything that TOML refuses is written down.
    fn document(&mut self, name: &Path, text: String, base: &Path) -> Table {
        let file = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.sources.push(Source {
            name: name.to_owned(),
            base: base.to_owned(),
            text: Arc::clone(&text),
        });
        let (mut table, errors) = DeTable::parse_recoverable(&text);
        let mended;
        let mut broken = Vec::new();
        if !errors.is_empty() {
            mended = mend::mend(&text);
            for (span, message) in mended.mistakes {
                let written = text.get(span.clone()).unwrap_or_default();
                let quotes = message.contains("must be quoted") && !written.is_empty();
                self.findings
                    .add(
                        Place::new(file, span.clone()),
                        format!("not TOML: {message}"),
                    )
                    .maybe_help(quotes.then(|| format!("write `\"{written}\"`")));
            }
            if mended.incomplete {
                self.findings.incomplete();
            }
            self.hopeless |= mended.hopeless;
            broken = mended.broken;
            table = DeTable::parse_recoverable(&mended.text).0;
        }
        let mut document = Document {
            file,
            text: &text,
            base,
            broken,
            read: self,
        };
        document.table(table.into_inner(), Place::new(file, 0..0), 0)
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let bytes = files::read_bounded(path, FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        format!("line {line} is not UTF-8")
    })
}

/// One text on its way from TOML's values to ours.
struct Document<'r, 'a> {
    file: u32,
    text: &'r str,
    base: &'r Path,
    /// Values that were taken out.
    broken: Vec<Range<usize>>,
    read: &'r mut Read<'a>,
}

impl Document<'_, '_> {
    fn table(&mut self, table: DeTable<'_>, place: Place, depth: usize) -> Table {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let key_place = Place::new(self.file, key.span());
            if let Some(node) = self.node(value, depth + 1) {
                entries.push(Entry {
                    key: key.into_inner().into_owned(),
                    key_place,
                    node,
                });
            }
        }
        // A table that is opened after its own parts would otherwise come last.
        entries.sort_by_key(|entry| entry.key_place.start);
        Table { place, entries }
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>, depth: usize) -> Option<Node> {
        let place = Place::new(self.file, value.span());
        if depth > DEPTH_MAX {
            self.read
                .findings
                .add(place, format!("nested more than {DEPTH_MAX} deep"));
            return None;
        }
        if self
            .broken
            .iter()
            .any(|range| range.contains(&(place.start as usize)))
        {
            let value = Value::Broken;
            return Some(Node { place, value });
        }
        let value = match value.into_inner() {
            DeValue::String(text) => self.string(text.into_owned(), place),
            DeValue::Integer(integer) => {
                let read = i64::from_str_radix(integer.as_str(), integer.radix());
                read.map_or_else(
                    |_| {
                        let message = "the integer does not fit into 64 bits";
                        self.read.findings.add(place, message);
                        Value::Broken
                    },
                    Value::Integer,
                )
            }
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(boolean) => Value::Boolean(boolean),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(array) => {
                let mut list = Vec::with_capacity(array.len());
                list.extend(
                    array
                        .into_iter()
                        .filter_map(|value| self.node(value, depth + 1)),
                );
                Value::List(list)
            }
            DeValue::Table(table) => Value::Table(self.table(table, place, depth)),
        };
        Some(Node { place, value })
    }

    fn string(&mut self, written: String, place: Place) -> Value {
        let (text, missing) =
            environment::replace(written, self.read.lookup, self.base, &mut self.read.files);
        let is_whole = missing.is_empty();
        for missing in missing {
            let token = self.text.get(place.span()).unwrap_or_default();
            let start = place.start as usize;
            let span = start + offset_in_token(token, missing.at.start)
                ..start + offset_in_token(token, missing.at.end);
            self.read
                .findings
                .add(Place::new(self.file, span), missing.message)
                .maybe_help(missing.help);
        }
        if is_whole {
            Value::Text(text)
        } else {
            Value::Broken
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Table, Vec<String>) {
        let mut read = Read::new(&|_| None);
        let table = read.text(Path::new("x.toml"), text.to_owned(), Path::new("/"));
        let mistakes = read.findings.finish(&read.sources, vec![]);
        (
            table,
            mistakes.iter().map(super::super::Mistake::line).collect(),
        )
    }

    #[test]
    fn every_syntax_error_is_told() {
        let (_, mistakes) = read("a = \nb = 1\nc = [1,\nd = 'x\n");
        assert!(mistakes.len() >= 3, "{mistakes:#?}");
        assert!(mistakes[0].starts_with("x.toml:1:"), "{mistakes:#?}");
    }

    #[test]
    fn names_keep_the_order_of_the_file() {
        let (table, mistakes) = read("[s.b.headers]\nx='1'\n[s.a]\n[s.b]\n[s.c]\n");
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let steps = table.get("s").unwrap().node.table().unwrap();
        assert_eq!(steps.entries.len(), 3);
    }

    #[test]
    fn depth_is_bounded() {
        let path = vec!["a"; 79].join(".");
        let text = format!("x = {}1{}", format!("{{{path}=").repeat(75), "}".repeat(75));
        let (_, mistakes) = read(&text);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        let (_, mistakes) = read(&format!("x = {}{}", "[".repeat(9000), "]".repeat(9000)));
        assert!(!mistakes.is_empty());
        let (_, mistakes) = read(&format!("{} = 1", vec!["a"; 9000].join(".")));
        assert!(!mistakes.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            drop(read(&text));
        }

        #[test]
        fn anything_like_toml_is_read_or_refused(
            text in "([a-c.\\[\\]{}=\", \n1'\\\\]|\"\"\"|\\$\\{){0,60}"
        ) {
            drop(read(&text));
        }
    }
}
