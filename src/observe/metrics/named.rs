//! The handles of a snapshot; by name where what is counted is too rare to be worth an index.

use std::collections::HashMap;
use std::sync::Arc;

use super::Metrics;
use super::cells::Series;
use super::series::{AuthenticatorCells, LimitCells, UpstreamMetrics};

/// The handles of a snapshot, beside those that its routes and listeners hold.
#[derive(Debug)]
pub struct Handles {
    /// In the order of the file.
    pub upstreams: Vec<Arc<UpstreamMetrics>>,
    pub authenticators: Named<AuthenticatorCells>,
    pub limits: Named<LimitCells>,
}

impl Handles {
    pub fn new<'n>(
        metrics: &Metrics,
        upstreams: impl Iterator<Item = &'n str>,
        authenticators: impl Iterator<Item = &'n str>,
        limits: impl Iterator<Item = &'n str>,
    ) -> Self {
        Self {
            upstreams: upstreams.map(|name| metrics.upstream(name)).collect(),
            authenticators: Named::new(authenticators, |name| metrics.authenticator(name)),
            limits: Named::new(limits, |name| metrics.limit(name)),
        }
    }
}

/// One handle for each authenticator or limit of a snapshot.
#[derive(Debug)]
pub struct Named<C>(HashMap<Box<str>, Arc<Series<C>>>);

impl<C> Named<C> {
    fn new<'n>(
        names: impl Iterator<Item = &'n str>,
        resolve: impl Fn(&str) -> Arc<Series<C>>,
    ) -> Self {
        Self(names.map(|name| (name.into(), resolve(name))).collect())
    }

    pub fn get(&self, name: &str) -> Option<&Series<C>> {
        self.0.get(name).map(|series| &**series)
    }
}
