//! The answer of an endpoint: its parts merged, and `proxy.static` where it applies.

use serde_json::Value;

use super::backend::Backend;
use super::endpoint::table_of_route;
use super::shape::{self, Part};
use crate::cli::import::cel;
use crate::cli::import::fields::Fields;
use crate::cli::import::page::{Block, excerpt, quoted_lines};

/// `proxy.static`: data that is put into answers.
#[derive(Debug)]
pub(super) struct Fixed<'a> {
    data: &'a Value,
    /// Into those that are well.
    when_well: bool,
    /// In the place of an error.
    when_failed: bool,
}

impl<'a> Fixed<'a> {
    pub(super) fn read(proxy: &Fields<'a>, block: &mut Block) -> Option<Self> {
        let fields = proxy.object("static")?;
        let data = fields.value("data").filter(|data| data.is_object())?;
        let strategy = fields.text("strategy").unwrap_or("always");
        let (when_well, when_failed) = match strategy {
            "always" => (true, true),
            "success" | "complete" => (true, false),
            "errored" => (false, true),
            "incomplete" => {
                block.note("`static` for `incomplete` answers: there are none, so it stands in the place of an error");
                (false, true)
            }
            other => {
                block.note(format!(
                    "`static`: the strategy {} is not known",
                    excerpt(other)
                ));
                return None;
            }
        };
        Some(Self {
            data,
            when_well,
            when_failed,
        })
    }
}

/// Writes `response`, and `on_error` where `static` says what to answer then.
pub(super) fn write(
    backends: &[Backend<'_>],
    fixed: Option<&Fixed<'_>>,
    output: &str,
    block: &mut Block,
) {
    let parts: Vec<Part> = backends.iter().map(shape::part).collect();
    for (at, backend) in backends.iter().enumerate() {
        let group = backend.group.as_deref();
        let earlier = backends
            .iter()
            .take(at)
            .any(|other| other.group.as_deref() == group);
        if group.is_some() && earlier {
            block.note(format!(
                "{} is the group of two backends: the later one wins",
                excerpt(group.unwrap_or_default())
            ));
        }
    }
    let is_list = output == "json-collection";
    match output {
        "" | "json" | "fast-json" | "negotiate" | "json-collection" => {}
        other => block.note(format!(
            "output encoding {}: the answer is JSON",
            excerpt(other)
        )),
    }
    table_of_route("response", block);
    let well = fixed.filter(|fixed| fixed.when_well);
    let all_plain = parts.iter().all(|part| matches!(part, Part::Plain(_)));
    if all_plain && parts.len() > 1 && well.is_none() && !is_list {
        block.line("merge = \"flatten\"");
        block.line("on_conflict = \"last\"");
    } else {
        let mut body = match (parts.as_slice(), is_list) {
            ([Part::Keyed(entries)], true) => collection(entries),
            (_, true) => format!("default({}.collection, [])", shape::merged(parts)),
            (_, false) => shape::merged(parts),
        };
        if let Some(fixed) = well {
            body = format!("{body}\n  .merge({})", cel::value(fixed.data));
        }
        block.line(format!("body = {}", quoted_lines(&body)));
    }
    if let Some(fixed) = fixed.filter(|fixed| fixed.when_failed) {
        block.line("");
        block.line("[[routes.on_error]]");
        block.line("status = 200");
        block.line(format!("body = {}", quoted_lines(&cel::value(fixed.data))));
    }
}

/// The list that stands under `collection`.
fn collection(entries: &[(String, String)]) -> String {
    let found = entries.iter().find(|(key, _)| key == "collection");
    found.map_or_else(|| "[]".to_owned(), |(_, expression)| expression.clone())
}
