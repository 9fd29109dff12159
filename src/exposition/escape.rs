//! Quoting, as the text formats define it.
//!
//! **Invariants.** Every byte that needs no escape passes through unchanged.

/// Appends a HELP text of the text format: backslash and line feed are escaped.
pub fn help(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(br"\\"),
            b'\n' => out.extend_from_slice(br"\n"),
            other => out.push(other),
        }
    }
}

/// Appends a label value, or a HELP text of OpenMetrics: backslash, line feed
/// and quote are escaped.
pub fn label_value(text: &str, out: &mut Vec<u8>) {
    // Hardly any text needs an escape, and a whole copy is quicker.
    if !text
        .bytes()
        .any(|byte| matches!(byte, b'\\' | b'\n' | b'"'))
    {
        out.extend_from_slice(text.as_bytes());
        return;
    }
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

    /// Takes the escapes out; what would end the text early panics.
    fn unescape(text: &[u8], end: u8) -> Vec<u8> {
        let mut bytes = text.iter();
        let mut plain = Vec::new();
        while let Some(&byte) = bytes.next() {
            plain.push(match byte {
                b'\\' => match bytes.next() {
                    Some(b'n') => b'\n',
                    Some(b'\\') => b'\\',
                    Some(b'"') if end == b'"' => b'"',
                    other => panic!("an unknown escape: {other:?}"),
                },
                byte if byte == end || byte == b'\n' => panic!("a bare {byte}"),
                other => other,
            });
        }
        plain
    }

    fn check(text: &str) {
        let mut written = Vec::new();
        label_value(text, &mut written);
        assert_eq!(unescape(&written, b'"'), text.as_bytes());
        written.clear();
        help(text, &mut written);
        assert_eq!(unescape(&written, b'\n'), text.as_bytes());
    }

    #[test]
    fn every_byte_reads_back_alone_and_beside_every_other() {
        for first in 0..=u8::MAX {
            check(&char::from(first).to_string());
            for second in 0..=u8::MAX {
                check(&String::from_iter([first, second].map(char::from)));
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back_as_it_was(text in any::<String>()) {
            check(&text);
        }
    }

    #[test]
    fn a_help_text_keeps_its_quotes() {
        let mut written = Vec::new();
        help("a \"b\" \\ c\nd", &mut written);
        assert_eq!(written, br#"a "b" \\ c\nd"#);
    }
}
