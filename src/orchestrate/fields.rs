//! Passes fields of the parts' answers on to the response, by the rules of the file.

use std::sync::Arc;

use super::cache_control::strictest;
use super::outcome::MergeError;
use super::spec::{FieldConflict, ForwardSpec};
use crate::exchange::Headers;

/// The fields that are passed on have so many bytes together at most: a client takes no more.
const BYTES_MAX: usize = 32 * 1024;

/// The fields of one answer that a step brought.
pub(super) struct Answer<'a> {
    pub(super) step: usize,
    pub(super) name: &'a Arc<str>,
    pub(super) headers: &'a Headers,
}

/// Appends to `headers` what `rules` take of `answers`, which stand in the order of the file.
pub(super) fn forward(
    rules: &[ForwardSpec],
    answers: &[Answer<'_>],
    headers: &mut Headers,
) -> Result<(), MergeError> {
    for rule in rules {
        let from = answers
            .iter()
            .filter(|answer| rule.from.is_empty() || rule.from.contains(&answer.step));
        if rule.name == "cache-control" {
            if let Some(text) = strictest(from.map(|answer| answer.headers)) {
                headers.set("cache-control", text.as_bytes());
            }
            continue;
        }
        let mut having = from.filter(|answer| answer.headers.get(&rule.name).is_some());
        let chosen: Vec<&Answer<'_>> = match rule.on_conflict {
            FieldConflict::Append => having.collect(),
            FieldConflict::First => having.next().into_iter().collect(),
            FieldConflict::Last => having.next_back().into_iter().collect(),
            FieldConflict::Error => {
                let first = having.next();
                if let Some(first) = first
                    && let Some(second) = having.find(|other| !same(&rule.name, first, other))
                {
                    return Err(MergeError::Field {
                        field: rule.name.clone(),
                        first: Arc::clone(first.name),
                        second: Arc::clone(second.name),
                    });
                }
                first.into_iter().collect()
            }
        };
        for value in chosen
            .iter()
            .flat_map(|answer| answer.headers.get_all(&rule.name))
        {
            headers.append(&rule.name, value);
        }
        if headers.bytes() > BYTES_MAX {
            return Err(MergeError::TooLarge { limit: BYTES_MAX });
        }
    }
    Ok(())
}

fn same(name: &str, one: &Answer<'_>, other: &Answer<'_>) -> bool {
    one.headers.get_all(name).eq(other.headers.get_all(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, on_conflict: FieldConflict, from: &[usize]) -> ForwardSpec {
        ForwardSpec {
            name: name.to_owned(),
            from: from.to_vec(),
            on_conflict,
        }
    }

    /// What is passed on of three answers, of which the second has nothing.
    fn passed(rule: &ForwardSpec) -> Result<Vec<String>, MergeError> {
        let mut given = [Headers::new(), Headers::new(), Headers::new()];
        for (place, values) in [(0, ["a=1", "b=2"]), (2, ["a=3", "b=4"])] {
            for value in values {
                given[place].append("set-cookie", value.as_bytes());
            }
            given[place].append("x-shard", b"7");
        }
        given[2].append("x-only", b"here");
        let names: Vec<Arc<str>> = ["a", "b", "c"].into_iter().map(Arc::from).collect();
        let answers: Vec<Answer<'_>> = given
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(step, (headers, name))| Answer {
                step,
                name,
                headers,
            })
            .collect();
        let mut headers = Headers::new();
        forward(std::slice::from_ref(rule), &answers, &mut headers)?;
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        Ok(headers.iter().map(|(_, _, value)| text(value)).collect())
    }

    #[test]
    fn a_conflict_is_settled_by_its_rule_and_lines_stay_lines() {
        use FieldConflict::{Append, Error, First, Last};
        let cookie = |conflict, from: &[usize]| passed(&rule("set-cookie", conflict, from));
        assert_eq!(cookie(Append, &[]).unwrap(), ["a=1", "b=2", "a=3", "b=4"]);
        assert_eq!(cookie(First, &[]).unwrap(), ["a=1", "b=2"]);
        assert_eq!(cookie(Last, &[]).unwrap(), ["a=3", "b=4"]);
        assert_eq!(cookie(First, &[1, 2]).unwrap(), ["a=3", "b=4"]);
        assert_eq!(cookie(Error, &[1]).unwrap(), Vec::<String>::new());
        let conflict = cookie(Error, &[]).unwrap_err().to_string();
        assert_eq!(
            conflict,
            "the header `set-cookie` differs between `a` and `c`"
        );
        assert_eq!(passed(&rule("x-shard", Error, &[])).unwrap(), ["7"]);
        assert_eq!(passed(&rule("x-only", Error, &[])).unwrap(), ["here"]);
        assert_eq!(
            passed(&rule("x-none", First, &[])).unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_is_passed_on_has_a_bound() {
        let mut large = Headers::new();
        large.append("set-cookie", &b"x".repeat(20_000));
        let name = Arc::from("a");
        let answer = |step| Answer {
            step,
            name: &name,
            headers: &large,
        };
        let rules = [rule("set-cookie", FieldConflict::Append, &[])];
        let mut headers = Headers::new();
        assert!(forward(&rules, &[answer(0)], &mut headers).is_ok());
        assert_eq!(
            forward(&rules, &[answer(0), answer(1)], &mut headers),
            Err(MergeError::TooLarge { limit: BYTES_MAX })
        );
    }
}
