//! `Accept` into a format, as RFC 9110 says and as Prometheus' own library
//! reads it; and `Accept-Encoding` into a coding.
//!
//! Each protocol takes the quality of the most specific range that covers it;
//! the best one wins, a named one before one that only a wildcard covers, then
//! the one that was named first. Without a header, or where nothing that we
//! write is acceptable, the answer is text: a scrape that gets something it
//! did not ask for is better than one that gets 406. So it is with codings.
//!
//! **Invariants.** Pure and total. A part that cannot be read is ignored, and
//! the others count all the same.

use std::{borrow::Cow, cmp::Reverse};

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName},
};

use super::format::{Escaping, Format, Protocol};

/// The format that suits the request best.
pub fn negotiate(request: &HeaderMap) -> Format {
    let headers = values(request, &ACCEPT);
    let ranges: Vec<_> = headers
        .iter()
        .flat_map(|header| split(header, ','))
        .filter_map(Range::parse)
        .collect();
    let choices = Protocol::ALL.into_iter().enumerate();
    let choices = choices.filter_map(|(preference, protocol)| {
        let (position, fit, range) = governing(&ranges, protocol)?;
        let rank = (fit, Reverse(position), Reverse(preference));
        (range.quality > 0.0).then_some((range.quality, rank, protocol, range.escaping))
    });
    let best = choices.max_by(|(quality, rank, ..), (other, other_rank, ..)| {
        quality.total_cmp(other).then(rank.cmp(other_rank))
    });
    best.map_or_else(Format::default, |(.., protocol, escaping)| Format {
        protocol,
        escaping,
    })
}

/// How the bytes of an answer are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    Identity,
    /// One member of gzip (RFC 1952).
    Gzip,
}

/// The coding that suits the request best. Between two that are as good gzip
/// is chosen, but for who says nothing of codings: that is a simple client.
pub fn coding(request: &HeaderMap) -> Coding {
    let headers = values(request, &ACCEPT_ENCODING);
    let parts: Vec<_> = headers
        .iter()
        .flat_map(|header| split(header, ','))
        .filter_map(weighed)
        .collect();
    let named = |names: &[&str]| {
        let of = |(name, _): &&(&str, f64)| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let qualities = parts.iter().filter(of).map(|(_, quality)| *quality);
        qualities.reduce(f64::max)
    };
    let rest = named(&["*"]);
    let gzip = named(&["gzip", "x-gzip"]).or(rest);
    // What nobody speaks of may be sent as it is, if nothing better is asked
    // for.
    let identity = named(&["identity"]).or(rest);
    match (gzip, identity) {
        (Some(gzip), Some(identity)) if gzip > 0.0 && gzip >= identity => Coding::Gzip,
        (Some(gzip), None) if gzip > 0.0 => Coding::Gzip,
        (None, Some(identity)) if identity <= 0.0 => Coding::Gzip,
        (Some(_) | None, _) => Coding::Identity,
    }
}

/// A part of `Accept-Encoding`: what it names, and how good that is.
fn weighed(part: &str) -> Option<(&str, f64)> {
    let mut pieces = part.split(';').map(str::trim);
    let name = pieces.next()?;
    let mut quality = 1.0;
    for (parameter, value) in pieces.filter_map(|piece| piece.split_once('=')) {
        if parameter.trim_end().eq_ignore_ascii_case("q") {
            quality = self::quality(value.trim_start())?;
        }
    }
    Some((name, quality))
}

/// Every value of a header.
fn values<'a>(request: &'a HeaderMap, name: &HeaderName) -> Vec<Cow<'a, str>> {
    let values = request.get_all(name).iter();
    let text = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
    text.collect()
}

/// How closely a range names a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// `*/*`.
    Anything,
    /// `text/*`.
    Type,
    /// By its media type, which has another version that is rather meant.
    OtherVersion,
    /// By its media type and its version, or the one meant without a version.
    Named,
}

/// One part of `Accept`.
#[derive(Debug)]
struct Range<'a> {
    media: (&'a str, &'a str),
    version: Option<Cow<'a, str>>,
    /// The parameters of protobuf.
    message: Option<Cow<'a, str>>,
    encoding: Option<Cow<'a, str>>,
    escaping: Option<Escaping>,
    quality: f64,
}

