//! Asks endpoints whether they are well, again and again, off the path of requests.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;

use super::HealthSpec;
use super::connect;
use super::endpoint::Endpoint;
use super::group::Group;
use crate::exchange::id;

/// Bytes of a status line that tell the status: `HTTP/1.1 200`.
const STATUS_BYTES: usize = 12;

/// The shortest pause between two probes, whatever the file says.
const PAUSE_MIN: Duration = Duration::from_millis(1);

impl Group {
    /// Starts the active probes of this group on `runtime`, once; they end with the group.
    pub fn tend(self: &Arc<Self>, runtime: &Handle) {
        if self.spec.health.is_none() || self.tended.swap(true, Ordering::Relaxed) {
            return;
        }
        for index in 0..self.endpoints.len() {
            runtime.spawn(probe_forever(Arc::downgrade(self), index));
        }
    }
}

async fn probe_forever(group: Weak<Group>, index: usize) {
    let mut judge = Judge::default();
    let mut first = true;
    loop {
        // The group is not held while waiting, or it would never end.
        let Some((endpoint, spec)) = subject(&group, index) else {
            return;
        };
        let pause = if first {
            // Not all at once, and soon: until then nothing is known.
            spec.every.min(Duration::from_secs(1)).mul_f64(chance())
        } else {
            spec.every.mul_f64(0.9 + 0.2 * chance()).max(PAUSE_MIN)
        };
        first = false;
        tokio::time::sleep(pause).await;
        if group.strong_count() == 0 {
            return;
        }
        let outcome = match tokio::time::timeout(spec.timeout, probe(&endpoint, &spec.path)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {:?}", spec.timeout)),
        };
        if let Some(up) = judge.verdict(outcome.is_ok(), &spec)
            && endpoint.state.health.probed(up)
        {
            let reason = outcome.err().unwrap_or_default();
            if up {
                tracing::info!(endpoint = %endpoint.url, "probes pass again: in use");
            } else {
                tracing::warn!(endpoint = %endpoint.url, %reason, "probes fail: set aside");
            }
        }
    }
}

fn subject(group: &Weak<Group>, index: usize) -> Option<(Arc<Endpoint>, HealthSpec)> {
    let group = group.upgrade()?;
    let endpoint = group.endpoints.get(index).map(Arc::clone)?;
    Some((endpoint, group.spec.health.clone()?))
}

/// Between 0 and 1.
fn chance() -> f64 {
    f64::from(id::random() as u32) / f64::from(u32::MAX)
}

/// How many probes in a row said the same.
#[derive(Default)]
struct Judge {
    passed: u32,
    failed: u32,
}

impl Judge {
    /// Whether the endpoint is up, once enough probes in a row say so.
    fn verdict(&mut self, pass: bool, spec: &HealthSpec) -> Option<bool> {
        if pass {
            (self.passed, self.failed) = (self.passed.saturating_add(1), 0);
            (self.passed >= spec.healthy_after).then_some(true)
        } else {
            (self.passed, self.failed) = (0, self.failed.saturating_add(1));
            (self.failed >= spec.unhealthy_after).then_some(false)
        }
    }
}

/// Asks once, on a connection of its own: well is what answers 2xx.
async fn probe(endpoint: &Endpoint, path: &str) -> Result<(), String> {
    let opened = connect::open(endpoint, false).await?;
    let status = if opened.http2 {
        over_http2(opened.stream, endpoint, path).await?
    } else {
        over_http1(opened.stream, endpoint, path).await?
    };
    match status {
        200..300 => Ok(()),
        other => Err(format!("status {other}")),
    }
}

async fn over_http1(
    mut stream: connect::Stream,
    endpoint: &Endpoint,
    path: &str,
) -> Result<u16, String> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nuser-agent: concertina-health\r\nconnection: close\r\n\r\n",
        endpoint.authority
    );
    let failed = |error: std::io::Error| error.to_string();
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut line = [0; STATUS_BYTES];
    stream.read_exact(&mut line).await.map_err(failed)?;
    let status = std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|rest| rest.get(2..))
        .and_then(|digits| digits.parse().ok());
    status.ok_or_else(|| "the answer is not HTTP/1".to_owned())
}

async fn over_http2(
    stream: connect::Stream,
    endpoint: &Endpoint,
    path: &str,
) -> Result<u16, String> {
    let scheme = if endpoint.spec.tls { "https" } else { "http" };
    let request = http::Request::get(format!("{scheme}://{}{path}", endpoint.authority))
        .header("user-agent", "concertina-health")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .map_err(|error| error.to_string())?;
    let failed = |error: hyper::Error| error.to_string();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .map_err(failed)?;
    tokio::select! {
        ended = connection => match ended {
            Ok(()) => Err("the connection ended".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        answered = sender.send_request(request) => {
            answered.map(|response| response.status().as_u16()).map_err(failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_does_not_decide() {
        let spec = HealthSpec {
            path: "/".to_owned(),
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            unhealthy_after: 3,
            healthy_after: 2,
        };
        let mut judge = Judge::default();
        let verdicts = [
            false, false, true, false, false, false, false, true, true, true,
        ]
        .map(|pass| judge.verdict(pass, &spec));
        let (up, down) = (Some(true), Some(false));
        assert_eq!(
            verdicts,
            [None, None, None, None, None, down, down, None, up, up]
        );
    }
}
