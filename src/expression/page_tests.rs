//! Holds `docs/expressions.md` to the tables of functions and to what its examples say.

use std::fmt::Write as _;

use super::tests::evaluate;
use super::*;

const PAGE: &str = include_str!("../../docs/expressions.md");

const START: &str = "a test holds them together -->\n";
const END: &str = "<!-- end of functions -->";

/// The part of the page that is made of the tables.
fn functions_part() -> String {
    let mut part = String::new();
    for (group, functions) in functions::GROUPS {
        write!(part, "\n### {group}\n\n").unwrap();
        for function in *functions {
            let (usage, about, example) = (function.usage, function.about, function.example);
            writeln!(part, "- `{usage}`: {about} `{example}`").unwrap();
        }
    }
    part.push_str("\n### Macros\n\n");
    for known in MACROS {
        writeln!(
            part,
            "- `{}`: {} `{}`",
            known.usage, known.about, known.example
        )
        .unwrap();
    }
    part.push('\n');
    part
}

#[test]
fn the_page_lists_every_function() {
    let (_, rest) = PAGE.split_once(START).unwrap();
    let (shown, _) = rest.split_once(END).unwrap();
    let wanted = functions_part();
    assert!(shown == wanted, "put this in its place:\n{wanted}");
}

#[test]
fn every_example_of_the_page_gives_what_it_says() {
    let mut examples = 0;
    for block in PAGE.split("```cel\n").skip(1) {
        let (lines, _) = block.split_once("```").unwrap();
        for line in lines.lines() {
            let (text, wanted) = line.rsplit_once("->").unwrap();
            let value = evaluate(text.trim()).unwrap();
            let json = value.to_json(1 << 16).unwrap();
            assert_eq!(std::str::from_utf8(&json), Ok(wanted.trim()), "{text}");
            examples += 1;
        }
    }
    assert!(examples > 10);
}
