//! The whole file, checked: what a snapshot is built from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use ipnet::IpNet;

pub use super::masked::Effective;
use crate::expression::{Expression, Template};
use crate::guard::{AuthenticatorSpec, GuardSpec, LimitSpec};
use crate::intake::IntakeSpec;
use crate::listen::ListenerSpec;
use crate::observe::AccessLogSpec;
use crate::orchestrate::{FlowSpec, OnErrorSpec};
use crate::route::{HostPattern, PathPattern, Table};
use crate::upstream::UpstreamSpec;

/// Everything the file says. Indices in routes point into the lists here.
#[derive(Clone, Debug)]
pub struct GatewaySpec {
    pub server: ServerSpec,
    pub listeners: Vec<ListenerSpec>,
    pub admin: Option<AdminSpec>,
    pub upstreams: Vec<UpstreamSpec>,
    pub authenticators: Vec<AuthenticatorSpec>,
    pub limits: Vec<LimitSpec>,
    /// In the order of the file.
    pub routes: Vec<RouteSpec>,
    /// The routes as they are found, by their places in the list.
    pub table: Table,
    /// Every file that was read: the file, its includes, certificates, keys. They are watched.
    pub files: Vec<PathBuf>,
    /// What was written, for `/config`.
    pub effective: Effective,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSpec {
    /// 0: one for each core that the process may use.
    pub workers: usize,
    /// How long requests may go on after SIGTERM.
    pub drain: Duration,
    /// Peers whose forwarding fields are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Client connections over all workers.
    pub max_connections: usize,
    pub access_log: AccessLogSpec,
}

/// `[admin]`
#[derive(Clone, PartialEq, Eq)]
pub struct AdminSpec {
    pub address: SocketAddr,
    /// `Authorization: Bearer` of every request; required on any address but loopback.
    pub token: Option<String>,
}

impl std::fmt::Debug for AdminSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AdminSpec({})", self.address)
    }
}

/// Which requests, and what is done with them.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Unique: as given, else methods and path.
    pub name: String,
    pub hosts: Vec<HostPattern>,
    pub pattern: PathPattern,
    pub methods: Vec<Method>,
    pub when: Option<Arc<Expression>>,
    pub priority: i64,
    pub guard: GuardSpec,
    pub action: ActionSpec,
    /// From the request head to the response head; for a flow, to the whole response.
    pub timeout: Duration,
    /// Set towards the upstream; names in lower case.
    pub headers: Vec<(String, Template)>,
    /// Removed towards the upstream; names in lower case.
    pub remove_headers: Vec<String>,
    /// Set on the response; names in lower case.
    pub response_headers: Vec<(String, Template)>,
    /// What is answered in the place of an error; the first that holds counts.
    pub on_error: Vec<OnErrorSpec>,
    /// Bound on the request body; the listener's where none.
    pub body_bytes: Option<u64>,
    /// Which bodies are taken, and bounds for some.
    pub intake: IntakeSpec,
    /// Clients that ask for it get the parts of its flow as they become final.
    pub progressive: bool,
}

/// What a route does.
#[derive(Clone, Debug)]
pub enum ActionSpec {
    Proxy {
        upstream: usize,
        /// Path and perhaps query to send; the canonical path and the query as they came where
        /// none.
        rewrite: Option<Template>,
    },
    Flow(Box<FlowSpec>),
    Respond {
        status: StatusCode,
        headers: Vec<(String, Template)>,
        /// Text, or an expression's JSON.
        body: RespondBody,
    },
    Redirect {
        status: StatusCode,
        location: Template,
    },
}

/// The body of a fixed answer.
#[derive(Clone, Debug, Default)]
pub enum RespondBody {
    #[default]
    Nothing,
    Text(String),
    Json(Arc<Expression>),
}
