//! A graph as lines of text: each node on a row of its own, with a rail from it to those that wait
//! for it.

use std::iter;

/// A node's row: what stands left of its first line and left of the lines below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) head: String,
    pub(super) below: String,
}

/// The rows of a graph. `waits` says for each node which nodes before it it waits for.
pub(super) fn rows(waits: &[Vec<usize>]) -> Vec<Row> {
    let mut readers: Vec<usize> = vec![0; waits.len()];
    for &node in waits.iter().flatten() {
        if let Some(readers) = readers.get_mut(node) {
            *readers += 1;
        }
    }
    let mut rails: Vec<Option<usize>> = Vec::new();
    let mut rows = Vec::new();
    for (node, awaited) in waits.iter().enumerate() {
        for &other in awaited {
            if let Some(left) = readers.get_mut(other) {
                *left = left.saturating_sub(1);
            }
        }
        let is_over = |node: usize| readers.get(node).is_none_or(|&left| left == 0);
        let ends =
            |rail: &Option<usize>| rail.is_some_and(|of| awaited.contains(&of) && is_over(of));
        let column = rails
            .iter()
            .position(ends)
            .or_else(|| rails.iter().position(Option::is_none))
            .unwrap_or(rails.len());
        let head = head(&rails, column, awaited, &is_over);
        for rail in &mut rails {
            *rail = rail.filter(|&of| !is_over(of));
        }
        if rails.len() <= column {
            rails.resize(column + 1, None);
        }
        if let Some(rail) = rails.get_mut(column) {
            *rail = Some(node).filter(|&node| !is_over(node));
        }
        while rails.last().is_some_and(Option::is_none) {
            rails.pop();
        }
        let below: Vec<&str> = rails
            .iter()
            .map(|rail| if rail.is_some() { "│" } else { " " })
            .collect();
        rows.push(Row {
            head,
            below: below.join(" "),
        });
    }
    level(&mut rows);
    rows
}

/// The node itself, and the lines to it from the rails of those that it waits for.
fn head(
    rails: &[Option<usize>],
    column: usize,
    awaited: &[usize],
    is_over: &impl Fn(usize) -> bool,
) -> String {
    let width = rails.len().max(column + 1);
    let joins = |at: usize| {
        rails
            .get(at)
            .copied()
            .flatten()
            .filter(|of| awaited.contains(of))
    };
    let joined = (0..width).filter(|&at| at == column || joins(at).is_some());
    let first = joined.clone().min().unwrap_or(column);
    let last = joined.max().unwrap_or(column);
    let mut head = String::new();
    for at in 0..width {
        let inside = first < at && at < last;
        head.push(match (joins(at), rails.get(at).copied().flatten()) {
            _ if at == column => '●',
            (Some(of), _) => match (is_over(of), at == first, at == last) {
                (true, true, _) => '└',
                (true, _, true) => '┘',
                (true, ..) => '┴',
                (false, true, _) => '├',
                (false, _, true) => '┤',
                (false, ..) => '┼',
            },
            // A rail that is only passed keeps its line.
            (None, Some(_)) => '│',
            (None, None) if inside => '─',
            (None, None) => ' ',
        });
        if at + 1 < width {
            head.push(if first <= at && at < last { '─' } else { ' ' });
        }
    }
    head
}

/// Makes all rows equally wide.
fn level(rows: &mut [Row]) {
    let length = |text: &String| text.chars().count();
    let width = rows
        .iter()
        .map(|row| length(&row.head).max(length(&row.below)))
        .max();
    let width = width.unwrap_or_default();
    for row in rows {
        for text in [&mut row.head, &mut row.below] {
            text.extend(iter::repeat_n(' ', width - length(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(waits: &[&[usize]], expected: &[&str]) {
        let waits: Vec<Vec<usize>> = waits.iter().map(|it| it.to_vec()).collect();
        let drawn: Vec<String> = rows(&waits)
            .into_iter()
            .flat_map(|row| [row.head, row.below])
            .map(|line| line.trim_end().to_owned())
            .collect();
        assert_eq!(drawn, expected, "\n{}", drawn.join("\n"));
    }

    #[test]
    fn what_waits_is_joined_to_what_it_waits_for() {
        check(&[&[]], &["●", ""]);
        check(&[&[], &[0], &[1]], &["●", "│", "●", "│", "●", ""]);
        check(
            &[&[], &[], &[0], &[0, 1, 2]],
            &["●", "│", "│ ●", "│ │", "├─│─●", "│ │ │", "●─┴─┘", ""],
        );
        // The first is done with before the last begins, so its column is free again.
        check(
            &[&[], &[], &[0], &[], &[1, 2, 3]],
            &[
                "●",
                "│",
                "│ ●",
                "│ │",
                "● │",
                "│ │",
                "│ │ ●",
                "│ │ │",
                "●─┴─┘",
                "",
            ],
        );
        // What nobody waits for has no rail.
        check(&[&[], &[], &[1]], &["●", "", "●", "│", "●", ""]);
    }

    proptest! {
        #[test]
        fn any_graph_is_drawn_and_every_row_is_as_wide(
            waits in prop::collection::vec(prop::collection::vec(0_usize..20, 0..5), 0..20)
        ) {
            let waits: Vec<Vec<usize>> = waits
                .into_iter()
                .enumerate()
                .map(|(node, list)| {
                    let mut list: Vec<usize> = list.into_iter().filter(|&other| other < node).collect();
                    list.sort_unstable();
                    list.dedup();
                    list
                })
                .collect();
            let drawn = rows(&waits);
            prop_assert_eq!(drawn.len(), waits.len());
            let width = drawn.first().map_or(0, |row| row.head.chars().count());
            for row in &drawn {
                prop_assert_eq!(row.head.matches('●').count(), 1);
                prop_assert_eq!(row.head.chars().count(), width);
                prop_assert_eq!(row.below.chars().count(), width);
            }
            // Every rail ends.
            prop_assert!(drawn.last().is_none_or(|row| row.below.trim().is_empty()));
        }
    }
}
