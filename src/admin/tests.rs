//! Tests of the admin listener over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that says what a test wants.
struct Fake {
    readiness: Readiness,
    reload: ReloadOutcome,
    reloads: AtomicUsize,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            readiness: Readiness::Ready,
            reload: ReloadOutcome::Applied,
            reloads: AtomicUsize::new(0),
        }
    }
}

impl Operations for Fake {
    fn readiness(&self) -> Readiness {
        self.readiness
    }

    fn routes(&self) -> Value {
        json!([{ "name": "a" }])
    }

    fn upstreams(&self) -> Value {
        panic!("a fault in the gateway")
    }

    fn config(&self) -> Value {
        json!({ "token": "***" })
    }

    fn last_reload(&self) -> ReloadReport {
        let mistakes = match self.reload {
            ReloadOutcome::Refused => vec![MistakeReport {
                file: Some("routes.toml".to_owned()),
                line: Some(7),
                column: Some(3),
                message: "unknown key `pth`".to_owned(),
                remedy: Some("did you mean `path`?".to_owned()),
            }],
            ReloadOutcome::Applied => Vec::new(),
        };
        ReloadReport::now(self.reload, mistakes)
    }

    fn reload(&self) -> ReloadReport {
        self.reloads.fetch_add(1, SeqCst);
        self.last_reload()
    }

    fn metrics(&self, out: &mut String) {
        out.push_str("# EOF\n");
    }
}

struct Admin {
    address: SocketAddr,
    fake: Arc<Fake>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// An answer: status, head and body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Admin {
    async fn start(fake: Fake, token: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fake = Arc::new(fake);
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(
            listener,
            Arc::clone(&fake) as Arc<dyn Operations>,
            token.map(ToOwned::to_owned),
            async {
                let _end = stopped.await;
            },
        ));
        Self {
            address,
            fake,
            stop,
            served,
        }
    }

    /// Sends a request of these lines and reads until the end.
    async fn ask(&self, lines: &str) -> Answer {
        let asking = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("{lines}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let text = tokio::time::timeout(PATIENCE, asking).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1"))
            .await
    }
}