impl<'a> Range<'a> {
    fn parse(part: &'a str) -> Option<Self> {
        let mut pieces = split(part, ';').map(str::trim);
        let media = pieces.next()?;
        let media = if media == "*" {
            ("*", "*")
        } else {
            media.split_once('/')?
        };
        let mut range = Self {
            media: (media.0.trim(), media.1.trim()),
            version: None,
            message: None,
            encoding: None,
            escaping: None,
            quality: 1.0,
        };
        for (name, value) in pieces.filter_map(|piece| piece.split_once('=')) {
            let value = unquoted(value.trim())?;
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => range.quality = quality(&value)?,
                "version" => range.version = Some(value),
                "proto" => range.message = Some(value),
                "encoding" => range.encoding = Some(value),
                "escaping" => range.escaping = escaping(&value),
                _ => {}
            }
        }
        Some(range)
    }

    /// How closely the range names `protocol`, if it covers it.
    fn fit(&self, protocol: Protocol) -> Option<Fit> {
        let (kind, subtype, version) = match protocol {
            Protocol::Text => ("text", "plain", "0.0.4"),
            Protocol::OpenMetrics1 => ("application", "openmetrics-text", "1.0.0"),
            Protocol::OpenMetrics0 => ("application", "openmetrics-text", "0.0.1"),
            Protocol::Protobuf => ("application", "vnd.google.protobuf", ""),
        };
        if self.media == ("*", "*") {
            return Some(Fit::Anything);
        }
        if !self.media.0.eq_ignore_ascii_case(kind) {
            return None;
        }
        if self.media.1 == "*" {
            return Some(Fit::Type);
        }
        if !self.media.1.eq_ignore_ascii_case(subtype) {
            return None;
        }
        match (self.version.as_deref(), protocol) {
            (_, Protocol::Protobuf) => self.is_of_families().then_some(Fit::Named),
            (Some(asked), _) => (asked == version).then_some(Fit::Named),
            // Without a version the first one is meant, but any will do.
            (None, Protocol::OpenMetrics1) => Some(Fit::OtherVersion),
            (None, Protocol::Text | Protocol::OpenMetrics0) => Some(Fit::Named),
        }
    }

    /// Whether protobuf is asked for in the way in which we write it, as far as
    /// the range tells.
    fn is_of_families(&self) -> bool {
        let is = |told: &Option<Cow<'_, str>>, ours| told.as_deref().is_none_or(|t| t == ours);
        is(&self.message, "io.prometheus.client.MetricFamily") && is(&self.encoding, "delimited")
    }
}

/// The range that decides about `protocol`: the most specific one, and of
/// several the one of the highest quality.
fn governing<'r, 'a>(
    ranges: &'r [Range<'a>],
    protocol: Protocol,
) -> Option<(usize, Fit, &'r Range<'a>)> {
    let fits = ranges.iter().enumerate();
    let fits = fits.filter_map(|(at, range)| Some((at, range.fit(protocol)?, range)));
    fits.max_by(|(at, fit, range), (other_at, other_fit, other)| {
        let by_quality = range.quality.total_cmp(&other.quality);
        let by_place = Reverse(at).cmp(&Reverse(other_at));
        fit.cmp(other_fit).then(by_quality).then(by_place)
    })
}

/// A weight of RFC 9110, 12.4.2: from 0 to 1, without sign or exponent.
fn quality(text: &str) -> Option<f64> {
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let quality: f64 = text.parse().ok().filter(|_| is_decimal)?;
    (quality <= 1.0).then_some(quality)
}

/// An unknown way of escaping is as good as none.
fn escaping(word: &str) -> Option<Escaping> {
    let mut known = Escaping::ALL.into_iter();
    known.find(|escaping| escaping.word().eq_ignore_ascii_case(word))
}

/// The parts of `text` between separators that stand outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_hidden) = (false, false);
    text.split(move |c: char| {
        let was_hidden = std::mem::take(&mut is_hidden);
        match c {
            '"' if !was_hidden => is_quoted = !is_quoted,
            '\\' if !was_hidden => is_hidden = is_quoted,
            _ => {}
        }
        c == separator && !is_quoted
    })
}

/// The value of a parameter without its quotes; none if they do not match.
fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then_some(Cow::Borrowed(text));
    };
    let inner = inner.strip_suffix('"')?;
    if !inner.contains(['\\', '"']) {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?),
            '"' => return None,
            other => plain.push(other),
        }
    }
    Some(Cow::Owned(plain))
}

#[cfg(test)]
mod tests;
