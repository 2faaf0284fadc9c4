//! Keys of the process, its listeners and the admin listener.

use super::{Choice, DAY, Default, Key, NOTHING, Section, Shape, key};

pub static SERVER: Section = Section {
    title: "[server]",
    about: "The process as a whole.",
    choices: &[],
    keys: &[
        key(
            "workers",
            Shape::Integer(0, 1024),
            Default::Integer(0),
            "How many threads serve requests. 0: one for each core that the process may use.",
            "workers = 4",
        ),
        key(
            "drain",
            Shape::Duration(0, DAY),
            Default::Text("30s"),
            "How long requests may go on after SIGTERM or SIGINT before their connections are closed.",
            "drain = \"30s\"",
        ),
        key(
            "trusted_proxies",
            Shape::List(&Shape::Network, 0),
            Default::List(&[]),
            "Peers whose `Forwarded` and `X-Forwarded-*` headers and request ids are believed; from others they are dropped.",
            "trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.7\"]",
        ),
        key(
            "max_connections",
            Shape::Integer(1, 10_000_000),
            Default::Integer(10_000),
            "Client connections at once over all listeners; more wait to be accepted.",
            "max_connections = 50000",
        ),
        key(
            "access_log",
            Shape::Either(
                &Shape::OneOf(&["json", "text", "off"]),
                &Shape::Table(&ACCESS_LOG),
            ),
            Default::Text("json"),
            "One line a request: as JSON or as text, to standard output or to a file, or not at all.",
            "access_log = \"text\"",
        ),
    ],
};

static ACCESS_LOG: Section = Section {
    title: "access_log",
    about: "Where access-log lines go and how they look.",
    choices: &[],
    keys: &[
        key(
            "format",
            Shape::OneOf(&["json", "text", "off"]),
            Default::Text("json"),
            "How a line looks.",
            "format = \"json\"",
        ),
        key(
            "file",
            Shape::File,
            Default::Words("standard output"),
            "The file that lines are added to.",
            "file = \"/var/log/concertina/access.log\"",
        ),
    ],
};

pub static LISTEN: Section = Section {
    title: "[[listen]]",
    about: "An address on which clients are served.",
    choices: &[],
    keys: &[
        key(
            "address",
            Shape::Address,
            Default::Needed,
            "Address and port. `0.0.0.0` is every IPv4 address of the machine, `[::]` every address.",
            "address = \"0.0.0.0:8443\"",
        ),
        key(
            "tls",
            Shape::Table(&TLS),
            Default::Words("no TLS"),
            "The listener speaks TLS.",
            "tls = { certificates = [{ cert = \"certs/api.pem\", key = \"certs/api.key\" }] }",
        ),
        key(
            "redirect",
            Shape::OneOf(&["https"]),
            NOTHING,
            "Every request is answered with a redirect to the same URL under `https`; no route is looked at.",
            "redirect = \"https\"",
        ),
        key(
            "protocols",
            Shape::List(&Shape::OneOf(&["h1", "h2"]), 1),
            Default::List(&["h1", "h2"]),
            "The versions of HTTP that are spoken. With TLS the client picks by ALPN; without TLS `h2` is spoken to clients \
             that begin with it (prior knowledge).",
            "protocols = [\"h1\"]",
        ),
        key(
            "limits",
            Shape::Table(&LISTEN_LIMITS),
            Default::Words("defaults"),
            "What one connection may ask of the gateway.",
            "limits = { header_bytes = \"16KiB\", idle = \"30s\" }",
        ),
    ],
};

