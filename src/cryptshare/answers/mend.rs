//! One bad string or number must not void a page: what the JSON parser gives
//! up on is mended, so that the fault stays at its place.
//!
//! Bytes that are no UTF-8, halves of surrogate pairs, bare control characters
//! and unknown escapes become U+FFFD, as browsers do it; a number beyond all
//! bounds becomes the largest one, which no member accepts.
//!
//! **Invariants.** Total, linear in time and memory. Leaves the grammar alone:
//! braces, brackets, colons and commas stay where they are.

use std::borrow::Cow;

/// What stands in for whatever could not be read.
const LOST: &str = "\u{fffd}";

/// The largest number: of the wrong type wherever it may stand.
const LARGEST: &[u8] = b"1.7976931348623157e308";

/// The byte order mark, which some servers put before their JSON.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// `body` with every string and number readable; none if there was nothing to
/// mend.
pub(super) fn mend(body: &[u8]) -> Option<Vec<u8>> {
    let mut rest = body.strip_prefix(MARK).unwrap_or(body);
    let mut is_mended = rest.len() < body.len();
    let mut out = Vec::with_capacity(rest.len());
    while let Some((&first, tail)) = rest.split_first() {
        let length = match first {
            b'"' => string_length(tail) + 1,
            b'-' | b'0'..=b'9' => number_length(rest),
            _ => 1,
        };
        let (token, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let token = match first {
            b'"' => string(token),
            b'-' | b'0'..=b'9' => number(token),
            _ => Cow::Borrowed(token),
        };
        is_mended |= matches!(token, Cow::Owned(_));
        out.extend_from_slice(&token);
        rest = tail;
    }
    is_mended.then_some(out)
}

/// How many bytes the string has after its opening quote, the closing one
/// included; a backslash hides what follows it.
fn string_length(text: &[u8]) -> usize {
    let mut is_hidden = false;
    let end = text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_hidden;
        is_hidden = *byte == b'\\' && !is_hidden;
        is_end
    });
    end.map_or(text.len(), |at| at + 1)
}

fn number_length(text: &[u8]) -> usize {
    let digit = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let end = text.iter().position(|byte| !digit(byte));
    end.unwrap_or(text.len())
}

fn number(digits: &[u8]) -> Cow<'_, [u8]> {
    let value = std::str::from_utf8(digits).ok();
    let value = value.and_then(|digits| digits.parse::<f64>().ok());
    match value {
        Some(value) if value.is_infinite() => Cow::Owned(LARGEST.to_vec()),
        Some(_) | None => Cow::Borrowed(digits),
    }
}

/// A string with its quotes.
fn string(quoted: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(quoted);
    let mut out = String::new();
    let mut is_mended = matches!(text, Cow::Owned(_));
    let mut rest = &*text;
    while let Some(at) = rest.find(|c: char| c == '\\' || c < ' ') {
        let (plain, odd) = rest.split_at(at);
        let (length, stays) = odd_one(odd);
        let (odd, tail) = odd.split_at_checked(length).unwrap_or((odd, ""));
        out.push_str(plain);
        out.push_str(if stays { odd } else { LOST });
        is_mended |= !stays;
        rest = tail;
    }
    if is_mended {
        out.push_str(rest);
        Cow::Owned(out.into_bytes())
    } else {
        Cow::Borrowed(quoted)
    }
}

/// The length of the escape or the control character at the beginning of
/// `text`, and whether it can stay.
fn odd_one(text: &str) -> (usize, bool) {
    let Some(escape) = text.strip_prefix('\\') else {
        return (1, false);
    };
    match escape.chars().next() {
        Some('u') => unicode(escape),
        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => (2, true),
        Some(other) => (1 + other.len_utf8(), false),
        None => (1, false),
    }
}

/// The same for `\u`, where halves of a pair can only stay together.
fn unicode(escape: &str) -> (usize, bool) {
    let unit = |at: usize| {
        let hex = escape.get(at..at + 4)?;
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u16::from_str_radix(hex, 16).ok())?
    };
    let follows = || escape.get(5..7) == Some("\\u");
    match unit(1) {
        None => (2, false),
        Some(0xd800..=0xdbff) => match unit(7) {
            Some(0xdc00..=0xdfff) if follows() => (12, true),
            Some(_) | None => (6, false),
        },
        Some(0xdc00..=0xdfff) => (6, false),
        Some(_) => (6, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_gives_up_on_is_mended_at_its_place() {
        for (body, expect) in [
            (&b"\xef\xbb\xbf{}"[..], "{}"),
            (b"[\"a\xffb\", 1]", "[\"a\u{fffd}b\", 1]"),
            (br#"["\ud800", "\udc00x"]"#, "[\"\u{fffd}\", \"\u{fffd}x\"]"),
            (br#"["\ud800\ud83d\ude00"]"#, "[\"\u{fffd}\\ud83d\\ude00\"]"),
            (br#"["\ud800\n"]"#, "[\"\u{fffd}\\n\"]"),
            (b"[\"a\nb\"]", "[\"a\u{fffd}b\"]"),
            (br#"["\x41", "\u12"]"#, "[\"\u{fffd}41\", \"\u{fffd}12\"]"),
            (br#"["\\\" \q"]"#, "[\"\\\\\\\" \u{fffd}\"]"),
            (b"[-1e999, 2]", "[1.7976931348623157e308, 2]"),
        ] {
            let mended = String::from_utf8(mend(body).unwrap()).unwrap();
            assert_eq!(mended, expect);
            serde_json::from_str::<serde_json::Value>(&mended).unwrap();
        }
    }

    #[test]
    fn what_is_sound_or_beyond_help_is_left_alone() {
        for body in [
            &br#"{"a": ["\ud83d\ude00", "\\", "\"", -1.5e3]}"#[..],
            b"",
            b"\"",
            b"<html>",
            b"[1, 2",
            b"\xff",
        ] {
            assert_eq!(mend(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
