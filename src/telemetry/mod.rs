//! The exporter's own families, on the registry of the `prometheus` crate.
//!
//! Several tasks bump them; each does so through a method that says what
//! happened.
//!
//! **Invariants.** Children that can be known in advance stand from the start
//! at zero.

mod families;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    core::{Collector, MetricVec, MetricVecBuilder},
    proto::MetricFamily,
};

pub use families::*;

use crate::metric::{Metric, float};

/// Buckets of requests: from a local answer to the longest deadline.
const REQUEST_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Buckets of commits: from a quick disk to one in trouble.
const COMMIT_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Buckets of lag: what is late by a second is late.
const LAG_BUCKETS: [f64; 7] = [0.001, 0.01, 0.1, 1.0, 5.0, 15.0, 60.0];

/// The version, as `--version` and the landing page say it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The revision of the sources, or `unknown`.
pub const REVISION: &str = env!("CRYPTSHARE_EXPORTER_REVISION");

/// The version of the compiler.
pub const RUSTC: &str = env!("CRYPTSHARE_EXPORTER_RUSTC");

/// The handle; clones share the counters.
#[derive(Debug, Clone)]
pub struct Telemetry(Arc<Families>);

#[derive(Debug)]
struct Families {
    registry: Registry,
    last_poll: GaugeVec,
    last_successful_poll: GaugeVec,
    poll_interval: GaugeVec,
    poll_duration: GaugeVec,
    polls: IntCounterVec,
    poll_failures: IntCounterVec,
    api_requests: IntCounterVec,
    api_request_duration: HistogramVec,
    breaker_open: GaugeVec,
    api_version: GaugeVec,
    /// The version told last by server, so that it makes way for another.
    told_versions: Mutex<BTreeMap<String, u32>>,
    clock_offset: GaugeVec,
    schedule_lag: Histogram,
    ledger_commits: IntCounterVec,
    ledger_commit_failures: IntCounterVec,
    ledger_commit_duration: Histogram,
    ledger_size: GaugeVec,
    rejected_items: IntCounterVec,
    unknown_values: IntCounterVec,
    reload_successful: GaugeVec,
    reload_time: GaugeVec,
}

