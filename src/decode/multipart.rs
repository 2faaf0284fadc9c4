//! `multipart/form-data` (RFC 7578), read from a whole body, more strictly than browsers write it.
//!
//! What two readers could understand differently is refused, since an upstream may read the same
//! bytes: text around the parts, a delimiter that goes on, names given twice, coded parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem;

use super::Unreadable;
use super::media::MediaType;
use super::pairs::Pairs;
use super::parameters::{self, Quoting};
use crate::exchange::line::is_token;
use crate::json::{DEPTH_DEFAULT, check, write_string};

/// Parts of one form at most.
pub const PARTS_MAX: usize = 256;

/// Bytes of one file at most: it is held as base64, which is a third more.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the fields of one part at most.
const HEAD_BYTES_MAX: usize = 4096;

/// Fields of one part at most.
const FIELDS_MAX: usize = 16;

/// Parameters of one field at most.
const PARAMETERS_MAX: usize = 8;

const FORMAT: &str = "a multipart form";

/// The boundary that a type names: 1 to 70 characters of those that RFC 2046, 5.1.1 allows.
pub fn boundary(media: &MediaType<'_>) -> Result<String, Unreadable> {
    let named = media.parameter("boundary");
    let named = named.map_err(|_| malformed("its parameters are malformed"))?;
    let boundary = named.ok_or_else(|| malformed("it names no boundary"))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let fine = (1..=70).contains(&boundary.len())
        && boundary.bytes().all(allowed)
        && !boundary.ends_with(' ');
    fine.then_some(boundary)
        .ok_or_else(|| malformed("its boundary is malformed"))
}

/// A form as an object: each part under its name, one that comes again in a list. A part with a
/// file name is an object of `filename`, `type`, `size` and `content`, which is base64; of others,
/// JSON is itself and everything else is a text.
pub fn read(body: &[u8], boundary: &str) -> Result<Bytes, Unreadable> {
    let mut parts = Parts::open(body, boundary)?;
    let mut pairs = Pairs::default();
    while let Some(part) = parts.next()? {
        if pairs.len() == PARTS_MAX {
            return Err(Unreadable::TooMuch(
                "A multipart form has at most 256 parts here.",
            ));
        }
        let (head, content) = split_head(part)?;
        let head = Head::read(head)?;
        pairs.add(&head.name, head.value(content)?);
    }
    Ok(pairs.json())
}

fn malformed(what: &'static str) -> Unreadable {
    Unreadable::malformed(FORMAT, what)
}

/// The parts of a body, one after another.
struct Parts<'a> {
    /// Behind a delimiter and its line end; none behind the last delimiter.
    rest: Option<&'a [u8]>,
    /// `CR LF -- boundary`
    delimiter: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn open(body: &'a [u8], boundary: &str) -> Result<Self, Unreadable> {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first delimiter has a line end in front where there is something before it.
        let first = delimiter.get(2..).unwrap_or_default();
        let rest = body
            .strip_prefix(first)
            .or_else(|| body.strip_prefix(delimiter.as_slice()))
            .ok_or_else(|| malformed("it does not start with its boundary"))?;
        Ok(Self {
            rest: behind(rest)?,
            delimiter,
        })
    }

    /// The head and content of the next part, up to its delimiter.
    fn next(&mut self) -> Result<Option<&'a [u8]>, Unreadable> {
        let Some(rest) = self.rest else {
            return Ok(None);
        };
        let end =
            memmem::find(rest, &self.delimiter).ok_or_else(|| malformed("a part does not end"))?;
        let (part, after) = rest.split_at(end);
        self.rest = behind(after.get(self.delimiter.len()..).unwrap_or_default())?;
        Ok(Some(part))
    }
}

/// What follows a delimiter: the next part, or none where it was the last.
fn behind(rest: &[u8]) -> Result<Option<&[u8]>, Unreadable> {
    if let Some(epilogue) = rest.strip_prefix(b"--") {
        let nothing = epilogue.iter().all(|byte| b" \t\r\n".contains(byte));
        return if nothing {
            Ok(None)
        } else {
            Err(malformed("something follows its last part"))
        };
    }
    let padded = rest.iter().position(|byte| !b" \t".contains(byte));
    let line = rest.get(padded.unwrap_or(rest.len())..).unwrap_or_default();
    line.strip_prefix(b"\r\n")
        .map(Some)
        .ok_or_else(|| malformed("a delimiter does not end its line"))
}

