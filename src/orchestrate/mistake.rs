//! What can be wrong with a flow as a whole, in words for the person who wrote it.

use std::fmt;

use super::plan::STEPS_MAX;

/// A mistake of a flow that only its graph shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanMistake {
    /// The step it stands in; none where the flow as a whole is wrong.
    pub step: Option<usize>,
    pub kind: PlanMistakeKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanMistakeKind {
    /// Steps that wait for each other, each for the next, the last for the first.
    Cycle(Vec<String>),
    /// It only reads, and neither the response nor another step uses it.
    Unused {
        name: String,
    },
    /// More steps than a flow may have.
    TooMany {
        steps: usize,
    },
    NoSteps,
    /// Two steps have one name.
    SameName {
        name: String,
    },
    /// Several calls that write, without consent to their being done in part.
    PartialWrites {
        names: Vec<String>,
    },
    /// Something is repeated that is no call.
    ForeachWithoutCall {
        name: String,
    },
    /// A call that is made twice, and does twice what it does.
    HedgedWrite {
        name: String,
    },
    /// A part is kept whose call may change something, so making it less often is not the same.
    CachedWrite {
        name: String,
    },
    /// A default that nothing can make stand in.
    DefaultWithoutOptional {
        name: String,
    },
    /// Parts whose objects are to stand side by side are known to have the same key.
    SameKey {
        key: String,
        first: String,
        second: String,
    },
    /// A header is taken from a step that has no answer.
    NothingToForward {
        name: String,
        header: String,
    },
    /// A part is known to be no object where the merge takes objects.
    NoObject {
        name: String,
    },
}

impl PlanMistakeKind {
    /// How to put it right.
    pub fn help(&self) -> String {
        match self {
            Self::Cycle(_) => {
                "let one of them read something else, or take a step out of `after`".to_owned()
            }
            Self::Unused { name } => {
                format!("read `steps.{name}` in the response or in a step, or remove the step")
            }
            Self::TooMany { .. } => {
                "use `foreach` for calls that are alike, or split the flow".to_owned()
            }
            Self::NoSteps => "add a step, or use `respond` for a fixed answer".to_owned(),
            Self::SameName { .. } => "give one of them another name".to_owned(),
            Self::PartialWrites { .. } => "when one fails, the others stay done: if that is \
                 acceptable, say `partial_writes = \"accept\"`"
                .to_owned(),
            Self::ForeachWithoutCall { .. } => {
                "a list is computed by an expression: `list.map(item, ...)`".to_owned()
            }
            Self::HedgedWrite { .. } => {
                "remove `hedge`, or send an `idempotency-key` that the upstream honours".to_owned()
            }
            Self::CachedWrite { .. } => "remove `cache`; where the call only asks, as a search by \
                 POST does, say so with `read_only = true` in it"
                .to_owned(),
            Self::DefaultWithoutOptional { .. } => {
                "add `optional = true`, or remove the default".to_owned()
            }
            Self::SameKey { .. } => "say which of them counts with `on_conflict = \"first\"` or \
                 `\"last\"`, or give one of the keys another name"
                .to_owned(),
            Self::NothingToForward { .. } => {
                "take it from a step with `call` or `flow`, or set it in `headers`".to_owned()
            }
            Self::NoObject { .. } => {
                "use `merge = \"nest\"`, or make the response with `body`".to_owned()
            }
        }
    }
}

impl fmt::Display for PlanMistakeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle(names) => match names.as_slice() {
                [alone] => write!(f, "step `{alone}` waits for itself"),
                names => {
                    f.write_str("steps wait for each other: ")?;
                    for name in names {
                        write!(f, "`{name}` waits for ")?;
                    }
                    write!(f, "`{}`", names.first().map_or("", String::as_str))
                }
            },
            Self::Unused { name } => write!(f, "step `{name}` is never used"),
            Self::TooMany { steps } => {
                write!(f, "{steps} steps; a flow has at most {STEPS_MAX}")
            }
            Self::NoSteps => f.write_str("the flow has no steps"),
            Self::SameName { name } => write!(f, "two steps are called `{name}`"),
            Self::PartialWrites { names } => {
                f.write_str("several calls write, and nothing undoes them: ")?;
                list(names, f)
            }
            Self::ForeachWithoutCall { name } => {
                write!(f, "step `{name}` has `foreach`, and makes no call")
            }
            Self::HedgedWrite { name } => {
                write!(
                    f,
                    "step `{name}` has `hedge`, and its call may not be made twice"
                )
            }
            Self::CachedWrite { name } => {
                write!(
                    f,
                    "step `{name}` has `cache`, and its call may change something"
                )
            }
            Self::DefaultWithoutOptional { name } => write!(
                f,
                "the default of step `{name}` never stands in: the step is required"
            ),
            Self::SameKey { key, first, second } => write!(
                f,
                "the parts `{first}` and `{second}` both have the key `{key}`"
            ),
            Self::NothingToForward { name, header } => write!(
                f,
                "the response takes `{header}` from step `{name}`, which makes no call"
            ),
            Self::NoObject { name } => write!(
                f,
                "the part `{name}` is no object, and this merge puts objects side by side"
            ),
        }
    }
}

fn list(names: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, name) in names.iter().enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        write!(f, "{comma}`{name}`")?;
    }
    Ok(())
}
