//! The tables of `docs/routes.md` and `docs/testing.md`, made from the catalogue.

use super::keys::{self, Default, Key, Section, alternatives, sections};

/// Every section with its keys: shape, default, meaning and example of each, as Markdown.
pub fn reference() -> String {
    reference_of(&keys::ROOT)
}

/// The same for the files of `concertina test`.
pub fn cases_reference() -> String {
    reference_of(&keys::CASES)
}

fn reference_of(file: &'static Section) -> String {
    let mut text = String::new();
    for section in sections(file) {
        text.push_str(&describe(section));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn describe(section: &Section) -> String {
    let mut text = format!("### {}\n\n{}\n", heading(section.title), section.about);
    for choice in section.choices {
        let names: Vec<_> = choice.keys.iter().map(|name| format!("`{name}`")).collect();
        let most = if choice.needed {
            "Exactly one of"
        } else {
            "At most one of"
        };
        text.push('\n');
        text.push_str(most);
        text.push(' ');
        text.push_str(&names.join(", "));
        text.push_str(" is given.\n");
    }
    text.push_str(
        "\n| key | value | default | meaning | example |\n| --- | --- | --- | --- | --- |\n",
    );
    for key in section.keys {
        text.push_str(&row(key));
    }
    text.push('\n');
    text
}

fn heading(title: &str) -> String {
    if title.starts_with('[') {
        format!("`{title}`")
    } else {
        match title.split_once(' ') {
            Some((name, of)) if of.starts_with('(') => format!("`{name}` {of}"),
            _ if title.contains(' ') => {
                let mut chars = title.chars();
                let first = chars.next().map(|c| c.to_ascii_uppercase());
                first.into_iter().chain(chars).collect()
            }
            _ => format!("`{title}`"),
        }
    }
}

fn row(key: &Key) -> String {
    let default = match key.default {
        Default::Needed => "needed".to_owned(),
        Default::Words(words) => words.to_owned(),
        Default::Text(text) => format!("`\"{text}\"`"),
        Default::Integer(integer) => format!("`{integer}`"),
        Default::Boolean(boolean) => format!("`{boolean}`"),
        Default::List(list) => {
            let members: Vec<_> = list.iter().map(|member| format!("\"{member}\"")).collect();
            format!("`[{}]`", members.join(", "))
        }
    };
    let mut meaning = key.about.to_owned();
    if !key.with.is_empty() {
        let with: Vec<_> = key.with.iter().map(|name| format!("`{name}`")).collect();
        meaning = format!("{meaning} Beside {} only.", alternatives(&with));
    }
    if key.secret {
        meaning.push_str(" Never shown.");
    }
    let example = key
        .example
        .lines()
        .map(|line| format!("`{}`", cell(line)))
        .collect::<Vec<_>>()
        .join("<br>");
    format!(
        "| `{}` | {} | {} | {} | {example} |\n",
        key.name,
        cell(&key.shape.describe()),
        cell(&default),
        cell(&meaning),
    )
}

/// Text that may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
