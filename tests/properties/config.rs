//! Configurations: any text gives settings or problems, each at a line that
//! the file has, and no problem tells anything of a secret.

use std::path::Path;

use cryptshare_exporter::config::{Config, Error, Problem};
use toml::Value;

/// The text of a configuration file.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if names_endless_files(&text) {
        return;
    }
    let problems = problems(&text);
    let lines = text.lines().count().max(1);
    for (line, problem) in &problems {
        assert!((1..=lines).contains(line), "{problem}");
        assert!(!problem.contains(char::is_control), "{problem:?}");
    }
    // With other secrets of the same length nothing else is told.
    if !quotes_itself(&text) {
        assert_eq!(problems, self::problems(&masked(&text)));
    }
}

/// Whether the text may name devices or the kernel's own files, which may never
/// end.
pub(super) fn names_endless_files(text: &str) -> bool {
    ["/dev", "/proc", "/sys"]
        .iter()
        .any(|path| text.contains(path))
}

/// The problems and warnings of a file that was parsed, or only its warnings.
pub(super) fn all_problems(parsed: Result<Vec<Problem>, Error>) -> Vec<Problem> {
    match parsed {
        Ok(warnings) => warnings,
        Err(Error::Wrong {
            mut problems,
            warnings,
            ..
        }) => {
            problems.extend(warnings);
            problems
        }
        Err(error @ Error::Unreadable { .. }) => panic!("{error}"),
    }
}

/// Each problem, or each warning, after its line.
fn problems(text: &str) -> Vec<(usize, String)> {
    let parsed = Config::parse(text, Path::new("exporter.toml"));
    let problems = all_problems(parsed.map(|config| config.warnings));
    let problems = problems.iter().map(|p| (p.line, p.to_string()));
    problems.collect()
}

/// The same text with other secrets, letter for letter. A secret may stand by
/// mistake where the name of its file should.
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
            Some(secret) if is_secret(key.trim(), secret) => {
                let other: String = secret.chars().map(mask).collect();
                line.replacen(value, &format!("\"{other}\""), 1)
            }
            _ => line.to_owned(),
        }
    };
    let lines: Vec<_> = text.split('\n').map(line).collect();
    lines.join("\n")
}

fn is_secret(key: &str, value: &str) -> bool {
    let is_id = value.len() >= 50 && value.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_secret = matches!(key, "client_id" | "recipient_hash_key");
    let is_plain = !value.contains(['"', '\\']);
    let is_mistake = is_id && matches!(key, "client_id_file" | "recipient_hash_key_file");
    is_plain && (is_secret || is_mistake)
}

/// Whether what looks like a secret stands in a text of many lines.
fn quotes_itself(text: &str) -> bool {
    fn quotes(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains("client_id") || text.contains("hash_key"),
            Value::Array(items) => items.iter().any(quotes),
            Value::Table(table) => table.values().any(quotes),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
        }
    }
    toml::from_str(text).is_ok_and(|table| quotes(&Value::Table(table)))
}