/// The fields of a part, and its content.
fn split_head(part: &[u8]) -> Result<(&str, &[u8]), Unreadable> {
    if part.starts_with(b"\r\n") {
        return Err(malformed("a part has no name"));
    }
    let within = part.get(..HEAD_BYTES_MAX.min(part.len())).unwrap_or(part);
    let end = memmem::find(within, b"\r\n\r\n")
        .ok_or_else(|| malformed("the fields of a part do not end"))?;
    let head = part.get(..end).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| malformed("a part's fields are not UTF-8"))?;
    Ok((head, part.get(end + 4..).unwrap_or_default()))
}

/// What a part says of itself.
struct Head {
    name: String,
    /// It is a file.
    filename: Option<String>,
    kind: Option<String>,
}

impl Head {
    fn read(head: &str) -> Result<Self, Unreadable> {
        let (mut disposition, mut kind) = (None, None);
        for (number, line) in head.split("\r\n").enumerate() {
            let field = line.split_once(':').filter(|(name, value)| {
                is_token(name.as_bytes()) && !value.contains(['\r', '\n', '\0'])
            });
            let (name, value) = field.ok_or_else(|| malformed("a part's fields are malformed"))?;
            if number == FIELDS_MAX {
                return Err(malformed("a part has too many fields"));
            }
            let value = value.trim_matches([' ', '\t']);
            let before = match name.to_ascii_lowercase().as_str() {
                "content-disposition" => disposition.replace(value),
                "content-type" => kind.replace(value),
                // RFC 7578, 4.7: parts are sent as they are.
                "content-transfer-encoding" if !is_plain(value) => {
                    return Err(malformed("a part is coded"));
                }
                _ => None,
            };
            if before.is_some() {
                return Err(malformed("a part has a field twice"));
            }
        }
        // RFC 7578, 4.3: no form is nested any more, but some readers still take such parts apart.
        let start = kind.and_then(|kind| kind.get(.."multipart/".len()));
        if start.is_some_and(|start| start.eq_ignore_ascii_case("multipart/")) {
            return Err(malformed("a part is nested"));
        }
        let disposition = disposition.ok_or_else(|| malformed("a part has no name"))?;
        let (name, filename) = names(disposition)?;
        Ok(Self {
            name,
            filename,
            kind: kind.map(str::to_owned),
        })
    }

