//! The languages of the server, and which of them a client wants.
//!
//! **Invariants.** There is always one: English, if none that is wanted is
//! there.

/// The languages of the language packs (contract, section 6), the default first.
const LANGUAGES: [&str; 3] = ["en", "de", "fr"];

/// The language that `Accept-Language` wants most of those that there are.
pub(super) fn best(accept: &str) -> &'static str {
    let mut best = (0.0, LANGUAGES[0]);
    for (language, weight) in accept.split(',').filter_map(wish) {
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

/// One wish, `de-AT;q=0.8`, if it can be fulfilled; without a weight it is 1.
fn wish(text: &str) -> Option<(&'static str, f64)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next()?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let weight = weight.map_or(Some(1.0), |weight| weight.trim().parse().ok())?;
    let primary = range.split('-').next()?;
    let known = LANGUAGES.into_iter();
    let mut known = known.filter(|known| primary == "*" || primary.eq_ignore_ascii_case(known));
    Some((known.next()?, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_best_of_those_that_there_are() {
        for (accept, expect) in [
            ("", "en"),
            ("de", "de"),
            ("de-AT, en;q=0.5", "de"),
            ("en;q=0.5,FR-ca;q=0.8,de;q=0.7", "fr"),
            ("it, de;q=0.1", "de"),
            ("it", "en"),
            ("*", "en"),
            ("de;q=0", "en"),
            ("de;q=x, fr", "fr"),
            (";;;,,de", "de"),
        ] {
            assert_eq!(best(accept), expect, "{accept}");
        }
    }
}
