//! Texts that nobody meant to write: they are refused, and nothing panics.

use proptest::prelude::*;

use super::*;

fn sample() -> String {
    std::fs::read_to_string(folder("good").join("everything.toml")).unwrap()
}

fn survives(text: &str) {
    if let Err(mistakes) = load_text_with("x.toml", text, &folder("good"), &lookup) {
        assert!(mistakes.count() > 0);
        assert!(!mistakes.to_string().is_empty());
        drop(mistakes.to_json());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_good_file_with_a_part_cut_out_never_panics(from in 0_usize..6000, length in 0_usize..400) {
        let text = sample();
        let mut from = from.min(text.len());
        while !text.is_char_boundary(from) { from -= 1; }
        let mut to = (from + length).min(text.len());
        while !text.is_char_boundary(to) { to -= 1; }
        let to = to.max(from);
        survives(&format!("{}{}", text.get(..from).unwrap(), text.get(to..).unwrap()));
    }

    #[test]
    fn a_good_file_with_something_put_in_never_panics(at in 0_usize..6000, put in "\\PC{0,12}|[\\[\\]{}\"'=.$\\\\\n]{1,6}") {
        let text = sample();
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) { at -= 1; }
        survives(&format!("{}{put}{}", text.get(..at).unwrap(), text.get(at..).unwrap()));
    }

    #[test]
    fn a_good_file_with_two_lines_swapped_never_panics(one in 0_usize..200, two in 0_usize..200) {
        let text = sample();
        let mut lines: Vec<&str> = text.lines().collect();
        let count = lines.len();
        lines.swap(one % count, two % count);
        survives(&lines.join("\n"));
    }

    #[test]
    fn any_text_never_panics(text in "(?s).{0,200}") {
        survives(&text);
    }
}
