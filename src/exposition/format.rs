//! The formats in which a body can be written, and what they are called.
//!
//! **Invariants.** A content type names exactly what was asked for: the
//! version, and how names beyond the old alphabet are escaped.

use super::{Family, Title, openmetrics, protobuf, text};

/// What a scrape is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// The syntax of the body.
    pub protocol: Protocol,
    /// How odd names are escaped, if the client asked for it. Our names are
    /// all of the old alphabet, so each way gives the same bytes.
    pub escaping: Option<Escaping>,
}

/// What can be asked for, as Prometheus counts its scrape protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// The text format 0.0.4, which everybody reads.
    #[default]
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics1,
    /// OpenMetrics 0.0.1, the name under which old clients ask for it.
    OpenMetrics0,
    /// Messages of `io.prometheus.client.MetricFamily`, each after its length.
    Protobuf,
}

/// How the bytes of a protocol are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Text,
    OpenMetrics,
    Protobuf,
}

impl Protocol {
    /// Every protocol, the preferred one first.
    pub const ALL: [Self; 4] = [
        Self::Text,
        Self::OpenMetrics1,
        Self::OpenMetrics0,
        Self::Protobuf,
    ];

    pub(super) const fn syntax(self) -> Syntax {
        match self {
            Self::Text => Syntax::Text,
            Self::OpenMetrics1 | Self::OpenMetrics0 => Syntax::OpenMetrics,
            Self::Protobuf => Syntax::Protobuf,
        }
    }

    /// Appends `families`, those without samples left out.
    pub fn write(self, families: &[Family<'_>], out: &mut Vec<u8>) {
        let mut samples = Vec::new();
        for family in families.iter().filter(|f| !f.samples.is_empty()) {
            samples.clear();
            self.samples(family, &mut samples);
            let length = u64::try_from(samples.len()).unwrap_or(u64::MAX);
            self.head(family.title(), length, out);
            out.extend_from_slice(&samples);
        }
    }

    /// Appends what stands before the samples of a family, which take `length`
    /// bytes.
    pub(super) fn head(self, title: Title<'_>, length: u64, out: &mut Vec<u8>) {
        match self.syntax() {
            Syntax::Text => text::head(title, out),
            Syntax::OpenMetrics => openmetrics::head(title, out),
            Syntax::Protobuf => protobuf::head(title, length, out),
        }
    }

    /// Appends the samples of `family`.
    pub(super) fn samples(self, family: &Family<'_>, out: &mut Vec<u8>) {
        match self.syntax() {
            Syntax::Text => text::samples(family, out),
            Syntax::OpenMetrics => openmetrics::samples(family, out),
            Syntax::Protobuf => protobuf::samples(family, out),
        }
    }

    /// What stands after the last family.
    pub const fn end(self) -> &'static [u8] {
        match self.syntax() {
            Syntax::Text | Syntax::Protobuf => b"",
            Syntax::OpenMetrics => openmetrics::END,
        }
    }
}

/// How names beyond the old alphabet are written (Prometheus 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// As they are, in quotes.
    AllowUtf8,
    /// Odd characters as underscores.
    Underscores,
    /// Dots as `_dot_`.
    Dots,
    /// Odd characters by their code.
    Values,
}

impl Escaping {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// The value of the parameter `escaping`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

macro_rules! content_type {
    ($media:literal, $escaping:expr) => {
        match $escaping {
            None => $media,
            Some(Escaping::AllowUtf8) => concat!($media, "; escaping=allow-utf-8"),
            Some(Escaping::Underscores) => concat!($media, "; escaping=underscores"),
            Some(Escaping::Dots) => concat!($media, "; escaping=dots"),
            Some(Escaping::Values) => concat!($media, "; escaping=values"),
        }
    };
}

impl Format {
    /// The value of `Content-Type`, spelled as Prometheus' own library does.
    pub const fn content_type(self) -> &'static str {
        let escaping = self.escaping;
        match self.protocol {
            Protocol::Text => {
                content_type!("text/plain; version=0.0.4; charset=utf-8", escaping)
            }
            Protocol::OpenMetrics1 => content_type!(
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                escaping
            ),
            Protocol::OpenMetrics0 => content_type!(
                "application/openmetrics-text; version=0.0.1; charset=utf-8",
                escaping
            ),
            Protocol::Protobuf => content_type!(
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                escaping
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_ends_in_the_escaping_that_was_asked_for() {
        for protocol in Protocol::ALL {
            let plain = Format {
                protocol,
                escaping: None,
            };
            assert!(!plain.content_type().contains("escaping"));
            for escaping in Escaping::ALL {
                let format = Format {
                    protocol,
                    escaping: Some(escaping),
                };
                let expect = format!("{}; escaping={}", plain.content_type(), escaping.word());
                assert_eq!(format.content_type(), expect);
            }
        }
    }
}
