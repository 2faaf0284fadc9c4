//! Sums the cells of all workers and writes them as families, for the client library to frame.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};

use super::cells::{BOUNDS_MICROS, Distribution, Series, float, lock};
use super::families::{self as f, Family};
use super::figures::{EndpointFigures, Figures, KeySetFigures, UpstreamFigures};
use super::process::Process;
use super::series::{CACHE_USES, CLASSES, OUTCOMES, sum_classes};
use super::{Metrics, seconds};

/// Everything that one page says.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub metrics: Arc<Metrics>,
    pub figures: Figures,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.metrics.write_routes(&mut page)?;
        self.metrics.write_upstreams(&mut page)?;
        write_endpoints(&self.figures.upstreams, &mut page)?;
        self.metrics.write_parts(&mut page)?;
        self.metrics.write_guards(&mut page)?;
        write_key_sets(&self.figures.key_sets, &mut page)?;
        self.metrics.write_listeners(&mut page)?;
        self.metrics.write_config(&mut page)?;
        self.metrics.write_process(&mut page)
    }
}

impl Metrics {
    fn write_routes(&self, page: &mut Page<'_>) -> fmt::Result {
        let routes = self.routes.live();
        page.classes(&f::REQUESTS, &routes, |route| {
            sum_classes(route, |cells| &cells.by_class)
        })?;
        page.gauges(&f::IN_FLIGHT, &routes, |route| {
            let ended: u64 = sum_classes(route, |cells| &cells.by_class).iter().sum();
            route.sum(|cells| &cells.begun).saturating_sub(ended)
        })?;
        page.histograms(&f::REQUEST_DURATION, &routes, |route| {
            route.distribution(|cells| &cells.durations)
        })?;
        page.counters(&f::ABORTED, &routes, |route| {
            route.sum(|cells| &cells.aborted)
        })?;
        page.words(&f::FAILURES, &routes, |route| {
            route.sum_causes(|cells| &cells.failures)
        })?;
        page.counters(&f::RECEIVED, &routes, |route| {
            route.sum(|cells| &cells.received)
        })?;
        page.counters(&f::SENT, &routes, |route| route.sum(|cells| &cells.sent))
    }

    fn write_upstreams(&self, page: &mut Page<'_>) -> fmt::Result {
        let upstreams = self.upstreams.live();
        page.words(&f::CALLS, &upstreams, |upstream| {
            let classes = sum_classes(upstream, |cells| &cells.by_class);
            let mut outcomes: Vec<_> = CLASSES.into_iter().zip(classes).collect();
            // Calls without a status are told apart by their cause.
            outcomes.pop();
            outcomes.retain(|(_, count)| *count > 0);
            outcomes.extend(upstream.sum_causes(|cells| &cells.failures));
            outcomes
        })?;
        page.gauges(&f::CALLS_IN_FLIGHT, &upstreams, |upstream| {
            let ended: u64 = sum_classes(upstream, |cells| &cells.by_class).iter().sum();
            upstream.sum(|cells| &cells.begun).saturating_sub(ended)
        })?;
        page.histograms(&f::CALL_DURATION, &upstreams, |upstream| {
            upstream.distribution(|cells| &cells.durations)
        })
    }

    fn write_parts(&self, page: &mut Page<'_>) -> fmt::Result {
        let parts = self.parts.live();
        page.words(&f::PARTS, &parts, |part| {
            let mut outcomes = Vec::new();
            for (index, outcome) in OUTCOMES.into_iter().enumerate() {
                let count = part
                    .all()
                    .filter_map(|cells| cells.outcomes.get(index))
                    .map(super::Count::get)
                    .sum();
                outcomes.push((outcome, count));
            }
            outcomes.retain(|(_, count)| *count > 0);
            outcomes
        })?;
        page.words(&f::PART_FAILURES, &parts, |part| {
            part.sum_causes(|cells| &cells.failures)
        })?;
        page.histograms(&f::PART_DURATION, &parts, |part| {
            part.distribution(|cells| &cells.durations)
        })?;
        page.words(&f::PART_CACHE, &parts, |part| {
            let mut uses = Vec::new();
            for (index, word) in CACHE_USES.into_iter().enumerate() {
                let cells = part.all().filter_map(|cells| cells.cache.get(index));
                uses.push((word, cells.map(super::Count::get).sum()));
            }
            uses.retain(|(_, count)| *count > 0);
            uses
        })
    }

    fn write_guards(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(&f::LIMIT_REFUSALS, &self.limits.live(), |limit| {
            limit.sum(|cells| &cells.refused)
        })?;
        let authenticators = self.authenticators.live();
        page.counters(&f::ADMISSIONS, &authenticators, |authenticator| {
            authenticator.sum(|cells| &cells.admitted)
        })?;
        page.words(&f::AUTH_REFUSALS, &authenticators, |authenticator| {
            authenticator.sum_causes(|cells| &cells.refusals)
        })
    }

