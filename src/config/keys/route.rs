//! Keys of routes, flows, steps and responses.

use super::{Choice, DAY, Default, NOTHING, Named, Section, Shape, key};

const FLOW_KEYS: &[&str] = &["steps"];
const CALL: &[&str] = &["call"];
const FOREACH: &[&str] = &["foreach"];
const ACTIONS: &[&str] = &["upstream", "steps", "flow", "respond", "redirect"];

pub static ROUTE: Section = Section {
    title: "[[routes]]",
    about: "Which requests, and what is done with them: exactly one of `upstream`, `steps`, `flow`, `respond`, `redirect`. \
            The most specific route wins, whatever the order in the file.",
    choices: &[Choice {
        keys: ACTIONS,
        needed: true,
    }],
    keys: &[
        key(
            "name",
            Shape::Text,
            Default::Words("methods and path"),
            "How logs, metrics and the admin listener call the route. No two are called the same.",
            "name = \"dashboard\"",
        ),
        key(
            "path",
            Shape::PathPattern,
            Default::Needed,
            "Which paths: segments are text, `{name}` for any one segment, or, last, `{name...}` for the rest, which may be empty.",
            "path = \"/users/{id}/files/{rest...}\"",
        ),
        key(
            "methods",
            Shape::OneOrMany(&Shape::Method),
            Default::Words(
                "any; for a flow: `[\"GET\"]` where it only reads, `[\"POST\"]` where a call writes",
            ),
            "Which methods. HEAD is answered by routes for GET.",
            "methods = [\"GET\", \"PUT\"]",
        ),
        key(
            "hosts",
            Shape::OneOrMany(&Shape::Host),
            Default::Words("any host"),
            "Which hosts: a name, or `*.` and a name for all names below it. Without port.",
            "hosts = [\"api.example.com\", \"*.shop.example.com\"]",
        ),
        key(
            "when",
            Shape::Expression,
            Default::Words("always"),
            "Anything else that must be true of the request; other routes are tried where it is not. It cannot read `body` or `caller`.",
            "when = \"'beta' in cookies\"",
        ),
        key(
            "priority",
            Shape::Integer(-1_000_000, 1_000_000),
            Default::Integer(0),
            "Higher goes first, before the most specific.",
            "priority = 10",
        ),
        key(
            "auth",
            Shape::OneOrMany(&Shape::Name(Named::Authenticator)),
            Default::Words("anybody may ask"),
            "Who may ask: any of these authenticators admits. Others get 401.",
            "auth = [\"customers\", \"partners\"]",
        ),
        key(
            "allow",
            Shape::Expression,
            Default::Words("true"),
            "Must be true, else 403. It can read `caller` and `claims` where the route has `auth`.",
            "allow = \"claims.sub == path.user || 'support' in claims.roles\"",
        ),
        key(
            "limits",
            Shape::OneOrMany(&Shape::Name(Named::Limit)),
            Default::Words("no limit"),
            "Limits that the request counts against; every one must admit it.",
            "limits = [\"per-customer\"]",
        ),
        key(
            "ip_allow",
            Shape::OneOrMany(&Shape::Network),
            Default::Words("any address"),
            "Client addresses that may ask; others get 403.",
            "ip_allow = [\"10.0.0.0/8\"]",
        ),
        key(
            "ip_deny",
            Shape::OneOrMany(&Shape::Network),
            Default::Words("no address"),
            "Client addresses that get 403, also where `ip_allow` has them.",
            "ip_deny = [\"10.6.6.6\"]",
        ),
        key(
            "body_bytes",
            Shape::Size(0, 1 << 40),
            Default::Words("the listener's"),
            "Bytes of the request's body; more is 413.",
            "body_bytes = \"1MiB\"",
        ),
        super::intake::CONTENT_TYPES,
        super::intake::VALIDATE,
        key(
            "upstream",
            Shape::Name(Named::Upstream),
            NOTHING,
            "Proxy: the request goes to this upstream, and the response back, both streamed.",
            "upstream = \"users\"",
        ),
        key(
            "rewrite",
            Shape::Template,
            Default::Words("the path as it came, in canonical form"),
            "The path to send, and perhaps a query in front of the request's own.",
            "rewrite = \"/v1/users/{path.id}\"",
        )
        .with(&["upstream"]),
        key(
            "steps",
            Shape::Named(Named::Step, &STEP),
            NOTHING,
            "Flow: calls to upstreams, made into one response.",
            "steps.user = { call = \"GET users:/v1/users/{path.id}\" }",
        ),
        key(
            "response",
            Shape::Table(&RESPONSE),
            Default::Words("the parts, each under its step's name"),
            "The response made of the steps.",
            "response.body = \"{'user': steps.user.body}\"",
        )
        .with(FLOW_KEYS),
        key(
            "part_bytes",
            Shape::Size(1, 1 << 30),
            Default::Text("10MiB"),
            "Bytes of one step's answer that are held in memory; more is a failure of the step.",
            "part_bytes = \"1MiB\"",
        )
        .with(FLOW_KEYS),
        key(
            "partial_writes",
            Shape::OneOf(&["accept"]),
            Default::Words("a mistake"),
            "Says that several calls that write may be done in part when one of them fails.",
            "partial_writes = \"accept\"",
        )
        .with(FLOW_KEYS),
        key(
            "progressive",
            Shape::Boolean,
            Default::Boolean(false),
            "A client that asks for `application/x-ndjson` or `text/event-stream` gets each part of the answer as soon as it is final, \
             and the outcome last. Others get the answer as usual.",
            "progressive = true",
        )
        .with(&["steps", "flow"]),
        key(
            "flow",
            Shape::Name(Named::Flow),
            NOTHING,
            "The steps and response of `[flows.NAME]`.",
            "flow = \"checkout\"",
        ),
        key(
            "respond",
            Shape::Table(&RESPOND),
            NOTHING,
            "A fixed answer.",
            "respond = { status = 200, text = \"ok\" }",
        ),
        key(
            "redirect",
            Shape::Either(&Shape::Template, &Shape::Table(&REDIRECT)),
            NOTHING,
            "A redirect, with status 307 in the short form. The text is a path or a URL.",
            "redirect = \"/v2/users/{path.id}\"",
        ),
        key(
            "timeout",
            Shape::Duration(1, DAY),
            Default::Text("30s"),
            "From the head of the request to the head of the response; for a flow, to the whole response. \
             Then the answer is 504.",
            "timeout = \"1s\"",
        )
        .with(&["upstream", "steps", "flow"]),
        key(
            "headers",
            Shape::Headers(&Shape::Template),
            NOTHING,
            "Headers set on the way to the upstream, in place of what the client sent.",
            "headers = { x-customer = \"{claims.sub}\" }",
        )
        .with(&["upstream"]),
        key(
            "remove_headers",
            Shape::OneOrMany(&Shape::Header),
            NOTHING,
            "Headers removed on the way to the upstream.",
            "remove_headers = [\"cookie\"]",
        )
        .with(&["upstream"]),
        key(
            "response_headers",
            Shape::Headers(&Shape::Template),
            NOTHING,
            "Headers set on the response.",
            "response_headers = { cache-control = \"no-store\" }",
        ),
        key(
            "on_error",
            Shape::Tables(&ON_ERROR),
            NOTHING,
            "What is answered in the place of an error of the upstream or the flow: by the first rule that holds.",
            "on_error = [{ when = \"error.cause == 'timeout'\", status = 200, body = \"{'items': []}\" }]",
        )
        .with(&["upstream", "steps", "flow"]),
    ],
};

