//! Keys of `*.test.toml`: what `concertina test` is told to try.

use super::{Choice, DAY, Default, NOTHING, Section, Shape, key};

/// The whole file.
pub static CASES: Section = Section {
    title: "the test file",
    about: "Requests to try, what the upstreams answer them, and what must come of it.",
    choices: &[],
    keys: &[
        key(
            "include",
            Shape::List(&Shape::Text, 0),
            Default::List(&[]),
            "Other files that belong to this one, such as one with answers that several test files share.",
            "include = [\"answers.toml\"]",
        ),
        key(
            "file",
            Shape::File,
            Default::Text("routes.toml"),
            "The file that is tried, relative to this one.",
            "file = \"../routes.toml\"",
        ),
        key(
            "env",
            Shape::Pairs(&Shape::Text),
            NOTHING,
            "What `${NAME}` is in the file that is tried, in place of the environment's.",
            "env = { ADMIN_TOKEN = \"for-tests-only-0123456789abcdef\" }",
        ),
        key(
            "answers",
            Shape::Tables(&ANSWER),
            NOTHING,
            "What upstreams answer, in every case of the file.",
            "[[answers]]\nto = \"GET users:/v1/users/ada\"\njson = { id = \"ada\" }",
        ),
        key(
            "cases",
            Shape::Tables(&CASE),
            Default::Needed,
            "What is tried. Each case meets a gateway of its own: no limit, connection or cache is left of the one before.",
            "[[cases]]\nname = \"users are found\"\nrequest = \"GET /users/ada\"\nexpect = { status = 200 }",
        ),
    ],
};

static CASE: Section = Section {
    title: "[[cases]]",
    about: "One request and what must come of it.",
    choices: &[],
    keys: &[
        key(
            "name",
            Shape::Text,
            Default::Needed,
            "What the case shows. Unique in its file; `--filter` looks for it.",
            "name = \"a dashboard without orders\"",
        ),
        key(
            "request",
            Shape::Either(&Shape::Text, &Shape::Table(&REQUEST)),
            Default::Needed,
            "What the client sends: method and path, or more.",
            "request = \"GET /api/dashboard/ada?limit=5\"",
        ),
        key(
            "caller",
            Shape::Either(&Shape::Text, &Shape::Table(&CALLER)),
            Default::Words("nobody: only what `request.headers` say"),
            "Who asks, by name or with more. The request gets a credential that the route's authenticator takes, so no token has to be made.",
            "caller = \"ada\"",
        ),
        key(
            "limits",
            Shape::Boolean,
            Default::Boolean(false),
            "Whether the limits of routes count. Their headers are absent otherwise.",
            "limits = true",
        ),
        key(
            "answers",
            Shape::Tables(&ANSWER),
            NOTHING,
            "What upstreams answer in this case; looked at before the answers of the file.",
            "answers = [{ to = \"GET orders:*\", fails = \"refuse\" }]",
        ),
        key(
            "expect",
            Shape::Table(&EXPECT),
            Default::Needed,
            "What must come of it.",
            "expect = { status = 200 }",
        ),
    ],
};

static REQUEST: Section = Section {
    title: "request",
    about: "What the client sends.",
    choices: &[Choice {
        keys: &["json", "body", "body_file"],
        needed: false,
    }],
    keys: &[
        key(
            "method",
            Shape::Method,
            Default::Text("GET"),
            "The method.",
            "method = \"POST\"",
        ),
        key(
            "path",
            Shape::UrlPath,
            Default::Needed,
            "Path and perhaps query, as the client sends them.",
            "path = \"/api/orders?express=1\"",
        ),
        key(
            "host",
            Shape::Text,
            Default::Text("localhost"),
            "The `Host` field.",
            "host = \"shop.example.com\"",
        ),
        key(
            "headers",
            Shape::Headers(&Shape::Text),
            NOTHING,
            "Fields of the request.",
            "headers = { accept-language = \"de\" }",
        ),
        key(
            "json",
            Shape::JsonValue,
            NOTHING,
            "The body, with its `content-type`. A text is taken as JSON as it stands.",
            "json = { sku = \"b-7\", quantity = 2 }",
        ),
        key(
            "body",
            Shape::AnyText,
            NOTHING,
            "The body, as it is.",
            "body = \"a=1&b=2\"",
        ),
        key(
            "body_file",
            Shape::File,
            NOTHING,
            "A file with the body.",
            "body_file = \"order.json\"",
        ),
        key(
            "from",
            Shape::Network,
            Default::Text("127.0.0.1"),
            "The client's address.",
            "from = \"203.0.113.7\"",
        ),
        key(
            "listen",
            Shape::Address,
            Default::Words("the first listener that does not redirect"),
            "The listener that it comes by, by its address in the file.",
            "listen = \"127.0.0.1:8080\"",
        ),
        key(
            "times",
            Shape::Integer(1, 10_000),
            Default::Integer(1),
            "How often it is sent, one after the other. The last answer is looked at, and all calls count.",
            "times = 4",
        ),
    ],
};

