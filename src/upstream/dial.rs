//! Connections made by somebody else than the network: for trying flows without one.

use std::rc::Rc;

use http::Method;
use tokio::io::DuplexStream;

/// Makes the connections of a worker's calls. What is made is used for one request, by HTTP/1.1
/// and without TLS; everything around it (choice of endpoint, timeouts, retries) is as ever.
pub trait Dial {
    /// The other end for a request that is about to be sent, or why there is none.
    fn dial(&self, asked: Asked<'_>) -> Result<DuplexStream, String>;
}

/// The request that a connection is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The upstream's name in the file.
    pub upstream: &'a str,
    pub method: &'a Method,
    /// Path and query.
    pub target: &'a str,
}

/// How one upstream's connections are made.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) dial: Rc<dyn Dial>,
    pub(super) upstream: Rc<str>,
}
