//! What a checked file says, as facts that can be held against those of another file: names resolved
//! by the checks before, defaults filled in, spelling and order taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::keys::{self, Default, Key, Section, Shape};
use super::masked;
use super::mistake::Mistakes;
use super::read::Read;
use super::scalars;
use super::spec::GatewaySpec;
use super::units;
use super::written::{Entry, Node, Table, Text, Value};
use super::{environment, finish};
use crate::guard::LimitKind;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// A part of the file that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    pub kind: Kind,
    /// Unique among those of its kind.
    pub name: String,
    /// By key: `tls.min_version`, `steps.orders.call`.
    pub facts: BTreeMap<String, Fact>,
}

/// The section a thing is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Server,
    Listener,
    Admin,
    Upstream,
    Authenticator,
    Limit,
    Route,
    Flow,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Listener => "listener",
            Self::Admin => "admin",
            Self::Upstream => "upstream",
            Self::Authenticator => "authenticator",
            Self::Limit => "limit",
            Self::Route => "route",
            Self::Flow => "flow",
        }
    }
}

/// What one key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A table is there; what is in it has facts of its own.
    Given,
    One(Scalar),
    /// The order says nothing.
    Many(BTreeSet<Scalar>),
}

/// A value in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scalar {
    value: String,
    /// How much it is, where that can be told: bytes, milliseconds, a count, a rate a day.
    pub amount: Option<u64>,
    secret: bool,
}

impl Scalar {
    fn plain(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            amount: None,
            secret: false,
        }
    }

    fn amount(value: String, amount: u64) -> Self {
        Self {
            value,
            amount: Some(amount),
            secret: false,
        }
    }

    /// What may be shown.
    pub fn shown(&self) -> &str {
        if self.secret { MASK } else { &self.value }
    }
}

/// Reads and checks the file at `path`, and says what it says.
pub fn facts(path: &Path) -> Result<Vec<Thing>, Mistakes> {
    let mut read = Read::new(&environment::process);
    let root = read.file(path).map_err(|error| {
        let message = format!("cannot read {}: {error}", path.display());
        Mistakes::whole(path, message, None)
    })?;
    let spec = finish(root, read)?;
    Ok(things(spec.effective.root(), &spec))
}

fn things(root: &Table, spec: &GatewaySpec) -> Vec<Thing> {
    let mut things = Vec::new();
    for (key, kind) in [("server", Kind::Server), ("admin", Kind::Admin)] {
        let table = root.get(key).and_then(|entry| entry.node.table());
        let section = section_of(key);
        // Without `[server]` its defaults hold; without `[admin]` there is none.
        if let (Some(section), true) = (section, table.is_some() || kind == Kind::Server) {
            let empty = Table::default();
            things.push(Thing {
                kind,
                name: String::new(),
                facts: facts_of(table.unwrap_or(&empty), section),
            });
        }
    }
    for (key, kind) in [
        ("upstreams", Kind::Upstream),
        ("auth", Kind::Authenticator),
        ("limits", Kind::Limit),
        ("flows", Kind::Flow),
    ] {
        let table = root.get(key).and_then(|entry| entry.node.table());
        let entries = table.map_or(&[][..], |table| &table.entries);
        things.extend(entries.iter().filter_map(|entry| {
            Some(Thing {
                kind,
                name: entry.key.clone(),
                facts: facts_of(entry.node.table()?, section_of(key)?),
            })
        }));
    }
    for limit in &spec.limits {
        let known = |thing: &&mut Thing| thing.kind == Kind::Limit && thing.name == limit.name;
        // Without the key it follows from the rate.
        if let (Some(thing), LimitKind::Rate { burst, .. }) =
            (things.iter_mut().find(known), limit.kind)
        {
            let burst = Fact::One(count(i64::from(burst)));
            thing.facts.insert("burst".to_owned(), burst);
        }
    }
    let tables = |key: &str| {
        let list = match root.get(key).map(|entry| &entry.node.value) {
            Some(Value::List(list)) => list.as_slice(),
            _ => &[],
        };
        list.iter().filter_map(Node::table)
    };
    let listeners = tables("listen").zip(&spec.listeners);
    for (table, listener) in listeners {
        things.extend(section_of("listen").map(|section| Thing {
            kind: Kind::Listener,
            name: listener.address.to_string(),
            facts: facts_of(table, section),
        }));
    }
    for (table, route) in tables("routes").zip(&spec.routes) {
        let Some(section) = section_of("routes") else {
            continue;
        };
        let mut facts = facts_of(table, section);
        // Without the key they follow from what the route does.
        let methods = route.methods.iter().map(|it| Scalar::plain(it.as_str()));
        facts.insert("methods".to_owned(), Fact::Many(methods.collect()));
        facts.remove("name");
        things.push(Thing {
            kind: Kind::Route,
            name: route.name.clone(),
            facts,
        });
    }
    things.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    things
}