static CALLER: Section = Section {
    title: "caller",
    about: "Who asks.",
    choices: &[],
    keys: &[
        key(
            "name",
            Shape::Text,
            Default::Needed,
            "`caller.name`; of a token also the claim `sub`.",
            "name = \"ada\"",
        ),
        key(
            "claims",
            Shape::Json,
            NOTHING,
            "What the credential claims. Of a token, `iss`, `aud` and `exp` are made to fit where they are not given here.",
            "claims = { roles = [\"support\"] }",
        ),
        key(
            "auth",
            Shape::Text,
            Default::Words("the first authenticator of the route"),
            "The authenticator that the credential is for.",
            "auth = \"customers\"",
        ),
    ],
};

static ANSWER: Section = Section {
    title: "[[answers]]",
    about: "What an upstream answers to some of its calls. The first answer that fits a call and is not used up is given.",
    choices: &[Choice {
        keys: &["json", "body", "body_file"],
        needed: false,
    }],
    keys: &[
        key(
            "to",
            Shape::Text,
            Default::Needed,
            "The calls: method, upstream, path and query, as in a step's `call`. `*` is any method, or any characters. \
             Without a query any query fits; parameters fit in any order.",
            "to = \"GET orders:/v1/orders?user=ada&limit=*\"",
        ),
        key(
            "status",
            Shape::Status(200, 599),
            Default::Integer(200),
            "The status.",
            "status = 503",
        ),
        key(
            "headers",
            Shape::Headers(&Shape::Text),
            NOTHING,
            "Fields of the answer.",
            "headers = { cache-control = \"max-age=60\" }",
        ),
        key(
            "json",
            Shape::JsonValue,
            NOTHING,
            "The body, with its `content-type`. A text is taken as JSON as it stands, byte for byte.",
            "json = '[{\"id\": 7, \"total\": 12.50}]'",
        ),
        key(
            "body",
            Shape::AnyText,
            NOTHING,
            "The body, as it is.",
            "body = \"<html>down for maintenance</html>\"",
        ),
        key(
            "body_file",
            Shape::File,
            NOTHING,
            "A file with the body.",
            "body_file = \"answers/orders.json\"",
        ),
        key(
            "after",
            Shape::Duration(0, DAY),
            Default::Text("0ms"),
            "How long the upstream takes, by the test's own clock: nothing is waited for.",
            "after = \"300ms\"",
        ),
        key(
            "fails",
            Shape::OneOf(&["refuse", "reset", "timeout", "cut"]),
            Default::Words("it does not"),
            "How the call fails: no connection; closed before the response; no response, ever; or broken off within the body.",
            "fails = \"timeout\"",
        ),
        key(
            "times",
            Shape::Integer(1, 10_000),
            Default::Words("any number of times"),
            "How often the answer is given; then the next that fits is.",
            "times = 1",
        ),
    ],
};

