//! Keys of headers that a response takes from its parts.

use super::{Default, Named, Section, Shape, key};

pub static FORWARD: Section = Section {
    title: "forward (of a response)",
    about: "A header of the parts' answers that the response passes on.",
    choices: &[],
    keys: &[
        key(
            "header",
            Shape::Header,
            Default::Needed,
            "Which. Of `cache-control` the strictest of all is made; `set-cookie` is always appended.",
            "header = \"x-total-count\"",
        ),
        key(
            "from",
            Shape::OneOrMany(&Shape::Name(Named::Step)),
            Default::Words("any step"),
            "The steps that it is taken from.",
            "from = [\"orders\"]",
        ),
        key(
            "on_conflict",
            Shape::OneOf(&["first", "last", "append", "error"]),
            Default::Text("first"),
            "What happens when several answers have it: that of the step counts that stands first or last in the file; all are appended, each a line of \
             its own; or, where they differ, the answer is 500.",
            "on_conflict = \"append\"",
        ),
    ],
};
