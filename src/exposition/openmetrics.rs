//! OpenMetrics 1.0.
//!
//! It differs from the text format in its headers: a family of counters is
//! called without `_total` and one of information without `_info`, a unit that
//! the name ends in is told, and quotes in HELP are escaped. Bounds of buckets
//! are canonical, and the body ends in [`END`]. When a series began is told by
//! nobody, so there is no `_created`.
//!
//! **Invariants.** Pure.

use super::{Family, Title, escape, number, sample};
use crate::metric::Kind;

/// What ends a body: without it, it was cut.
pub const END: &[u8] = b"# EOF\n";

/// The units of the specification that our names end in.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// Appends what stands before the samples of a family.
pub fn head(title: Title<'_>, out: &mut Vec<u8>) {
    let (name, kind) = told(title);
    let mut line = |keyword: &str, write: &dyn Fn(&mut Vec<u8>)| {
        for part in ["# ", keyword, " ", name, " "] {
            out.extend_from_slice(part.as_bytes());
        }
        write(out);
        out.push(b'\n');
    };
    line("HELP", &|out| escape::label_value(title.help, out));
    line("TYPE", &|out| out.extend_from_slice(kind.as_bytes()));
    if let Some(unit) = unit(name, title.kind) {
        line("UNIT", &|out| out.extend_from_slice(unit.as_bytes()));
    }
}

/// Appends the samples of `family`.
pub fn samples(family: &Family<'_>, out: &mut Vec<u8>) {
    for sample in &family.samples {
        sample::write(&family.name, sample, number::canonical, out);
    }
}

/// The name of the family and its type. One whose name lacks the suffix that
/// its type demands cannot be of that type.
fn told(title: Title<'_>) -> (&str, &'static str) {
    let name = title.name;
    match title.kind {
        Kind::Counter => match name.strip_suffix("_total") {
            Some(name) => (name, "counter"),
            None => (name, "unknown"),
        },
        Kind::Info => match name.strip_suffix("_info") {
            Some(name) => (name, "info"),
            None => (name, "gauge"),
        },
        Kind::Gauge => (name, "gauge"),
        Kind::Histogram => (name, "histogram"),
    }
}

fn unit(name: &str, kind: Kind) -> Option<&'static str> {
    let ends = |unit: &&str| name.strip_suffix(unit).is_some_and(|n| n.ends_with('_'));
    UNITS.into_iter().find(ends).filter(|_| kind != Kind::Info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Protocol, Sample, Value};

    fn written(name: &'static str, kind: Kind, value: Value) -> String {
        let family = Family {
            name: name.into(),
            help: "A \"thing\" \\ of\nours.".into(),
            kind,
            samples: vec![Sample::new([("a", "x\"y")], value)],
        };
        let mut out = Vec::new();
        Protocol::OpenMetrics1.write(&[family], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_family_is_written_as_the_specification_says() {
        let help = r#"A \"thing\" \\ of\nours."#;
        for (name, kind, head, sample) in [
            ("x_total", Kind::Counter, "x counter", "x_total"),
            ("x", Kind::Counter, "x unknown", "x"),
            ("x_info", Kind::Info, "x info", "x_info"),
            ("x", Kind::Info, "x gauge", "x"),
            ("x", Kind::Gauge, "x gauge", "x"),
        ] {
            let expect = format!("# HELP x {help}\n# TYPE {head}\n{sample}{{a=\"x\\\"y\"}} 1\n");
            assert_eq!(written(name, kind, Value::Count(1)), expect);
        }
    }

    #[test]
    fn a_unit_is_told_where_the_name_ends_in_it() {
        for (name, kind, unit) in [
            ("x_seconds", Kind::Gauge, Some("# UNIT x_seconds seconds")),
            ("x_bytes_total", Kind::Counter, Some("# UNIT x_bytes bytes")),
            (
                "x_timestamp_seconds",
                Kind::Gauge,
                Some("# UNIT x_timestamp_seconds seconds"),
            ),
            ("x_seconds_info", Kind::Info, None),
            ("milliseconds", Kind::Gauge, None),
            ("seconds", Kind::Gauge, None),
            ("x_files", Kind::Gauge, None),
        ] {
            let body = written(name, kind, Value::Count(1));
            let told = body.lines().find(|line| line.starts_with("# UNIT"));
            assert_eq!(told, unit);
        }
    }

    #[test]
    fn the_bounds_of_buckets_are_canonical() {
        let histogram = Value::Histogram {
            buckets: vec![(0.005, 1), (2.0, 3)],
            sum: 4.25,
            count: 4,
        };
        let body = written("h_seconds", Kind::Histogram, histogram);
        let lines: Vec<_> = body.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                r#"h_seconds_bucket{a="x\"y",le="0.005"} 1"#,
                r#"h_seconds_bucket{a="x\"y",le="2.0"} 3"#,
                r#"h_seconds_bucket{a="x\"y",le="+Inf"} 4"#,
                r#"h_seconds_sum{a="x\"y"} 4.25"#,
                r#"h_seconds_count{a="x\"y"} 4"#,
            ]
        );
    }

    #[test]
    fn a_family_without_samples_is_not_written() {
        let family = Family {
            name: "x".into(),
            help: "X.".into(),
            kind: Kind::Gauge,
            samples: Vec::new(),
        };
        let mut out = Vec::new();
        Protocol::OpenMetrics1.write(&[family], &mut out);
        assert_eq!(out, b"");
    }
}
