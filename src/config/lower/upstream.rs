//! What an upstream says: endpoints, timeouts, retries, health.

use super::Lowering;
use crate::config::reader::Reader;
use crate::config::scalars;
use crate::config::units;
use crate::upstream::{
    Balance, EndpointSpec, HealthSpec, Protocol, RetryOn, RetrySpec, UpstreamSpec, UpstreamTls,
};

impl<'a> Lowering<'a> {
    pub(super) fn upstream(&mut self, name: &str, table: Reader<'a>) -> UpstreamSpec {
        let endpoints = self.endpoints(table);
        let tls = self.upstream_tls(table, &endpoints);
        UpstreamSpec {
            name: name.to_owned(),
            endpoints,
            protocol: match table.word("protocol") {
                "h1" => Protocol::H1,
                "h2" => Protocol::H2,
                _ => Protocol::Auto,
            },
            tls,
            balance: match table.word("balance") {
                "least-request" => Balance::LeastRequest,
                _ => Balance::RoundRobin,
            },
            timeout: table.duration("timeout").unwrap_or_default(),
            connect_timeout: table.duration("connect_timeout").unwrap_or_default(),
            retry: table.given("retry").map(Self::retry),
            deadline_header: table
                .node("deadline_header")
                .and_then(|node| self.settable(node)),
            health: table.given("health").map(Self::health),
            max_connections: table.count("max_connections"),
            max_requests: table.count("max_requests"),
        }
    }

    fn endpoints(&mut self, table: Reader<'a>) -> Vec<EndpointSpec> {
        let mut endpoints: Vec<EndpointSpec> = Vec::new();
        for node in table.list("endpoints") {
            let Some(Ok(endpoint)) = node.text().map(|text| scalars::endpoint(text.as_str()))
            else {
                continue;
            };
            if endpoints.contains(&endpoint) {
                self.mistake(node.place, "this endpoint stands twice")
                    .help("remove one of them");
            } else if endpoints
                .first()
                .is_some_and(|first| first.tls != endpoint.tls)
            {
                self.mistake(
                    node.place,
                    "an upstream is either `http` or `https`, not both",
                )
                .help("make two upstreams of them");
            }
            endpoints.push(endpoint);
        }
        endpoints
    }

    fn upstream_tls(&mut self, table: Reader<'a>, endpoints: &[EndpointSpec]) -> UpstreamTls {
        let Some(tls) = table.given("tls") else {
            return UpstreamTls::default();
        };
        if !endpoints.is_empty() && !endpoints.iter().any(|endpoint| endpoint.tls) {
            self.mistake(tls.place(), "`tls` means nothing: no endpoint is `https`")
                .help("remove it, or write the endpoints with `https://`");
        }
        let ca = self.file(tls, "ca");
        let cert = self.file(tls, "cert");
        let key = self.file(tls, "key");
        let server_name = tls.text("server_name").map(|text| text.as_str().to_owned());
        if let Some(name) = &server_name
            && rustls_pki_types::ServerName::try_from(name.as_str()).is_err()
        {
            self.mistake(tls.place_of("server_name"), "not a host name");
        }
        let spec = UpstreamTls {
            ca,
            identity: cert.zip(key),
            server_name,
        };
        self.must_load(tls, &spec);
        spec
    }

    pub(super) fn retry(retry: Reader<'a>) -> RetrySpec {
        let on = retry.words("on");
        let has = |cause: &str| on.contains(&cause);
        RetrySpec {
            attempts: retry.count("attempts").unwrap_or(1),
            on: RetryOn {
                connect: has("connect"),
                reset: has("reset"),
                timeout: has("timeout"),
                server_error: has("5xx"),
                busy: has("busy"),
            },
            backoff: units::duration_range(retry.word("backoff")).unwrap_or_default(),
        }
    }

    fn health(health: Reader<'a>) -> HealthSpec {
        HealthSpec {
            path: health.word("path").to_owned(),
            every: health.duration("every").unwrap_or_default(),
            timeout: health.duration("timeout").unwrap_or_default(),
            unhealthy_after: health.count("unhealthy_after").unwrap_or(1),
            healthy_after: health.count("healthy_after").unwrap_or(1),
        }
    }

    /// Certificates and keys that cannot be read or do not belong together.
    fn must_load(&mut self, tls: Reader<'a>, spec: &UpstreamTls) {
        if let Some(path) = &spec.ca
            && let Err(error) = crate::tls::certs::load_authorities(path)
        {
            self.mistake(tls.place_of("ca"), error);
        }
        if let Some((cert, key)) = &spec.identity {
            let pair = crate::tls::CertificateSpec {
                cert: cert.clone(),
                key: key.clone(),
            };
            if let Err(error) = crate::tls::certs::load(&pair) {
                self.mistake(tls.place_of("cert"), error);
            }
        }
    }
}
