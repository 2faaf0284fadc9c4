//! Keys that an issuer publishes: fetched in the background, kept when a fetch fails.
//!
//! One task per set does all fetching, on the control runtime: it is the single flight. Requests
//! read what is there; one that needs a newer set asks the task, which fetches at most once per
//! `floor` however many ask, and waits a bounded time for it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::keys::{KeySet, Origin};
use super::spec::KeySource;
use crate::fetch::{Client, Url};

/// What a discovery document's path ends with (OpenID Connect Discovery 1.0, 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// How often keys are fetched, and how long a request waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Between two fetches that requests ask for.
    pub floor: Duration,
    /// A request's wait for a fetch.
    pub wait: Duration,
    /// Until the next fetch in the background, where the answer does not say.
    pub usual: Duration,
    /// Bounds on what the answer says.
    pub shortest: Duration,
    pub longest: Duration,
    /// Until the next fetch after the first failure; it doubles up to `retry_longest`.
    pub retry: Duration,
    pub retry_longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            floor: Duration::from_secs(10),
            wait: Duration::from_secs(3),
            usual: Duration::from_mins(10),
            shortest: Duration::from_mins(1),
            longest: Duration::from_hours(24),
            retry: Duration::from_secs(1),
            retry_longest: Duration::from_mins(1),
        }
    }
}

/// A published set of keys. Its fetching ends when it is dropped.
#[derive(Debug)]
pub(super) struct RemoteKeys {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    place: Place,
    algorithms: Vec<Algorithm>,
    pace: Pace,
    current: ArcSwapOption<KeySet>,
    progress: watch::Sender<Progress>,
    asked: Notify,
}

/// Where the set is published.
#[derive(Debug)]
enum Place {
    Jwks(Url),
    Discovery {
        document: Url,
        /// What the document must say; with a final slash or without where the file names none.
        issuer: String,
        exact: bool,
    },
}

/// How the fetching goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// A fetch is under way.
    pub running: bool,
    /// When the last fetch started.
    pub started: Option<Instant>,
    pub fetches: u64,
    pub failures: u64,
    pub last_error: Option<String>,
}

/// What a request finds out about keys it does not have.
#[derive(Clone, Debug)]
pub(super) enum Newer {
    /// A set, perhaps the same as before.
    Set(Arc<KeySet>),
    /// There never was one.
    None,
}

impl Place {
    fn new(source: &KeySource, issuer: Option<&str>) -> Result<Self, String> {
        match source {
            KeySource::Jwks(url) => Url::parse(url).map(Self::Jwks),
            KeySource::Discovery(url) => {
                let base = url.strip_suffix(WELL_KNOWN).unwrap_or(url);
                let base = base.trim_end_matches('/');
                Ok(Self::Discovery {
                    document: Url::parse(&format!("{base}{WELL_KNOWN}"))?,
                    issuer: issuer.unwrap_or(base).to_owned(),
                    exact: issuer.is_some(),
                })
            }
            KeySource::Secret(_) | KeySource::File(_) => Err("nothing to fetch".to_owned()),
        }
    }

    /// The address without its query, which may hold a secret.
    fn shown(&self) -> &str {
        let (Self::Jwks(url) | Self::Discovery { document: url, .. }) = self;
        let text = url.as_str();
        text.split_once('?').map_or(text, |(address, _)| address)
    }
}

/// What is wrong with the address of published keys, for `check`.
pub fn check_url(url: &str) -> Result<(), String> {
    Url::parse(url).map(drop)
}

