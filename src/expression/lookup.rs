//! Finds what a name in an expression means, and says what was meant where it means nothing.

use std::ops::Range;

use super::error::Mistake;
use super::names::{ErrorField, RequestField, RunField, StepField, Variable};
use super::node::Node;
use super::resolve::Resolver;
use super::suggest::{did_you_mean, suggest};
use super::syntax::{Syntax, SyntaxKind};
use super::value::{Type, Value};

impl<'a> Resolver<'a> {
    /// A name that stands alone.
    pub(super) fn name(&mut self, name: &str, at: &Range<usize>) -> Node {
        if let Some(place) = self.locals.iter().rposition(|local| local == name) {
            return Node::Local(place);
        }
        if let Some(kind) = Type::ALL.into_iter().find(|kind| kind.name() == name) {
            return Node::Constant(Value::Type(kind));
        }
        let mut known: Vec<&str> = self.roots();
        known.extend(self.locals.iter().map(String::as_str));
        let mut mistake = Mistake::new(at.clone(), format!("no such name: `{name}`"));
        mistake.help = did_you_mean(name, known.iter().copied())
            .or_else(|| {
                self.names
                    .steps
                    .iter()
                    .any(|step| step == name)
                    .then(|| format!("write `steps.{name}.body` for what the step gave"))
            })
            .or_else(|| {
                let path = self.names.path.iter().any(|known| known.name == name);
                path.then(|| format!("write `path.{name}` for the path parameter"))
            })
            .or_else(|| {
                Some(format!(
                    "names here: {}; a text stands in quotes",
                    known.join(", ")
                ))
            });
        self.mistake(mistake)
    }

    /// The names that can be read here.
    fn roots(&self) -> Vec<&'a str> {
        let names = self.names;
        let mut roots = vec!["request", "query", "headers", "cookies"];
        let flags = [
            (!names.path.is_empty(), "path"),
            (names.body, "body"),
            (names.caller, "caller"),
            (names.caller, "claims"),
            (!names.steps.is_empty(), "steps"),
            (names.item, "item"),
            (names.item, "index"),
            (names.run, "run"),
            (names.error, "error"),
        ];
        roots.extend(flags.iter().filter(|(is, _)| *is).map(|(_, name)| *name));
        roots.extend(names.given);
        roots
    }

    /// The variable that `syntax` is, as a whole; none where it is something else.
    pub(super) fn variable(&mut self, syntax: &Syntax) -> Option<Node> {
        let path = constant_path(syntax)?;
        let (root, _) = path.first()?;
        if self.is_local(root) {
            return None;
        }
        if let Some(kind) = type_named(&path) {
            return Some(Node::Constant(Value::Type(kind)));
        }
        let found = self.lookup(syntax, &path)?;
        Some(match found {
            Ok(variable) => {
                self.reads.note(&variable);
                self.reads_given |= matches!(variable, Variable::Given(_));
                Node::Variable(variable)
            }
            Err(mistake) => self.mistake(mistake),
        })
    }

    /// The variable at exactly this path, or why there is none.
    fn lookup(
        &self,
        syntax: &Syntax,
        path: &[(&str, Range<usize>)],
    ) -> Option<Result<Variable, Mistake>> {
        let names = self.names;
        let [(root, root_at), members @ ..] = path else {
            return None;
        };
        if let Some(place) = names.given.iter().position(|name| name == root) {
            return members.is_empty().then_some(Ok(Variable::Given(place)));
        }
        let whole = match *root {
            "query" => Some(Variable::QueryAll),
            "headers" => Some(Variable::HeadersAll),
            "cookies" => Some(Variable::CookiesAll),
            "body" if names.body => Some(Variable::Body),
            "caller" if names.caller => Some(Variable::Caller),
            "claims" if names.caller => Some(Variable::Claims),
            "item" if names.item => Some(Variable::Item),
            "index" if names.item => Some(Variable::Index),
            _ => None,
        };
        if let Some(whole) = whole {
            return match members {
                [] => Some(Ok(whole)),
                [(name, _)] => request_map(root, name).map(Ok),
                _ => None,
            };
        }
        if members.is_empty() && !is_root(root) {
            return None;
        }
        match *root {
            "request" => Self::field(root, members, syntax, RequestField::NAMES, |name| {
                RequestField::named(name).map(Variable::Request)
            }),
            "run" if names.run => Self::field(root, members, syntax, RunField::NAMES, |name| {
                RunField::named(name).map(Variable::Run)
            }),
            "error" if names.error => {
                Self::field(root, members, syntax, ErrorField::NAMES, |name| {
                    ErrorField::named(name).map(Variable::Error)
                })
            }
            "path" => self.path(members, syntax),
            "steps" => self.step(members, syntax),
            _ if is_root(root) => {
                // Said once, at the name itself.
                members.is_empty().then(|| {
                    Err(
                        Mistake::new(root_at.clone(), format!("`{root}` cannot be read here"))
                            .help(why_absent(root)),
                    )
                })
            }
            _ => None,
        }
    }

    fn field(
        root: &str,
        members: &[(&str, Range<usize>)],
        syntax: &Syntax,
        known: &[&'static str],
        find: impl Fn(&str) -> Option<Variable>,
    ) -> Option<Result<Variable, Mistake>> {
        let [(name, at)] = members else {
            return members.is_empty().then(|| {
                Err(Mistake::new(
                    syntax.at.clone(),
                    format!("`{root}` is not a value by itself"),
                )
                .help(format!("it has {}", list(root, known.iter().copied()))))
            });
        };
        Some(find(name).ok_or_else(|| {
            let help = did_you_mean(name, known.iter().copied())
                .unwrap_or_else(|| format!("it has {}", list(root, known.iter().copied())));
            Mistake::new(at.clone(), format!("`{root}` has no `{name}`")).help(help)
        }))
    }

    fn path(
        &self,
        members: &[(&str, Range<usize>)],
        syntax: &Syntax,
    ) -> Option<Result<Variable, Mistake>> {
        let known = || self.names.path.iter().map(|known| known.name.as_str());
        let all = || {
            if self.names.path.is_empty() {
                "the path of the route has no parameters".to_owned()
            } else {
                format!("the path has {}", list("path", known()))
            }
        };
        let [(name, at)] = members else {
            return members.is_empty().then(|| {
                Err(
                    Mistake::new(syntax.at.clone(), "`path` is not a value by itself")
                        .help(format!("{}; the whole path is `request.path`", all())),
                )
            });
        };
        let place = self.names.path.iter().position(|known| known.name == *name);
        Some(place.map(Variable::Path).ok_or_else(|| {
            Mistake::new(at.clone(), format!("the path has no parameter `{name}`"))
                .help(did_you_mean(name, known()).unwrap_or_else(all))
        }))
    }

    fn step(
        &self,
        members: &[(&str, Range<usize>)],
        syntax: &Syntax,
    ) -> Option<Result<Variable, Mistake>> {
        let steps = self.names.steps;
        let (step, step_at, field) = match members {
            [] => {
                let help = if steps.is_empty() {
                    "no step can be read here".to_owned()
                } else {
                    format!(
                        "write `steps.NAME.body`, with one of {}",
                        list("", steps.iter().map(String::as_str))
                    )
                };
                return Some(Err(Mistake::new(
                    syntax.at.clone(),
                    "`steps` is not a value by itself",
                )
                .help(help)));
            }
            [(step, at)] => (step, at, None),
            [(step, at), field] => (step, at, Some(field)),
            _ => return None,
        };
        let Some(index) = steps.iter().position(|known| known == step) else {
            // Said once, at the step's own name.
            let help = did_you_mean(step, steps.iter().map(String::as_str)).unwrap_or_else(|| {
                if steps.is_empty() {
                    "no step can be read here".to_owned()
                } else {
                    format!(
                        "the steps are {}",
                        list("", steps.iter().map(String::as_str))
                    )
                }
            });
            return field.is_none().then(|| {
                Err(Mistake::new(step_at.clone(), format!("no such step: `{step}`")).help(help))
            });
        };
        let Some((name, at)) = field else {
            return Some(Err(Mistake::new(
                syntax.at.clone(),
                format!("`steps.{step}` is not a value by itself"),
            )
            .help(format!(
                "write `steps.{step}.body` for what it gave; it has {}",
                list("", StepField::NAMES.iter().copied())
            ))));
        };
        Some(StepField::named(name).map_or_else(
            || {
                let help = suggest(name, StepField::NAMES.iter().copied()).map_or_else(
                    || format!("write `steps.{step}.body.{name}` for a field of its body"),
                    |field| format!("did you mean `{field}`?"),
                );
                Err(Mistake::new(at.clone(), format!("a step has no `{name}`")).help(help))
            },
            |field| Ok(Variable::Step { index, field }),
        ))
    }
}

