//! Finds the one route for host, method and path; says why when there is none.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use http::Method;

use super::params::Params;
use super::pattern::{HostPattern, PathPattern, Segment};
use crate::exchange::CanonicalPath;

/// What the table needs to know about a route. Its place in the list is its name here.
#[derive(Clone, Debug)]
pub struct Entry {
    pub pattern: PathPattern,
    /// Empty: any host.
    pub hosts: Vec<HostPattern>,
    /// Empty: any method.
    pub methods: Vec<Method>,
    /// It has a `when`, so a request may pass it by.
    pub conditional: bool,
    /// Higher goes first, before specificity.
    pub priority: i64,
}

/// Hashes with a few instructions. Only names out of the file are kept under its hashes, so nobody
/// can make them collide by what he asks for.
#[derive(Debug, Default)]
struct Quick(u64);

impl Quick {
    const fn mix(&mut self, word: u64) {
        // The multiplier is that of a linear congruential generator (Steele and Vigna, 2021).
        let product = (self.0 ^ word) as u128 * 0xd134_2543_de82_ef95;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let rest = rest
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.mix(rest ^ (bytes.len() as u64) << 56);
    }

    fn write_u8(&mut self, _end_of_text: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Names<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// Why no route answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// Nothing has this host and path.
    NotFound,
    /// Something has, for other methods: these.
    MethodNotAllowed(Vec<Method>),
}

/// Two routes that can never be told apart, by their places in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub first: usize,
    pub second: usize,
}

/// All routes, arranged by host, then segment by segment.
///
/// Order of preference: `priority`, then an exact host before the longest suffix before any host,
/// then in the path a literal before a parameter before a tail, from left to right, then a route
/// with `when` before one without, then one with `methods` before one without.
#[derive(Clone, Debug, Default)]
pub struct Table {
    exact: Names<String, Tree>,
    /// Longest suffix first.
    suffixes: Vec<(String, Tree)>,
    any: Tree,
    entries: Vec<Entry>,
    /// Some route has a priority: the first match need not be the best.
    prioritised: bool,
}

/// One tree of segments.
#[derive(Clone, Debug, Default)]
struct Tree {
    root: Node,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: Names<Box<str>, Node>,
    parameter: Option<Box<Node>>,
    /// Routes whose pattern ends here, in order of preference.
    here: Vec<usize>,
    /// Routes that take the rest from here.
    tail: Vec<usize>,
}

/// What a request asks for, while its path is walked.
struct Search<'a, F> {
    path: &'a str,
    method: &'a Method,
    entries: &'a [Entry],
    accept: F,
    params: Params,
    best: Option<(usize, Params)>,
    /// The first pattern that matched but for the method decides the answer 405.
    refused: Option<Vec<usize>>,
    exhaustive: bool,
}

impl Table {
    /// Arranges `entries`; reports each that no request can tell from another, with one such.
    pub fn build(entries: Vec<Entry>) -> Result<Self, Vec<Conflict>> {
        let mut table = Self {
            prioritised: entries.iter().any(|entry| entry.priority != 0),
            ..Self::default()
        };
        for (index, entry) in entries.iter().enumerate() {
            if entry.hosts.is_empty() {
                table.any.insert(&entry.pattern, index);
            }
            for host in &entry.hosts {
                table.tree_mut(host).insert(&entry.pattern, index);
            }
        }
        table
            .suffixes
            .sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        let mut conflicts = Vec::new();
        for tree in table.trees_mut() {
            tree.root.finish(&entries, &mut conflicts);
        }
        if conflicts.is_empty() {
            table.entries = entries;
            Ok(table)
        } else {
            conflicts.sort_by_key(|conflict| (conflict.second, conflict.first));
            conflicts.dedup();
            Err(conflicts)
        }
    }

    /// How many routes there are.
    pub const fn route_count(&self) -> usize {
        self.entries.len()
    }

