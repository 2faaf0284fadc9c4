//! Holds the source tree to the rules of ARCHITECTURE.md.

#![cfg(test)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom: each line may use itself and the lines above it, never those below.
const LAYERS: [&[&str]; 18] = [
    &["json"],
    &["exchange"],
    &["expression", "store", "fetch", "decode"],
    // The path of a request. `listen` says which protocols `tls` may offer.
    &["listen", "tls"],
    &["http1"],
    &["route"],
    &["guard"],
    &["intake"],
    &["orchestrate"],
    &["upstream"],
    &["respond"],
    &["error"],
    // Beside the path: what builds the stages, and what tells about them.
    &["observe"],
    &["config"],
    &["admin"],
    // What knows all stages.
    &[
        "snapshot",
        "progressive",
        "record",
        "pipeline",
        "serve",
        "worker",
    ],
    &["gateway", "operations"],
    &["cli", "main", "lib"],
];

/// Lines of a file at most. A longer file holds two ideas.
const LINES_MAX: usize = 600;

/// Of a file of tests alone.
const TEST_LINES_MAX: usize = 900;

/// Names that say nothing about what is inside.
const VAGUE: [&str; 9] = [
    "common", "core", "helper", "helpers", "manager", "misc", "types", "util", "utils",
];

#[test]
fn every_file_opens_with_its_purpose() {
    check(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        let purpose = first.strip_prefix("//! ").unwrap_or_default();
        let says = purpose.len() > 15 && !purpose.contains("Placeholder");
        (!says).then(|| format!("opens with: {first}"))
    });
}

#[test]
fn every_file_is_short_and_has_a_telling_name() {
    check(|file| {
        let lines = file.text.lines().count();
        let most = if file.is_test() {
            TEST_LINES_MAX
        } else {
            LINES_MAX
        };
        let name = file.path.rsplit('/').next().unwrap();
        if VAGUE.contains(&name.trim_end_matches(".rs")) {
            return Some("has a name that says nothing".to_owned());
        }
        (lines > most).then(|| format!("has {lines} lines"))
    });
}

#[test]
fn nothing_uses_what_stands_after_it() {
    check(|file| {
        let Some(own) = layer(file.module()) else {
            return Some("has no layer".to_owned());
        };
        let wrong: Vec<&str> = file
            .uses()
            .filter(|used| layer(used).is_none_or(|theirs| theirs > own))
            .collect();
        (!wrong.is_empty()).then(|| format!("uses {wrong:?}, which have no layer or come after it"))
    });
}

#[test]
fn only_the_end_of_the_path_writes_problems() {
    let allowed = ["respond", "error", "admin", "observe", "cli"];
    check(|file| {
        let writes = file
            .code()
            .any(|line| line.contains("application/problem+json"));
        (writes && !allowed.contains(&file.module())).then(|| "writes a problem".to_owned())
    });
}

#[test]
fn every_module_is_on_the_map() {
    let map = fs::read_to_string("ARCHITECTURE.md").unwrap();
    for module in LAYERS.concat() {
        let named = map.contains(&format!("`{module}`")) || map.contains(&format!("`{module}.rs`"));
        assert!(named, "`{module}` is not in ARCHITECTURE.md");
    }
}

#[test]
fn the_answers_to_the_field_name_what_is_there() {
    let page = fs::read_to_string("docs/field.md").unwrap();
    let tests = tests();
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")).skip(2) {
        rows += 1;
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert_eq!(cells[0], rows.to_string(), "{row}");
        let shown: Vec<&str> = cells[3].split('`').skip(1).step_by(2).collect();
        assert!(!shown.is_empty(), "{row}");
        for name in shown {
            let is_there = match name.split_once('#') {
                Some((file, heading)) => has_heading(file, heading),
                None => tests.contains(name),
            };
            assert!(is_there, "row {rows}: `{name}` is not there");
        }
    }
    assert_eq!(rows, 27);
}

/// The name of every test in the tree.
fn tests() -> HashSet<String> {
    let mut names = HashSet::new();
    for file in sources_in(&["src", "tests"]) {
        let mut is_test = false;
        for line in file.text.lines().map(str::trim) {
            let name = line
                .trim_start_matches("async ")
                .strip_prefix("fn ")
                .and_then(|rest| rest.split('(').next());
            if let Some(name) = name.filter(|_| is_test) {
                names.insert(name.to_owned());
            }
            is_test = line.starts_with("#[") && (is_test || line.contains("test"));
        }
    }
    names
}

/// Whether the page has this heading, as links to it write it.
fn has_heading(page: &str, heading: &str) -> bool {
    let text = fs::read_to_string(page).unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-")
                == heading
        })
}

/// Holds every file to a rule and shows all that break it.
#[track_caller]
fn check(rule: impl Fn(&Source) -> Option<String>) {
    let broken: Vec<String> = sources()
        .iter()
        .filter_map(|file| rule(file).map(|how| format!("{} {how}", file.path)))
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// `route` for `src/route/table.rs`, `error` for `src/error.rs`.
    fn module(&self) -> &str {
        let inner = self.path.trim_start_matches("src/");
        inner.split('/').next().unwrap().trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// Lines that are compiled into the program: no comments, and nothing below the unit tests,
    /// which may take from anywhere.
    fn code(&self) -> impl Iterator<Item = &str> {
        let tests = self.is_test();
        self.text
            .lines()
            .take_while(move |line| !tests && line.trim() != "#[cfg(test)]")
            .filter(|line| !line.trim_start().starts_with("//"))
    }

    /// The modules named behind `crate::`.
    fn uses(&self) -> impl Iterator<Item = &str> {
        self.code()
            .flat_map(|line| line.split("crate::").skip(1))
            .map(|rest| {
                let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
                rest.get(..end.unwrap_or(rest.len())).unwrap()
            })
            .filter(|name| name.starts_with(|it: char| it.is_ascii_lowercase()))
    }
}

fn sources() -> Vec<Source> {
    sources_in(&["src"])
}

fn sources_in(roots: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(read(&path));
            }
        }
    }
    assert!(found.len() > 50, "run from the root of the crate");
    found
}

fn read(path: &Path) -> Source {
    Source {
        path: path.to_str().unwrap().to_owned(),
        text: fs::read_to_string(path).unwrap(),
    }
}
