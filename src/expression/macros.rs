//! Calls that are more than functions: they bind a name, or look at an argument unevaluated.

use std::ops::Range;

use super::error::Mistake;
use super::lookup::request_map;
use super::node::{Comprehension, ComprehensionKind, Node};
use super::resolve::Resolver;
use super::syntax::{Syntax, SyntaxKind};

/// A macro, for the documentation and for hints.
#[derive(Debug)]
pub struct Macro {
    pub name: &'static str,
    pub usage: &'static str,
    pub about: &'static str,
    /// An expression that is true.
    pub example: &'static str,
}

pub const MACROS: &[Macro] = &[
    Macro {
        name: "has",
        usage: "has(value.field)",
        about: "Whether the field is there; of a variable, whether it is there and not null.",
        example: "has({'a': 1}.a) && !has({'a': 1}.b)",
    },
    Macro {
        name: "default",
        usage: "default(value, otherwise)",
        about: "The value, or what stands behind it where the value is missing or null.",
        example: "default({'a': 1}.b, 2) == 2",
    },
    Macro {
        name: "all",
        usage: "list.all(x, condition)",
        about: "Whether the condition holds for every element; for every key of a map.",
        example: "[1, 2, 3].all(x, x > 0)",
    },
    Macro {
        name: "exists",
        usage: "list.exists(x, condition)",
        about: "Whether the condition holds for some element.",
        example: "[1, 2, 3].exists(x, x > 2)",
    },
    Macro {
        name: "exists_one",
        usage: "list.exists_one(x, condition)",
        about: "Whether the condition holds for one element and no other; also `existsOne`.",
        example: "[1, 2, 3].exists_one(x, x > 2)",
    },
    Macro {
        name: "filter",
        usage: "list.filter(x, condition)",
        about: "The elements for which the condition holds.",
        example: "[1, 2, 3].filter(x, x > 1) == [2, 3]",
    },
    Macro {
        name: "map",
        usage: "list.map(x, value)",
        about: "A list of the value made of each element; with three arguments, of each for which the second holds.",
        example: "[1, 2, 3].map(x, x > 1, x * 10) == [20, 30]",
    },
    Macro {
        name: "transformList",
        usage: "list.transformList(i, x, value)",
        about: "Like `map`, with the place or key of each element as well.",
        example: "['a', 'b'].transformList(i, x, x + string(i)) == ['a0', 'b1']",
    },
    Macro {
        name: "transformMap",
        usage: "map.transformMap(k, v, value)",
        about: "A map with the same keys and a value made of each entry.",
        example: "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
    },
    Macro {
        name: "transformMapEntry",
        usage: "map.transformMapEntry(k, v, {key: value})",
        about: "A map of the entries made of each entry; a key made twice is an error.",
        example: "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
    },
    Macro {
        name: "sortBy",
        usage: "list.sortBy(x, key)",
        about: "The elements in ascending order of the key made of each; equal ones stay in order.",
        example: "[{'n': 2}, {'n': 1}].sortBy(x, x.n) == [{'n': 1}, {'n': 2}]",
    },
    Macro {
        name: "groupBy",
        usage: "list.groupBy(x, key)",
        about: "A map from each key made of an element to the list of the elements that make it.",
        example: "[1, 2, 3].groupBy(x, x % 2 == 1) == {true: [1, 3], false: [2]}",
    },
    Macro {
        name: "indexBy",
        usage: "list.indexBy(x, key)",
        about: "A map from the key made of each element to the element; of equal keys the last wins.",
        example: "[{'id': 'a'}, {'id': 'b'}].indexBy(x, x.id)['b'] == {'id': 'b'}",
    },
    Macro {
        name: "cel.bind",
        usage: "cel.bind(name, value, expression)",
        about: "The expression, in which the name stands for the value, computed once.",
        example: "cel.bind(x, 2 + 3, x * x) == 25",
    },
    Macro {
        name: "optMap",
        usage: "optional.optMap(x, value)",
        about: "An optional of the value made of what it holds; none stays none.",
        example: "optional.of(1).optMap(x, x + 1).value() == 2",
    },
    Macro {
        name: "optFlatMap",
        usage: "optional.optFlatMap(x, optional)",
        about: "The optional made of what it holds; none stays none.",
        example: "!optional.of({'a': 1}).optFlatMap(x, x.?b).hasValue()",
    },
];

