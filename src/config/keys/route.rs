//! The keys of a route, and of what it answers by itself.

use super::flow::{RESPONSE, STEP};
use super::{Choice, DAY, Default, NOTHING, Named, Section, Shape, key};

const FLOW_KEYS: &[&str] = &["steps"];
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
