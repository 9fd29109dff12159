//! Configurations: any text gives settings or problems, each at a line that
//! the file has, and no problem tells anything of a client id.

use std::path::Path;

use cryptshare_exporter::config::{Config, Error};
use toml::Value;

/// The text of a configuration file.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Devices and the kernel's own files may never end.
    if ["/dev", "/proc", "/sys"]
        .iter()
        .any(|path| text.contains(path))
    {
        return;
    }
    let problems = problems(&text);
    let lines = text.lines().count().max(1);
    for (line, problem) in &problems {
        assert!((1..=lines).contains(line), "{problem}");
        assert!(!problem.contains(char::is_control), "{problem:?}");
    }
    // With other client ids of the same length nothing else is told.
    if !quotes_itself(&text) {
        assert_eq!(problems, self::problems(&masked(&text)));
    }
}

/// Each problem, or each warning, after its line.
fn problems(text: &str) -> Vec<(usize, String)> {
    let problems = match Config::parse(text, Path::new("exporter.toml")) {
        Ok(config) => config.warnings,
        Err(Error::Wrong {
            mut problems,
            warnings,
            ..
        }) => {
            problems.extend(warnings);
            problems
        }
        Err(error @ Error::Unreadable(..)) => panic!("{error}"),
    };
    let problems = problems.iter().map(|p| (p.line, p.to_string()));
    problems.collect()
}

/// The same text with other client ids, letter for letter.
fn masked(text: &str) -> String {
    let mask = |c: char| match c {
        'z' => 'y',
        c if c.is_ascii_alphanumeric() => 'z',
        other => other,
    };
    let line = |line: &str| {
        let Some((key, value)) = line.split_once('=') else {
            return line.to_owned();
        };
        let value = value.trim();
        let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        match inner {
            Some(id) if key.trim() == "client_id" && !id.contains(['"', '\\']) => {
                let id: String = id.chars().map(mask).collect();
                line.replacen(value, &format!("\"{id}\""), 1)
            }
            _ => line.to_owned(),
        }
    };
    let lines: Vec<_> = text.split('\n').map(line).collect();
    lines.join("\n")
}

/// Whether what looks like a client id stands in a text of many lines.
fn quotes_itself(text: &str) -> bool {
    fn quotes(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains("client_id"),
            Value::Array(items) => items.iter().any(quotes),
            Value::Table(table) => table.values().any(quotes),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
        }
    }
    toml::from_str(text).is_ok_and(|table| quotes(&Value::Table(table)))
}