    /// The preferred route for the request among those that `accept` (their `when`) lets pass.
    /// A HEAD request is answered by routes for GET.
    pub fn find(
        &self,
        host: &str,
        method: &Method,
        path: &CanonicalPath,
        accept: impl FnMut(usize, &Params) -> bool,
    ) -> Result<(usize, Params), NoRoute> {
        let mut search = Search {
            path: path.as_str(),
            method,
            entries: &self.entries,
            accept,
            params: Params::default(),
            best: None,
            refused: None,
            exhaustive: self.prioritised,
        };
        for tree in self.trees_for(host) {
            if search.walk(&tree.root, 1) {
                break;
            }
        }
        match (search.best, search.refused) {
            (Some(found), _) => Ok(found),
            (None, Some(refused)) => Err(NoRoute::MethodNotAllowed(self.methods_of(&refused))),
            (None, None) => Err(NoRoute::NotFound),
        }
    }

    fn tree_mut(&mut self, host: &HostPattern) -> &mut Tree {
        match host {
            HostPattern::Exact(name) => self.exact.entry(name.clone()).or_default(),
            HostPattern::Suffix(suffix) => {
                let known = self.suffixes.iter().position(|(known, _)| known == suffix);
                let at = known.unwrap_or_else(|| {
                    self.suffixes.push((suffix.clone(), Tree::default()));
                    self.suffixes.len() - 1
                });
                #[expect(
                    clippy::indexing_slicing,
                    reason = "`at` was found or pushed just above"
                )]
                &mut self.suffixes[at].1
            }
        }
    }

    fn trees_mut(&mut self) -> impl Iterator<Item = &mut Tree> {
        self.exact
            .values_mut()
            .chain(self.suffixes.iter_mut().map(|(_, tree)| tree))
            .chain(std::iter::once(&mut self.any))
    }

    fn trees_for<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Tree> {
        let exact = if self.exact.is_empty() {
            None
        } else {
            self.exact.get(host)
        };
        let suffixes = self
            .suffixes
            .iter()
            .filter(move |(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
            .map(|(_, tree)| tree);
        exact
            .into_iter()
            .chain(suffixes)
            .chain(std::iter::once(&self.any))
    }

    fn methods_of(&self, routes: &[usize]) -> Vec<Method> {
        let mut methods: Vec<Method> = Vec::new();
        for entry in routes.iter().filter_map(|&index| self.entries.get(index)) {
            for method in &entry.methods {
                if !methods.contains(method) {
                    methods.push(method.clone());
                }
                if *method == Method::GET && !methods.contains(&Method::HEAD) {
                    methods.push(Method::HEAD);
                }
            }
        }
        methods
    }
}

impl Tree {
    fn insert(&mut self, pattern: &PathPattern, index: usize) {
        let mut node = &mut self.root;
        for segment in pattern.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.into()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
                Segment::Tail(_) => {
                    node.tail.push(index);
                    return;
                }
            };
        }
        node.here.push(index);
    }
}

impl Node {
    /// Brings each list of routes into order and looks for pairs that exclude each other.
    fn finish(&mut self, entries: &[Entry], conflicts: &mut Vec<Conflict>) {
        for list in [&mut self.here, &mut self.tail] {
            list.sort_by_key(|&index| {
                entries.get(index).map(|entry| {
                    let (conditional, methods) = (entry.conditional, !entry.methods.is_empty());
                    (
                        std::cmp::Reverse(entry.priority),
                        !conditional,
                        !methods,
                        index,
                    )
                })
            });
            conflicts.extend(excluding_pairs(list, entries));
        }
        for child in self
            .literals
            .values_mut()
            .chain(self.parameter.as_deref_mut())
        {
            child.finish(entries, conflicts);
        }
    }
}

/// Those of `list` that no request can tell from another, with one such.
fn excluding_pairs(list: &[usize], entries: &[Entry]) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    if list.len() < 2 {
        return conflicts;
    }
    // However many routes with `when` one pattern has, none of them excludes another.
    let plain = list.iter().filter_map(|&index| {
        let entry = entries.get(index).filter(|entry| !entry.conditional);
        entry.map(|entry| (index, entry))
    });
    let plain: Vec<(usize, &Entry)> = plain.collect();
    for (at, &(second, other)) in plain.iter().enumerate() {
        let mut earlier = plain.iter().take(at);
        // One is enough to say of each.
        if let Some(&(first, _)) = earlier.find(|(_, one)| cannot_be_told_apart(one, other)) {
            conflicts.push(Conflict {
                first: first.min(second),
                second: first.max(second),
            });
        }
    }
    conflicts
}

