//! Where the boxes of a graph stand and how its lines run: in columns, from left to right, each box
//! behind those that it waits for, with as few crossings as a few sweeps find.
//!
//! All in whole pixels, so that the same graph is the same picture everywhere.

use std::collections::BTreeMap;

/// Between two boxes of a column.
const BETWEEN: i32 = 22;

/// What a line takes of a column that it only passes.
const LANE: i32 = 14;

/// For a line to bend between two columns.
const BEND: i32 = 44;

/// Between the ends of two lines at one box.
pub(super) const PORT: i32 = 17;

/// How often columns are ordered and moved.
const SWEEPS: usize = 6;

/// A graph to lay out.
pub(super) struct Graph {
    /// Width and height of each box.
    pub(super) boxes: Vec<(i32, i32)>,
    /// From, to, and the width of the label at the end. There are no circles.
    pub(super) lines: Vec<(usize, usize, i32)>,
}

/// Where everything is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Upper left corner of each box.
    pub(super) boxes: Vec<(i32, i32)>,
    /// The points of each line: pairs at the borders of the columns that it passes, then where its
    /// label begins and where it ends.
    pub(super) lines: Vec<Vec<(i32, i32)>>,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// A box, or the place in a column that a line passes.
#[derive(Clone, Copy, Debug)]
struct Item {
    column: usize,
    height: i32,
    /// Its middle.
    y: i32,
}

/// The graph while it is laid out.
struct Columns {
    items: Vec<Item>,
    /// Items from top to bottom, by column.
    order: Vec<Vec<usize>>,
    /// Items that a line leads through, first and last included.
    chains: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

/// Lays a graph out.
pub(super) fn layout(graph: &Graph) -> Layout {
    let mut columns = Columns::of(graph);
    for sweep in 0..SWEEPS {
        columns.sort(sweep % 2 == 0);
    }
    columns.stack();
    for sweep in 0..SWEEPS {
        columns.settle(sweep % 2 == 0);
    }
    columns.finish(graph)
}

/// The column of each box: as far left as what it waits for allows; the last box stands last.
fn columns(graph: &Graph) -> Vec<usize> {
    let mut columns = vec![0_usize; graph.boxes.len()];
    // A chain has at most as many lines as there are boxes.
    for _ in 0..graph.boxes.len() {
        for &(from, to, _) in &graph.lines {
            let behind = columns.get(from).map_or(0, |column| column + 1);
            if let Some(column) = columns.get_mut(to) {
                *column = (*column).max(behind).min(graph.boxes.len());
            }
        }
    }
    let last = columns.iter().copied().max().unwrap_or_default();
    if let Some(column) = columns.last_mut() {
        *column = last;
    }
    columns
}

impl Columns {
    fn of(graph: &Graph) -> Self {
        let columns = columns(graph);
        let item = |column: &usize, height: i32| Item {
            column: *column,
            height,
            y: 0,
        };
        let boxes = columns.iter().zip(&graph.boxes);
        let mut items: Vec<Item> = boxes
            .map(|(column, &(_, height))| item(column, height))
            .collect();
        let mut chains = Vec::new();
        for &(from, to, _) in &graph.lines {
            let (first, last) = (columns.get(from).copied(), columns.get(to).copied());
            let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
            let mut chain = vec![from];
            for column in first + 1..last {
                chain.push(items.len());
                items.push(item(&column, LANE));
            }
            chain.push(to);
            chains.push(chain);
        }
        let mut this = Self {
            before: vec![Vec::new(); items.len()],
            after: vec![Vec::new(); items.len()],
            order: vec![Vec::new(); columns.iter().max().map_or(0, |last| last + 1)],
            items,
            chains,
        };
        for (at, item) in this.items.iter().enumerate() {
            if let Some(column) = this.order.get_mut(item.column) {
                column.push(at);
            }
        }
        for chain in &this.chains {
            for (&one, &next) in chain.iter().zip(chain.iter().skip(1)) {
                this.after
                    .get_mut(one)
                    .into_iter()
                    .for_each(|it| it.push(next));
                this.before
                    .get_mut(next)
                    .into_iter()
                    .for_each(|it| it.push(one));
            }
        }
        this
    }

    /// Puts each item of each column in the middle of its neighbours in the column before (or
    /// after).
    fn sort(&mut self, forward: bool) {
        let mut places: Vec<usize> = vec![0; self.items.len()];
        let place = |places: &mut Vec<usize>, column: &[usize]| {
            for (at, &item) in column.iter().enumerate() {
                if let Some(place) = places.get_mut(item) {
                    *place = at;
                }
            }
        };
        for column in &self.order {
            place(&mut places, column);
        }
        let neighbours = if forward { &self.before } else { &self.after };
        let count = self.order.len();
        for step in 0..count {
            let at = if forward { step } else { count - 1 - step };
            let Some(column) = self.order.get_mut(at) else {
                continue;
            };
            column.sort_by_cached_key(|&item| {
                let near = neighbours.get(item).map_or(&[][..], Vec::as_slice);
                let sum: usize = near.iter().filter_map(|&other| places.get(other)).sum();
                // Those without neighbours stay where they are.
                let own = places.get(item).copied().unwrap_or_default();
                let middle = (sum * 100).checked_div(near.len()).unwrap_or(own * 100);
                (middle, own)
            });
            place(&mut places, column);
        }
    }