#[tokio::test]
async fn every_path_answers() {
    let admin = Admin::start(Fake::default(), None).await;
    let answer = admin.get("/live").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "status": "live" }))
    );
    let answer = admin.get("/ready").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "status": "ready" }))
    );
    let answer = admin.get("/metrics").await;
    assert_eq!((answer.status, &*answer.body), (200, "# EOF\n"));
    let kind = answer.field("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let answer = admin.get("/routes").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!([{ "name": "a" }]))
    );
    let answer = admin.get("/config").await;
    assert_eq!(answer.json()["config"]["token"], "***");
    assert_eq!(answer.json()["last_reload"]["outcome"], "applied");
    let answer = admin.ask("HEAD /routes HTTP/1.1\r\nHost: localhost").await;
    assert_eq!((answer.status, &*answer.body), (200, ""));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let admin = Admin::start(Fake::default(), None).await;
    let missing = admin.get("/runs").await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        missing.field("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(missing.json()["status"], 404);
    let reading = admin.get("/reload").await;
    assert_eq!(
        (reading.status, reading.field("allow")),
        (405, Some("POST"))
    );
    let writing = admin
        .ask("DELETE /routes HTTP/1.1\r\nHost: localhost")
        .await;
    assert_eq!(
        (writing.status, writing.field("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(admin.fake.reloads.load(SeqCst), 0);
}

#[tokio::test]
async fn a_fault_is_a_problem_too() {
    let admin = Admin::start(Fake::default(), None).await;
    let answer = admin.get("/upstreams").await;
    assert_eq!(
        (answer.status, answer.json()["status"].as_u64()),
        (500, Some(500))
    );
    assert!(!answer.body.contains("a fault in the gateway"));
    assert_eq!(admin.get("/live").await.status, 200);
}

#[tokio::test]
async fn a_token_is_asked_for_everywhere_but_by_probes() {
    let admin = Admin::start(Fake::default(), Some("s3cret")).await;
    for probe in ["/live", "/ready"] {
        assert_eq!(admin.get(probe).await.status, 200, "{probe}");
    }
    for path in ["/", "/metrics", "/routes", "/config", "/nothing"] {
        let answer = admin.get(path).await;
        assert_eq!(
            (answer.status, answer.field("www-authenticate")),
            (401, Some("Bearer")),
            "{path}"
        );
    }
    let reload = "POST /reload HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer ";
    assert_eq!(admin.ask(&format!("{reload}S3cret")).await.status, 401);
    assert_eq!(admin.fake.reloads.load(SeqCst), 0);
    assert_eq!(admin.ask(&format!("{reload}s3cret")).await.status, 200);
    assert_eq!(admin.fake.reloads.load(SeqCst), 1);
    let missing = "GET /nothing HTTP/1.1\r\nHost: a.example\r\nAuthorization: bearer s3cret";
    assert_eq!(admin.ask(missing).await.status, 404);
}

#[tokio::test]
async fn the_page_runs_its_own_script_alone_and_asks_for_the_token_itself() {
    let open = Admin::start(Fake::default(), None).await;
    let page = open.get("/").await;
    assert_eq!(page.status, 200);
    let policy = page.field("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"));
    assert_eq!(page.body.matches("<script>").count(), 1);
    assert_eq!(page.body.matches("<style>").count(), 1);
    assert!(!page.body.contains("http://") && !page.body.contains("https://"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(page.field(name), Some(value), "{name}");
    }
    let locked = Admin::start(Fake::default(), Some("s3cret")).await;
    let shell = locked.get("/").await;
    assert_eq!((shell.status, &shell.body), (401, &page.body));
}

#[tokio::test]
async fn mistakes_are_told_with_their_places() {
    let fake = Fake {
        reload: ReloadOutcome::Refused,
        ..Fake::default()
    };
    let admin = Admin::start(fake, None).await;
    let answer = admin.ask("POST /reload HTTP/1.1\r\nHost: localhost").await;
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.field("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(answer.json()["mistakes"][0]["line"], 7);
    let config = admin.get("/config").await;
    let report = &config.json()["last_reload"];
    assert_eq!(report["outcome"], "refused");
    assert_eq!(report["mistakes"][0]["column"], 3);
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing() {
    let admin = Admin::start(Fake::default(), None).await;
    let rebound = admin
        .ask("GET /config HTTP/1.1\r\nHost: evil.example")
        .await;
    assert_eq!(rebound.status, 403);
    let posted = "POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example";
    assert_eq!(admin.ask(posted).await.status, 403);
    assert_eq!(admin.fake.reloads.load(SeqCst), 0);
}

#[tokio::test]
async fn a_gateway_that_ends_says_so() {
    for readiness in [Readiness::Starting, Readiness::Draining] {
        let fake = Fake {
            readiness,
            ..Fake::default()
        };
        let admin = Admin::start(fake, None).await;
        let answer = admin.get("/ready").await;
        assert_eq!(
            (answer.status, answer.field("retry-after")),
            (503, Some("1"))
        );
        assert_eq!(admin.get("/live").await.status, 200);
    }
}

#[tokio::test]
async fn a_body_nobody_asked_for_does_no_harm() {
    let admin = Admin::start(Fake::default(), None).await;
    let posted = "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000";
    assert_eq!(admin.ask(posted).await.status, 200);
    let noise = "GET /live HTTP/1.1\r\nHost: localhost\r\nX: ";
    let large = admin.ask(&format!("{noise}{}", "x".repeat(100_000))).await;
    assert_eq!(large.status, 431);
}

#[tokio::test]
async fn it_stops_when_told_and_lets_idle_connections_go() {
    let admin = Admin::start(Fake::default(), None).await;
    let mut idle = TcpStream::connect(admin.address).await.unwrap();
    idle.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    admin.stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, admin.served)
        .await
        .unwrap()
        .unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await;
    assert!(ended.is_ok());
    assert!(TcpStream::connect(admin.address).await.is_err());
}