fn section_of(key: &str) -> Option<&'static Section> {
    keys::ROOT.key(key)?.shape.section()
}

fn facts_of(table: &Table, section: &'static Section) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    gather("", table, section, &mut facts);
    facts
}

fn gather(
    prefix: &str,
    table: &Table,
    section: &'static Section,
    facts: &mut BTreeMap<String, Fact>,
) {
    for key in section.keys {
        let name = format!("{prefix}{}", key.name);
        match table.get(key.name) {
            Some(entry) => say(&name, &entry.node, (&key.shape, key.secret), facts),
            None => facts.extend(by_default(key, table).map(|fact| (name, fact))),
        }
    }
}

/// What holds where a key is not given.
fn by_default(key: &Key, table: &Table) -> Option<Fact> {
    let idle = !key.with.is_empty() && key.with.iter().all(|other| table.get(other).is_none());
    if idle {
        return None;
    }
    let scalar = |text: &str| scalar(&Text::plain(text.to_owned()), &key.shape, false);
    match key.default {
        Default::Needed | Default::Words(_) => None,
        Default::Text(text) => Some(Fact::One(scalar(text))),
        Default::Integer(integer) => Some(Fact::One(count(integer))),
        Default::Boolean(boolean) => Some(Fact::One(Scalar::plain(boolean.to_string()))),
        Default::List(list) => Some(Fact::Many(list.iter().map(|text| scalar(text)).collect())),
    }
}

fn count(integer: i64) -> Scalar {
    match u64::try_from(integer) {
        Ok(amount) => Scalar::amount(integer.to_string(), amount),
        Err(_) => Scalar::plain(integer.to_string()),
    }
}

/// Says what stands under a key.
// The depth is that of the file, which has a bound.
fn say(
    name: &str,
    node: &Node,
    (shape, secret): (&'static Shape, bool),
    facts: &mut BTreeMap<String, Fact>,
) {
    let mut put = |name: String, fact: Fact| drop(facts.insert(name, fact));
    match (shape, &node.value) {
        (Shape::Table(section), Value::Table(inner)) => {
            put(name.to_owned(), Fact::Given);
            gather(&format!("{name}."), inner, section, facts);
        }
        (Shape::Named(_, section), Value::Table(inner)) => {
            for entry in &inner.entries {
                if let Some(one) = entry.node.table() {
                    let name = format!("{name}.{}", entry.key);
                    facts.insert(name.clone(), Fact::Given);
                    gather(&format!("{name}."), one, section, facts);
                }
            }
        }
        (Shape::Tables(section) | Shape::List(Shape::Table(section), _), Value::List(list)) => {
            for (at, one) in list.iter().enumerate() {
                let Some(one) = one.table() else { continue };
                // What has a name is known by it, whatever its place.
                let given = one.get("name").and_then(|entry| entry.node.text());
                let name = match given {
                    Some(given) => format!("{name}.{}", given.shown()),
                    None => format!("{name}[{at}]"),
                };
                facts.insert(name.clone(), Fact::Given);
                gather(&format!("{name}."), one, section, facts);
            }
        }
        (Shape::Either(short, long), found) => {
            let shape: &'static Shape = if matches!(found, Value::Table(_)) {
                long
            } else {
                short
            };
            say(name, node, (shape, secret), facts);
        }
        (Shape::Headers(of) | Shape::Pairs(of), Value::Table(inner)) => {
            // Names that might as well stand in a list.
            if matches!(of, Shape::Size(..)) {
                let names = inner.entries.iter().map(|entry| &entry.key);
                let names = names.map(|name| Scalar::plain(name.to_ascii_lowercase()));
                put(name.to_owned(), Fact::Many(names.collect()));
            }
            for Entry { key, node, .. } in &inner.entries {
                let hidden = secret || masked::is_credential(key);
                let name = format!("{name}.{}", key.to_ascii_lowercase());
                let of: &'static Shape = of;
                say(&name, node, (of, hidden), facts);
            }
        }
        (Shape::List(of, _) | Shape::OneOrMany(of), _) => {
            let members = node.one_or_many().iter();
            let members = members.filter_map(|node| one(node, of, secret));
            put(name.to_owned(), Fact::Many(members.collect()));
        }
        _ => {
            if let Some(scalar) = one(node, shape, secret) {
                put(name.to_owned(), Fact::One(scalar));
            }
        }
    }
}