impl Resolver<'_> {
    /// The node of a macro call; none where it is no macro.
    pub(super) fn macro_call(
        &mut self,
        receiver: Option<&Syntax>,
        name: &str,
        arguments: &[Syntax],
        at: &Range<usize>,
    ) -> Option<Node> {
        let Some(receiver) = receiver else {
            return match (name, arguments) {
                ("has", [argument]) => Some(self.has(argument)),
                ("default", [value, otherwise]) => {
                    Some(Node::Default(self.boxed(value), self.boxed(otherwise)))
                }
                ("has" | "default", _) => Some(self.wrong_arguments(name, arguments.len(), at)),
                _ => None,
            };
        };
        if name == "bind" && matches!(&receiver.kind, SyntaxKind::Name(space) if space == "cel") {
            return Some(match arguments {
                [local, value, body] => self.bind(local, value, body),
                _ => self.wrong_arguments("cel.bind", arguments.len(), at),
            });
        }
        if let "optMap" | "optFlatMap" = name {
            let [local, body] = arguments else {
                return Some(self.wrong_arguments(name, arguments.len(), at));
            };
            let operand = self.boxed(receiver);
            let body = self.within(&[local], name, |resolver| resolver.boxed(body));
            return Some(Node::OptionalMap {
                operand,
                body,
                flat: name == "optFlatMap",
            });
        }
        self.comprehension(receiver, name, arguments, at)
    }

    fn wrong_arguments(&mut self, name: &str, given: usize, at: &Range<usize>) -> Node {
        let usage = MACROS
            .iter()
            .find(|known| known.name == name)
            .map_or("", |known| known.usage);
        let given = super::resolve::count(given);
        self.mistake(
            Mistake::new(at.clone(), format!("`{name}` does not take {given}"))
                .help(format!("it is written `{usage}`")),
        )
    }

    fn has(&mut self, argument: &Syntax) -> Node {
        let SyntaxKind::Select {
            operand,
            field,
            optional: false,
        } = &argument.kind
        else {
            return self.mistake(
                Mistake::new(argument.at.clone(), "`has` takes a field")
                    .help("write `has(value.field)`, or `'key' in value`"),
            );
        };
        if let SyntaxKind::Name(root) = &operand.kind
            && !self.is_local(root)
            && let Some(variable) = request_map(root, field)
        {
            self.reads.note(&variable);
            return Node::HasVariable(variable);
        }
        match self.node(argument) {
            Node::Variable(variable) => Node::HasVariable(variable),
            Node::Select(operand, field) => Node::Has(operand, field),
            broken => broken,
        }
    }

    fn bind(&mut self, local: &Syntax, value: &Syntax, body: &Syntax) -> Node {
        let value = self.boxed(value);
        let body = self.within(&[local], "cel.bind", |resolver| resolver.boxed(body));
        Node::Bind(value, body)
    }

    /// Resolves what stands inside, with the names that these arguments are.
    fn within<T>(
        &mut self,
        locals: &[&Syntax],
        name: &str,
        inside: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.locals.len();
        for local in locals {
            let mut text = String::new();
            if let SyntaxKind::Name(local) = &local.kind {
                text.clone_from(local);
            } else {
                let usage = MACROS
                    .iter()
                    .find(|known| known.name == name)
                    .map_or("list.all(x, condition)", |known| known.usage);
                self.mistake(
                    Mistake::new(local.at.clone(), format!("`{name}` needs a name here"))
                        .help(format!("it is written `{usage}`")),
                );
            }
            if self
                .locals
                .get(before..)
                .is_some_and(|new| new.contains(&text))
            {
                self.mistake(Mistake::new(local.at.clone(), "both names are the same"));
            }
            self.locals.push(text);
        }
        let made = inside(self);
        self.locals.truncate(before);
        made
    }

    fn comprehension(
        &mut self,
        receiver: &Syntax,
        name: &str,
        arguments: &[Syntax],
        at: &Range<usize>,
    ) -> Option<Node> {
        use ComprehensionKind as Kind;
        // How many arguments are names, the condition if there is one, and the body.
        let (kind, locals, filter, body) = match (name, arguments) {
            ("all", [locals @ .., body]) if fits(locals, 1, 2) => (Kind::All, locals, None, body),
            ("exists", [locals @ .., body]) if fits(locals, 1, 2) => {
                (Kind::Exists, locals, None, body)
            }
            ("exists_one" | "existsOne", [locals @ .., body]) if fits(locals, 1, 2) => {
                (Kind::ExistsOne, locals, None, body)
            }
            ("filter", [locals @ .., body]) if fits(locals, 1, 1) => {
                (Kind::Filter, locals, None, body)
            }
            ("sortBy", [locals @ .., body]) if fits(locals, 1, 1) => {
                (Kind::SortBy, locals, None, body)
            }
            ("groupBy", [locals @ .., body]) if fits(locals, 1, 1) => {
                (Kind::GroupBy, locals, None, body)
            }
            ("indexBy", [locals @ .., body]) if fits(locals, 1, 1) => {
                (Kind::IndexBy, locals, None, body)
            }
            ("map", [locals @ .., body]) if fits(locals, 1, 1) => (Kind::Map, locals, None, body),
            ("map", [locals @ .., filter, body]) if fits(locals, 1, 1) => {
                (Kind::Map, locals, Some(filter), body)
            }
            ("transformList", [locals @ .., body]) if fits(locals, 2, 2) => {
                (Kind::Map, locals, None, body)
            }
            ("transformList", [locals @ .., filter, body]) if fits(locals, 2, 2) => {
                (Kind::Map, locals, Some(filter), body)
            }
            ("transformMap", [locals @ .., body]) if fits(locals, 2, 2) => {
                (Kind::TransformMap, locals, None, body)
            }
            ("transformMap", [locals @ .., filter, body]) if fits(locals, 2, 2) => {
                (Kind::TransformMap, locals, Some(filter), body)
            }
            ("transformMapEntry", [locals @ .., body]) if fits(locals, 2, 2) => {
                (Kind::TransformMapEntry, locals, None, body)
            }
            ("transformMapEntry", [locals @ .., filter, body]) if fits(locals, 2, 2) => {
                (Kind::TransformMapEntry, locals, Some(filter), body)
            }
            ("existsOne", _) => {
                return Some(self.wrong_arguments("exists_one", arguments.len(), at));
            }
            _ if is_comprehension(name) => {
                return Some(self.wrong_arguments(name, arguments.len(), at));
            }
            _ => return None,
        };
        let range = self.node(receiver);
        let names: Vec<&Syntax> = locals.iter().collect();
        let (filter, body) = self.within(&names, name, |resolver| {
            (
                filter.map(|filter| resolver.node(filter)),
                resolver.node(body),
            )
        });
        Some(Node::Comprehension(Box::new(Comprehension {
            kind,
            range,
            variables: names.len(),
            filter,
            body,
        })))
    }
}

fn fits(locals: &[Syntax], least: usize, most: usize) -> bool {
    (least..=most).contains(&locals.len())
}

fn is_comprehension(name: &str) -> bool {
    MACROS.iter().any(|known| {
        known.name == name && (known.usage.starts_with("list.") || known.usage.starts_with("map."))
    })
}