impl RemoteKeys {
    /// Starts fetching at once, on `control`.
    pub(super) fn start(
        source: &KeySource,
        issuer: Option<&str>,
        algorithms: &[Algorithm],
        (client, pace): (Client, Pace),
        control: &Handle,
    ) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            place: Place::new(source, issuer)?,
            algorithms: algorithms.to_vec(),
            pace,
            current: ArcSwapOption::empty(),
            progress: watch::Sender::new(Progress {
                running: true,
                ..Progress::default()
            }),
            asked: Notify::new(),
        });
        let task = control.spawn(refresh(Arc::clone(&shared), client));
        Ok(Self {
            shared,
            task: task.abort_handle(),
        })
    }

    /// The last good set; none: there never was one.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        self.shared.current.load_full()
    }

    /// The generation of that set. Cheaper than the set.
    pub(super) fn generation(&self) -> Option<u64> {
        self.shared
            .current
            .load()
            .as_ref()
            .map(|set| set.generation())
    }

    pub(super) fn url(&self) -> &str {
        self.shared.place.shown()
    }

    pub(super) fn progress(&self) -> Progress {
        self.shared.progress.borrow().clone()
    }

    /// Waits until this many fetches have ended.
    #[cfg(test)]
    pub(super) async fn fetched(&self, times: u64) {
        let mut progress = self.shared.progress.subscribe();
        let done = progress.wait_for(|now| now.fetches >= times);
        let waited = timeout(Duration::from_secs(30), done).await;
        assert!(waited.is_ok(), "fewer than {times} fetches");
    }

    /// A set other than the one of generation `known`, as far as one can be had: fetched if the
    /// last fetch is long enough ago, waited for a bounded time.
    pub(super) async fn newer(&self, known: Option<u64>) -> Newer {
        let shared = &self.shared;
        let mut progress = shared.progress.subscribe();
        let (seen, running, rested) = {
            let now = progress.borrow_and_update();
            let rested = now
                .started
                .is_none_or(|started| started.elapsed() >= shared.pace.floor);
            (now.fetches, now.running, rested)
        };
        let current = self.current();
        let is_newer = current.as_ref().map(|set| set.generation()) != known;
        if !is_newer && (running || rested) {
            if !running {
                shared.asked.notify_one();
            }
            let done = progress.wait_for(|now| !now.running && now.fetches > seen);
            // In time or not: what is there now is what there is.
            drop(timeout(shared.pace.wait, done).await);
        }
        self.current().map_or(Newer::None, Newer::Set)
    }
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Fetches for ever: when the time has come, or when asked and the last fetch is long enough ago.
async fn refresh(shared: Arc<Shared>, client: Client) {
    let pace = shared.pace;
    let mut retry = pace.retry;
    loop {
        let started = Instant::now();
        shared.progress.send_modify(|progress| {
            progress.running = true;
            progress.started = Some(started);
        });
        let outcome = shared.fetch(&client).await;
        let pause = match &outcome {
            Ok(pause) => {
                retry = pace.retry;
                *pause
            }
            Err(error) => {
                tracing::warn!(url = shared.place.shown(), %error,
                    kept = shared.current.load().is_some(), "keys could not be fetched");
                let pause = retry;
                retry = (retry * 2).min(pace.retry_longest);
                pause
            }
        };
        shared.progress.send_modify(|progress| {
            progress.running = false;
            progress.fetches += 1;
            progress.failures += u64::from(outcome.is_err());
            progress.last_error = outcome.err();
        });
        tokio::select! {
            () = sleep_until(Instant::now() + pause) => {}
            () = shared.asked_after(started + pace.floor) => {}
        }
    }
}

impl Shared {
    /// Waits for the first question after `floor`; earlier ones are forgotten, or one asked while
    /// a fetch was ending would cause another.
    async fn asked_after(&self, floor: Instant) {
        loop {
            self.asked.notified().await;
            if Instant::now() >= floor {
                return;
            }
        }
    }

    /// Fetches the set once and puts it in place; how long it may be used.
    async fn fetch(&self, client: &Client) -> Result<Duration, String> {
        let (set, headers) = match &self.place {
            Place::Jwks(url) => self.fetch_set(client, url).await?,
            Place::Discovery {
                document,
                issuer,
                exact,
            } => {
                let found = discover(client, document, (issuer, *exact)).await?;
                let (set, headers) = self.fetch_set(client, &found.jwks).await?;
                (set.with_issuer(found.issuer.into()), headers)
            }
        };
        let known = self.current.load();
        // A set that says the same keeps its generation, and what was verified with it counts.
        if !known.as_ref().is_some_and(|known| known.equals(&set)) {
            tracing::info!(url = self.place.shown(), keys = set.len(), "keys fetched");
            self.current.store(Some(Arc::new(set)));
        }
        Ok(freshness(&headers)
            .unwrap_or(self.pace.usual)
            .clamp(self.pace.shortest, self.pace.longest))
    }

    async fn fetch_set(&self, client: &Client, url: &Url) -> Result<(KeySet, HeaderMap), String> {
        let document = client.get(url).await.map_err(|error| error.to_string())?;
        let set = KeySet::from_jwks(&document.body, &self.algorithms, Origin::Published)
            .map_err(|error| format!("the key set {error}"))?;
        Ok((set, document.headers))
    }
}

/// What a discovery document says, as far as it matters here.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

struct Found {
    issuer: String,
    jwks: Url,
}

/// Reads the discovery document. Whose issuer is another's is not believed (4.3); keys are not
/// fetched over http because a document that came over https says so.
async fn discover(
    client: &Client,
    url: &Url,
    (issuer, exact): (&str, bool),
) -> Result<Found, String> {
    let document = client.get(url).await.map_err(|error| error.to_string())?;
    let found: Discovered = serde_json::from_slice(&document.body)
        .map_err(|error| format!("the discovery document is broken: {error}"))?;
    let same = if exact {
        found.issuer == issuer
    } else {
        found.issuer.strip_suffix('/').unwrap_or(&found.issuer) == issuer
    };
    if !same {
        return Err("the discovery document is another issuer's".to_owned());
    }
    let jwks = Url::parse(&found.jwks_uri)?;
    if url.is_https() && !jwks.is_https() {
        return Err("the discovery document names keys over http".to_owned());
    }
    Ok(Found {
        issuer: found.issuer,
        jwks,
    })
}

/// How long an answer stays fresh (RFC 9111, 4.2.1), where it says.
fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let mut seconds = None;
    let fields = headers.get_all(CACHE_CONTROL).into_iter();
    for directive in fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
    {
        let directive = directive.trim().to_ascii_lowercase();
        if directive == "no-store" || directive == "no-cache" {
            return Some(Duration::ZERO);
        }
        if let Some(age) = directive.strip_prefix("max-age=") {
            seconds = age.trim_matches('"').parse::<u64>().ok();
        }
    }
    let age = headers.get(AGE).and_then(|age| age.to_str().ok());
    let age = age.and_then(|age| age.parse().ok()).unwrap_or(0);
    seconds.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
}