/// Same host and shape are given. A route without methods stands behind one with, so only equal
/// claims exclude each other.
fn cannot_be_told_apart(one: &Entry, two: &Entry) -> bool {
    let methods = (one.methods.is_empty() && two.methods.is_empty())
        || one
            .methods
            .iter()
            .any(|method| two.methods.contains(method));
    !one.conditional && !two.conditional && one.priority == two.priority && methods
}

impl<F: FnMut(usize, &Params) -> bool> Search<'_, F> {
    /// Walks from `node` with the rest of the path from `at`; true when the search is over.
    fn walk(&mut self, node: &Node, at: usize) -> bool {
        let path = self.path;
        let Some(rest) = path.get(at..) else {
            return self.offer(&node.here);
        };
        // Segments are short: to look at their bytes in turn is quicker than to look for one.
        let end = rest.bytes().position(|byte| byte == b'/');
        let end = end.map_or(path.len(), |end| at + end);
        let segment = path.get(at..end).unwrap_or_default();
        if let Some(child) = node.literals.get(segment)
            && self.walk(child, end + 1)
        {
            return true;
        }
        if let Some(child) = &node.parameter
            && !segment.is_empty()
        {
            self.params.push(at, end);
            if self.walk(child, end + 1) {
                return true;
            }
            self.params.pop();
        }
        if node.tail.is_empty() {
            return false;
        }
        self.params.push(at, path.len());
        let over = self.offer(&node.tail);
        self.params.pop();
        over
    }

    /// Offers the routes of one pattern; true when the search is over.
    fn offer(&mut self, routes: &[usize]) -> bool {
        let mut met = false;
        for &index in routes {
            let Some(entry) = self.entries.get(index) else {
                continue;
            };
            if !allows(entry, self.method) {
                continue;
            }
            if !(self.accept)(index, &self.params) {
                continue;
            }
            met = true;
            let best = self
                .best
                .as_ref()
                .and_then(|(best, _)| self.entries.get(*best));
            if best.is_none_or(|best| entry.priority > best.priority) {
                let params = if self.exhaustive {
                    self.params.clone()
                } else {
                    // The search is over: nobody else needs them.
                    std::mem::take(&mut self.params)
                };
                self.best = Some((index, params));
            }
            break;
        }
        if met {
            return !self.exhaustive;
        }
        let mut others = routes.iter().filter(|&&index| {
            self.entries
                .get(index)
                .is_some_and(|entry| !entry.conditional && !allows(entry, self.method))
        });
        if self.refused.is_none() && others.next().is_some() {
            // A wider route must not answer what a narrower one refuses: it may be less guarded.
            self.refused = Some(routes.to_vec());
            return !self.exhaustive;
        }
        false
    }
}