    /// Puts the items of each column below each other.
    fn stack(&mut self) {
        for column in &self.order {
            let mut top = 0;
            for &item in column {
                if let Some(item) = self.items.get_mut(item) {
                    item.y = top + item.height / 2;
                    top += item.height + BETWEEN;
                }
            }
        }
    }

    /// Moves the items of each column towards the middle of their neighbours, as far as those above
    /// and below allow.
    fn settle(&mut self, forward: bool) {
        let count = self.order.len();
        for step in 0..count {
            let at = if forward { step } else { count - 1 - step };
            let column = self.order.get(at).cloned().unwrap_or_default();
            let neighbours = if forward { &self.before } else { &self.after };
            let wanted: Vec<i32> = column
                .iter()
                .map(|&item| {
                    let near = neighbours.get(item).map_or(&[][..], Vec::as_slice);
                    let own = self.items.get(item).map_or(0, |item| item.y);
                    let ys = near.iter().filter_map(|&other| self.items.get(other));
                    let sum: i32 = ys.map(|other| other.y).sum();
                    i32::try_from(near.len())
                        .ok()
                        .and_then(|count| sum.checked_div(count))
                        .unwrap_or(own)
                })
                .collect();
            let heights: Vec<i32> = column
                .iter()
                .map(|&item| self.items.get(item).map_or(0, |item| item.height))
                .collect();
            for (&item, y) in column.iter().zip(apart(&wanted, &heights)) {
                if let Some(item) = self.items.get_mut(item) {
                    item.y = y;
                }
            }
        }
    }

    fn finish(mut self, graph: &Graph) -> Layout {
        let top = self
            .items
            .iter()
            .map(|item| item.y - item.height / 2)
            .min()
            .unwrap_or_default();
        for item in &mut self.items {
            item.y -= top;
        }
        let (lefts, widths) = self.lefts(graph);
        let left = |column: usize| lefts.get(column).copied().unwrap_or_default();
        let width = |column: usize| widths.get(column).copied().unwrap_or_default();
        let boxes = self
            .items
            .iter()
            .zip(&graph.boxes)
            .map(|(item, &(own, height))| {
                // Boxes stand in the middle of their column, so that short ones do not look lost.
                (
                    left(item.column) + (width(item.column) - own) / 2,
                    item.y - height / 2,
                )
            });
        let boxes: Vec<(i32, i32)> = boxes.collect();
        let ports = self.ports();
        let lines =
            self.chains
                .iter()
                .zip(&graph.lines)
                .enumerate()
                .map(|(line, (chain, edge))| {
                    let &(from, to, label) = edge;
                    let own = graph.boxes.get(from).map_or(0, |size| size.0);
                    let start = boxes.get(from).map_or(0, |at| at.0) + own;
                    let end = boxes.get(to).map_or(0, |at| at.0);
                    let port = |side: usize| ports.get(&(line, side)).copied().unwrap_or_default();
                    let from_column = self.items.get(from).map_or(0, |item| item.column);
                    let mut points = vec![
                        (start, port(0)),
                        (left(from_column) + width(from_column), port(0)),
                    ];
                    for &lane in chain.iter().take(chain.len().saturating_sub(1)).skip(1) {
                        if let Some(item) = self.items.get(lane) {
                            points.push((left(item.column), item.y));
                            points.push((left(item.column) + width(item.column), item.y));
                        }
                    }
                    let to_column = self.items.get(to).map_or(0, |item| item.column);
                    points.push((left(to_column) - label, port(1)));
                    points.push((end, port(1)));
                    points
                });
        Layout {
            lines: lines.collect(),
            width: widths
                .last()
                .zip(lefts.last())
                .map_or(0, |(width, left)| width + left),
            height: self
                .items
                .iter()
                .map(|item| item.y + item.height / 2)
                .max()
                .unwrap_or_default(),
            boxes,
        }
    }

    /// The left border and the width of each column.
    fn lefts(&self, graph: &Graph) -> (Vec<i32>, Vec<i32>) {
        let mut widths = vec![0; self.order.len()];
        for (item, &(width, _)) in self.items.iter().zip(&graph.boxes) {
            if let Some(widest) = widths.get_mut(item.column) {
                *widest = width.max(*widest);
            }
        }
        let mut labels = vec![0; self.order.len()];
        for &(_, to, label) in &graph.lines {
            let column = self.items.get(to).map_or(0, |item| item.column);
            if let Some(widest) = labels.get_mut(column) {
                *widest = label.max(*widest);
            }
        }
        let mut lefts = Vec::new();
        let mut x = 0;
        for (width, label) in widths.iter().zip(&labels) {
            x += if lefts.is_empty() { 0 } else { BEND + label };
            lefts.push(x);
            x += width;
        }
        (lefts, widths)
    }

