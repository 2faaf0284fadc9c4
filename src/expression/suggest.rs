//! Finds the known name that a mistyped one is closest to.

/// Longer names than this are not compared.
const NAME_BYTES_MAX: usize = 64;

/// The name of `known` closest to `name`, if it is close enough to be meant.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = (name.chars().count() / 3).max(1) + 1;
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(steps, _)| *steps < far)
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// `did you mean `x`?`, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    suggest(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// How many characters to insert, remove, replace or swap with their neighbour to make `left` into
/// `right`, case aside (optimal string alignment).
pub fn distance(left: &str, right: &str) -> usize {
    if left.len() > NAME_BYTES_MAX || right.len() > NAME_BYTES_MAX {
        return usize::MAX;
    }
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut two_back: Vec<usize> = Vec::new();
    let mut back: Vec<usize> = (0..=right.len()).collect();
    let mut before: Option<char> = None;
    for (row, from) in left.to_lowercase().chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, &to) in right.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&line, column) + 1)
                .min(at(&back, column + 1) + 1)
                .min(at(&back, column) + usize::from(from != to));
            if let Some(previous) = column.checked_sub(1)
                && right.get(previous) == Some(&from)
                && before == Some(to)
            {
                best = best.min(at(&two_back, previous) + 1);
            }
            line.push(best);
        }
        two_back = std::mem::replace(&mut back, line);
        before = Some(from);
    }
    back.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_slips() {
        for (left, right, steps) in [
            ("", "", 0),
            ("", "abc", 3),
            ("orders", "orders", 0),
            ("orders", "order", 1),
            ("ordres", "orders", 1),
            ("Orders", "orders", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(left, right), steps, "{left} {right}");
            assert_eq!(distance(right, left), steps, "{right} {left}");
        }
    }

    #[test]
    fn only_a_close_name_is_suggested() {
        let known = ["profile", "orders", "offers"];
        assert_eq!(suggest("profil", known), Some("profile"));
        assert_eq!(suggest("order", known), Some("orders"));
        assert_eq!(suggest("invoice", known), None);
        assert_eq!(suggest("x", ["y"]), Some("y"));
        assert_eq!(suggest("x", ["body"]), None);
    }
}