    fn write_listeners(&self, page: &mut Page<'_>) -> fmt::Result {
        let listeners = self.listeners.live();
        page.gauges(&f::CONNECTIONS, &listeners, |listener| {
            listener
                .sum(|cells| &cells.accepted)
                .saturating_sub(listener.sum(|cells| &cells.closed))
        })?;
        page.counters(&f::CONNECTIONS_ACCEPTED, &listeners, |listener| {
            listener.sum(|cells| &cells.accepted)
        })?;
        page.counters(&f::CONNECTIONS_TURNED_AWAY, &listeners, |listener| {
            listener.sum(|cells| &cells.turned_away)
        })?;
        page.words(&f::HANDSHAKES, &listeners, |listener| {
            vec![
                ("full", listener.sum(|cells| &cells.full_handshakes)),
                ("resumed", listener.sum(|cells| &cells.resumed_handshakes)),
            ]
        })?;
        page.words(&f::HANDSHAKE_FAILURES, &listeners, |listener| {
            listener.sum_causes(|cells| &cells.handshake_failures)
        })?;
        let certificates = lock(&self.certificates).clone();
        page.family(&f::CERTIFICATE_EXPIRY, |rows| {
            for (path, end) in &certificates {
                rows.gauge(&[path], *end)?;
            }
            Ok(())
        })
    }

    fn write_config(&self, page: &mut Page<'_>) -> fmt::Result {
        let config = lock(&self.config);
        page.family(&f::RELOADS, |rows| {
            rows.counter(&["applied"], config.applied)?;
            rows.counter(&["refused"], config.refused)
        })?;
        page.family(&f::LAST_RELOAD_SUCCESSFUL, |rows| {
            rows.gauge(&[], u64::from(config.successful))
        })?;
        page.family(&f::LAST_RELOAD_SUCCESS, |rows| {
            rows.gauge(&[], config.last_success)
        })?;
        page.family(&f::MISTAKES, |rows| rows.gauge(&[], config.mistakes))?;
        page.family(&f::LOG_LINES, |rows| {
            rows.counter(&[], self.log.lines.load(Relaxed))
        })?;
        page.family(&f::LOG_DROPPED, |rows| {
            rows.counter(&[], self.log.dropped.load(Relaxed))
        })
    }

    fn write_process(&self, page: &mut Page<'_>) -> fmt::Result {
        let process = Process::read();
        page.family(&f::WORKERS, |rows| rows.gauge(&[], self.workers))?;
        page.family(&f::BUILD, |rows| {
            rows.gauge(&[env!("CARGO_PKG_VERSION")], 1_u64)
        })?;
        page.family(&f::PROCESS_START, |rows| {
            rows.gauge(&[], seconds(self.started))
        })?;
        page.family(&f::PROCESS_CPU, |rows| match process.cpu_seconds {
            Some(cpu) => rows.counter(&[], cpu),
            None => Ok(()),
        })?;
        let gauges = [
            (&f::PROCESS_MEMORY, process.resident_bytes),
            (&f::PROCESS_FILES, process.open_files),
        ];
        for (family, value) in gauges {
            page.family(family, |rows| match value {
                Some(value) => rows.gauge(&[], value),
                None => Ok(()),
            })?;
        }
        Ok(())
    }
}

/// What a family shows of one thing.
type Value<T> = fn(&T) -> u64;

fn write_endpoints(upstreams: &[UpstreamFigures], page: &mut Page<'_>) -> fmt::Result {
    let counters: [(&Family, Value<UpstreamFigures>); 2] = [
        (&f::RETRIES, |upstream| upstream.retries),
        (&f::RETRIES_REFUSED, |upstream| upstream.retries_refused),
    ];
    for (family, value) in counters {
        page.family(family, |rows| {
            upstreams
                .iter()
                .try_for_each(|upstream| rows.counter(&[&upstream.name], value(upstream)))
        })?;
    }
    let endpoints = || {
        upstreams.iter().flat_map(|upstream| {
            let name = upstream.name.as_str();
            upstream.endpoints.iter().map(move |it| (name, it))
        })
    };
    let counters: [(&Family, Value<EndpointFigures>); 2] = [
        (&f::ATTEMPTS, |endpoint| endpoint.requests),
        (&f::ENDPOINT_OPENED, |endpoint| endpoint.connects),
    ];
    for (family, value) in counters {
        page.family(family, |rows| {
            endpoints().try_for_each(|(name, it)| rows.counter(&[name, &it.url], value(it)))
        })?;
    }
    let gauges: [(&Family, Value<EndpointFigures>); 3] = [
        (&f::ATTEMPTS_IN_FLIGHT, |endpoint| endpoint.in_flight),
        (&f::ENDPOINT_HEALTHY, |endpoint| u64::from(endpoint.healthy)),
        (&f::ENDPOINT_CONNECTIONS, |endpoint| endpoint.connections),
    ];
    for (family, value) in gauges {
        page.family(family, |rows| {
            endpoints().try_for_each(|(name, it)| rows.gauge(&[name, &it.url], value(it)))
        })?;
    }
    page.family(&f::ATTEMPT_FAILURES, |rows| {
        for (name, endpoint) in endpoints() {
            for (cause, count) in &endpoint.failures {
                rows.counter(&[name, &endpoint.url, cause], *count)?;
            }
        }
        Ok(())
    })
}

