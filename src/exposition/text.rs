//! The text format 0.0.4.
//!
//! **Invariants.** Pure.

use super::{Family, Title, escape, number, sample};

/// Appends what stands before the samples of a family.
pub fn head(title: Title<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"# HELP ");
    out.extend_from_slice(title.name.as_bytes());
    out.push(b' ');
    escape::help(title.help, out);
    out.extend_from_slice(b"\n# TYPE ");
    out.extend_from_slice(title.name.as_bytes());
    out.push(b' ');
    out.extend_from_slice(title.kind.text_word().as_bytes());
    out.push(b'\n');
}

/// Appends the samples of `family`.
pub fn samples(family: &Family<'_>, out: &mut Vec<u8>) {
    for sample in &family.samples {
        sample::write(&family.name, sample, number::number, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        exposition::{Protocol, Sample, Value},
        metric::{Kind, Metric},
    };

    const GAUGE: Metric = Metric {
        name: "g",
        help: "A \\ gauge.",
        kind: Kind::Info,
        labels: &["a"],
    };
    const HISTOGRAM: Metric = Metric {
        name: "h",
        help: "A histogram.",
        kind: Kind::Histogram,
        labels: &[],
    };

    fn written(families: &[Family<'_>]) -> String {
        let mut out = Vec::new();
        Protocol::Text.write(families, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_family_is_written_as_the_format_says() {
        let sample = Sample::new([("a", "x\"y\n")], Value::Number(1.5));
        let histogram = Value::Histogram {
            buckets: vec![(0.5, 1), (2.0, 3)],
            sum: 4.25,
            count: 4,
        };
        let families = [
            Family::new(&GAUGE, vec![sample]),
            Family::new(&HISTOGRAM, vec![Sample::new([], histogram)]),
        ];
        let expect = concat!(
            "# HELP g A \\\\ gauge.\n# TYPE g gauge\ng{a=\"x\\\"y\\n\"} 1.5\n",
            "# HELP h A histogram.\n# TYPE h histogram\n",
            "h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2\"} 3\nh_bucket{le=\"+Inf\"} 4\n",
            "h_sum 4.25\nh_count 4\n",
        );
        assert_eq!(written(&families), expect);
    }

    #[test]
    fn a_family_without_samples_is_not_written() {
        assert_eq!(written(&[Family::new(&GAUGE, Vec::new())]), "");
    }
}