static ON_ERROR: Section = Section {
    title: "on_error",
    about: "A rule for errors. Refusals of the guard (401, 403, 429) and responses that an upstream of a proxy route gave are none. \
            A rule whose own expressions have no value does not hold.",
    choices: &[],
    keys: &[
        key(
            "when",
            Shape::Expression,
            Default::Words("true"),
            "Which errors: it reads `error` (`cause`, `status`, `step`, `detail`) and the request, but not its body.",
            "when = \"error.step == 'stock' && error.status == 502\"",
        ),
        key(
            "status",
            Shape::Status(200, 599),
            Default::Words("the error's own"),
            "The status.",
            "status = 200",
        ),
        key(
            "headers",
            Shape::Headers(&Shape::Template),
            NOTHING,
            "Headers of the answer.",
            "headers = { x-cause = \"{error.cause}\" }",
        ),
        key(
            "body",
            Shape::Expression,
            Default::Words("the problem, with this status; nothing below 400"),
            "The body, as JSON.",
            "body = \"{'items': [], 'because': error.cause}\"",
        ),
    ],
};

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

static STEP: Section = Section {
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

static RESPONSE: Section = Section {
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

static RESPOND: Section = Section {
    title: "respond",
    about: "A fixed answer.",
    choices: &[Choice {
        keys: &["body", "text"],
        needed: false,
    }],
    keys: &[
        key(
            "status",
            Shape::Status(200, 599),
            Default::Integer(200),
            "The status.",
            "status = 503",
        ),
        key(
            "headers",
            Shape::Headers(&Shape::Template),
            NOTHING,
            "Headers of the answer.",
            "headers = { retry-after = \"120\" }",
        ),
        key(
            "body",
            Shape::Expression,
            NOTHING,
            "The body, as JSON.",
            "body = \"{'hello': path.name}\"",
        ),
        key(
            "text",
            Shape::Text,
            NOTHING,
            "The body, as plain text.",
            "text = \"ok\"",
        ),
    ],
};

static REDIRECT: Section = Section {
    title: "redirect",
    about: "A redirect.",
    choices: &[],
    keys: &[
        key(
            "to",
            Shape::Template,
            Default::Needed,
            "A path or a URL.",
            "to = \"https://www.example.com/{path.rest}\"",
        ),
        key(
            "status",
            Shape::Status(300, 399),
            Default::Integer(307),
            "The status: 307 and 308 keep the method, 308 and 301 are remembered by clients.",
            "status = 308",
        ),
    ],
};
