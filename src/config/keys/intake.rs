//! Keys of routes that say what a request's body may be.

use super::{Default, Key, NOTHING, Section, Shape, key};

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

pub const VALIDATE: Key = key(
    "validate",
    Shape::Either(&Shape::File, &SCHEMA_TABLE),
    NOTHING,
    "A JSON Schema that a request's body must fit, else the answer is 422, with what does not fit and where. \
     What is checked is what an expression reads as `body`, so forms can be checked too; a body that cannot be read so is 400 or 415. \
     It is held in memory, and without `body_bytes` it has at most 1MiB. A proxy route sends it on as it came.",
    "validate = \"schemas/order.json\"",
);

static SCHEMA_TABLE: Shape = Shape::Table(&SCHEMA);

static SCHEMA: Section = Section {
    title: "validate",
    about: "A JSON Schema for the bodies of requests: draft 2020-12, or the one that its `$schema` names. It stands in one document: `$ref` \
            leads to places in it, and nothing is ever fetched. Patterns are without look-around and back references, so that they take linear time.",
    choices: &[],
    keys: &[
        key(
            "schema",
            Shape::Either(&Shape::File, &Shape::Json),
            Default::Needed,
            "A file, which is watched like this one, or the schema itself.",
            "schema = { type = \"object\", required = [\"sku\"] }",
        ),
        key(
            "formats",
            Shape::Boolean,
            Default::Boolean(true),
            "Whether `format` is checked: `date-time`, `email`, `uuid` and so on.",
            "formats = false",
        ),
    ],
};