    /// Where each line leaves (0) and arrives (1): side by side, in the order of where they come
    /// from and go to.
    fn ports(&self) -> BTreeMap<(usize, usize), i32> {
        let mut sides: BTreeMap<(usize, usize), Vec<(i32, usize)>> = BTreeMap::new();
        let y = |item: Option<&usize>| item.and_then(|&it| self.items.get(it)).map_or(0, |it| it.y);
        for (line, chain) in self.chains.iter().enumerate() {
            if let (Some(&first), Some(&last)) = (chain.first(), chain.last()) {
                let near = (chain.get(1), chain.iter().rev().nth(1));
                sides.entry((first, 0)).or_default().push((y(near.0), line));
                sides.entry((last, 1)).or_default().push((y(near.1), line));
            }
        }
        let mut ports = BTreeMap::new();
        for ((item, side), mut ends) in sides {
            ends.sort_unstable();
            let middle = y(Some(&item));
            let count = i32::try_from(ends.len()).unwrap_or_default();
            for (at, (_, line)) in (0_i32..).zip(ends) {
                ports.insert((line, side), middle + (2 * at - (count - 1)) * PORT / 2);
            }
        }
        ports
    }
}

/// Middles as near to the wanted ones as can be without boxes in each other's way: neighbours that
/// would be, stand together around the mean of what they want.
fn apart(wanted: &[i32], heights: &[i32]) -> Vec<i32> {
    // How far each middle is below that of the first at least.
    let mut offsets = Vec::new();
    let mut offset = 0;
    let mut above: Option<i32> = None;
    for &height in heights {
        offset += above.map_or(0, |above| i32::midpoint(above, height) + BETWEEN);
        offsets.push(offset);
        above = Some(height);
    }
    // Groups that stand together: sum of what is wanted of the first, and how many.
    let mut groups: Vec<(i64, i64)> = Vec::new();
    for (&wanted, &offset) in wanted.iter().zip(&offsets) {
        let mut group = (i64::from(wanted) - i64::from(offset), 1);
        while let Some(&(sum, count)) = groups.last()
            && sum * group.1 > group.0 * count
        {
            groups.pop();
            group = (group.0 + sum, group.1 + count);
        }
        groups.push(group);
    }
    let starts = groups.iter().flat_map(|&(sum, count)| {
        let mean = sum.div_euclid(count);
        (0..count).map(move |_| i32::try_from(mean).unwrap_or_default())
    });
    starts
        .zip(&offsets)
        .map(|(start, offset)| start + offset)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn overlaps(graph: &Graph, layout: &Layout) -> bool {
        let boxes: Vec<(i32, i32, i32, i32)> = layout
            .boxes
            .iter()
            .zip(&graph.boxes)
            .map(|(&(x, y), &(width, height))| (x, y, x + width, y + height))
            .collect();
        boxes.iter().enumerate().any(|(at, one)| {
            boxes
                .iter()
                .skip(at + 1)
                .any(|two| one.0 < two.2 && two.0 < one.2 && one.1 < two.3 && two.1 < one.3)
        })
    }

    #[test]
    fn what_waits_stands_to_the_right() {
        let graph = Graph {
            boxes: vec![(100, 40); 4],
            lines: vec![(0, 1, 30), (0, 3, 30), (1, 3, 30), (2, 3, 30)],
        };
        let layout = layout(&graph);
        let x = |at: usize| layout.boxes[at].0;
        assert!(x(0) < x(1) && x(1) < x(3) && x(2) < x(3), "{layout:?}");
        assert!(!overlaps(&graph, &layout), "{layout:?}");
    }

    #[test]
    fn neighbours_share_what_they_cannot_both_have() {
        assert_eq!(apart(&[0, 0], &[20, 20]), [-21, 21]);
        assert_eq!(apart(&[0, 100], &[20, 20]), [0, 100]);
        assert_eq!(apart(&[], &[]), [] as [i32; 0]);
    }

    proptest! {
        #[test]
        fn boxes_never_lie_on_each_other(
            boxes in prop::collection::vec((10_i32..300, 10_i32..200), 1..20),
            lines in prop::collection::vec((0_usize..20, 0_usize..20, 0_i32..80), 0..40),
        ) {
            let count = boxes.len();
            let lines = lines.into_iter().filter(|&(from, to, _)| from < to && to < count).collect();
            let graph = Graph { boxes, lines };
            let made = layout(&graph);
            prop_assert!(!overlaps(&graph, &made), "{made:?}");
            prop_assert_eq!(made.lines.len(), graph.lines.len());
            for (points, &(from, to, _)) in made.lines.iter().zip(&graph.lines) {
                let start = made.boxes[from].0 + graph.boxes[from].0;
                prop_assert_eq!(points.first().unwrap().0, start);
                prop_assert_eq!(points.last().unwrap().0, made.boxes[to].0);
            }
            prop_assert_eq!(layout(&graph), made);
        }
    }
}