fn write_key_sets(sets: &[KeySetFigures], page: &mut Page<'_>) -> fmt::Result {
    page.family(&f::KEYS, |rows| {
        sets.iter()
            .try_for_each(|set| rows.gauge(&[&set.authenticator], set.keys))
    })?;
    page.family(&f::KEY_FETCHES, |rows| {
        for set in sets {
            let ok = set.fetches.saturating_sub(set.failures);
            rows.counter(&[&set.authenticator, "ok"], ok)?;
            rows.counter(&[&set.authenticator, "failed"], set.failures)?;
        }
        Ok(())
    })
}

/// Writes one family after another.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn family(
        &mut self,
        family: &Family,
        write: impl FnOnce(&mut Rows<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let encoder = self.0.encode_descriptor(
            family.name,
            family.help,
            family.unit.as_ref(),
            family.kind,
        )?;
        write(&mut Rows {
            encoder,
            names: family.labels,
        })
    }

    fn counters<C>(
        &mut self,
        family: &Family,
        all: &[Arc<Series<C>>],
        value: impl Fn(&Series<C>) -> u64,
    ) -> fmt::Result {
        self.each(family, all, |rows, labels, series| {
            rows.counter(labels, value(series))
        })
    }

    fn gauges<C>(
        &mut self,
        family: &Family,
        all: &[Arc<Series<C>>],
        value: impl Fn(&Series<C>) -> u64,
    ) -> fmt::Result {
        self.each(family, all, |rows, labels, series| {
            rows.gauge(labels, value(series))
        })
    }

    fn histograms<C>(
        &mut self,
        family: &Family,
        all: &[Arc<Series<C>>],
        value: impl Fn(&Series<C>) -> Distribution,
    ) -> fmt::Result {
        self.each(family, all, |rows, labels, series| {
            rows.histogram(labels, &value(series))
        })
    }

    /// A family with a row for each of `all`.
    fn each<C>(
        &mut self,
        family: &Family,
        all: &[Arc<Series<C>>],
        row: impl Fn(&mut Rows<'_>, &[&str], &Series<C>) -> fmt::Result,
    ) -> fmt::Result {
        self.family(family, |rows| {
            for series in all {
                let labels: Vec<_> = series.labels().collect();
                row(rows, &labels, series)?;
            }
            Ok(())
        })
    }

    /// Counters whose last label is a word of the code.
    fn words<C>(
        &mut self,
        family: &Family,
        all: &[Arc<Series<C>>],
        value: impl Fn(&Series<C>) -> Vec<(&'static str, u64)>,
    ) -> fmt::Result {
        self.family(family, |rows| {
            for series in all {
                for (word, count) in value(series) {
                    let labels: Vec<_> = series.labels().chain([word]).collect();
                    rows.counter(&labels, count)?;
                }
            }
            Ok(())
        })
    }

    fn classes<C>(
        &mut self,
        family: &Family,
        all: &[Arc<Series<C>>],
        value: impl Fn(&Series<C>) -> [u64; CLASSES.len()],
    ) -> fmt::Result {
        self.words(family, all, |series| {
            // 0 is shown for what every route may answer, so that a rate exists from the start.
            let shown =
                |(class, count): &(&str, u64)| *count > 0 || matches!(*class, "2xx" | "5xx");
            CLASSES
                .into_iter()
                .zip(value(series))
                .filter(shown)
                .collect()
        })
    }
}

/// Writes the series of one family.
struct Rows<'a> {
    encoder: MetricEncoder<'a>,
    names: &'static [&'static str],
}

impl Rows<'_> {
    fn counter(&mut self, values: &[&str], count: impl EncodeCounterValue) -> fmt::Result {
        if values.is_empty() {
            return self
                .encoder
                .encode_counter::<NoLabelSet, _, f64>(&count, None);
        }
        let labels = self.labels(values);
        self.encoder
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, _, f64>(&count, None)
    }

    fn gauge(&mut self, values: &[&str], value: impl EncodeGaugeValue) -> fmt::Result {
        if values.is_empty() {
            return self.encoder.encode_gauge(&value);
        }
        let labels = self.labels(values);
        self.encoder.encode_family(&labels)?.encode_gauge(&value)
    }

    fn histogram(&mut self, values: &[&str], distribution: &Distribution) -> fmt::Result {
        let bounds = BOUNDS_MICROS
            .iter()
            .map(|micros| float(*micros) / 1e6)
            .chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(distribution.buckets).collect();
        let labels = self.labels(values);
        self.encoder
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(
                float(distribution.sum_micros) / 1e6,
                distribution.count(),
                &buckets,
                None,
            )
    }

    fn labels<'v>(&self, values: &[&'v str]) -> Vec<(&'static str, &'v str)> {
        debug_assert_eq!(self.names.len(), values.len(), "as declared");
        self.names
            .iter()
            .copied()
            .zip(values.iter().copied())
            .collect()
    }
}