/// The name and constant members that `syntax` consists of, outermost name first.
fn constant_path(syntax: &Syntax) -> Option<Vec<(&str, Range<usize>)>> {
    match &syntax.kind {
        SyntaxKind::Name(name) => Some(vec![(name, syntax.at.clone())]),
        SyntaxKind::Select {
            operand,
            field,
            optional: false,
        } => {
            let mut path = constant_path(operand)?;
            let end = syntax.at.end;
            path.push((field, end.saturating_sub(field.len())..end));
            Some(path)
        }
        SyntaxKind::Index {
            operand,
            index,
            optional: false,
        } => {
            let SyntaxKind::Literal(Value::String(field)) = &index.kind else {
                return None;
            };
            let mut path = constant_path(operand)?;
            path.push((field, index.at.clone()));
            Some(path)
        }
        _ => None,
    }
}

/// A type whose name has dots.
fn type_named(path: &[(&str, Range<usize>)]) -> Option<Type> {
    if path.len() == 1 {
        return None;
    }
    Type::ALL.into_iter().find(|kind| {
        kind.name()
            .split('.')
            .eq(path.iter().map(|(name, _)| *name))
    })
}

/// A member of one of the request's maps.
pub(super) fn request_map(root: &str, name: &str) -> Option<Variable> {
    match root {
        "query" => Some(Variable::Query(name.into())),
        "headers" => Some(Variable::Header(name.to_ascii_lowercase().into())),
        "cookies" => Some(Variable::Cookie(name.into())),
        _ => None,
    }
}

fn is_root(name: &str) -> bool {
    matches!(
        name,
        "request"
            | "path"
            | "body"
            | "caller"
            | "claims"
            | "steps"
            | "item"
            | "index"
            | "run"
            | "error"
    )
}

fn why_absent(root: &str) -> &'static str {
    match root {
        "body" => "the client's body is not read at this point",
        "caller" | "claims" => "the route has no `auth`, so nobody establishes who asks",
        "item" | "index" => "only a step with `foreach` has items",
        "run" => "only a flow has a run",
        "error" => "only where an error is handled is there an `error`",
        _ => "it belongs to another place",
    }
}

fn list<'a>(root: &str, names: impl Iterator<Item = &'a str>) -> String {
    let dot = if root.is_empty() { "" } else { "." };
    names
        .map(|name| format!("`{root}{dot}{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
