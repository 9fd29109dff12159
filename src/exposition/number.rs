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

    proptest! {
        #[test]
        fn a_number_reads_back_as_it_was(value in prop::num::f64::NORMAL) {
            let back: f64 = written(value).parse().unwrap();
            prop_assert_eq!(back.to_bits(), value.to_bits());
        }
    }
}