/// A single value.
fn one(node: &Node, shape: &Shape, secret: bool) -> Option<Scalar> {
    Some(match &node.value {
        Value::Text(text) => match (shape, node.integer(), node.boolean()) {
            (Shape::Integer(..) | Shape::Status(..), Some(integer), _) => count(integer),
            (Shape::Boolean, _, Some(boolean)) => Scalar::plain(boolean.to_string()),
            _ => scalar(text, shape, secret),
        },
        Value::Integer(integer) => count(*integer),
        Value::Broken => return None,
        _ => Scalar {
            secret,
            ..Scalar::plain(masked::plain(node).to_string())
        },
    })
}

/// A text in the one spelling of its shape.
fn scalar(text: &Text, shape: &Shape, secret: bool) -> Scalar {
    let value = text.as_str();
    let scalar = match shape {
        Shape::Duration(..) => units::duration(value).map(|it| {
            let amount = u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
            Scalar::amount(units::write_duration(it), amount)
        }),
        Shape::Size(..) => units::size(value).map(|it| Scalar::amount(write_size(it), it)),
        Shape::Rate => units::rate(value).map(|(count, period)| {
            let days = 86_400 / period.as_secs().max(1);
            Scalar::amount(value.to_owned(), u64::from(count) * days)
        }),
        Shape::Network => scalars::network(value)
            .ok()
            .map(|network| Scalar::plain(network.to_string())),
        Shape::Address => scalars::address(value)
            .ok()
            .map(|address| Scalar::plain(address.to_string())),
        Shape::Expression => Some(Scalar::plain(close_up(value))),
        Shape::Host | Shape::Header | Shape::Sha256 => {
            Some(Scalar::plain(value.to_ascii_lowercase()))
        }
        _ => None,
    };
    Scalar {
        secret: secret || text.is_secret(),
        ..scalar.unwrap_or_else(|| Scalar::plain(value))
    }
}

/// A size in the largest unit that needs no fraction.
fn write_size(bytes: u64) -> String {
    for (unit, length) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(length) {
            return format!("{}{unit}", bytes / length);
        }
    }
    format!("{bytes}B")
}

/// An expression with its blanks in one form: one between words, none elsewhere. What stands in
/// quotes stays as it is.
fn close_up(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote: Option<char> = None;
    let mut escaped = false;
    let mut blank = false;
    for c in text.chars() {
        if let Some(open) = quote {
            out.push(c);
            let ends = c == open && !escaped;
            escaped = c == '\\' && !escaped;
            if ends {
                quote = None;
            }
            continue;
        }
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        let wordlike = |c: char| c.is_alphanumeric() || matches!(c, '_' | '\'' | '"' | '-');
        if blank && wordlike(c) && out.chars().next_back().is_some_and(wordlike) {
            out.push(' ');
        }
        blank = false;
        if matches!(c, '\'' | '"') {
            quote = Some(c);
            escaped = false;
        }
        out.push(c);
    }
    out
}

/// Every key there is, as facts name it; what has a name of its own is called `NAME`.
#[cfg(test)]
pub fn every_key() -> Vec<(Kind, String)> {
    fn visit(prefix: &str, kind: Kind, section: &'static Section, found: &mut Vec<(Kind, String)>) {
        // Sections may hold each other.
        if prefix.matches('.').count() > 5 {
            return;
        }
        for key in section.keys {
            let name = format!("{prefix}{}", key.name);
            found.push((kind, name.clone()));
            if let Shape::Either(_, Shape::Pairs(_)) = key.shape {
                found.push((kind, format!("{name}.NAME")));
            }
            for section in key.shape.sections() {
                for inner in [name.clone(), format!("{name}.NAME")] {
                    found.push((kind, inner.clone()));
                    visit(&format!("{inner}."), kind, section, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    for (key, kind) in [
        ("server", Kind::Server),
        ("listen", Kind::Listener),
        ("admin", Kind::Admin),
        ("upstreams", Kind::Upstream),
        ("auth", Kind::Authenticator),
        ("limits", Kind::Limit),
        ("routes", Kind::Route),
        ("flows", Kind::Flow),
    ] {
        visit("", kind, section_of(key).unwrap(), &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blanks_of_expressions_say_nothing_but_in_quotes() {
        assert_eq!(close_up(" a  ==\n 'b  c' "), "a=='b  c'");
        assert_eq!(close_up("a in b"), "a in b");
        assert_eq!(close_up("'it\\'s  so' + x"), "'it\\'s  so'+x");
        assert_eq!(close_up("a - -b"), "a - -b");
        assert_ne!(close_up("'a b'"), close_up("'a  b'"));
    }

    proptest! {
        #[test]
        fn any_text_is_closed_up_once(text in ".{0,40}") {
            let once = close_up(&text);
            prop_assert_eq!(close_up(&once), once);
        }
    }
}