impl Telemetry {
    /// A registry with every family of this module.
    ///
    /// # Errors
    /// If two families have one name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let lag = HistogramOpts::new(SCHEDULE_LAG.name, SCHEDULE_LAG.help);
        let commit = HistogramOpts::new(LEDGER_COMMIT_DURATION.name, LEDGER_COMMIT_DURATION.help);
        let duration = HistogramOpts::new(API_REQUEST_DURATION.name, API_REQUEST_DURATION.help)
            .buckets(REQUEST_BUCKETS.to_vec());
        let build = gauge(r, &BUILD_INFO)?;
        build
            .with_label_values(&[VERSION, REVISION, RUSTC])
            .set(1.0);
        let families = Families {
            last_poll: gauge(r, &LAST_POLL)?,
            last_successful_poll: gauge(r, &LAST_SUCCESSFUL_POLL)?,
            poll_interval: gauge(r, &POLL_INTERVAL)?,
            poll_duration: gauge(r, &POLL_DURATION)?,
            polls: counter(r, &POLLS)?,
            poll_failures: counter(r, &POLL_FAILURES)?,
            api_requests: counter(r, &API_REQUESTS)?,
            api_request_duration: registered(
                r,
                HistogramVec::new(duration, API_REQUEST_DURATION.labels)?,
            )?,
            breaker_open: gauge(r, &BREAKER_OPEN)?,
            api_version: gauge(r, &API_VERSION)?,
            told_versions: Mutex::default(),
            clock_offset: gauge(r, &CLOCK_OFFSET)?,
            ledger_commits: counter(r, &LEDGER_COMMITS)?,
            ledger_commit_failures: counter(r, &LEDGER_COMMIT_FAILURES)?,
            ledger_commit_duration: registered(
                r,
                Histogram::with_opts(commit.buckets(COMMIT_BUCKETS.to_vec()))?,
            )?,
            ledger_size: gauge(r, &LEDGER_SIZE)?,
            schedule_lag: registered(r, Histogram::with_opts(lag.buckets(LAG_BUCKETS.to_vec()))?)?,
            rejected_items: counter(r, &REJECTED_ITEMS)?,
            unknown_values: counter(r, &UNKNOWN_VALUES)?,
            reload_successful: gauge(r, &RELOAD_SUCCESSFUL)?,
            reload_time: gauge(r, &RELOAD_TIME)?,
            registry,
        };
        // Those without labels stand at zero from the start.
        let none: [&str; 0] = [];
        families.ledger_commits.with_label_values(&none);
        families.ledger_commit_failures.with_label_values(&none);
        Ok(Self(Arc::new(families)))
    }

    /// The registry, for rendering and for the families of the process.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Lets the children of a server stand at zero.
    pub fn watch_server(
        &self,
        server: &str,
        endpoints: &[&str],
        reasons: &[&str],
        fields: &[&str],
    ) {
        let f = &self.0;
        f.breaker_open.with_label_values(&[server]);
        for endpoint in endpoints {
            f.api_request_duration
                .with_label_values(&[server, endpoint]);
        }
        for reason in reasons {
            f.rejected_items.with_label_values(&[server, reason]);
        }
        for field in fields {
            f.unknown_values.with_label_values(&[server, field]);
        }
    }

    /// Lets the children of a sender stand at zero; the interval is in
    /// seconds.
    pub fn watch_sender(&self, (server, sender): (&str, &str), interval: f64, reasons: &[&str]) {
        let f = &self.0;
        f.poll_interval
            .with_label_values(&[server, sender])
            .set(interval);
        f.polls.with_label_values(&[server, sender]);
        for reason in reasons {
            f.poll_failures.with_label_values(&[server, sender, reason]);
        }
    }

    /// Forgets every server and sender that is not among these labels.
    pub fn keep_only(&self, servers: &BTreeSet<&str>, senders: &BTreeSet<(&str, &str)>) {
        let f = &self.0;
        let is_kept = |labels: &HashMap<&str, &str>| {
            let server = labels.get("server").copied().unwrap_or_default();
            let sender = labels.get("sender").copied();
            servers.contains(server)
                && sender.is_none_or(|sender| senders.contains(&(server, sender)))
        };
        for gauges in [
            &f.last_poll,
            &f.last_successful_poll,
            &f.poll_interval,
            &f.poll_duration,
            &f.breaker_open,
            &f.api_version,
            &f.clock_offset,
        ] {
            keep_children(gauges, is_kept);
        }
        for counters in [
            &f.polls,
            &f.poll_failures,
            &f.api_requests,
            &f.rejected_items,
            &f.unknown_values,
        ] {
            keep_children(counters, is_kept);
        }
        keep_children(&f.api_request_duration, is_kept);
        let told = f.told_versions.lock();
        let mut told = told.unwrap_or_else(PoisonError::into_inner);
        told.retain(|server, _| servers.contains(server.as_str()));
    }

    /// A poll ended at `at`, in seconds since 1970, after `took` seconds.
    pub fn round_ended(&self, (server, sender): (&str, &str), at: f64, took: f64, is_good: bool) {
        let f = &self.0;
        let labels = [server, sender];
        f.polls.with_label_values(&labels).inc();
        f.last_poll.with_label_values(&labels).set(at);
        f.poll_duration.with_label_values(&labels).set(took);
        if is_good {
            f.last_successful_poll.with_label_values(&labels).set(at);
        }
    }

    /// A poll, or a single read of it, failed.
    pub fn poll_failed(&self, (server, sender): (&str, &str), reason: &str) {
        let labels = [server, sender, reason];
        self.0.poll_failures.with_label_values(&labels).inc();
    }

    /// A request was answered with `code`, or not at all, after `took` seconds.
    pub fn request(&self, server: &str, endpoint: &str, code: &str, took: f64) {
        let f = &self.0;
        f.api_requests
            .with_label_values(&[server, endpoint, code])
            .inc();
        f.api_request_duration
            .with_label_values(&[server, endpoint])
            .observe(took);
    }

    /// The server's breaker opened or closed.
    pub fn breaker(&self, server: &str, is_open: bool) {
        let open = f64::from(u8::from(is_open));
        self.0.breaker_open.with_label_values(&[server]).set(open);
    }

    /// The server answered a request that asks for this minor version.
    pub fn api_version(&self, server: &str, minor: u32) {
        let f = &self.0;
        let told = f.told_versions.lock();
        let mut told = told.unwrap_or_else(PoisonError::into_inner);
        if told.get(server) == Some(&minor) {
            return;
        }
        if let Some(before) = told.insert(server.to_owned(), minor) {
            let labels = [server, &before.to_string()];
            // It is gone already if the registry never had it.
            drop(f.api_version.remove_label_values(&labels));
        }
        f.api_version
            .with_label_values(&[server, &minor.to_string()])
            .set(1.0);
    }

    /// The server's clock is `seconds` ahead of ours.
    pub fn clock_offset(&self, server: &str, seconds: f64) {
        self.0
            .clock_offset
            .with_label_values(&[server])
            .set(seconds);
    }

    /// A commit of the ledger ended after `took` seconds.
    pub fn ledger_committed(&self, took: f64, is_good: bool) {
        let (f, none): (_, [&str; 0]) = (&self.0, []);
        let counter = if is_good {
            &f.ledger_commits
        } else {
            &f.ledger_commit_failures
        };
        counter.with_label_values(&none).inc();
        f.ledger_commit_duration.observe(took);
    }

    /// The file of the ledger is so large.
    pub fn ledger_size(&self, bytes: u64) {
        let none: [&str; 0] = [];
        let size = self.0.ledger_size.with_label_values(&none);
        size.set(float(bytes));
    }

    /// A poll began `seconds` late.
    pub fn lag(&self, seconds: f64) {
        self.0.schedule_lag.observe(seconds);
    }

    /// Items of an answer were left out.
    pub fn rejected(&self, server: &str, reason: &str, items: u64) {
        let labels = [server, reason];
        self.0
            .rejected_items
            .with_label_values(&labels)
            .inc_by(items);
    }

    /// The server used words in `field` that we do not know.
    pub fn unknown_values(&self, server: &str, field: &str, words: u64) {
        let labels = [server, field];
        self.0
            .unknown_values
            .with_label_values(&labels)
            .inc_by(words);
    }

    /// The configuration was loaded at `at`, in seconds since 1970.
    pub fn config_loaded(&self, at: f64) {
        let none: [&str; 0] = [];
        self.0.reload_successful.with_label_values(&none).set(1.0);
        self.0.reload_time.with_label_values(&none).set(at);
    }

    /// The configuration had problems, so that the last good one stays.
    pub fn config_refused(&self) {
        let none: [&str; 0] = [];
        self.0.reload_successful.with_label_values(&none).set(0.0);
    }
}

