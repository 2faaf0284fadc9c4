//! The end of the process: every accepted request is answered.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::client::request;
use crate::support::process::Running;
use crate::support::{Answer, Client, Gate, TestGateway, Upstream, eventually};

fn in_front_of(upstream: &Upstream) -> String {
    format!(
        "[upstreams.u]\nendpoints = [\"{}\"]\n[[routes]]\npath = \"/\"\nupstream = \"u\"\n",
        upstream.url()
    )
}

#[test]
fn requests_at_work_are_answered_and_idle_connections_end() {
    let gate = Gate::new();
    let upstream = Upstream::saying(Answer::json("{}").behind(&gate));
    let gateway = Arc::new(TestGateway::start(&in_front_of(&upstream)));
    let mut idle = gateway.client();
    let mut busy = gateway.client();
    busy.send(request("GET", "/", &[], b""));
    upstream.wait_for_requests(1);
    let draining = {
        let gateway = Arc::clone(&gateway);
        thread::spawn(move || gateway.gateway.drain())
    };
    // The idle connection is closed while the busy one is still waited for.
    assert!(idle.rest().is_empty());
    assert!(!draining.is_finished());
    gate.open();
    let reply = busy.reply().expect(200);
    assert_eq!(reply.header("connection"), Some("close"));
    draining.join().unwrap();
}

/// The built program on a port of its own.
fn running(folder: &std::path::Path, upstream: &Upstream) -> (Running, SocketAddr) {
    let text = format!(
        "[server]\nworkers = 2\naccess_log = \"off\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n{}",
        in_front_of(upstream)
    );
    fs::write(folder.join("routes.toml"), text).unwrap();
    let mut running = Running::start(folder, &["run"]);
    let line = running.wait_for("listening on ");
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    (running, address)
}

#[test]
fn sigterm_under_load_loses_no_accepted_request() {
    let upstream = Upstream::saying(Answer::json("{}"));
    let folder = tempfile::tempdir().unwrap();
    let (mut running, address) = running(folder.path(), &upstream);
    let ending = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (ending, answered) = (Arc::clone(&ending), Arc::clone(&answered));
            thread::spawn(move || load_until_closed(address, &ending, &answered))
        })
        .collect();
    eventually("the load is on", || answered.load(Ordering::Relaxed) > 500);
    ending.store(true, Ordering::SeqCst);
    running.signal("TERM");
    for one in load {
        one.join().unwrap();
    }
    assert_eq!(running.wait().code(), Some(0));
    // What was taken on was also answered: nothing was dropped half done.
    assert_eq!(upstream.count(), answered.load(Ordering::Relaxed));
}

/// Asks again and again on one connection. Before the end, each request must be answered. After, the
/// gateway may close between requests, and then an unanswered request was one that it never read.
fn load_until_closed(address: SocketAddr, ending: &AtomicBool, answered: &AtomicUsize) {
    let mut client = Client::connect(address);
    loop {
        let sent = client.try_send(request("GET", "/", &[], b""));
        let reply = client.try_reply();
        let Ok(Some(reply)) = reply else {
            // A cut inside a response would be an error too, but not after the last one was whole.
            assert!(
                ending.load(Ordering::SeqCst),
                "closed before the end: {sent:?} {reply:?}"
            );
            return;
        };
        assert_eq!(reply.status, 200);
        answered.fetch_add(1, Ordering::Relaxed);
        if reply.header("connection") == Some("close") {
            return;
        }
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let upstream = Upstream::saying(Answer::never());
    let folder = tempfile::tempdir().unwrap();
    let (mut running, address) = running(folder.path(), &upstream);
    let mut client = Client::connect(address);
    client.send(request("GET", "/", &[], b""));
    upstream.wait_for_requests(1);
    running.signal("TERM");
    running.wait_for("ending");
    running.signal("INT");
    assert_eq!(running.wait().code(), Some(3));
}
