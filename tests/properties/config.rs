//! Configurations: any text gives settings or problems, each at a line that
//! the file has, and no secret is part of one.

use std::path::Path;

use cryptshare_exporter::config::{Config, Error};
use toml::Value;

/// Shorter texts may well stand in a problem by chance.
const SHORTEST_SECRET: usize = 8;

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
    let problems = match Config::parse(&text, Path::new("exporter.toml")) {
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
    let lines = text.lines().count().max(1);
    let secrets = secrets(&text);
    for problem in &problems {
        assert!((1..=lines).contains(&problem.line), "{problem}");
        let told = problem.to_string();
        assert!(!told.contains('\n'), "{told:?}");
        let secret = secrets.iter().find(|secret| told.contains(*secret));
        assert_eq!(secret, None, "{told}");
    }
}

/// The client ids that stand in the file, and nowhere else in it.
fn secrets(text: &str) -> Vec<String> {
    let (mut secrets, mut others) = (Vec::new(), Vec::new());
    if let Ok(table) = toml::from_str(text) {
        sort(&Value::Table(table), false, &mut secrets, &mut others);
    } else {
        // A file that is no TOML still has lines that look like it.
        let client_id = |line: &str| {
            let value = line.trim().strip_prefix("client_id")?.trim_start();
            let value = value.strip_prefix('=')?.trim().trim_matches('"');
            Some(value.to_owned())
        };
        secrets.extend(text.lines().filter_map(client_id));
    }
    secrets.retain(|secret| {
        let stands_elsewhere = others.iter().any(|other: &String| other.contains(secret));
        secret.len() >= SHORTEST_SECRET && !stands_elsewhere
    });
    secrets
}

/// Sorts every key and every text of the file.
fn sort(value: &Value, is_secret: bool, secrets: &mut Vec<String>, others: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret => secrets.push(text.clone()),
        Value::String(text) => others.push(text.clone()),
        Value::Array(items) => {
            for item in items {
                sort(item, is_secret, secrets, others);
            }
        }
        Value::Table(table) => {
            for (key, value) in table {
                others.push(key.clone());
                sort(value, key == "client_id", secrets, others);
            }
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            others.push(format!("{value:?}"));
        }
    }
}
