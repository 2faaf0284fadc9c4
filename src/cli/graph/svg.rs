//! Flows as one picture that a browser shows as it is, in light and in dark.

use std::fmt::{self, Display, Write as _};

use super::layout::{Graph, Layout, PORT, layout};
use super::{Drawing, Kind, Node};

/// Of one character, in tenths of a pixel: all text is of one width, so that boxes fit everywhere.
const CHARACTER: i32 = 73;

/// From one line of text to the next.
const LINE: i32 = 18;

/// Around the text of a box.
const PADDING: i32 = 12;

/// Around everything, and between flows.
const MARGIN: i32 = 24;

/// For the name of a flow.
const TITLE: i32 = 34;

/// Characters of a line in a box; what is longer goes on in the next.
const WIDTH_MAX: usize = 52;

/// Characters of a line that may stay empty, so that it ends between words.
const RAGGED_MAX: usize = 16;

/// Lines that one text takes; what is longer still is cut.
const LINES_MAX: usize = 4;

/// Characters of a label.
const LABEL_MAX: usize = 24;

const STYLE: &str = "\
text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #24292f }
.title { font-size: 15px; font-weight: bold }
.name { font-weight: bold }
.label { font-size: 11px; fill: #57606a }
.paper { fill: #ffffff }
.box { fill: #f6f8fa; stroke: #8c959f }
.optional { stroke-dasharray: 5 4 }
.line { fill: none; stroke: #8c959f; stroke-width: 1.5 }
.head { fill: #8c959f }
.call { fill: #0969da } .value { fill: #8c959f } .flow { fill: #8250df } .wait { fill: #bf8700 } .response { fill: #1a7f37 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.label { fill: #9da7b3 }
.paper { fill: #0d1117 }
.box { fill: #161b22; stroke: #6e7681 }
.line { stroke: #6e7681 }
.head { fill: #6e7681 }
.call { fill: #58a6ff } .value { fill: #8b949e } .flow { fill: #bc8cff } .wait { fill: #d29922 } .response { fill: #3fb950 }
}";

/// The drawings below each other.
pub(super) struct Svg<'a>(pub(super) &'a [Drawing]);

/// A drawing with everything in its place.
struct Placed<'a> {
    drawing: &'a Drawing,
    /// The lines of each box.
    texts: Vec<Vec<String>>,
    sizes: Vec<(i32, i32)>,
    layout: Layout,
}

impl Display for Svg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placed: Vec<Placed<'_>> = self.0.iter().map(Placed::new).collect();
        let width = placed.iter().map(Placed::width).max().unwrap_or_default() + 2 * MARGIN;
        let height = placed.iter().map(|it| it.height() + MARGIN).sum::<i32>() + MARGIN;
        let titles: Vec<&str> = self
            .0
            .iter()
            .map(|drawing| drawing.title.as_str())
            .collect();
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">"
        )?;
        writeln!(f, "<title>{}</title>", escaped(&titles.join(", ")))?;
        writeln!(f, "<style>\n{STYLE}\n</style>")?;
        writeln!(
            f,
            "<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>"
        )?;
        let mut top = MARGIN;
        for one in &placed {
            writeln!(f, "<g transform=\"translate({MARGIN} {top})\">")?;
            one.draw(f)?;
            writeln!(f, "</g>")?;
            top += one.height() + MARGIN;
        }
        f.write_str("</svg>")
    }
}

impl<'a> Placed<'a> {
    fn new(drawing: &'a Drawing) -> Self {
        let texts: Vec<Vec<String>> = drawing.nodes.iter().map(lines).collect();
        // Lines at the side where there are more of them.
        let lines_at = |node: usize| {
            let arriving = drawing.edges.iter().filter(|edge| edge.to == node).count();
            let leaving = drawing
                .edges
                .iter()
                .filter(|edge| edge.from == node)
                .count();
            arriving.max(leaving)
        };
        let sizes: Vec<(i32, i32)> = texts
            .iter()
            .enumerate()
            .map(|(node, lines)| {
                let widest = lines
                    .iter()
                    .map(|line| width_of(line))
                    .max()
                    .unwrap_or_default();
                let ends = i32::try_from(lines_at(node)).unwrap_or_default() * PORT;
                let height = i32::try_from(lines.len()).unwrap_or_default() * LINE;
                // Even, so that middles are whole.
                let height = (height + 2 * PADDING - 6).max(ends + PADDING);
                (widest + 2 * PADDING + 4, height + height % 2)
            })
            .collect();
        let lines = drawing
            .edges
            .iter()
            .map(|edge| (edge.from, edge.to, width_of(&label(&edge.because)) + 22))
            .collect();
        let layout = layout(&Graph {
            boxes: sizes.clone(),
            lines,
        });
        Self {
            drawing,
            texts,
            sizes,
            layout,
        }
    }

    fn width(&self) -> i32 {
        self.layout.width.max(width_of(&self.drawing.title) * 5 / 4)
    }

    fn height(&self) -> i32 {
        self.layout.height + TITLE
    }

    fn draw(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "<text class=\"title\" x=\"0\" y=\"14\">{}</text>",
            escaped(&self.drawing.title)
        )?;
        writeln!(f, "<g transform=\"translate(0 {TITLE})\">")?;
        for (points, edge) in self.layout.lines.iter().zip(&self.drawing.edges) {
            line(f, points, &label(&edge.because))?;
        }
        let boxes = self.layout.boxes.iter().zip(&self.sizes);
        for ((node, texts), (at, size)) in self.drawing.nodes.iter().zip(&self.texts).zip(boxes) {
            draw_box(f, node, texts, *at, *size)?;
        }
        writeln!(f, "</g>")
    }
}

/// A box with its text; the bar at its left says of which kind it is.
fn draw_box(
    f: &mut fmt::Formatter<'_>,
    node: &Node,
    texts: &[String],
    (x, y): (i32, i32),
    (width, height): (i32, i32),
) -> fmt::Result {
    let optional = if node.optional { " optional" } else { "" };
    let kind = match node.kind {
        Kind::Call => "call",
        Kind::Value => "value",
        Kind::Flow => "flow",
        Kind::Wait => "wait",
        Kind::Response => "response",
    };
    writeln!(
        f,
        "<rect class=\"box{optional}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n\
         <rect class=\"{kind}\" x=\"{}\" y=\"{}\" width=\"4\" height=\"{}\" rx=\"2\"/>",
        x + 4,
        y + 6,
        height - 12
    )?;
    let count = i32::try_from(texts.len()).unwrap_or_default();
    let mut base = y + (height - count * LINE) / 2 + 13;
    let mut class = " class=\"name\"";
    for text in texts {
        let left = x + PADDING + 4;
        writeln!(
            f,
            "<text{class} x=\"{left}\" y=\"{base}\" xml:space=\"preserve\">{}</text>",
            escaped(text)
        )?;
        class = "";
        base += LINE;
    }
    Ok(())
}

/// A line, with its head and its label at its end.
fn line(f: &mut fmt::Formatter<'_>, points: &[(i32, i32)], label: &str) -> fmt::Result {
    let Some(&(x, y)) = points.first() else {
        return Ok(());
    };
    let mut path = format!("M{x} {y}");
    let mut from = (x, y);
    for &(x, y) in points.iter().skip(1) {
        // Writing to a string does not fail.
        let _ = if y == from.1 {
            write!(path, " H{x}")
        } else {
            let middle = i32::midpoint(from.0, x);
            write!(path, " C{middle} {} {middle} {y} {x} {y}", from.1)
        };
        from = (x, y);
    }
    let (x, y) = from;
    writeln!(f, "<path class=\"line\" d=\"{path}\"/>")?;
    writeln!(f, "<path class=\"head\" d=\"M{x} {y} l-8 -4 v8 z\"/>")?;
    writeln!(
        f,
        "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        x - 12,
        y - 3,
        escaped(label)
    )
}

/// The lines that a box shows.
fn lines(node: &Node) -> Vec<String> {
    node.lines.iter().flat_map(|line| wrapped(line)).collect()
}

/// A text on as many lines as it needs, within bounds.
fn wrapped(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let letters: Vec<char> = words.join(" ").chars().collect();
    let mut lines: Vec<String> = Vec::new();
    let mut rest = letters.as_slice();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(end_of_line(rest));
        lines.push(line.iter().collect());
        rest = behind;
    }
    if lines.len() > LINES_MAX {
        lines.truncate(LINES_MAX);
        if let Some(last) = lines.last_mut() {
            last.pop();
            last.push('…');
        }
    }
    lines
}

/// How many characters go on the next line: as many as fit, but rather up to where a word ends.
fn end_of_line(letters: &[char]) -> usize {
    if letters.len() <= WIDTH_MAX {
        return letters.len();
    }
    let ends = |c: char| matches!(c, ' ' | '/' | '?' | '&' | ',' | '}' | ')' | ']');
    let line = letters.iter().take(WIDTH_MAX).rev().take(RAGGED_MAX);
    let back = line.copied().position(ends).unwrap_or_default();
    WIDTH_MAX - back
}

fn label(because: &str) -> String {
    let mut label: String = because.chars().take(LABEL_MAX).collect();
    if label.len() < because.len() {
        label.push('…');
    }
    label
}

fn width_of(text: &str) -> i32 {
    let characters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 100);
    (characters * CHARACTER).div_euclid(10) + 1
}

/// Text that XML takes for nothing else. What XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                safe.push(' ');
            }
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_go_on_and_end() {
        assert_eq!(wrapped("a  b\n c"), ["a b c"]);
        let lines = wrapped(&"x".repeat(1000));
        assert_eq!(lines.len(), LINES_MAX);
        let words = wrapped(&"twelve chars ".repeat(8));
        assert!(
            words.iter().all(|line| !line.starts_with("welve")),
            "{words:?}"
        );
        assert!(lines.last().unwrap().ends_with('…'));
        assert_eq!(label(&"y".repeat(100)).chars().count(), LABEL_MAX + 1);
    }

    #[test]
    fn text_cannot_become_a_tag() {
        assert_eq!(
            escaped("<a b=\"c\">&\u{1}"),
            "&lt;a b=&quot;c&quot;&gt;&amp; "
        );
    }
}
