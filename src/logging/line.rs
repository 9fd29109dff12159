//! One event as one line.
//!
//! **Invariants.** A line feed inside a value never ends the line, and nothing in
//! one is obeyed by whatever shows it.

use std::fmt::{self, Write};

use jiff::Timestamp;
use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::Format;
use crate::{clock::Clock, printable::is_obeyed};

/// Writes events as logfmt or JSON.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    format: Format,
    clock: Clock,
}

impl Lines {
    /// Lines in `format`, dated by `clock`.
    pub const fn new(format: Format, clock: Clock) -> Self {
        Self { format, clock }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let head = [
            ("time", Value::from(time(self.clock.now()))),
            (
                "level",
                Value::from(metadata.level().as_str().to_lowercase()),
            ),
            ("target", Value::from(metadata.target().to_owned())),
            ("msg", Value::from(fields.message)),
        ];
        let all = head.into_iter().chain(fields.rest);
        match self.format {
            Format::Logfmt => logfmt(all, &mut Escaping(&mut writer))?,
            Format::Json => json(all, &mut Escaping(&mut writer))?,
        }
        writeln!(writer)
    }
}

/// JSON escapes in a string what is below the blank; here the rest follows of
/// what would be obeyed and not shown. Outside of strings there is none of it.
struct Escaping<'a, W>(&'a mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(is_obeyed) {
            let last = piece.chars().next_back().filter(|c| is_obeyed(*c));
            self.0.write_str(piece.trim_end_matches(is_obeyed))?;
            if let Some(last) = last {
                write!(self.0, "\\u{:04x}", u32::from(last))?;
            }
        }
        Ok(())
    }
}

/// RFC 3339 with milliseconds, in UTC.
fn time(now: Timestamp) -> String {
    format!("{now:.3}")
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.rest.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.rest.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.rest.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.rest.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.rest.push((field.name(), value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.rest.push((field.name(), text.into()));
        }
    }
}

fn logfmt(
    fields: impl Iterator<Item = (&'static str, Value)>,
    writer: &mut impl Write,
) -> fmt::Result {
    let mut separator = "";
    for (name, value) in fields {
        // JSON quotes a string just as logfmt needs it.
        match value.as_str().filter(|text| is_bare(text)) {
            Some(text) => write!(writer, "{separator}{name}={text}")?,
            None => write!(writer, "{separator}{name}={value}")?,
        }
        separator = " ";
    }
    Ok(())
}

fn is_bare(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    !text.is_empty() && text.chars().all(plain)
}

fn json(
    fields: impl Iterator<Item = (&'static str, Value)>,
    writer: &mut impl Write,
) -> fmt::Result {
    let mut separator = "{";
    for (name, value) in fields {
        let name = Value::from(name);
        write!(writer, "{separator}{name}:{value}")?;
        separator = ",";
    }
    writer.write_str("}")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::logging::{Level, Settings, subscriber};

    const OBEYED: &str = "a\u{9b}31m\u{7f}\u{202e}\u{2028}\u{85}é";

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format) -> String {
        let sink = Sink::default();
        let clock = Clock::anchored("2026-04-01T08:15:00.5Z".parse().unwrap());
        let settings = Settings {
            level: Level::Info,
            format,
        };
        let writer = sink.clone();
        let subscriber = subscriber(settings, clock, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "cryptshare_exporter::test", cause = "a \"b\"\nc", times = 2, "it happened");
            tracing::info!(target: "cryptshare_exporter::test", "{OBEYED}");
            tracing::debug!(target: "cryptshare_exporter::test", "left out");
            tracing::info!(target: "hyper", "left out");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_one_line_of_logfmt() {
        assert_eq!(
            logged(Format::Logfmt),
            "time=2026-04-01T08:15:00.500Z level=info target=cryptshare_exporter::test \
             msg=\"it happened\" cause=\"a \\\"b\\\"\\nc\" times=2\n\
             time=2026-04-01T08:15:00.500Z level=info target=cryptshare_exporter::test \
             msg=\"a\\u009b31m\\u007f\\u202e\\u2028\\u0085é\"\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_is_one_object_of_json() {
        let lines = logged(Format::Json);
        let (line, obeyed) = lines.trim().split_once('\n').unwrap();
        assert!(obeyed.chars().all(|c| !is_obeyed(c)), "{obeyed}");
        let object: Value = serde_json::from_str(obeyed).unwrap();
        assert_eq!(object["msg"], OBEYED);
        let object: Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["time"], "2026-04-01T08:15:00.500Z");
        assert_eq!(object["cause"], "a \"b\"\nc");
        assert_eq!(object["times"], 2);
    }
}