fn allows(entry: &Entry, method: &Method) -> bool {
    entry.methods.is_empty()
        || entry.methods.contains(method)
        || (*method == Method::HEAD && entry.methods.contains(&Method::GET))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        // [METHODS ][HOST]/PATH[ when][ !PRIORITY]
        let mut entry = Entry {
            pattern: PathPattern::parse("/").unwrap(),
            hosts: vec![],
            methods: vec![],
            conditional: false,
            priority: 0,
        };
        for word in text.split(' ') {
            if word == "when" {
                entry.conditional = true;
            } else if let Some(priority) = word.strip_prefix('!') {
                entry.priority = priority.parse().unwrap();
            } else if let Some((host, path)) = word.split_once('/') {
                entry.pattern = PathPattern::parse(&format!("/{path}")).unwrap();
                if !host.is_empty() {
                    entry.hosts = vec![HostPattern::parse(host).unwrap()];
                }
            } else {
                entry.methods = word.split(',').map(|name| name.parse().unwrap()).collect();
            }
        }
        entry
    }

    fn table(routes: &[&str]) -> Table {
        Table::build(routes.iter().map(|route| entry(route)).collect()).unwrap()
    }

    fn find(
        table: &Table,
        method: &str,
        host: &str,
        path: &str,
    ) -> Result<(usize, Vec<String>), NoRoute> {
        let path = CanonicalPath::new(path.to_owned()).unwrap();
        let method: Method = method.parse().unwrap();
        let (index, params) = table.find(host, &method, &path, |_, _| true)?;
        let params = params.all(&path).map(str::to_owned).collect();
        Ok((index, params))
    }

    fn check(table: &Table, request: &str, expected: usize, params: &[&str]) {
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (host, path) = target.split_once('/').unwrap();
        let found = find(table, method, host, &format!("/{path}"));
        let params: Vec<String> = params.iter().map(|param| (*param).to_owned()).collect();
        assert_eq!(found, Ok((expected, params)), "{request}");
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let routes = [
            "/{rest...}",
            "/a/{x}",
            "/a/b",
            "/a/{x}/z",
            "/a/{rest...}",
            "/{x}/b/c",
        ];
        let forward = table(&routes);
        check(&forward, "GET h/a/b", 2, &[]);
        check(&forward, "GET h/a/q", 1, &["q"]);
        check(&forward, "GET h/a/b/z", 3, &["b"]);
        check(&forward, "GET h/a/b/y", 4, &["b/y"]);
        check(&forward, "GET h/a/", 4, &[""]);
        check(&forward, "GET h/q/b/c", 5, &["q"]);
        check(&forward, "GET h/q/b/d", 0, &["q/b/d"]);
        check(&forward, "GET h/", 0, &[""]);
        let reversed: Vec<&str> = routes.iter().rev().copied().collect();
        check(&table(&reversed), "GET h/a/b", 3, &[]);
    }

    #[test]
    fn hosts_go_from_exact_to_any() {
        let table = table(&[
            "/x",
            "*.b.com/x",
            "*.a.b.com/x",
            "c.a.b.com/x",
            "c.a.b.com/y",
        ]);
        check(&table, "GET c.a.b.com/x", 3, &[]);
        check(&table, "GET d.a.b.com/x", 2, &[]);
        check(&table, "GET d.b.com/x", 1, &[]);
        check(&table, "GET b.com/x", 0, &[]);
        assert_eq!(find(&table, "GET", "d.b.com", "/y"), Err(NoRoute::NotFound));
    }

    #[test]
    fn another_method_is_405_and_never_falls_to_a_wider_route() {
        let table = table(&["GET /admin/{x}", "/{rest...}", "PUT,POST /w"]);
        check(&table, "GET h/admin/1", 0, &["1"]);
        check(&table, "HEAD h/admin/1", 0, &["1"]);
        assert_eq!(
            find(&table, "POST", "h", "/admin/1"),
            Err(NoRoute::MethodNotAllowed(vec![Method::GET, Method::HEAD]))
        );
        assert_eq!(
            find(&table, "GET", "h", "/w"),
            Err(NoRoute::MethodNotAllowed(vec![Method::PUT, Method::POST]))
        );
    }

    #[test]
    fn a_refused_condition_passes_the_request_on() {
        let table = table(&["/a/{x} when", "/a/{x}", "/{rest...}"]);
        let path = CanonicalPath::new("/a/1".to_owned()).unwrap();
        let find = |accepted: &[usize]| {
            table
                .find("h", &Method::GET, &path, |index, _| {
                    accepted.contains(&index)
                })
                .map(|(index, _)| index)
        };
        assert_eq!(find(&[0, 1, 2]), Ok(0));
        assert_eq!(find(&[1, 2]), Ok(1));
        assert_eq!(find(&[2]), Ok(2));
        assert_eq!(find(&[]), Err(NoRoute::NotFound));
    }

    #[test]
    fn priority_goes_before_specificity() {
        let table = table(&["/a/b", "/{rest...} !5", "/a/{x} !1"]);
        check(&table, "GET h/a/b", 1, &["a/b"]);
    }

    #[test]
    fn routes_that_can_never_be_told_apart_are_a_mistake() {
        let build = |routes: &[&str]| {
            Table::build(routes.iter().map(|route| entry(route)).collect())
                .err()
                .unwrap_or_default()
        };
        assert_eq!(
            build(&["/a/{x}", "/b", "/a/{y}"]),
            [Conflict {
                first: 0,
                second: 2
            }]
        );
        assert_eq!(
            build(&["GET,PUT /a", "PUT /a"]),
            [Conflict {
                first: 0,
                second: 1
            }]
        );
        let many = vec!["/a"; 2000];
        assert_eq!(build(&many).len(), many.len() - 1);
        for fine in [
            &["GET /a", "PUT /a"][..],
            &["GET /a", "/a"],
            &["h/a", "/a"],
            &["/a when", "/a"],
            &["/a !1", "/a"],
            &["/a/", "/a"],
        ] {
            assert_eq!(build(fine), [], "{fine:?}");
        }
    }
}