static EXPECT: Section = Section {
    title: "expect",
    about: "What must come of a case. What is not named is not looked at.",
    choices: &[
        Choice {
            keys: &["json", "includes", "body", "body_file"],
            needed: false,
        },
        Choice {
            keys: &["calls", "calls_include"],
            needed: false,
        },
    ],
    keys: &[
        key(
            "status",
            Shape::Status(100, 599),
            Default::Needed,
            "The status.",
            "status = 200",
        ),
        key(
            "route",
            Shape::Text,
            Default::Words("any"),
            "The route that answers, by its name: as given, else methods and path.",
            "route = \"GET /api/dashboard/{user}\"",
        ),
        key(
            "headers",
            Shape::Pairs(&Shape::AnyText),
            NOTHING,
            "Fields of the response. `*` is any characters.",
            "headers = { content-type = \"application/json*\" }",
        ),
        key(
            "no_headers",
            Shape::OneOrMany(&Shape::Header),
            NOTHING,
            "Fields that the response must not have.",
            "no_headers = [\"set-cookie\", \"server\"]",
        ),
        key(
            "json",
            Shape::JsonValue,
            NOTHING,
            "The body, as JSON: the same values, whatever the order of keys and the blanks.",
            "json = { id = \"ada\", orders = [] }",
        ),
        key(
            "includes",
            Shape::JsonValue,
            NOTHING,
            "What the body holds as JSON; objects may have more keys than are named.",
            "includes = { profile = { id = \"ada\" } }",
        ),
        key(
            "body",
            Shape::AnyText,
            NOTHING,
            "The body, byte for byte.",
            "body = \"Good morning\\n\"",
        ),
        key(
            "body_file",
            Shape::File,
            NOTHING,
            "A file with the body, byte for byte.",
            "body_file = \"page.json\"",
        ),
        key(
            "parts",
            Shape::AnyText,
            NOTHING,
            "`Concertina-Parts`, in any order; the empty text where there is none.",
            "parts = \"orders=failed;cause=connect\"",
        ),
        key(
            "problem",
            Shape::Text,
            NOTHING,
            "The kind of the problem: the last word of its `type`.",
            "problem = \"no-route\"",
        ),
        key(
            "step",
            Shape::Text,
            NOTHING,
            "The step that the problem blames.",
            "step = \"charge\"",
        ),
        key(
            "within",
            Shape::Duration(0, DAY),
            NOTHING,
            "How long it may take, by the test's own clock: what the answers' `after`, waits and pauses come to.",
            "within = \"250ms\"",
        ),
        key(
            "calls",
            Shape::List(&CALL_SHAPE, 0),
            NOTHING,
            "Every call that is made, and no other. Each attempt is a call.",
            "calls = [\"GET users:/v1/users/ada\", { to = \"GET orders:/v1/orders?user=ada\", count = 2 }]",
        ),
        key(
            "calls_include",
            Shape::List(&CALL_SHAPE, 1),
            NOTHING,
            "Calls that are made, perhaps among others.",
            "calls_include = [\"GET users:*\"]",
        ),
        key(
            "in_order",
            Shape::Boolean,
            Default::Boolean(false),
            "Whether the calls are made in the order in which they are named.",
            "in_order = true",
        )
        .with(&["calls", "calls_include"]),
        key(
            "never",
            Shape::List(&Shape::Text, 1),
            NOTHING,
            "Calls that are not made.",
            "never = [\"POST payments:*\"]",
        ),
    ],
};

static CALL_SHAPE: Shape = Shape::Either(&Shape::Text, &Shape::Table(&CALL));

static CALL: Section = Section {
    title: "calls",
    about: "A call that must have been made.",
    choices: &[Choice {
        keys: &["json", "includes", "body", "body_file"],
        needed: false,
    }],
    keys: &[
        key(
            "to",
            Shape::Text,
            Default::Needed,
            "Method, upstream, path and query, as in `answers`.",
            "to = \"POST payments:/v1/charges\"",
        ),
        key(
            "count",
            Shape::Integer(1, 10_000),
            Default::Integer(1),
            "How often.",
            "count = 2",
        ),
        key(
            "headers",
            Shape::Pairs(&Shape::AnyText),
            NOTHING,
            "Fields of the call. `*` is any characters.",
            "headers = { x-customer = \"ada\" }",
        ),
        key(
            "no_headers",
            Shape::OneOrMany(&Shape::Header),
            NOTHING,
            "Fields that the call must not have.",
            "no_headers = [\"authorization\"]",
        ),
        key(
            "json",
            Shape::JsonValue,
            NOTHING,
            "The body that is sent, as JSON.",
            "json = { amount = 1250 }",
        ),
        key(
            "includes",
            Shape::JsonValue,
            NOTHING,
            "What the body that is sent holds as JSON.",
            "includes = { amount = 1250 }",
        ),
        key(
            "body",
            Shape::AnyText,
            NOTHING,
            "The body that is sent, byte for byte.",
            "body = \"\"",
        ),
        key(
            "body_file",
            Shape::File,
            NOTHING,
            "A file with the body that is sent, byte for byte.",
            "body_file = \"charge.json\"",
        ),
    ],
};
