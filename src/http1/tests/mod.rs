//! Tests of the HTTP/1.1 engine: every row of `docs/http.md` names one of them.

mod bodies;
mod chunks;
mod client;
mod differential;
mod forwarding;
mod parsing;
mod request_framing;
mod request_heads;
mod response_heads;
mod server;
mod server_waits;
mod service;
mod sockets;

/// The rules, with their tests.
const RULES: &str = include_str!("../../../docs/http.md");

/// The letter under which `RULES` names the tests of a file.
const FILES: [(&str, &str); 8] = [
    ("R", include_str!("request_heads.rs")),
    ("F", include_str!("request_framing.rs")),
    ("A", include_str!("response_heads.rs")),
    ("C", include_str!("chunks.rs")),
    ("S", include_str!("server.rs")),
    ("W", include_str!("server_waits.rs")),
    ("U", include_str!("client.rs")),
    ("T", include_str!("../target.rs")),
];

#[test]
fn every_test_that_the_rules_name_is_there() {
    let mut named = 0;
    for (letter, source) in FILES {
        let mark = format!("`{letter}::");
        let names = RULES.split(&mark).skip(1);
        for name in names.filter_map(|rest| rest.split('`').next()) {
            assert!(
                name.is_empty() || source.contains(&format!("fn {name}(")),
                "{letter}::{name}"
            );
            named += 1;
        }
    }
    assert!(named > 60, "{named}");
}
