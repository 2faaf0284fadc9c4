//! Keys of routes that say what a request's body may be.

use super::{Default, Key, Shape, key};

pub const CONTENT_TYPES: Key = key(
    "content_types",
    Shape::Either(
        &Shape::OneOrMany(&Shape::MediaRange),
        &Shape::Pairs(&Shape::Size(0, 1 << 40)),
    ),
    Default::Words("any; where an expression reads `body`: JSON and forms"),
    "Types of a request's body; others get 415, as does a body without a type. A table says how many bytes a body of each type may have, \
     in the place of `body_bytes`.",
    "content_types = { \"application/json\" = \"64KiB\", \"multipart/form-data\" = \"20MiB\" }",
);
