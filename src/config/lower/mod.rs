//! From what was written to what was checked: makes the specs that a snapshot is built from.

mod compile;
mod flow;
mod forward;
mod guard;
mod intake;
mod route;
mod server;
mod upstream;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::findings::{Finding, Findings};
use super::keys::{self, Named};
use super::masked::Effective;
use super::reader::Reader;
use super::scalars;
use super::source::{Place, Source};
use super::spec::GatewaySpec;
use super::written::{Entry, Node, Table, Text};
use crate::expression::suggest;
use crate::intake::BodySchema;
use crate::orchestrate::Plan;

/// The way from one table to one spec.
pub(super) struct Lowering<'a> {
    sources: &'a [Source],
    findings: Findings,
    /// Everything that is watched.
    files: Vec<PathBuf>,
    upstreams: Index<'a>,
    authenticators: Index<'a>,
    limits: Index<'a>,
    flows: HashMap<&'a str, Reader<'a>>,
    /// Schemas in files, by path and whether formats are checked; none where they have mistakes.
    schemas: HashMap<(PathBuf, bool), Option<Arc<BodySchema>>>,
    /// Flows that a route or another flow uses.
    used_flows: HashSet<&'a str>,
    /// Flows that steps use, as planned for the current route; none where they have mistakes.
    plans: HashMap<&'a str, Option<Arc<Plan>>>,
    /// Flows that are being planned, each within the one before.
    within: Vec<&'a str>,
}

/// Named things of the file and their places in its order.
#[derive(Default)]
struct Index<'a> {
    places: HashMap<&'a str, usize>,
    names: Vec<&'a str>,
}

impl<'a> Index<'a> {
    fn new(tables: &[(&'a Entry, Reader<'a>)]) -> Self {
        let names: Vec<_> = tables.iter().map(|(entry, _)| entry.key.as_str()).collect();
        let places = names
            .iter()
            .enumerate()
            .map(|(at, &name)| (name, at))
            .collect();
        Self { places, names }
    }
}

/// Makes the spec of a file whose shape was checked. What is found wrong on the way is added to
/// `findings`, and then there is a spec of no use.
pub(super) fn whole(
    root: Table,
    sources: &[Source],
    findings: Findings,
    files: Vec<PathBuf>,
) -> (GatewaySpec, Findings) {
    let file = Reader::new(&root, &keys::ROOT);
    let (upstreams, authenticators, limits) = (
        file.named("upstreams"),
        file.named("auth"),
        file.named("limits"),
    );
    let mut lowering = Lowering {
        sources,
        findings,
        files,
        upstreams: Index::new(&upstreams),
        authenticators: Index::new(&authenticators),
        limits: Index::new(&limits),
        flows: file
            .named("flows")
            .into_iter()
            .map(|(entry, reader)| (entry.key.as_str(), reader))
            .collect(),
        schemas: HashMap::new(),
        used_flows: HashSet::new(),
        plans: HashMap::new(),
        within: Vec::new(),
    };
    let server = lowering.server(file.section("server"));
    let listeners = lowering.listeners(&file.tables("listen"));
    let admin = file
        .given("admin")
        .and_then(|admin| lowering.admin(admin, &listeners));
    let upstreams = upstreams
        .iter()
        .map(|(entry, reader)| lowering.upstream(&entry.key, *reader))
        .collect();
    let authenticators = authenticators
        .iter()
        .filter_map(|(entry, reader)| lowering.authenticator(&entry.key, *reader))
        .collect();
    let mut routes = lowering.routes(&file.tables("routes"));
    let limits = lowering.limits(&limits, &routes.limit_uses);
    lowering.unused_flows(&routes);
    let table = lowering.table(&mut routes);
    let Lowering {
        mut files,
        findings,
        ..
    } = lowering;
    files.sort();
    files.dedup();
    let spec = GatewaySpec {
        server,
        listeners: listeners.into_iter().map(|(spec, _)| spec).collect(),
        admin,
        upstreams,
        authenticators,
        limits,
        routes: routes.specs,
        table,
        files,
        effective: Effective::new(root),
    };
    (spec, findings)
}

/// What the system says, without the number of the error.
fn tidy(message: String) -> String {
    match message.split_once(" (os error ") {
        Some((before, after)) => {
            let rest = after.split_once(')').map_or("", |(_, rest)| rest);
            format!("{before}{rest}")
        }
        None => message,
    }
}

impl<'a> Lowering<'a> {
    fn mistake(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        self.findings.add(place, tidy(message.into()))
    }

    /// The folder that paths are relative to where they stand in the file of `place`.
    fn base(&self, place: Place) -> &Path {
        let source = self.sources.get(place.file as usize);
        source.map_or(Path::new(""), |source| &source.base)
    }

    /// The path that a text names, relative to the file it stands in.
    fn path(&self, node: &Node) -> PathBuf {
        let text = node.text().map(Text::as_str).unwrap_or_default();
        self.base(node.place).join(text)
    }

    /// The path that a key names; it is watched.
    fn file(&mut self, reader: Reader<'a>, key: &str) -> Option<PathBuf> {
        let node = reader.node(key)?;
        node.text()?;
        let path = self.path(node);
        self.files.push(path.clone());
        Some(path)
    }

    /// The header that a text names, where the gateway does not write it itself.
    fn settable(&mut self, node: &Node) -> Option<String> {
        let text = node.text()?.as_str();
        match scalars::settable_header(text) {
            Ok(name) => return Some(name),
            // What is no name at all was told already.
            Err(refused) if scalars::header(text).is_ok() => {
                self.mistake(node.place, refused.message)
                    .maybe_help(refused.help);
            }
            Err(_) => {}
        }
        None
    }

    /// The place in its list of the thing that `node` names.
    fn resolve(&mut self, node: &Node, named: Named) -> Option<usize> {
        let text = node.text()?;
        let index = match named {
            Named::Upstream => &self.upstreams,
            Named::Authenticator => &self.authenticators,
            _ => &self.limits,
        };
        let found = index.places.get(text.as_str()).copied();
        if found.is_none() && !text.as_str().is_empty() {
            let close = suggest(text.as_str(), index.names.iter().copied()).map(str::to_owned);
            self.unknown(node.place, named, text.shown(), close.as_deref());
        }
        found
    }

    /// The places of all that a key names, each once.
    fn resolve_all(&mut self, reader: Reader<'a>, key: &str, named: Named) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        for node in reader.list(key) {
            let Some(at) = self.resolve(node, named) else {
                continue;
            };
            if found.contains(&at) {
                let name = node.text().map(Text::shown).unwrap_or_default();
                self.mistake(node.place, format!("`{name}` is named twice"))
                    .help("name it once");
            } else {
                found.push(at);
            }
        }
        found
    }

    fn unknown(&mut self, place: Place, named: Named, name: &str, close: Option<&str>) {
        let help = close.map_or_else(
            || format!("make one: `{}`", named.header(name)),
            |close| format!("did you mean `{close}`?"),
        );
        self.findings
            .absent(place, format!("there is no {} `{name}`", named.word()))
            .help(help);
    }
}
