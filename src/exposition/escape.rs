//! Quoting, as the text format defines it.
//!
//! **Invariants.** Every byte that needs no escape passes through unchanged.

/// Appends a HELP text: backslash and line feed are escaped.
pub fn help(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            other => out.push(other),
        }
    }
}

/// Appends a label value: backslash, line feed and quote are escaped.
pub fn label_value(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            b'"' => out.extend_from_slice(br#"\""#),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unescape(text: &[u8]) -> Vec<u8> {
        let mut bytes = text.iter();
        let mut plain = Vec::new();
        while let Some(&byte) = bytes.next() {
            plain.push(match byte {
                b'\\' => match bytes.next() {
                    Some(b'n') => b'\n',
                    Some(&other) => other,
                    None => panic!("a lone backslash"),
                },
                b'"' | b'\n' => panic!("a bare {byte}"),
                other => other,
            });
        }
        plain
    }

    proptest! {
        #[test]
        fn a_label_value_reads_back_as_it_was(text in any::<String>()) {
            let mut written = Vec::new();
            label_value(&text, &mut written);
            prop_assert_eq!(unescape(&written), text.as_bytes());
        }
    }

    #[test]
    fn a_help_text_keeps_its_quotes() {
        let mut written = Vec::new();
        help("a \"b\" \\ c\nd", &mut written);
        assert_eq!(written, br#"a "b" \\ c\nd"#);
    }
}
