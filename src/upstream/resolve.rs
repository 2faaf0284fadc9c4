//! The addresses behind an endpoint's name, kept and refreshed off the path of a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::exchange::id;

/// How old an answer may be before it is asked for again, in the background. The system's
/// resolver does not tell how long a record lives.
const FRESH: Duration = Duration::from_secs(15);

/// The most addresses kept of one name.
const ADDRESSES_MAX: usize = 32;

/// What is known about where an endpoint is.
pub(super) struct Addresses {
    host: Box<str>,
    port: u16,
    /// Set where the host is an address itself.
    literal: Option<SocketAddr>,
    known: ArcSwapOption<Known>,
    refreshing: AtomicBool,
    /// Held while a name is looked up for the first time.
    first: Mutex<()>,
}

struct Known {
    addresses: Box<[SocketAddr]>,
    since: Instant,
}

impl Addresses {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            literal: host
                .parse::<IpAddr>()
                .ok()
                .map(|address| SocketAddr::new(address, port)),
            known: ArcSwapOption::empty(),
            refreshing: AtomicBool::new(false),
            first: Mutex::new(()),
        }
    }

    /// The addresses to try, in order. Waits only when none has ever been found; an old answer
    /// is given as it is, and asked for again meanwhile. The last good answer is kept for as
    /// long as the resolver has no better.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Vec<SocketAddr>, String> {
        if let Some(address) = self.literal {
            return Ok(vec![address]);
        }
        if self.known.load().is_none() {
            let _guard = self.first.lock().await;
            // Another call may have looked it up while this one waited.
            if self.known.load().is_none() {
                self.look_up().await?;
            }
        }
        let known = self.known.load_full();
        let known = known.ok_or_else(|| format!("`{}` has no address", self.host))?;
        if known.since.elapsed() > FRESH && !self.refreshing.swap(true, Ordering::AcqRel) {
            let addresses = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = addresses.look_up().await {
                    tracing::warn!(host = %addresses.host, %error, "the last good addresses stay in use");
                    addresses.keep();
                }
                addresses.refreshing.store(false, Ordering::Release);
            });
        }
        Ok(in_turn(&known.addresses))
    }

    async fn look_up(&self) -> Result<(), String> {
        let found = tokio::net::lookup_host((&*self.host, self.port))
            .await
            .map_err(|error| format!("`{}` was not resolved: {error}", self.host))?;
        let addresses: Box<[_]> = found.take(ADDRESSES_MAX).collect();
        if addresses.is_empty() {
            return Err(format!("`{}` has no address", self.host));
        }
        self.store(addresses);
        Ok(())
    }

    /// Takes the last answer for fresh, so that a broken resolver is not asked all the time.
    fn keep(&self) {
        if let Some(known) = self.known.load_full() {
            self.store(known.addresses.clone());
        }
    }

    fn store(&self, addresses: Box<[SocketAddr]>) {
        self.known.store(Some(Arc::new(Known {
            addresses,
            since: Instant::now(),
        })));
    }
}

/// The addresses with the families in turn, the system's preferred one first (RFC 8305, 4), each
/// family from a place of its own each time, so that all its addresses get their share.
fn in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let (Some(first), false) = (addresses.first(), addresses.len() == 1) else {
        return addresses.to_vec();
    };
    let (mut preferred, mut other): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let chance = id::random() as usize;
    for family in [&mut preferred, &mut other] {
        if !family.is_empty() {
            let start = chance % family.len();
            family.rotate_left(start);
        }
    }
    let mut ordered = Vec::with_capacity(addresses.len());
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::backend::{on_worker, until};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn families_take_turns_and_none_is_lost() {
        let given = [
            address("[::1]:1"),
            address("[::2]:1"),
            address("[::3]:1"),
            address("10.0.0.1:1"),
        ];
        for _ in 0..20 {
            let ordered = in_turn(&given);
            assert!(ordered[0].is_ipv6() && ordered[1].is_ipv4());
            let mut sorted = ordered.clone();
            sorted.sort();
            let mut all = given.to_vec();
            all.sort();
            assert_eq!(sorted, all);
        }
        assert!(in_turn(&[]).is_empty());
    }

    #[tokio::test]
    async fn an_address_needs_no_resolver() {
        let addresses = Arc::new(Addresses::new("::1", 80));
        assert_eq!(addresses.get().await, Ok(vec![address("[::1]:80")]));
    }

    #[test]
    fn the_last_good_answer_outlives_a_failing_resolver() {
        on_worker(|| async {
            let addresses = Arc::new(Addresses::new("a..b", 80));
            assert!(addresses.get().await.is_err());
            addresses.known.store(Some(Arc::new(Known {
                addresses: [address("10.0.0.1:80")].into(),
                since: Instant::now().checked_sub(FRESH * 2).unwrap(),
            })));
            assert_eq!(addresses.get().await, Ok(vec![address("10.0.0.1:80")]));
            let refreshing = || addresses.refreshing.load(Ordering::Acquire);
            until(|| !refreshing()).await;
            assert_eq!(addresses.get().await, Ok(vec![address("10.0.0.1:80")]));
            assert!(!refreshing(), "it was asked in vain a moment ago");
        });
    }
}
