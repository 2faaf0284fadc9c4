//! Reads files within bounds, and finds those that an `include` pattern means.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Names looked at in one folder.
const ENTRIES_MAX: usize = 10_000;

/// The bytes of a file, at most `max`.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| reason(&error))?;
    let metadata = file.metadata().map_err(|error| reason(&error))?;
    if metadata.is_dir() {
        return Err("it is a folder".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| reason(&error))?;
    if bytes.len() as u64 > max {
        return Err(format!("it has more than {max} bytes"));
    }
    Ok(bytes)
}

/// Why the system refused, without the number of the error.
pub fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        _ => error.to_string(),
    }
}

/// What a pattern means.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// In order of their names.
    pub files: Vec<PathBuf>,
    /// The folders looked through: a new file in one of them may match as well.
    pub folders: Vec<PathBuf>,
}

/// Whether `pattern` has wildcards.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// The files that `pattern` means, seen from `base`: `*` is any characters and `?` is one, within
/// one segment of the path. Names that start with a dot must be written out.
pub fn matching(base: &Path, pattern: &str) -> Result<Matches, String> {
    let mut found = Matches {
        files: vec![PathBuf::new()],
        folders: Vec::new(),
    };
    for component in base.join(pattern).components() {
        let wild = match component {
            Component::Normal(name) => name.to_str().filter(|name| is_pattern(name)),
            _ => None,
        };
        let Some(wild) = wild else {
            for path in &mut found.files {
                path.push(component);
            }
            continue;
        };
        let folders = std::mem::take(&mut found.files);
        for folder in &folders {
            if !folder.is_dir() && folders.len() > 1 {
                continue;
            }
            found.files.extend(names(folder, wild)?);
        }
        found.folders.extend(folders);
    }
    if is_pattern(pattern) {
        found.files.retain(|path| path.is_file());
    }
    found.files.sort();
    Ok(found)
}

fn names(folder: &Path, wild: &str) -> Result<Vec<PathBuf>, String> {
    let refuse = |error| format!("cannot look into {}: {}", folder.display(), reason(&error));
    let mut found = Vec::new();
    for (seen, entry) in std::fs::read_dir(folder).map_err(refuse)?.enumerate() {
        if seen == ENTRIES_MAX {
            return Err(format!(
                "{} has more than {ENTRIES_MAX} entries",
                folder.display()
            ));
        }
        let name = entry.map_err(refuse)?.file_name();
        if name.to_str().is_some_and(|name| matches(wild, name)) {
            found.push(folder.join(name));
        }
    }
    Ok(found)
}

/// Whether `name` is one of those that `pattern` means.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // Where the last star stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || Some(&wanted) == name.get(seen) => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((back, taken)) = star else {
                    return false;
                };
                star = Some((back, taken + 1));
                at = back + 1;
                seen = taken + 1;
            }
        }
    }
    pattern
        .get(at..)
        .unwrap_or_default()
        .iter()
        .all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_within_a_name() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml.bak", false),
            ("*.toml", ".hidden.toml", false),
            (".*", ".hidden", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*", "", true),
            ("", "a", false),
            ("**", "ab", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_finds_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::create_dir_all(base.join("d/sub.toml")).unwrap();
        for name in ["d/b.toml", "d/a.toml", "d/c.txt", "x.toml"] {
            std::fs::write(base.join(name), "").unwrap();
        }
        let found = matching(base, "d/*.toml").unwrap();
        assert_eq!(found.files, [base.join("d/a.toml"), base.join("d/b.toml")]);
        assert_eq!(found.folders, [base.join("d")]);
        let found = matching(base, "?/a.*").unwrap();
        assert_eq!(found.files, [base.join("d/a.toml")]);
        let found = matching(base, "x.toml").unwrap();
        assert_eq!(found.files, [base.join("x.toml")]);
        assert!(matching(base, "nowhere/*.toml").is_err());
    }

    #[test]
    fn a_file_is_read_within_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        assert!(read_bounded(&path, 4).unwrap_err().contains("more than 4"));
        assert!(read_bounded(folder.path(), 4).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_name_matches_itself_and_stars(name in "[a-z.]{0,12}", cut in 0_usize..12) {
            proptest::prop_assert!(matches(&name, &name));
            let cut = cut.min(name.len());
            let pattern = format!("{}*", name.get(..cut).unwrap());
            proptest::prop_assert!(cut == 0 || matches(&pattern, &name));
        }
    }
}