    /// The part as JSON text.
    fn value(&self, content: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let mut out = Vec::new();
        if let Some(filename) = &self.filename {
            if content.len() > FILE_BYTES_MAX {
                return Err(Unreadable::TooMuch(
                    "A file in a form has at most 1048576 bytes here.",
                ));
            }
            out.extend_from_slice(b"{\"filename\":");
            write_string(filename, &mut out);
            out.extend_from_slice(b",\"type\":");
            // RFC 7578, 4.4 says what a part without a type is; of a file that says nothing.
            match &self.kind {
                Some(kind) => write_string(kind, &mut out),
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(format!(",\"size\":{},\"content\":\"", content.len()).as_bytes());
            out.extend_from_slice(STANDARD.encode(content).as_bytes());
            out.extend_from_slice(b"\"}");
            return Ok(out);
        }
        let kind = self
            .kind
            .as_ref()
            .map(|kind| MediaType::parse(kind.as_bytes()));
        if kind.flatten().is_some_and(|kind| kind.is_json()) {
            // One level less, since it stands in an object, and perhaps in a list.
            check(content, DEPTH_DEFAULT - 2)
                .map_err(|_| malformed("a part that says so is not JSON"))?;
            out.extend_from_slice(content);
            return Ok(out);
        }
        let text = std::str::from_utf8(content)
            .map_err(|_| malformed("a part that is no file is not UTF-8"))?;
        write_string(text, &mut out);
        Ok(out)
    }
}

fn is_plain(coding: &str) -> bool {
    ["7bit", "8bit", "binary"]
        .iter()
        .any(|plain| coding.eq_ignore_ascii_case(plain))
}

/// Name and file name of `Content-Disposition: form-data` (RFC 7578, 4.2).
fn names(disposition: &str) -> Result<(String, Option<String>), Unreadable> {
    let wrong = || malformed("a part's `Content-Disposition` is malformed");
    let (kind, rest) = disposition.split_at(disposition.find(';').unwrap_or(disposition.len()));
    if !kind
        .trim_end_matches([' ', '\t'])
        .eq_ignore_ascii_case("form-data")
    {
        return Err(wrong());
    }
    let found = parameters::parse(rest, Quoting::Names, PARAMETERS_MAX).ok_or_else(wrong)?;
    // RFC 7578, 4.2: the other way to write a file name must not be used, and who reads it
    // would see another name.
    if found.iter().any(|it| it.name.ends_with('*')) {
        return Err(wrong());
    }
    let only = |name| parameters::only(&found, name).map_err(|_| wrong());
    let name = only("name")?.ok_or_else(|| malformed("a part has no name"))?;
    Ok((name.to_owned(), only("filename")?.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A part with the lines of its head, and its content.
    fn part(head: &[&str], content: &str) -> String {
        format!("--X\r\n{}\r\n\r\n{content}\r\n", head.join("\r\n"))
    }

    fn field(name: &str, content: &str) -> String {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        part(&[&head], content)
    }

    #[track_caller]
    fn check(parts: &[String], expected: &str) {
        let body = parts.concat() + "--X--\r\n";
        assert_eq!(read(body.as_bytes(), "X").unwrap(), expected, "{body}");
    }

    #[track_caller]
    fn refused(body: &str, because: &str) {
        let error = read(body.as_bytes(), "X").unwrap_err().to_string();
        assert!(error.contains(because), "{body}: {error}");
    }

    #[test]
    fn a_form_is_an_object_of_texts_files_and_json() {
        check(&[], "{}");
        check(
            &[field("a", "1"), field("b", "x\r\ny"), field("a", "")],
            r#"{"a":["1",""],"b":"x\r\ny"}"#,
        );
        let file = part(
            &[
                "content-disposition: Form-Data; filename=\"a\\\"b.txt\"; name=f",
                "Content-Type: text/plain",
            ],
            "hello",
        );
        let untyped = part(
            &["Content-Disposition: form-data; name=\"g\"; filename=\"\""],
            "",
        );
        check(
            &[file, untyped],
            r#"{"f":{"filename":"a\"b.txt","type":"text/plain","size":5,"content":"aGVsbG8="},"g":{"filename":"","type":null,"size":0,"content":""}}"#,
        );
        let json = part(
            &[
                "Content-Type: application/json",
                "Content-Disposition: form-data; name=\"j\"",
                "Content-Transfer-Encoding: BINARY",
            ],
            r#"{"n":1e400}"#,
        );
        check(&[json], r#"{"j":{"n":1e400}}"#);
    }

    #[test]
    fn a_delimiter_may_be_padded_and_follow_a_line_end() {
        let body = "\r\n--X \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--X--";
        assert_eq!(read(body.as_bytes(), "X").unwrap(), r#"{"a":"1"}"#);
    }

    #[test]
    fn what_readers_could_understand_differently_is_refused() {
        let named = "Content-Disposition: form-data; name=\"a\"";
        let end = "--X--\r\n";
        let one = field("a", "1");
        refused("", "does not start");
        refused(end.trim_start_matches('-'), "does not start");
        refused(&format!("preamble\r\n{one}{end}"), "does not start");
        refused(&one, "a part does not end");
        refused(&format!("{one}--X"), "does not end its line");
        refused(&format!("--X\r\n{named}\r\n\r\n1"), "does not end");
        refused(&format!("{one}--XY\r\n{end}"), "does not end its line");
        refused(&format!("{one}--X\n{end}"), "does not end its line");
        refused(&format!("{one}{end}more"), "follows its last part");
        refused(&format!("--X\r\n\r\n1\r\n{end}"), "no name");
        let of = |head: &[&str]| part(head, "1") + end;
        refused(&of(&["Content-Type: text/plain"]), "no name");
        refused(&of(&["Content-Disposition: form-data"]), "no name");
        for disposition in [
            "attachment; name=a",
            "form-data; name=\"a",
            "form-data; name=a; name=b",
            "form-data; name=a; filename*=UTF-8''b",
            "form-data; name=a, b",
        ] {
            let head = format!("Content-Disposition: {disposition}");
            refused(&of(&[&head]), "malformed");
        }
        refused(&of(&[named, named]), "twice");
        refused(&of(&[named, " folded: yes"]), "malformed");
        refused(&of(&[named, "no colon"]), "malformed");
        refused(&of(&[named, "a: b\nc: d"]), "malformed");
        refused(&of(&[named, "Content-Transfer-Encoding: base64"]), "coded");
        refused(
            &of(&[named, "Content-Type: Multipart/mixed; boundary=y"]),
            "nested",
        );
        refused(
            &of(&[named, "Content-Type: application/json"]).replace("\r\n1\r\n", "\r\n1,\r\n"),
            "not JSON",
        );
        refused(&of(&[named, &["x: y"; 20].join("\r\n")]), "too many fields");
        refused(
            &of(&[named, &format!("x: {}", "y".repeat(5000))]),
            "do not end",
        );
    }

    #[test]
    fn there_are_so_many_parts_and_files_are_so_large() {
        let many = field("a", "").repeat(PARTS_MAX);
        assert!(read((many.clone() + "--X--").as_bytes(), "X").is_ok());
        let more = many + &field("a", "") + "--X--";
        assert!(matches!(
            read(more.as_bytes(), "X"),
            Err(Unreadable::TooMuch(_))
        ));
        let file = |bytes| {
            let head = "Content-Disposition: form-data; name=f; filename=f";
            part(&[head], &"x".repeat(bytes)) + "--X--"
        };
        assert!(read(file(FILE_BYTES_MAX).as_bytes(), "X").is_ok());
        let large = file(FILE_BYTES_MAX + 1);
        assert!(matches!(
            read(large.as_bytes(), "X"),
            Err(Unreadable::TooMuch(_))
        ));
    }

    #[test]
    fn a_boundary_is_short_and_plain() {
        let of = |field: &str| boundary(&MediaType::parse(field.as_bytes()).unwrap());
        let fine = "----WebKitFormBoundaryA1";
        assert_eq!(
            of(&format!("multipart/form-data; boundary={fine}")).unwrap(),
            fine
        );
        let long = "a".repeat(71);
        for bad in [
            "",
            "; boundary=",
            "; boundary=\"\"",
            "; boundary=\"a \"",
            "; boundary=\"a\\\"b\"",
            "; boundary=\"a\u{e4}\"",
            "; boundary=a; boundary=b",
            "; boundary=a b",
            &format!("; boundary={long}"),
        ] {
            assert!(of(&format!("multipart/form-data{bad}")).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_object_or_refused(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("--X".to_owned()), Just("\r\n".to_owned()), Just("--".to_owned()),
                    Just("Content-Disposition: form-data; name=a".to_owned()),
                    Just("; filename=\"b\"".to_owned()), Just("\r\n\r\n".to_owned()), ".{0,4}",
                ],
                0..24,
            ),
        ) {
            if let Ok(json) = read(pieces.concat().as_bytes(), "X") {
                let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
                prop_assert!(value.is_object());
            }
        }

        #[test]
        fn what_was_sent_is_read(contents in proptest::collection::vec(".{0,12}", 1..6)) {
            let parts: Vec<_> = contents.iter().map(|content| field("a", content)).collect();
            let body = parts.concat() + "--X--";
            prop_assume!(contents.iter().all(|content| !content.contains("--X")));
            let json = read(body.as_bytes(), "X").unwrap();
            let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let expected = match contents.as_slice() {
                [one] => serde_json::json!({ "a": one }),
                several => serde_json::json!({ "a": several }),
            };
            prop_assert_eq!(value, expected);
        }
    }
}
