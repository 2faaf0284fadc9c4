//! Tests of the metrics as an operator scrapes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prometheus_client::metrics::MetricType;

use super::*;

/// The samples of a page by name and labels. Fails where a line is not OpenMetrics text.
fn samples(metrics: &Arc<Metrics>) -> BTreeMap<String, f64> {
    let mut text = String::new();
    metrics.encode(figures(), &mut text);
    assert!(text.ends_with("# EOF\n"));
    let mut samples = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some(typed) = comment.strip_prefix("TYPE ") {
                family = typed.split(' ').next().unwrap().to_owned();
            }
            continue;
        }
        assert!(line.starts_with(&family), "{line} is not of {family}");
        let (name, value) = line.rsplit_once(' ').unwrap();
        let known = samples.insert(name.to_owned(), value.parse().unwrap());
        assert_eq!(known, None, "{name} stands there twice");
    }
    samples
}

/// One upstream and one set of keys.
fn figures() -> Figures {
    let endpoint = EndpointFigures {
        url: "http://a:1".to_owned(),
        requests: 1,
        failures: vec![("reset", 1)],
        connections: 1,
        ..EndpointFigures::default()
    };
    Figures {
        upstreams: vec![UpstreamFigures {
            name: "users".to_owned(),
            retries: 1,
            endpoints: vec![endpoint],
            ..UpstreamFigures::default()
        }],
        key_sets: vec![KeySetFigures {
            authenticator: "customers".to_owned(),
            keys: 1,
            fetches: 2,
            failures: 1,
        }],
    }
}

fn end(status: u16) -> ExchangeEnd {
    ExchangeEnd {
        status: Some(status),
        duration: Duration::from_millis(3),
        received: 10,
        sent: 100,
        ..ExchangeEnd::default()
    }
}

