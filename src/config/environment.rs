//! Replaces `${NAME}` and `${file:/path}` in strings, once, after the file was parsed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::written::{Piece, Text};

/// Bytes of a file that a value is taken from.
const VALUE_BYTES_MAX: u64 = 1 << 20;

/// Looks up an environment variable; none where there is none.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<std::ffi::OsString>;

/// The variables of this process.
pub fn process(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// A `${...}` that has no value.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// Bytes of the string.
    pub at: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

/// Replaces every `${...}` in `written`; notes the files that were read. What comes in is not
/// looked at again, so a value cannot name another.
pub fn replace(
    written: String,
    lookup: Lookup<'_>,
    base: &Path,
    files: &mut Vec<PathBuf>,
) -> (Text, Vec<Missing>) {
    if !written.contains("${") {
        return (Text::plain(written), Vec::new());
    }
    let mut pieces = Vec::new();
    let mut missing = Vec::new();
    let mut from = 0;
    while let Some(start) = find(&written, from) {
        if start > from && written.as_bytes().get(start - 1) == Some(&b'$') {
            pieces.push(Piece {
                at: start - 1..start + 2,
                value: "${".to_owned(),
                foreign: false,
            });
            from = start + 2;
            continue;
        }
        let rest = written.get(start + 2..).unwrap_or_default();
        let Some(length) = rest.find('}') else {
            missing.push(Missing {
                at: start..written.len(),
                message: "`${` has no `}`".to_owned(),
                help: Some("write `$${` for the characters themselves".to_owned()),
            });
            break;
        };
        let at = start..start + 2 + length + 1;
        from = at.end;
        match value_of(rest.get(..length).unwrap_or_default(), lookup, base, files) {
            Ok(value) => pieces.push(Piece {
                at,
                value,
                foreign: true,
            }),
            Err((message, help)) => missing.push(Missing { at, message, help }),
        }
    }
    (Text::replaced(written, pieces), missing)
}

fn find(text: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find("${").map(|found| from + found)
}

type Refused = (String, Option<String>);

fn value_of(
    name: &str,
    lookup: Lookup<'_>,
    base: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<String, Refused> {
    if let Some(path) = name.strip_prefix("file:") {
        let path = base.join(path);
        let value = read(&path);
        files.push(path);
        return value;
    }
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain {
        let help = "write `${NAME}`, `${file:/path}`, or `$${` for the characters themselves";
        return Err((
            format!("`{name}` is no name of an environment variable"),
            Some(help.to_owned()),
        ));
    }
    match lookup(name).map(std::ffi::OsString::into_string) {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => Err((
            format!("the environment variable `{name}` is not UTF-8"),
            None,
        )),
        None => Err((
            format!("the environment variable `{name}` is not set"),
            Some(format!("set it before the gateway starts: `{name}=...`")),
        )),
    }
}

/// The text of a small file, without the line end that editors leave.
fn read(path: &Path) -> Result<String, Refused> {
    let refuse = |why: String| (format!("cannot read {}: {why}", path.display()), None);
    let bytes = super::files::read_bounded(path, VALUE_BYTES_MAX).map_err(refuse)?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<std::ffi::OsString> {
        match name {
            "HOST" => Some("api.example.com".into()),
            "NESTED" => Some("${HOST}".into()),
            _ => None,
        }
    }

    fn check(written: &str, expected: &str) {
        let (text, missing) = replace(written.to_owned(), &lookup, Path::new("/"), &mut Vec::new());
        assert_eq!(missing, [], "{written}");
        assert_eq!(text.as_str(), expected, "{written}");
    }

    #[test]
    fn names_are_replaced_once() {
        check("https://${HOST}/", "https://api.example.com/");
        check("${HOST}${HOST}", "api.example.comapi.example.com");
        check("${NESTED}", "${HOST}");
        check("$HOST $ {HOST}", "$HOST $ {HOST}");
        check("$${HOST} ${HOST}", "${HOST} api.example.com");
    }

    #[test]
    fn what_is_missing_is_told_with_its_place() {
        for (written, at) in [
            ("a ${NONE} b", 2..9),
            ("${", 0..2),
            ("ä${A B}", 2..8),
            ("${file:/nowhere/at/all}", 0..23),
            ("${}", 0..3),
        ] {
            let (_, missing) =
                replace(written.to_owned(), &lookup, Path::new("/"), &mut Vec::new());
            assert_eq!(missing.len(), 1, "{written}");
            assert_eq!(missing[0].at, at, "{written}");
        }
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_line_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
        let mut files = Vec::new();
        let (text, missing) = replace(
            "${file:token}".to_owned(),
            &lookup,
            folder.path(),
            &mut files,
        );
        assert_eq!(missing, []);
        assert_eq!(text.as_str(), "s3cret");
        assert!(text.is_secret());
        assert_eq!(files, [folder.path().join("token")]);
    }

    proptest::proptest! {
        #[test]
        fn any_string_is_replaced_or_refused(written in "[${}A-Z:fileä]{0,30}") {
            drop(replace(written, &lookup, Path::new("/"), &mut Vec::new()));
        }
    }
}
