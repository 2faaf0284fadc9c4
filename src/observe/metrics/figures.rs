//! What other parts count for themselves, handed over when somebody asks.

/// Taken at one moment, for one page.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub upstreams: Vec<UpstreamFigures>,
    pub key_sets: Vec<KeySetFigures>,
}

/// One upstream.
#[derive(Clone, Debug, Default)]
pub struct UpstreamFigures {
    pub name: String,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Retries that the budget refused.
    pub retries_refused: u64,
    pub endpoints: Vec<EndpointFigures>,
}

/// One endpoint of an upstream.
#[derive(Clone, Debug, Default)]
pub struct EndpointFigures {
    /// As in the file: `http://10.0.0.1:8080`.
    pub url: String,
    /// Requests go there.
    pub healthy: bool,
    /// Attempts.
    pub requests: u64,
    /// Attempts whose response has not ended.
    pub in_flight: u64,
    /// Attempts that failed, by cause.
    pub failures: Vec<(&'static str, u64)>,
    /// Connections open now.
    pub connections: u64,
    /// Connections ever made.
    pub connects: u64,
}

/// A set of keys that is fetched.
#[derive(Clone, Debug, Default)]
pub struct KeySetFigures {
    /// The first authenticator that uses it.
    pub authenticator: String,
    /// Usable keys held now; 0 where no set was ever had.
    pub keys: usize,
    pub fetches: u64,
    /// Those of the fetches that failed.
    pub failures: u64,
}