/// Removes the children whose labels are not kept.
fn keep_children<B: MetricVecBuilder>(
    family: &MetricVec<B>,
    is_kept: impl Fn(&HashMap<&str, &str>) -> bool,
) {
    let families = family.collect();
    for child in families.iter().flat_map(MetricFamily::get_metric) {
        let labels = child.get_label().iter();
        let labels: HashMap<_, _> = labels.map(|pair| (pair.name(), pair.value())).collect();
        if !is_kept(&labels) {
            // It is gone already if somebody else was quicker.
            drop(family.remove(&labels));
        }
    }
}

fn counter(registry: &Registry, metric: &Metric) -> Result<IntCounterVec, prometheus::Error> {
    let opts = Opts::new(metric.name, metric.help);
    registered(registry, IntCounterVec::new(opts, metric.labels)?)
}

fn gauge(registry: &Registry, metric: &Metric) -> Result<GaugeVec, prometheus::Error> {
    let opts = Opts::new(metric.name, metric.help);
    registered(registry, GaugeVec::new(opts, metric.labels)?)
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_takes_every_family() {
        let telemetry = Telemetry::new().unwrap();
        telemetry.watch_sender(("prod", "invoices"), 60.0, &["timeout"]);
        let gathered = telemetry.registry().gather();
        let names: Vec<_> = gathered.iter().map(MetricFamily::name).collect();
        assert!(names.contains(&POLLS.name), "{names:?}");
        assert!(names.contains(&BUILD_INFO.name), "{names:?}");
    }

    /// The label values and the value of each child of a family.
    fn children(telemetry: &Telemetry, metric: &Metric) -> Vec<(Vec<String>, f64)> {
        let gathered = telemetry.registry().gather();
        let family = gathered.iter().find(|f| f.name() == metric.name);
        let child = |child: &prometheus::proto::Metric| {
            let values = child.get_label().iter().map(|pair| pair.value().to_owned());
            (values.collect(), child.get_gauge().get_value())
        };
        let children = family.iter().flat_map(|f| f.get_metric());
        children.map(child).collect()
    }

    #[test]
    fn a_breaker_stands_closed_from_the_start() {
        let telemetry = Telemetry::new().unwrap();
        telemetry.watch_server("prod", &[], &[], &[]);
        let told = |expect| {
            let expect = (vec!["prod".to_owned()], expect);
            assert_eq!(children(&telemetry, &BREAKER_OPEN), [expect]);
        };
        told(0.0);
        telemetry.breaker("prod", true);
        told(1.0);
        telemetry.breaker("prod", false);
        told(0.0);
    }

    #[test]
    fn a_server_has_one_version_and_none_before_its_first_answer() {
        let telemetry = Telemetry::new().unwrap();
        telemetry.watch_server("prod", &[], &[], &[]);
        assert_eq!(children(&telemetry, &API_VERSION), []);
        for minor in [12, 12, 8] {
            telemetry.api_version("prod", minor);
            let labels = vec![minor.to_string(), "prod".to_owned()];
            assert_eq!(children(&telemetry, &API_VERSION), [(labels, 1.0)]);
        }
    }

    #[test]
    fn what_is_watched_no_more_leaves_and_what_stays_keeps_its_counts() {
        let telemetry = Telemetry::new().unwrap();
        for sender in [("prod", "ada"), ("prod", "bob"), ("test", "ada")] {
            telemetry.watch_server(sender.0, &["transfers"], &["malformed"], &["state"]);
            telemetry.watch_sender(sender, 60.0, &["timeout"]);
            telemetry.round_ended(sender, 1.0, 1.0, true);
            telemetry.request(sender.0, "transfers", "200", 1.0);
            telemetry.api_version(sender.0, 8);
            telemetry.clock_offset(sender.0, 1.0);
        }
        let (servers, senders) = (["prod"].into(), [("prod", "bob")].into());
        telemetry.keep_only(&servers, &senders);
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&telemetry.registry().gather())
            .unwrap();
        assert!(!text.contains("ada") && !text.contains("test"), "{text}");
        for kept in [
            "polls_total{sender=\"bob\",server=\"prod\"} 1",
            "api_requests_total{code=\"200\",endpoint=\"transfers\",server=\"prod\"} 2",
            "poll_interval_seconds{sender=\"bob\",server=\"prod\"} 60",
        ] {
            assert!(text.contains(kept), "{text}");
        }
    }

    #[test]
    fn the_families_are_in_the_order_of_their_names() {
        assert!(METRICS.is_sorted_by_key(|metric| metric.name));
    }
}