#[test]
fn workers_are_summed_by_route() {
    let metrics = Metrics::new(2);
    let route = metrics.route("GET /a");
    for index in 0..2 {
        let cells = route.at(Slot::worker(index));
        cells.begin();
        cells.begin();
        cells.end(&end(200));
    }
    route.at(Slot::worker(1)).end(&ExchangeEnd {
        status: None,
        aborted: true,
        cause: Some("timeout"),
        ..end(0)
    });
    let samples = samples(&metrics);
    let label = "{route=\"GET /a\"}";
    for (name, value) in [
        (
            "concertina_requests_total{route=\"GET /a\",status=\"2xx\"}",
            2.0,
        ),
        (
            "concertina_requests_total{route=\"GET /a\",status=\"none\"}",
            1.0,
        ),
        (
            "concertina_request_failures_total{route=\"GET /a\",cause=\"timeout\"}",
            1.0,
        ),
        (
            "concertina_request_duration_seconds_bucket{le=\"0.0025\",route=\"GET /a\"}",
            0.0,
        ),
        (
            "concertina_request_duration_seconds_bucket{le=\"0.005\",route=\"GET /a\"}",
            3.0,
        ),
        (
            "concertina_request_duration_seconds_bucket{le=\"+Inf\",route=\"GET /a\"}",
            3.0,
        ),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    for (name, value) in [
        ("concertina_requests_in_flight", 1.0),
        ("concertina_requests_aborted_total", 1.0),
        ("concertina_request_body_bytes_total", 30.0),
        ("concertina_response_body_bytes_total", 300.0),
        ("concertina_request_duration_seconds_count", 3.0),
    ] {
        assert_eq!(
            samples.get(&format!("{name}{label}")),
            Some(&value),
            "{name}"
        );
    }
}

#[test]
fn counts_live_on_under_the_same_name_and_end_with_their_last_holder() {
    let metrics = Metrics::new(1);
    let before = metrics.route("a");
    before.at(Slot::worker(0)).begin();
    let after = metrics.route("a");
    drop(before);
    after.at(Slot::worker(0)).begin();
    assert_eq!(after.summary().in_flight, 2);
    drop(after);
    let gone = samples(&metrics)
        .keys()
        .all(|name| !name.contains("route=\"a\""));
    assert!(gone);
    assert_eq!(metrics.route("a").summary().in_flight, 0);
}

#[test]
fn names_that_nobody_holds_are_swept_out() {
    let metrics = Metrics::new(1);
    for index in 0..1000 {
        metrics.route(&format!("route {index}"));
    }
    assert!(lock(&metrics.routes.0).series.len() < 100);
}

#[test]
fn names_of_any_kind_stay_within_their_label() {
    let metrics = Metrics::new(1);
    let route = metrics.route("a\"b\\c\nd");
    route.at(Slot::worker(0)).end(&end(204));
    let samples = samples(&metrics);
    let name = "concertina_requests_total{route=\"a\\\"b\\\\c\\nd\",status=\"2xx\"}";
    assert_eq!(samples.get(name), Some(&1.0));
}

#[test]
fn every_question_has_its_family() {
    let metrics = Metrics::new(1);
    let slot = Slot::worker(0);
    let second = Duration::from_secs(1);
    let upstream = metrics.upstream("users");
    let ongoing = upstream.at(slot).call();
    upstream.at(slot).call().answered(503);
    upstream.at(slot).call().failed("connect");
    drop(upstream.at(slot).call());
    let part = metrics.part("dashboard", "orders");
    part.at(slot).ended("ok", None, second);
    part.at(slot).ended("failed", Some("timeout"), second);
    part.at(slot).ended("skipped", None, Duration::ZERO);
    let limit = metrics.limit("per-customer");
    limit.at(slot).refused();
    let authenticator = metrics.authenticator("customers");
    authenticator.at(slot).admitted();
    authenticator.at(slot).refused("expired");
    let listener = metrics.listener("0.0.0.0:443");
    let connection = listener.connection(slot);
    drop(listener.connection(slot));
    listener.at(slot).handshake(true);
    listener.at(slot).handshake_failed("timeout");
    listener.at(slot).turned_away();
    metrics.certificates(vec![("api.pem".to_owned(), 4_102_444_800); 2]);
    metrics.reloaded(Reload::Applied);
    metrics.reloaded(Reload::Refused { mistakes: 3 });

    let samples = samples(&metrics);
    for name in [
        "concertina_upstream_calls_total{upstream=\"users\",outcome=\"5xx\"}",
        "concertina_upstream_calls_total{upstream=\"users\",outcome=\"connect\"}",
        "concertina_upstream_calls_total{upstream=\"users\",outcome=\"cancelled\"}",
        "concertina_upstream_calls_in_flight{upstream=\"users\"}",
        "concertina_upstream_retries_total{upstream=\"users\"}",
        "concertina_endpoint_requests_total{upstream=\"users\",endpoint=\"http://a:1\"}",
        "concertina_endpoint_failures_total{upstream=\"users\",endpoint=\"http://a:1\",cause=\"reset\"}",
        "concertina_endpoint_connections_open{upstream=\"users\",endpoint=\"http://a:1\"}",
        "concertina_auth_keys{authenticator=\"customers\"}",
        "concertina_auth_key_fetches_total{authenticator=\"customers\",outcome=\"failed\"}",
        "concertina_parts_total{flow=\"dashboard\",step=\"orders\",outcome=\"failed\"}",
        "concertina_part_failures_total{flow=\"dashboard\",step=\"orders\",cause=\"timeout\"}",
        "concertina_limit_refusals_total{limit=\"per-customer\"}",
        "concertina_auth_admissions_total{authenticator=\"customers\"}",
        "concertina_auth_refusals_total{authenticator=\"customers\",reason=\"expired\"}",
        "concertina_connections_open{listener=\"0.0.0.0:443\"}",
        "concertina_connections_turned_away_total{listener=\"0.0.0.0:443\"}",
        "concertina_tls_handshakes_total{listener=\"0.0.0.0:443\",kind=\"resumed\"}",
        "concertina_tls_handshake_failures_total{listener=\"0.0.0.0:443\",cause=\"timeout\"}",
        "concertina_config_reloads_total{outcome=\"applied\"}",
        "concertina_config_reloads_total{outcome=\"refused\"}",
        "concertina_workers",
    ] {
        assert_eq!(samples.get(name), Some(&1.0), "{name}");
    }
    let value = |name: &str| samples[name];
    assert!(
        value("concertina_part_duration_seconds_count{flow=\"dashboard\",step=\"orders\"}") > 1.0
    );
    let healthy = "concertina_endpoint_healthy{upstream=\"users\",endpoint=\"http://a:1\"}";
    assert!(value(healthy) < 1.0);
    assert!(value("concertina_config_last_reload_successful") < 1.0);
    assert!(value("concertina_config_last_reload_success_timestamp_seconds") > 1e9);
    assert!((value("concertina_config_mistakes") - 3.0).abs() < 0.1);
    let expiry = "concertina_certificate_expiry_timestamp_seconds{certificate=\"api.pem\"}";
    assert!(value(expiry) > 4e9);
    drop((connection, ongoing));
}

#[test]
fn every_declared_family_is_written_and_declared_once() {
    let metrics = Metrics::new(1);
    let mut text = String::new();
    metrics.encode(Figures::default(), &mut text);
    let mut names = BTreeSet::new();
    for family in FAMILIES {
        assert!(names.insert(family.name), "{} is there twice", family.name);
        assert!(
            text.contains(&format!("# HELP {}", family.name)),
            "{}",
            family.name
        );
    }
    let written = text
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .count();
    assert_eq!(written, FAMILIES.len());
}

#[test]
fn the_documentation_lists_every_family() {
    let documented = include_str!("../../../docs/operating.md");
    for family in FAMILIES {
        let unit = family
            .unit
            .as_ref()
            .map_or(String::new(), |unit| format!("_{}", unit.as_str()));
        let suffix = match family.kind {
            MetricType::Counter => "_total",
            _ => "",
        };
        let row = format!(
            "| `{}{unit}{suffix}` | {} | {} | {} |",
            family.name,
            family.kind.as_str(),
            family.labels.join(", "),
            family.help
        );
        assert!(
            documented.contains(&row),
            "missing in docs/operating.md:\n{row}"
        );
    }
}
