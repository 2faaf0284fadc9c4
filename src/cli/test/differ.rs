//! Where two JSON values differ, in words.

use serde_json::Value as Json;

/// Differences that are told; a body that is another altogether has no end of them.
const TOLD_MAX: usize = 20;

/// Bytes of a value that are shown.
const SHOWN_BYTES_MAX: usize = 120;

/// Each difference between two values: the order of keys is none.
pub(super) fn differences(expected: &Json, found: &Json) -> Vec<String> {
    told(expected, found, true)
}

/// What `found` lacks of `expected`; objects may have more keys.
pub(super) fn missing(expected: &Json, found: &Json) -> Vec<String> {
    told(expected, found, false)
}

fn told(expected: &Json, found: &Json, exact: bool) -> Vec<String> {
    let mut differ = Differ {
        exact,
        lines: Vec::new(),
        left_out: 0,
    };
    differ.compare("", expected, found);
    if differ.left_out > 0 {
        let more = format!("and {} more", differ.left_out);
        differ.lines.push(more);
    }
    differ.lines
}

struct Differ {
    exact: bool,
    lines: Vec<String>,
    left_out: usize,
}

impl Differ {
    fn tell(&mut self, path: &str, what: &str) {
        if self.lines.len() >= TOLD_MAX {
            self.left_out += 1;
            return;
        }
        let path = match path {
            "" => "the whole",
            path => path.trim_start_matches('.'),
        };
        self.lines.push(format!("{path}: {what}"));
    }

    // The depth is bounded: what is compared was read by a parser with a bound.
    fn compare(&mut self, path: &str, expected: &Json, found: &Json) {
        match (expected, found) {
            (Json::Object(expected), Json::Object(found)) => {
                for (key, value) in expected {
                    let path = format!("{path}.{key}");
                    match found.get(key) {
                        Some(found) => self.compare(&path, value, found),
                        None => self.tell(&path, &format!("expected {}, is missing", show(value))),
                    }
                }
                let exact = self.exact;
                let others = found.iter().filter(|(key, _)| !expected.contains_key(*key));
                for (key, value) in others.filter(|_| exact) {
                    let what = format!("not expected, is {}", show(value));
                    self.tell(&format!("{path}.{key}"), &what);
                }
            }
            (Json::Array(expected), Json::Array(found)) => {
                for (at, (one, other)) in expected.iter().zip(found).enumerate() {
                    self.compare(&format!("{path}[{at}]"), one, other);
                }
                if expected.len() != found.len() {
                    let (most, least) = (found.len(), expected.len());
                    self.tell(path, &format!("expected {least} items, got {most}"));
                }
            }
            (expected, found) if same(expected, found) => {}
            (expected, found) => {
                let what = format!("expected {}, got {}", show(expected), show(found));
                self.tell(path, &what);
            }
        }
    }
}

/// Whether two values are the same: 1 is 1.0.
fn same(one: &Json, other: &Json) -> bool {
    one == other
        || match (one, other) {
            (Json::Number(one), Json::Number(other)) if one.is_f64() || other.is_f64() => {
                one.as_f64() == other.as_f64()
            }
            _ => false,
        }
}

fn show(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_BYTES_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_has_its_place() {
        let expected = json!({"a": 1, "b": [1, {"c": "x"}], "d": null, "e": 1.0});
        let found = json!({"e": 1, "b": [1, {"c": "y", "f": 2}, 3], "a": "1", "g": true});
        assert_eq!(
            differences(&expected, &found),
            [
                "a: expected 1, got \"1\"",
                "b[1].c: expected \"x\", got \"y\"",
                "b[1].f: not expected, is 2",
                "b: expected 2 items, got 3",
                "d: expected null, is missing",
                "g: not expected, is true",
            ]
        );
        assert_eq!(
            differences(&json!(1), &json!([])),
            ["the whole: expected 1, got []"]
        );
    }

    #[test]
    fn what_is_included_may_stand_beside_more() {
        let found = json!({"a": {"b": 1, "c": [{"d": 1, "e": 2}]}, "f": 3});
        for included in [
            json!({}),
            json!({"a": {"b": 1}}),
            json!({"a": {"c": [{"e": 2}]}}),
        ] {
            assert_eq!(missing(&included, &found), [""; 0], "{included}");
        }
        assert_eq!(
            missing(&json!({"a": {"c": []}, "x": 1}), &found),
            ["a.c: expected 0 items, got 1", "x: expected 1, is missing"]
        );
    }

    #[test]
    fn no_end_of_differences_is_cut_and_counted() {
        let many: Vec<u32> = (0..100).collect();
        let other: Vec<u32> = (1..101).collect();
        let lines = differences(&json!(many), &json!(other));
        assert_eq!(lines.len(), TOLD_MAX + 1);
        assert_eq!(lines[TOLD_MAX], "and 80 more");
    }
}
