//! Keys of upstreams.

use super::{DAY, Default, Key, NOTHING, Section, Shape, key};

pub static UPSTREAM: Section = Section {
    title: "[upstreams.NAME]",
    about: "A named group of endpoints that serve the same thing.",
    choices: &[],
    keys: &[
        key(
            "endpoints",
            Shape::List(&Shape::Endpoint, 1),
            Default::Needed,
            "Where requests are sent: `http://` or `https://`, host and port. The port may be left out where it is 80 or 443.",
            "endpoints = [\"http://10.0.0.1:8080\", \"http://10.0.0.2:8080\"]",
        ),
        key(
            "protocol",
            Shape::OneOf(&["auto", "h1", "h2"]),
            Default::Text("auto"),
            "The version of HTTP spoken with endpoints. `auto`: what TLS settles, else HTTP/1.1. `h2` without TLS is h2c, as gRPC uses it.",
            "protocol = \"h2\"",
        ),
        key(
            "tls",
            Shape::Table(&UPSTREAM_TLS),
            Default::Words("the public authorities"),
            "How `https` endpoints are trusted, and how the gateway shows itself to them.",
            "tls = { ca = \"certs/internal-ca.pem\" }",
        ),
        key(
            "balance",
            Shape::OneOf(&["round-robin", "least-request"]),
            Default::Text("round-robin"),
            "How an endpoint is chosen: in turn, or the less busy of two taken at random.",
            "balance = \"least-request\"",
        ),
        key(
            "timeout",
            Shape::Duration(1, DAY),
            Default::Text("30s"),
            "Until the head of the response of one attempt is there.",
            "timeout = \"800ms\"",
        ),
        key(
            "connect_timeout",
            Shape::Duration(1, DAY),
            Default::Text("5s"),
            "Until a connection is open, TLS included.",
            "connect_timeout = \"500ms\"",
        ),
        key(
            "retry",
            Shape::Table(&RETRY),
            Default::Words("no retry"),
            "When a call is tried again. Only what is safe to repeat ever is.",
            "retry = { attempts = 2, on = [\"connect\", \"reset\", \"5xx\"], backoff = \"20ms..200ms\" }",
        ),
        key(
            "deadline_header",
            Shape::Header,
            Default::Words("it is not told"),
            "The header that tells an endpoint how long the gateway waits for the head of its response: the least of `timeout` and what is left of the \
             route's, for each attempt anew. In milliseconds; for `grpc-timeout` as gRPC writes it (`250m`). What a client sent under that name is replaced.",
            "deadline_header = \"x-request-timeout-ms\"",
        ),
        key(
            "health",
            Shape::Table(&HEALTH),
            Default::Words("no probes"),
            "Probes: an endpoint that fails them is set aside until it passes again.",
            "health = { path = \"/healthz\", every = \"5s\" }",
        ),
        key(
            "max_connections",
            Shape::Integer(1, 1_000_000),
            Default::Words("no bound"),
            "Open connections to one endpoint, over all workers.",
            "max_connections = 200",
        ),
        key(
            "max_requests",
            Shape::Integer(1, 10_000_000),
            Default::Words("no bound"),
            "Requests at work at once, over all workers; more are 503.",
            "max_requests = 1000",
        ),
    ],
};

static UPSTREAM_TLS: Section = Section {
    title: "tls (of an upstream)",
    about: "How `https` endpoints are trusted, and how the gateway shows itself to them.",
    choices: &[],
    keys: &[
        key(
            "ca",
            Shape::File,
            Default::Words("the public authorities"),
            "A PEM file of authorities to trust instead of the public ones.",
            "ca = \"certs/internal-ca.pem\"",
        ),
        key(
            "cert",
            Shape::File,
            NOTHING,
            "A PEM file: the certificate chain that the gateway shows.",
            "cert = \"certs/gateway.pem\"",
        )
        .with(&["key"]),
        key(
            "key",
            Shape::File,
            NOTHING,
            "A PEM file with the private key of `cert`.",
            "key = \"certs/gateway.key\"",
        )
        .with(&["cert"]),
        key(
            "server_name",
            Shape::Text,
            Default::Words("the endpoint's host"),
            "The name to ask for and to verify.",
            "server_name = \"orders.internal\"",
        ),
    ],
};

pub static RETRY: Section = Section {
    title: "retry",
    about: "When and how often a call is tried again.",
    choices: &[],
    keys: &[
        key(
            "attempts",
            Shape::Integer(1, 10),
            Default::Integer(2),
            "Attempts in all, the first included.",
            "attempts = 3",
        ),
        key(
            "on",
            Shape::List(
                &Shape::OneOf(&["connect", "reset", "timeout", "5xx", "busy"]),
                1,
            ),
            Default::List(&["connect", "reset"]),
            "The causes that allow another attempt: no connection, a connection that broke, no answer in time, a status of 500 to 599, \
             429 or 503 with `Retry-After`.",
            "on = [\"connect\", \"reset\", \"5xx\"]",
        ),
        key(
            "backoff",
            Shape::DurationRange,
            Default::Text("25ms..250ms"),
            "The shortest and the longest pause between attempts.",
            "backoff = \"20ms..200ms\"",
        ),
    ],
};

static HEALTH: Section = Section {
    title: "health",
    about: "Probes of every endpoint.",
    choices: &[],
    keys: &[
        key(
            "path",
            Shape::UrlPath,
            Default::Needed,
            "What is asked for with GET; 2xx is healthy.",
            "path = \"/healthz\"",
        ),
        key(
            "every",
            Shape::Duration(100, DAY),
            Default::Text("5s"),
            "From one probe to the next.",
            "every = \"5s\"",
        ),
        key(
            "timeout",
            Shape::Duration(1, DAY),
            Default::Text("2s"),
            "How long a probe may take.",
            "timeout = \"1s\"",
        ),
        key(
            "unhealthy_after",
            Shape::Integer(1, 100),
            Default::Integer(3),
            "Failures in a row that set an endpoint aside.",
            "unhealthy_after = 2",
        ),
        key(
            "healthy_after",
            Shape::Integer(1, 100),
            Default::Integer(2),
            "Successes in a row that bring it back.",
            "healthy_after = 1",
        ),
    ],
};

/// Of a step: how it reads what an upstream answers.
pub const DECODE: Key = key(
    "decode",
    Shape::OneOf(&["json", "xml"]),
    Default::Text("json"),
    "What the answer is read as. XML becomes JSON: elements by name, a list where several are called the same, attributes as `@name`, \
     text beside them as `#text`.",
    "decode = \"xml\"",
)
.with(&["call"]);
