//! Every metric by name, unit and labels, declared in one place.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// One question an operator asks, and the family of series that answers it.
#[derive(Debug)]
pub struct Family {
    /// Without the unit and the suffix `_total`, which the format adds.
    pub name: &'static str,
    pub help: &'static str,
    pub unit: Option<Unit>,
    pub kind: MetricType,
    pub labels: &'static [&'static str],
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $unit:expr, $help:literal;)*) => {
        $(
            pub(super) const $constant: Family = Family {
                name: $name,
                help: $help,
                unit: $unit,
                kind: MetricType::$kind,
                labels: &[$($label),*],
            };
        )*

        /// Every family, in the order in which `/metrics` shows them.
        pub const FAMILIES: &[Family] = &[$($constant),*];
    };
}

families! {
    REQUESTS: Counter "concertina_requests" ["route", "status"] None,
        "Requests that ended, by class of status; none: the client left before there was one";
    IN_FLIGHT: Gauge "concertina_requests_in_flight" ["route"] None,
        "Requests at work";
    REQUEST_DURATION: Histogram "concertina_request_duration" ["route"] Some(Unit::Seconds),
        "From the request head to the last byte of the response";
    ABORTED: Counter "concertina_requests_aborted" ["route"] None,
        "Requests whose client left before the last byte of the response";
    FAILURES: Counter "concertina_request_failures" ["route", "cause"] None,
        "Requests that the gateway answered with a problem, by cause";
    RECEIVED: Counter "concertina_request_body" ["route"] Some(Unit::Bytes),
        "Bytes of request bodies";
    SENT: Counter "concertina_response_body" ["route"] Some(Unit::Bytes),
        "Bytes of response bodies";
    CALLS: Counter "concertina_upstream_calls" ["upstream", "outcome"] None,
        "Calls to upstreams, retries and all, by class of status or cause of failure";
    CALLS_IN_FLIGHT: Gauge "concertina_upstream_calls_in_flight" ["upstream"] None,
        "Calls that wait for a response head";
    CALL_DURATION: Histogram "concertina_upstream_call_duration" ["upstream"] Some(Unit::Seconds),
        "From the start of a call to the response head or the failure, retries and all";
    RETRIES: Counter "concertina_upstream_retries" ["upstream"] None,
        "Attempts beyond the first";
    RETRIES_REFUSED: Counter "concertina_upstream_retries_refused" ["upstream"] None,
        "Attempts beyond the first that the retry budget refused";
    ATTEMPTS: Counter "concertina_endpoint_requests" ["upstream", "endpoint"] None,
        "Attempts at an endpoint";
    ATTEMPTS_IN_FLIGHT: Gauge "concertina_endpoint_requests_in_flight" ["upstream", "endpoint"] None,
        "Attempts at an endpoint whose response has not ended";
    ATTEMPT_FAILURES: Counter "concertina_endpoint_failures" ["upstream", "endpoint", "cause"] None,
        "Attempts at an endpoint that failed, by cause";
    ENDPOINT_HEALTHY: Gauge "concertina_endpoint_healthy" ["upstream", "endpoint"] None,
        "1 where requests may go, 0 where the endpoint is set aside";
    ENDPOINT_CONNECTIONS: Gauge "concertina_endpoint_connections_open" ["upstream", "endpoint"] None,
        "Open connections to an endpoint";
    ENDPOINT_OPENED: Counter "concertina_endpoint_connections_opened" ["upstream", "endpoint"] None,
        "Connections made to an endpoint";
    PARTS: Counter "concertina_parts" ["flow", "step", "outcome"] None,
        "Steps of flows that ended, by outcome";
    PART_FAILURES: Counter "concertina_part_failures" ["flow", "step", "cause"] None,
        "Steps of flows that failed, by cause";
    PART_DURATION: Histogram "concertina_part_duration" ["flow", "step"] Some(Unit::Seconds),
        "From the start of a step to its outcome";
    PART_CACHE: Counter "concertina_part_cache" ["flow", "step", "use"] None,
        "Calls of steps that keep what they bring: hit, shared with an equal call at work, miss, or stale because the upstream failed";
    LIMIT_REFUSALS: Counter "concertina_limit_refusals" ["limit"] None,
        "Requests refused by a limit";
    ADMISSIONS: Counter "concertina_auth_admissions" ["authenticator"] None,
        "Requests that an authenticator admitted";
    AUTH_REFUSALS: Counter "concertina_auth_refusals" ["authenticator", "reason"] None,
        "Requests that an authenticator refused, by reason";
    KEYS: Gauge "concertina_auth_keys" ["authenticator"] None,
        "Usable keys of a set that is fetched; 0: none was ever had, and nobody is admitted";
    KEY_FETCHES: Counter "concertina_auth_key_fetches" ["authenticator", "outcome"] None,
        "Fetches of a set of keys, by outcome: ok or failed";
    CONNECTIONS: Gauge "concertina_connections_open" ["listener"] None,
        "Open connections of clients";
    CONNECTIONS_ACCEPTED: Counter "concertina_connections_accepted" ["listener"] None,
        "Connections accepted from clients";
    CONNECTIONS_TURNED_AWAY: Counter "concertina_connections_turned_away" ["listener"] None,
        "Connections closed at once because as many were open as may be";
    HANDSHAKES: Counter "concertina_tls_handshakes" ["listener", "kind"] None,
        "TLS handshakes that succeeded, full or resumed";
    HANDSHAKE_FAILURES: Counter "concertina_tls_handshake_failures" ["listener", "cause"] None,
        "TLS handshakes that failed, by cause";
    CERTIFICATE_EXPIRY: Gauge "concertina_certificate_expiry_timestamp" ["certificate"] Some(Unit::Seconds),
        "When a certificate that is served ends";
    RELOADS: Counter "concertina_config_reloads" ["outcome"] None,
        "Attempts to load the file again: applied or refused";
    LAST_RELOAD_SUCCESSFUL: Gauge "concertina_config_last_reload_successful" [] None,
        "1 when the file as it is now is served, 0 when it has mistakes and an older one is";
    LAST_RELOAD_SUCCESS: Gauge "concertina_config_last_reload_success_timestamp" [] Some(Unit::Seconds),
        "When the file was last found good";
    MISTAKES: Gauge "concertina_config_mistakes" [] None,
        "Mistakes in the file as it is now";
    LOG_LINES: Counter "concertina_access_log_lines" [] None,
        "Lines of the access log that were taken";
    LOG_DROPPED: Counter "concertina_access_log_dropped" [] None,
        "Lines of the access log that were lost because the sink was too slow or failed";
    WORKERS: Gauge "concertina_workers" [] None,
        "Workers that serve";
    BUILD: Gauge "concertina_build_info" ["version"] None,
        "1, with the version of the program";
    PROCESS_START: Gauge "process_start_time" [] Some(Unit::Seconds),
        "When the process started";
    PROCESS_CPU: Counter "process_cpu" [] Some(Unit::Seconds),
        "CPU time of the process";
    PROCESS_MEMORY: Gauge "process_resident_memory" [] Some(Unit::Bytes),
        "Resident memory of the process";
    PROCESS_FILES: Gauge "process_open_fds" [] None,
        "Open file descriptors of the process";
}
