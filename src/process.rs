//! The families of the process itself, read through procfs.
//!
//! **Invariants.** A value that cannot be read is absent. Only files of our
//! own process are read, so that a `/proc` with `subset=pid` serves as well;
//! the length of a tick and the size of a page come from the kernel's auxiliary
//! vector.

use jiff::Timestamp;
use procfs::process::Process;
use prometheus::{
    Registry,
    core::{Collector, Desc},
    proto,
};

use crate::metric::{Kind, Metric, float};

/// Every family of this module, by name: the order in which the registry
/// gathers them.
pub const METRICS: &[&Metric] = &[
    &CPU,
    &MAX_FDS,
    &OPEN_FDS,
    &RESIDENT,
    &START,
    &THREADS,
    &VIRTUAL,
    &VIRTUAL_MAX,
];

macro_rules! family {
    ($constant:ident, $name:literal, $kind:ident, $help:literal) => {
        #[doc = concat!("`", $name, "`.")]
        pub const $constant: Metric = Metric {
            name: $name,
            help: $help,
            kind: Kind::$kind,
            labels: &[],
        };
    };
}

family!(
    CPU,
    "process_cpu_seconds_total",
    Counter,
    "User and system CPU time spent."
);
family!(
    OPEN_FDS,
    "process_open_fds",
    Gauge,
    "Number of open file descriptors."
);
family!(
    MAX_FDS,
    "process_max_fds",
    Gauge,
    "Maximum number of open file descriptors."
);
family!(
    VIRTUAL,
    "process_virtual_memory_bytes",
    Gauge,
    "Virtual memory size."
);
family!(
    VIRTUAL_MAX,
    "process_virtual_memory_max_bytes",
    Gauge,
    "Maximum amount of virtual memory available."
);
family!(
    RESIDENT,
    "process_resident_memory_bytes",
    Gauge,
    "Resident memory size."
);
family!(
    START,
    "process_start_time_seconds",
    Gauge,
    "When the process was launched."
);
family!(
    THREADS,
    "process_threads",
    Gauge,
    "Number of threads of the process."
);

/// Registers the families; `launched` is when the process began, noted by
/// itself since `/proc/stat` may be hidden.
///
/// # Errors
/// If they are registered already.
pub fn register(registry: &Registry, launched: Timestamp) -> Result<(), prometheus::Error> {
    let description = |metric: &&Metric| {
        Desc::new(
            metric.name.to_owned(),
            metric.help.to_owned(),
            Vec::new(),
            std::collections::HashMap::new(),
        )
    };
    let descriptions = METRICS.iter().map(description).collect::<Result<_, _>>()?;
    registry.register(Box::new(ProcessCollector {
        launched,
        descriptions,
    }))
}

struct ProcessCollector {
    launched: Timestamp,
    descriptions: Vec<Desc>,
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let launched = self.launched.duration_since(Timestamp::UNIX_EPOCH);
        let mut families = vec![family(&START, launched.as_secs_f64())];
        families.extend(open_fds().map(|count| family(&OPEN_FDS, float(count))));
        if let Ok(process) = Process::myself() {
            families.extend(of_stat(&process));
            families.extend(of_limits(&process));
        }
        families
    }
}

/// The entries of `/proc/self/fd` but for the one that reads them. On kernels
/// before 6.2 procfs would count `.`, `..` and its own two as well.
fn open_fds() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(entries.saturating_sub(1)).ok()
}

fn of_stat(process: &Process) -> Vec<proto::MetricFamily> {
    let Ok(stat) = process.stat() else {
        return Vec::new();
    };
    let ticks = procfs::ticks_per_second().max(1);
    let cpu = float(stat.utime.saturating_add(stat.stime)) / float(ticks);
    let resident = stat.rss.saturating_mul(procfs::page_size());
    let threads = u64::try_from(stat.num_threads).ok();
    let threads = threads.map(|count| family(&THREADS, float(count)));
    let mut families = vec![
        family(&CPU, cpu),
        family(&VIRTUAL, float(stat.vsize)),
        family(&RESIDENT, float(resident)),
    ];
    families.extend(threads);
    families
}

fn of_limits(process: &Process) -> Vec<proto::MetricFamily> {
    use procfs::process::LimitValue::{Unlimited, Value};

    let Ok(limits) = process.limits() else {
        return Vec::new();
    };
    let soft = |limit: procfs::process::Limit| match limit.soft_limit {
        Value(value) => float(value),
        // As Go's client has it, whose dashboards expect a number.
        Unlimited => float(u64::MAX),
    };
    vec![
        family(&MAX_FDS, soft(limits.max_open_files)),
        family(&VIRTUAL_MAX, soft(limits.max_address_space)),
    ]
}

fn family(metric: &Metric, value: f64) -> proto::MetricFamily {
    let mut sample = proto::Metric::default();
    let kind = match metric.kind {
        Kind::Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
            proto::MetricType::COUNTER
        }
        Kind::Gauge | Kind::Info | Kind::Histogram => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
            proto::MetricType::GAUGE
        }
    };
    let mut family = proto::MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![sample]);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_process_shows_every_family() {
        let registry = Registry::new();
        register(&registry, Timestamp::UNIX_EPOCH).unwrap();
        let gathered = registry.gather();
        assert_eq!(gathered.len(), METRICS.len());
        let resident = gathered
            .iter()
            .find(|family| family.name() == RESIDENT.name)
            .unwrap();
        assert!(resident.get_metric()[0].get_gauge().get_value() > 1e6);
    }

    fn value(registry: &Registry, metric: &Metric) -> f64 {
        let gathered = registry.gather();
        let family = gathered.iter().find(|f| f.name() == metric.name).unwrap();
        let sample = &family.get_metric()[0];
        sample.get_counter().get_value() + sample.get_gauge().get_value()
    }

    #[test]
    fn what_is_opened_is_counted() {
        let registry = Registry::new();
        register(&registry, Timestamp::UNIX_EPOCH).unwrap();
        let before = value(&registry, &OPEN_FDS);
        let opened: Vec<_> = (0..100)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        let risen = value(&registry, &OPEN_FDS) - before;
        drop(opened);
        assert!((90.0..110.0).contains(&risen), "{risen}");
    }

    #[test]
    fn time_spent_is_counted_in_fractions_of_a_second() {
        let registry = Registry::new();
        register(&registry, Timestamp::UNIX_EPOCH).unwrap();
        let begin = value(&registry, &CPU);
        // The process spends time because we look at it so often.
        let mut looks = (0..1_000_000).map(|_| value(&registry, &CPU) - begin);
        let risen = looks.find(|risen| *risen > 0.0).unwrap();
        assert!(risen < 1.0, "{risen}");
    }

    #[test]
    fn the_families_are_in_the_order_of_their_names() {
        assert!(METRICS.is_sorted_by_key(|metric| metric.name));
    }

    #[test]
    fn no_limit_is_the_number_that_go_writes() {
        assert_eq!(
            float(u64::MAX).to_bits(),
            1.844_674_407_370_955_2e19_f64.to_bits()
        );
    }

    #[test]
    fn whole_numbers_stay_exact() {
        assert!((float(5_000_000_000) - 5e9).abs() < f64::EPSILON);
        assert!((float(7) - 7.0).abs() < f64::EPSILON);
    }
}
