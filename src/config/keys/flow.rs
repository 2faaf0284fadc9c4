//! The keys of a flow: its steps, and the response made of them.

use super::{Choice, DAY, Default, NOTHING, Named, Section, Shape, key};

const CALL: &[&str] = &["call"];
const FOREACH: &[&str] = &["foreach"];

pub static FLOW: Section = Section {
    title: "[flows.NAME]",
    about: "A named graph of steps and the response made of them, for routes to use. \
            It is checked for each route that uses it, since it may read the route's path parameters.",
    choices: &[],
    keys: &[
        key(
            "steps",
            Shape::Named(Named::Step, &STEP),
            Default::Needed,
            "Calls to upstreams and values, by name.",
            "steps.user = { call = \"GET users:/v1/users/{path.id}\" }",
        ),
        key(
            "response",
            Shape::Table(&RESPONSE),
            Default::Words("the parts, each under its step's name"),
            "The response made of the steps.",
            "response.body = \"{'user': steps.user.body}\"",
        ),
        key(
            "part_bytes",
            Shape::Size(1, 1 << 30),
            Default::Text("10MiB"),
            "Bytes of one step's answer that are held in memory; more is a failure of the step.",
            "part_bytes = \"1MiB\"",
        ),
        key(
            "partial_writes",
            Shape::OneOf(&["accept"]),
            Default::Words("a mistake"),
            "Says that several calls that write may be done in part when one of them fails.",
            "partial_writes = \"accept\"",
        ),
    ],
};

pub(super) static STEP: Section = Section {
    title: "steps.NAME",
    about: "One node of a flow. Steps that need nothing of each other start together; \
            what a step reads of others it waits for.",
    choices: &[Choice {
        keys: &["call", "value", "flow", "wait"],
        needed: true,
    }],
    keys: &[
        key(
            "call",
            Shape::Call,
            NOTHING,
            "A call: method, upstream, and a template for path and query.",
            "call = \"GET orders:/v1/orders?user={path.user}&limit=20\"",
        ),
        key(
            "value",
            Shape::Expression,
            NOTHING,
            "A value instead of a call; it is the step's `body`.",
            "value = \"steps.user.body.roles\"",
        ),
        key(
            "flow",
            Shape::Name(Named::Flow),
            NOTHING,
            "Another flow, run within this one; its answer is the step's `body`. It reads the same request, and its own `body` is \
             what `body` here says.",
            "flow = \"prices\"",
        ),
        key(
            "wait",
            Shape::Wait,
            NOTHING,
            "Nothing, for a while: a duration, or an expression that gives a duration or the time at which it ends.",
            "wait = \"200ms\"",
        ),
        key(
            "foreach",
            Shape::Expression,
            NOTHING,
            "A list: the call is made, or the flow run, once for each `item` of it, whose place is `index`. `body`, `status` and `outcome` are lists, \
             in the order of the items.",
            "foreach = \"steps.orders.body.ids\"",
        )
        .with(&["call", "flow"]),
        key(
            "concurrency",
            Shape::Integer(1, 1000),
            Default::Integer(8),
            "Calls at work at once.",
            "concurrency = 4",
        )
        .with(FOREACH),
        key(
            "max_items",
            Shape::Integer(1, 100_000),
            Default::Integer(100),
            "More items are a failure of the step.",
            "max_items = 500",
        )
        .with(FOREACH),
        key(
            "distinct",
            Shape::Boolean,
            Default::Boolean(true),
            "Equal calls are made once.",
            "distinct = false",
        )
        .with(FOREACH),
        key(
            "chunk",
            Shape::Integer(1, 100_000),
            Default::Words("one item a call"),
            "One call for so many items: `item` is a list of them, and the answer a list of as many.",
            "chunk = 50",
        )
        .with(FOREACH),
        key(
            "retry",
            Shape::Table(&super::upstream::RETRY),
            Default::Words("the upstream's"),
            "When the call is tried again.",
            "retry = { attempts = 3, on = [\"connect\", \"5xx\"] }",
        )
        .with(CALL),
        key(
            "hedge",
            Shape::Duration(1, DAY),
            NOTHING,
            "When no answer has come for so long, the same is asked once more, and the first good answer counts. \
             Only for calls that may be made twice.",
            "hedge = \"80ms\"",
        )
        .with(CALL),
        key(
            "cache",
            Shape::Either(&Shape::Duration(1, DAY), &Shape::Table(&super::cache::CACHE)),
            Default::Words("nothing is kept"),
            "How long what the call brings is kept for equal calls. Only for calls that change nothing.",
            "cache = \"30s\"",
        )
        .with(CALL),
        key(
            "headers",
            Shape::Headers(&Shape::Template),
            NOTHING,
            "Headers of the call.",
            "headers = { x-customer = \"{claims.sub}\" }",
        )
        .with(CALL),
        key(
            "query",
            Shape::Pairs(&Shape::Expression),
            NOTHING,
            "Query parameters behind those of `call`, each an expression.",
            "query = { limit = \"20\", tag = \"query.tag\" }",
        )
        .with(CALL),
        key(
            "body",
            Shape::Expression,
            NOTHING,
            "The body of the call, as JSON; `body` alone sends the client's body as it came. For `flow`: what it reads as `body`.",
            "body = \"{'sku': body.sku}\"",
        )
        .with(&["call", "flow"]),
        key(
            "forward",
            Shape::OneOrMany(&Shape::Header),
            Default::Words("tracing and request id only"),
            "Headers of the request to pass on.",
            "forward = [\"accept-language\"]",
        )
        .with(CALL),
        key(
            "accept",
            Shape::OneOrMany(&Shape::Statuses),
            Default::List(&["2xx"]),
            "Statuses that count as success.",
            "accept = [\"2xx\", \"404\"]",
        )
        .with(CALL),
        super::upstream::DECODE,
        key(
            "timeout",
            Shape::Duration(1, DAY),
            Default::Words("the upstream's"),
            "How long one attempt may take, or the flow, within the route's `timeout`.",
            "timeout = \"300ms\"",
        )
        .with(&["call", "flow"]),
        key(
            "when",
            Shape::Expression,
            Default::Words("true"),
            "False: the step is skipped, and is null to those that read it.",
            "when = \"steps.user.body.newsletter\"",
        ),
        key(
            "after",
            Shape::OneOrMany(&Shape::Name(Named::Step)),
            NOTHING,
            "Steps to wait for beside those that the expressions read.",
            "after = [\"charge\"]",
        ),
        key(
            "optional",
            Shape::Boolean,
            Default::Boolean(false),
            "Its failure does not fail the flow.",
            "optional = true",
        ),
        key(
            "default",
            Shape::Expression,
            Default::Words("null"),
            "What stands in the place of an optional step that failed.",
            "default = \"[]\"",
        ),
    ],
};

