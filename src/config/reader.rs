//! Reads a checked table key by key, with the defaults of the catalogue.
//!
//! What has the wrong shape was told by `check`, so here it is just absent.

use std::time::Duration;

use super::keys::{Default, Key, Section, Shape};
use super::source::Place;
use super::units;
use super::written::{Entry, Node, Table, Text, Value};

/// A table and the section it is.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    table: &'a Table,
    section: &'static Section,
}

/// Stands in for a table that is not there, so that its defaults can be read.
static EMPTY: Table = Table {
    place: Place {
        file: 0,
        start: 0,
        end: 0,
    },
    entries: Vec::new(),
};

impl<'a> Reader<'a> {
    pub const fn new(table: &'a Table, section: &'static Section) -> Self {
        Self { table, section }
    }

    /// Where the table stands.
    pub const fn place(&self) -> Place {
        self.table.place
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        let key = self.section.key(name);
        debug_assert!(
            key.is_some(),
            "`{name}` is not in the catalogue of {}",
            self.section.title
        );
        key
    }

    fn list_by_default(&self, name: &str) -> &'static [&'static str] {
        match self.default(name) {
            Some(Default::List(list)) => list,
            _ => &[],
        }
    }

    fn default(&self, name: &str) -> Option<&'static Default> {
        self.key(name).map(|key| &key.default)
    }

    /// What was written, if anything.
    pub fn entry(&self, name: &str) -> Option<&'a Entry> {
        debug_assert!(self.key(name).is_some(), "looked up to be told of");
        self.table.get(name)
    }

    pub fn node(&self, name: &str) -> Option<&'a Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    /// Where the value stands, else the table.
    pub fn place_of(&self, name: &str) -> Place {
        self.node(name).map_or(self.table.place, |node| node.place)
    }

    pub fn text(&self, name: &str) -> Option<&'a Text> {
        self.node(name)?.text()
    }

    /// The text as written, else by default; empty where there is neither.
    pub fn word(&self, name: &str) -> &'a str {
        if let Some(text) = self.text(name) {
            return text.as_str();
        }
        match self.default(name) {
            Some(Default::Text(text)) => text,
            _ => "",
        }
    }

    /// The texts of a list, or the one text, else those by default.
    pub fn words(&self, name: &str) -> Vec<&'a str> {
        let Some(node) = self.node(name) else {
            return self.list_by_default(name).to_vec();
        };
        let texts = node.one_or_many().iter().filter_map(Node::text);
        texts.map(Text::as_str).collect()
    }

    /// The members of a list as written; a single value is a list of one.
    pub fn list(&self, name: &str) -> &'a [Node] {
        self.node(name).map_or(&[], Node::one_or_many)
    }

    /// The entries of a table as written.
    pub fn entries(&self, name: &str) -> &'a [Entry] {
        self.node(name)
            .and_then(Node::table)
            .map_or(&[], |table| &table.entries)
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        units::duration(self.word(name))
    }

    pub fn size(&self, name: &str) -> Option<u64> {
        units::size(self.word(name))
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        if let Some(node) = self.node(name) {
            return node.integer();
        }
        match self.default(name) {
            Some(Default::Integer(integer)) => Some(*integer),
            _ => None,
        }
    }

    /// An integer that is not negative.
    pub fn count<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        T::try_from(self.integer(name)?).ok()
    }

    pub fn boolean(&self, name: &str) -> bool {
        if let Some(node) = self.node(name) {
            return node.boolean().unwrap_or_default();
        }
        matches!(self.default(name), Some(Default::Boolean(true)))
    }

    /// The table of a key, or an empty one in its place.
    pub fn section(&self, name: &str) -> Reader<'a> {
        self.given(name).unwrap_or(Reader {
            table: &EMPTY,
            section: self.inner(name),
        })
    }

    /// The table of a key, where it is written.
    pub fn given(&self, name: &str) -> Option<Reader<'a>> {
        Some(Reader {
            table: self.node(name)?.table()?,
            section: self.inner(name),
        })
    }

    /// One of the tables of a key that takes several.
    pub fn one_of(&self, name: &str, node: &'a Node) -> Option<Reader<'a>> {
        Some(Reader::new(node.table()?, self.inner(name)))
    }

    /// A member of a list as a table, or an empty one in its place.
    pub fn within(&self, name: &str, member: &'a Node) -> Reader<'a> {
        Reader {
            table: member.table().unwrap_or(&EMPTY),
            section: self.inner(name),
        }
    }

    /// The tables of a list.
    pub fn tables(&self, name: &str) -> Vec<Reader<'a>> {
        let Some(Value::List(list)) = self.node(name).map(|node| &node.value) else {
            return Vec::new();
        };
        let section = self.inner(name);
        let mut readers = Vec::with_capacity(list.len());
        let tables = list.iter().filter_map(Node::table);
        readers.extend(tables.map(|table| Reader::new(table, section)));
        readers
    }

    /// The tables by name, in the order of the file.
    pub fn named(&self, name: &str) -> Vec<(&'a Entry, Reader<'a>)> {
        let entries = self.entries(name);
        if entries.is_empty() {
            return Vec::new();
        }
        let section = self.inner(name);
        entries
            .iter()
            .filter_map(|entry| Some((entry, Reader::new(entry.node.table()?, section))))
            .collect()
    }

    /// The section that a key's tables are.
    fn inner(&self, name: &str) -> &'static Section {
        let shape = self.key(name).map(|key| &key.shape);
        shape.and_then(Shape::section).unwrap_or(self.section)
    }
}
