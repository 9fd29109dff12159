//! Digits.
//!
//! **Invariants.** What is written reads back as the same value.

use std::io::Write;

/// Appends a whole number.
pub fn count(value: u64, out: &mut Vec<u8>) {
    append(format_args!("{value}"), out);
}

/// Appends a number: the shortest digits that read back as `value`, the
/// infinities and NaN as Prometheus spells them.
pub fn number(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        let word: &[u8] = if value > 0.0 { b"+Inf" } else { b"-Inf" };
        out.extend_from_slice(word);
    } else {
        append(format_args!("{value}"), out);
    }
}

/// Appends the bound of a bucket as OpenMetrics wants it: as Go prints it, with
/// `.0` where neither a point nor an exponent shows that it is no integer.
pub fn canonical(value: f64, out: &mut Vec<u8>) {
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) => match exponent.parse::<i32>() {
            Ok(power @ (..-4 | 6..)) => {
                let sign = if power < 0 { '-' } else { '+' };
                append(format_args!("{digits}e{sign}{:02}", power.abs()), out);
            }
            Ok(_) | Err(_) => append(format_args!("{value:?}"), out),
        },
        None => number(value, out),
    }
}

/// Writing to memory cannot fail, so there is no error to pass on.
fn append(digits: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    drop(out.write_fmt(digits));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: f64) -> String {
        let mut out = Vec::new();
        number(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_numbers_have_no_point_and_infinities_a_sign() {
        for (value, expect) in [
            (0.0, "0"),
            (1_775_000_000.0, "1775000000"),
            (0.005, "0.005"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(written(value), expect);
        }
    }

    #[test]
    fn a_canonical_number_is_what_go_prints() {
        for (value, expect) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = Vec::new();
            canonical(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        }
    }

    proptest! {
        #[test]
        fn a_canonical_number_reads_back_as_it_was(value in prop::num::f64::NORMAL) {
            let mut out = Vec::new();
            canonical(value, &mut out);
            let back: f64 = String::from_utf8(out).unwrap().parse().unwrap();
            prop_assert_eq!(back.to_bits(), value.to_bits());
        }

        #[test]
        fn a_number_reads_back_as_it_was(value in prop::num::f64::NORMAL) {
            let back: f64 = written(value).parse().unwrap();
            prop_assert_eq!(back.to_bits(), value.to_bits());
        }
    }
}