pub(super) static RESPONSE: Section = Section {
    title: "response",
    about: "The response made of the steps.",
    choices: &[Choice {
        keys: &["body", "merge"],
        needed: false,
    }],
    keys: &[
        key(
            "status",
            Shape::Status(200, 599),
            Default::Integer(200),
            "The status when every required step is ok.",
            "status = 201",
        ),
        key(
            "headers",
            Shape::Headers(&Shape::Template),
            NOTHING,
            "Headers of the response.",
            "headers = { location = \"/orders/{steps.order.body.id}\" }",
        ),
        key(
            "forward",
            Shape::OneOrMany(&Shape::Either(&Shape::Header, &Shape::Table(&super::forward::FORWARD))),
            NOTHING,
            "Headers of the parts' answers to pass on. `headers` stand in their place.",
            "forward = [\"set-cookie\", { header = \"vary\", on_conflict = \"append\" }]",
        ),
        key(
            "body",
            Shape::Expression,
            Default::Words("the parts, merged"),
            "The body, as JSON. Parts that are only moved come out byte for byte.",
            "body = \"{'user': steps.user.body, 'orders': steps.orders.body}\"",
        ),
        key(
            "merge",
            Shape::OneOf(&["nest", "flatten", "deep", "concat", "first"]),
            Default::Text("nest"),
            "How the parts become one body: `nest`, each under its step's name; `flatten`, their objects side by side; `deep`, the same, \
             and objects under one key are merged too; `concat`, arrays one behind the other; `first`, the first part to succeed, \
             the rest are cancelled.",
            "merge = \"flatten\"",
        ),
        key(
            "on_conflict",
            Shape::OneOf(&["error", "first", "last"]),
            Default::Text("error"),
            "What happens when two parts of `flatten` or `deep` have the same key: the answer is 500, or the part wins that stands first or last in the file.",
            "on_conflict = \"first\"",
        )
        .with(&["merge"]),
    ],
};
