//! Protobuf: messages of `io.prometheus.client.MetricFamily` (`metrics.proto` of
//! Prometheus' client model), each after its length.
//!
//! The head of a family's message tells the length of all its samples, and its
//! samples are fields of it, so they may be written piece by piece.
//!
//! **Invariants.** Pure. The infinite bucket is not written: it is the count.

use super::{Family, Sample, Title, Value, deflate::length};
use crate::metric::{Kind, float};

/// Field numbers, which end up in the tag of a field.
mod field {
    pub(super) const FAMILY_NAME: u8 = 1;
    pub(super) const FAMILY_HELP: u8 = 2;
    pub(super) const FAMILY_TYPE: u8 = 3;
    pub(super) const FAMILY_METRIC: u8 = 4;
    pub(super) const METRIC_LABEL: u8 = 1;
    pub(super) const METRIC_GAUGE: u8 = 2;
    pub(super) const METRIC_COUNTER: u8 = 3;
    pub(super) const METRIC_HISTOGRAM: u8 = 7;
    pub(super) const LABEL_NAME: u8 = 1;
    pub(super) const LABEL_VALUE: u8 = 2;
    pub(super) const VALUE: u8 = 1;
    pub(super) const HISTOGRAM_COUNT: u8 = 1;
    pub(super) const HISTOGRAM_SUM: u8 = 2;
    pub(super) const HISTOGRAM_BUCKET: u8 = 3;
    pub(super) const BUCKET_COUNT: u8 = 1;
    pub(super) const BUCKET_BOUND: u8 = 2;
}

/// The wire types of fields.
mod wire {
    pub(super) const VARINT: u8 = 0;
    pub(super) const DOUBLE: u8 = 1;
    pub(super) const BYTES: u8 = 2;
}

/// Appends the length of a family's message, and what of it stands before its
/// samples, which take `samples` bytes.
pub fn head(title: Title<'_>, samples: u64, out: &mut Vec<u8>) {
    let kind = match title.kind {
        Kind::Counter => 0,
        Kind::Gauge | Kind::Info => 1,
        Kind::Histogram => 4,
    };
    let mut head = Vec::new();
    bytes(field::FAMILY_NAME, title.name.as_bytes(), &mut head);
    bytes(field::FAMILY_HELP, title.help.as_bytes(), &mut head);
    count(field::FAMILY_TYPE, kind, &mut head);
    varint(length(&head) + samples, out);
    out.extend_from_slice(&head);
}

/// Appends the samples of `family`, as fields of its message.
pub fn samples(family: &Family<'_>, out: &mut Vec<u8>) {
    for sample in &family.samples {
        message(field::FAMILY_METRIC, out, |out| {
            metric(family.kind, sample, out);
        });
    }
}

fn metric(kind: Kind, sample: &Sample<'_>, out: &mut Vec<u8>) {
    for (name, value) in &sample.labels {
        message(field::METRIC_LABEL, out, |out| {
            bytes(field::LABEL_NAME, name.as_bytes(), out);
            bytes(field::LABEL_VALUE, value.as_bytes(), out);
        });
    }
    let place = match kind {
        Kind::Counter => field::METRIC_COUNTER,
        Kind::Gauge | Kind::Info => field::METRIC_GAUGE,
        Kind::Histogram => field::METRIC_HISTOGRAM,
    };
    message(place, out, |out| value(&sample.value, out));
}

fn value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(value) => double(field::VALUE, *value, out),
        Value::Count(value) => double(field::VALUE, float(*value), out),
        Value::Histogram {
            buckets,
            sum,
            count: total,
        } => {
            count(field::HISTOGRAM_COUNT, *total, out);
            double(field::HISTOGRAM_SUM, *sum, out);
            for (bound, below) in buckets {
                message(field::HISTOGRAM_BUCKET, out, |out| {
                    count(field::BUCKET_COUNT, *below, out);
                    double(field::BUCKET_BOUND, *bound, out);
                });
            }
        }
    }
}

/// A field that is a message: it is written first, and its length moved before
/// it, which is a few bytes to move.
fn message(field: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    tag(field, wire::BYTES, out);
    let begin = out.len();
    write(out);
    let end = out.len();
    varint(length(out.get(begin..).unwrap_or_default()), out);
    let moved = out.len() - end;
    if let Some(message) = out.get_mut(begin..) {
        message.rotate_right(moved);
    }
}

fn bytes(field: u8, value: &[u8], out: &mut Vec<u8>) {
    tag(field, wire::BYTES, out);
    varint(length(value), out);
    out.extend_from_slice(value);
}

fn count(field: u8, value: u64, out: &mut Vec<u8>) {
    tag(field, wire::VARINT, out);
    varint(value, out);
}

fn double(field: u8, value: f64, out: &mut Vec<u8>) {
    tag(field, wire::DOUBLE, out);
    out.extend_from_slice(&value.to_le_bytes());
}

fn tag(field: u8, wire: u8, out: &mut Vec<u8>) {
    out.push(field << 3 | wire);
}

/// Seven bits a byte, the lowest first; a set high bit says that more follow.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Protocol;

    fn written(kind: Kind, value: Value) -> Vec<u8> {
        let family = Family {
            name: "x".into(),
            help: "X.".into(),
            kind,
            samples: vec![Sample::new([("a", "b")], value)],
        };
        let mut out = Vec::new();
        Protocol::Protobuf.write(&[family], &mut out);
        out
    }

    /// Bytes as `protoc --encode` writes them, the labels first.
    #[test]
    fn a_family_is_written_as_its_definition_says() {
        let head = |length: u8, kind: u8| {
            let mut head = vec![length, 0x0a, 1, b'x', 0x12, 2, b'X', b'.', 0x18, kind];
            head.extend([0x22, length - 11, 0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b']);
            head
        };
        let one = 1.0_f64.to_le_bytes();
        for (kind, number, field) in [
            (Kind::Counter, 0, 0x1a),
            (Kind::Gauge, 1, 0x12),
            (Kind::Info, 1, 0x12),
        ] {
            let mut expect = head(30, number);
            expect.extend([field, 9, 0x09]);
            expect.extend(one);
            assert_eq!(written(kind, Value::Count(1)), expect);
        }
        let histogram = Value::Histogram {
            buckets: vec![(1.0, 200)],
            sum: 1.0,
            count: 300,
        };
        let mut expect = head(47, 4);
        expect.extend([0x3a, 26, 0x08, 0xac, 0x02, 0x11]);
        expect.extend(one);
        expect.extend([0x1a, 12, 0x08, 0xc8, 0x01, 0x11]);
        expect.extend(one);
        assert_eq!(written(Kind::Histogram, histogram), expect);
    }

    #[test]
    fn a_long_message_has_a_long_length() {
        let text = "y".repeat(300);
        let mut out = Vec::new();
        message(field::FAMILY_METRIC, &mut out, |out| {
            bytes(field::LABEL_NAME, text.as_bytes(), out);
        });
        let mut expect = vec![0x22, 0xaf, 0x02, 0x0a, 0xac, 0x02];
        expect.extend(text.bytes());
        assert_eq!(out, expect);
    }
}
