//! Memory stays within what is declared, however long and however hard.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use crate::support::client::request;
use crate::support::message::Message;
use crate::support::process::Running;
use crate::support::{Answer, Client, Upstream};

/// The gateway as a process of its own, so that its memory is its own.
struct Scene {
    _process: Running,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Scene {
    fn start(folder: &Path, upstream: &Upstream) -> Self {
        let text = format!(
            r#"
            [server]
            workers = 2
            access_log = "off"
            [[listen]]
            address = "127.0.0.1:0"
            [admin]
            address = "127.0.0.1:0"
            [limits.by-query]
            rate = "1000000/s"
            by = "query.key"
            [upstreams.u]
            endpoints = ["{}"]
            [[routes]]
            path = "/proxy/{{rest...}}"
            limits = "by-query"
            upstream = "u"
            [[routes]]
            path = "/flow/{{id}}"
            methods = ["GET"]
            part_bytes = "1MiB"
            [routes.steps.a]
            call = "GET u:/a/{{path.id}}"
            [routes.steps.b]
            call = "GET u:/b/{{path.id}}"
            optional = true
            "#,
            upstream.url()
        );
        fs::write(folder.join("routes.toml"), text).unwrap();
        let mut process = Running::start(folder, &["run"]);
        let address = |line: String| line.rsplit(['/', ' ']).next().unwrap().parse().unwrap();
        Self {
            address: address(process.wait_for("listening on ")),
            admin: address(process.wait_for("admin on ")),
            _process: process,
        }
    }

    /// Resident memory in MiB.
    fn memory(&self) -> u64 {
        let metrics = Client::connect(self.admin)
            .get("/metrics")
            .expect(200)
            .text();
        let line = metrics
            .lines()
            .find(|line| line.starts_with("process_resident_memory_bytes "));
        let value = line.unwrap().rsplit(' ').next().unwrap();
        let bytes: u64 = value.split('.').next().unwrap().parse().unwrap();
        bytes >> 20
    }

    /// `count` requests over four connections, each to a path of its own.
    fn load(&self, count: usize) {
        let address = self.address;
        let clients: Vec<_> = (0..4)
            .map(|client| {
                thread::spawn(move || {
                    let mut connection = Client::connect(address);
                    for number in (client..count).step_by(4) {
                        let path = match number % 2 {
                            0 => format!("/flow/{number}"),
                            _ => format!("/proxy/{number}?key={number}"),
                        };
                        connection.get(&path).expect(200);
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    }
}

#[test]
fn memory_stays_flat_from_one_round_of_requests_to_the_next() {
    let upstream = Upstream::saying(Answer::json(r#"{"a":[1,2,3]}"#));
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::start(folder.path(), &upstream);
    scene.load(4_000);
    let before = scene.memory();
    scene.load(8_000);
    let after = scene.memory();
    assert!(after <= before + 16, "{before} MiB became {after} MiB");
}

#[test]
fn a_huge_or_deep_or_endless_answer_costs_no_more_than_its_bound() {
    let upstream = Upstream::start(|request: &Message| {
        if !request.first.starts_with("GET /b/") {
            return Answer::json("{}");
        }
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        match request.first.split(['/', ' ']).nth(3) {
            Some("announced") => {
                Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n").fill(100 << 20)
            }
            Some("chunked") => Answer::raw(chunked).send("6400000\r\n").fill(100 << 20),
            Some("deep") => Answer::json(&"[".repeat(900_000)),
            _ => Answer::raw("HTTP/1.1 200 OK\r\n\r\n").fill(100 << 20),
        }
        .close()
    });
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::start(folder.path(), &upstream);
    scene.load(100);
    let before = scene.memory();
    for _ in 0..3 {
        for kind in ["announced", "chunked", "deep", "endless"] {
            let reply = Client::connect(scene.address)
                .get(&format!("/flow/{kind}"))
                .expect(200);
            assert_eq!(reply.text(), r#"{"a":{},"b":null}"#, "{kind}");
            let parts = reply.header("concertina-parts").unwrap();
            assert!(parts.starts_with("b=failed;cause="), "{kind}: {parts}");
        }
    }
    let after = scene.memory();
    assert!(after <= before + 32, "{before} MiB became {after} MiB");
}

#[test]
fn a_reader_that_is_slow_holds_back_the_upstream_not_the_gateway_s_memory() {
    let upstream = Upstream::saying(
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 268435456\r\n\r\n").fill(256 << 20),
    );
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::start(folder.path(), &upstream);
    let before = scene.memory();
    let mut client = Client::connect(scene.address);
    client.send(request("GET", "/proxy/huge?key=1", &[], b""));
    assert!(client.head().first.contains("200"));
    for _ in 0..64 {
        client.reader().exactly(1 << 20).unwrap();
        let now = scene.memory();
        assert!(now <= before + 32, "{before} MiB became {now} MiB");
    }
}
