//! The lines of a sample, as both text formats have them.
//!
//! **Invariants.** Pure. The formats differ in how they write the bound of a
//! bucket, and in nothing else here.

use std::borrow::Cow;

use super::{Sample, Value, escape, number};

/// How a format writes the bound of a bucket.
pub(super) type WriteBound = fn(f64, &mut Vec<u8>);

/// Appends `sample` of the family whose samples are called `name`.
pub(super) fn write(name: &str, sample: &Sample<'_>, bound: WriteBound, out: &mut Vec<u8>) {
    let labels = |bound| Labels {
        own: &sample.labels,
        bound,
    };
    match &sample.value {
        Value::Number(value) => line((name, ""), labels(None), out, |out| {
            number::number(*value, out);
        }),
        Value::Count(value) => count_line((name, ""), labels(None), *value, out),
        Value::Histogram {
            buckets,
            sum,
            count,
        } => {
            let infinite = (f64::INFINITY, *count);
            for (upper, count) in buckets.iter().copied().chain([infinite]) {
                let labels = labels(Some((upper, bound)));
                count_line((name, "_bucket"), labels, count, out);
            }
            line((name, "_sum"), labels(None), out, |out| {
                number::number(*sum, out);
            });
            count_line((name, "_count"), labels(None), *count, out);
        }
    }
}

/// The labels of a line; a bucket has its bound beside those of the sample.
#[derive(Clone, Copy)]
struct Labels<'a> {
    own: &'a [(Cow<'static, str>, Cow<'a, str>)],
    bound: Option<(f64, WriteBound)>,
}

fn count_line(name: (&str, &str), labels: Labels<'_>, value: u64, out: &mut Vec<u8>) {
    line(name, labels, out, |out| number::count(value, out));
}

fn line(
    (name, suffix): (&str, &str),
    labels: Labels<'_>,
    out: &mut Vec<u8>,
    value: impl FnOnce(&mut Vec<u8>),
) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    let mut separator = b'{';
    for (name, value) in labels.own {
        out.push(std::mem::replace(&mut separator, b','));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"=\"");
        escape::label_value(value, out);
        out.push(b'"');
    }
    if let Some((upper, write)) = labels.bound {
        out.push(std::mem::replace(&mut separator, b','));
        out.extend_from_slice(b"le=\"");
        write(upper, out);
        out.push(b'"');
    }
    if separator == b',' {
        out.push(b'}');
    }
    out.push(b' ');
    value(out);
    out.push(b'\n');
}
