//! What a client would rather have: `Accept` (RFC 9110, 12.5.1).

use super::media::PARAMETERS_MAX;
use super::parameters::{self, Quoting};
use crate::exchange::{Headers, Known};

/// How much a client wants something, in thousandths; 0: not at all.
type Weight = u16;

/// How closely a media range names a type: itself, its family, anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Anything,
    Family,
    Named,
}

/// The one of `special` that the client names and wants no less than `usual`; of several the most
/// wanted, and of those the first it names. `*/*` asks for nothing special. Types are in lower
/// case.
pub fn preferred<'a>(headers: &Headers, special: &[&'a str], usual: &str) -> Option<&'a str> {
    let mut least = Wanted::default();
    // In the order in which the client names them.
    let mut found: Vec<(&'a str, Weight)> = Vec::new();
    for range in headers
        .all_known(Known::Accept)
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(elements)
    {
        let Some((name, weight)) = media_range(range) else {
            continue;
        };
        least.note(&name, usual, weight);
        for kind in special.iter().filter(|kind| **kind == name) {
            found.push((kind, weight));
        }
    }
    let bound = least.weight.max(1);
    let mut best: Option<(&str, Weight)> = None;
    for (kind, weight) in found {
        if weight >= bound && best.is_none_or(|(_, known)| weight > known) {
            best = Some((kind, weight));
        }
    }
    best.map(|(kind, _)| kind)
}

/// How much one type is wanted: the closest range counts.
#[derive(Default)]
struct Wanted {
    closeness: Option<Closeness>,
    weight: Weight,
}

impl Wanted {
    fn note(&mut self, range: &str, kind: &str, weight: Weight) {
        let family = kind.split('/').next().unwrap_or_default();
        let closeness = if range == kind {
            Closeness::Named
        } else if range.strip_suffix("/*") == Some(family) {
            Closeness::Family
        } else if range == "*/*" {
            Closeness::Anything
        } else {
            return;
        };
        if self.closeness.is_none_or(|known| closeness > known) {
            self.closeness = Some(closeness);
            self.weight = weight;
        }
    }
}

/// The type of a media range in lower case, and its weight; none where it is malformed.
fn media_range(text: &str) -> Option<(String, Weight)> {
    let (name, parameters) = text.split_at(text.find(';').unwrap_or(text.len()));
    let name = name.trim_matches([' ', '\t']).to_ascii_lowercase();
    name.split_once('/')?;
    let parameters = parameters::parse(parameters, Quoting::Strict, PARAMETERS_MAX)?;
    let weight = match parameters::only(&parameters, "q").ok()? {
        Some(weight) => quality(weight)?,
        None => 1000,
    };
    Some((name, weight))
}

/// `qvalue` (RFC 9110, 12.4.2): at most 1, at most three digits behind the point.
fn quality(text: &str) -> Option<Weight> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = format!("{fraction:0<3}").parse::<Weight>().ok()?;
    match (whole, fraction) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// The parts between commas that do not stand in a quoted string.
fn elements(list: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |letter| {
        if escaped {
            escaped = false;
            return false;
        }
        match letter {
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        letter == ',' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: &str = "application/x-ndjson";
    const EVENTS: &str = "text/event-stream";

    fn asked(values: &[&str]) -> Option<&'static str> {
        let mut headers = Headers::new();
        for value in values {
            headers.append("accept", value.as_bytes());
        }
        preferred(&headers, &[LINES, EVENTS], "application/json")
    }

    #[test]
    fn only_a_client_that_names_a_type_gets_it() {
        for (accept, expected) in [
            ("application/x-ndjson", Some(LINES)),
            ("Application/X-NDJSON; charset=utf-8", Some(LINES)),
            ("text/event-stream", Some(EVENTS)),
            ("application/json, text/event-stream", Some(EVENTS)),
            ("text/event-stream, application/x-ndjson", Some(EVENTS)),
            (
                "text/event-stream;q=0.5, application/x-ndjson;q=0.6",
                Some(LINES),
            ),
            (
                "application/json;q=0.5, text/event-stream;q=0.5",
                Some(EVENTS),
            ),
            ("application/json;q=0.5, text/event-stream;q=0.4", None),
            (
                "application/json;q=0.2, */*, text/event-stream;q=0.4",
                Some(EVENTS),
            ),
            ("*/*, text/event-stream;q=0.4", None),
            (
                "application/*;q=0.1, */*, text/event-stream;q=0.4",
                Some(EVENTS),
            ),
            ("text/event-stream;q=0", None),
            ("text/event-stream;q=0.0", None),
            ("text/event-stream;q=2", None),
            ("text/event-stream;q=0.1234", None),
            ("text/event-stream;q=nan", None),
            ("x/y;a=\"text/event-stream, application/x-ndjson\"", None),
            ("x/y;a=\"\\\"\", text/event-stream", Some(EVENTS)),
            ("text/*", None),
            ("*/*", None),
            ("", None),
            (",,;=;q=1,", None),
        ] {
            assert_eq!(asked(&[accept]), expected, "{accept}");
        }
        assert_eq!(asked(&[]), None);
        assert_eq!(asked(&["text/html", "text/event-stream"]), Some(EVENTS));
    }

    proptest! {
        #[test]
        fn any_field_is_read(text in "[ -~]{0,60}|[a-z/*;,=q.0-9\" \\\\]{0,60}") {
            asked(&[&text]);
        }
    }
}