static TLS: Section = Section {
    title: "tls (of a listener)",
    about: "Certificates are watched and replaced without a restart.",
    choices: &[Choice {
        keys: &["certificates", "development"],
        needed: true,
    }],
    keys: &[
        key(
            "certificates",
            Shape::List(&Shape::Table(&CERTIFICATE), 1),
            NOTHING,
            "The client's server name (SNI) picks among them; the first one is for clients that send none or an unknown one.",
            "certificates = [{ cert = \"certs/api.pem\", key = \"certs/api.key\" }]",
        ),
        key(
            "development",
            Shape::Boolean,
            Default::Boolean(false),
            "A certificate for `localhost` is served from `certs/` beside the file, and made there at the start where none is. \
             On loopback addresses only.",
            "development = true",
        ),
        key(
            "client_ca",
            Shape::File,
            Default::Words("clients need no certificate"),
            "A PEM file of authorities: clients must show a certificate that one of them signed.",
            "client_ca = \"certs/clients.pem\"",
        ),
        key(
            "min_version",
            Shape::OneOf(&["1.2", "1.3"]),
            Default::Text("1.2"),
            "The oldest version of TLS that is spoken.",
            "min_version = \"1.3\"",
        ),
    ],
};

static CERTIFICATE: Section = Section {
    title: "certificates",
    about: "A certificate chain and its key.",
    choices: &[],
    keys: &[
        key(
            "cert",
            Shape::File,
            Default::Needed,
            "A PEM file: the certificate, then those that lead to its authority.",
            "cert = \"certs/api.pem\"",
        ),
        key(
            "key",
            Shape::File,
            Default::Needed,
            "A PEM file with the private key.",
            "key = \"certs/api.key\"",
        ),
    ],
};

static LISTEN_LIMITS: Section = Section {
    title: "limits (of a listener)",
    about: "The bounds on what one connection may ask of the gateway.",
    choices: &[],
    keys: &[
        key(
            "header_bytes",
            Shape::Size(1024, 1 << 20),
            Default::Text("32KiB"),
            "Bytes of a request's headers together; more is 431. Over HTTP/2 the target and 32 bytes for each header count as well (RFC 9113, 6.5.2); the request line of HTTP/1.1 has 8 KiB of its own, and more is 414.",
            "header_bytes = \"16KiB\"",
        ),
        key(
            "headers",
            Shape::Integer(1, 1000),
            Default::Integer(100),
            "Headers of a request; more is 431.",
            "headers = 64",
        ),
        key(
            "header_time",
            Shape::Duration(100, DAY),
            Default::Text("10s"),
            "From the first byte of a request's head to its last; also how long a TLS handshake may take.",
            "header_time = \"5s\"",
        ),
        key(
            "body_bytes",
            Shape::Size(0, 1 << 40),
            Default::Text("10MiB"),
            "Bytes of a request's body where the route states none; more is 413.",
            "body_bytes = \"1MiB\"",
        ),
        key(
            "body_time",
            Shape::Duration(100, DAY),
            Default::Text("30s"),
            "Between two pieces of a request's body; also how long a response waits for a client that does not read.",
            "body_time = \"10s\"",
        ),
        key(
            "idle",
            Shape::Duration(100, DAY),
            Default::Text("75s"),
            "How long a connection may wait for its next request.",
            "idle = \"30s\"",
        ),
        key(
            "streams",
            Shape::Integer(1, 10_000),
            Default::Integer(128),
            "Requests at once on one HTTP/2 connection. A client that reads no answer can make each hold about half a megabyte.",
            "streams = 64",
        ),
    ],
};

pub static ADMIN: Section = Section {
    title: "[admin]",
    about: "The listener for operators: health, metrics, routes, reload.",
    choices: &[],
    keys: &[
        key(
            "address",
            Shape::Address,
            Default::Needed,
            "Address and port. On any address but loopback a `token` is needed.",
            "address = \"127.0.0.1:9900\"",
        ),
        ADMIN_TOKEN,
    ],
};

const ADMIN_TOKEN: Key = key(
    "token",
    Shape::Text,
    Default::Words("none needed on loopback"),
    "What requests must bring in `Authorization: Bearer`, at least 16 characters.",
    "token = \"${file:/run/secrets/admin}\"",
)
.secret();
