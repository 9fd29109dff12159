//! Web configurations: any text gives settings or problems, each at a line that
//! the file has, and no problem tells a hash.

use std::path::Path;

use cryptshare_exporter::config::web::WebConfig;

use super::config::{all_problems, names_endless_files};

/// The text of a web configuration.
pub fn web(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if names_endless_files(&text) {
        return;
    }
    let parsed = WebConfig::parse(&text, Path::new("web.yml"));
    let problems = all_problems(parsed.map(|config| config.warnings));
    let lines = text.lines().count().max(1);
    for problem in &problems {
        assert!((1..=lines).contains(&problem.line), "{problem}");
        let told = problem.to_string();
        assert!(!told.contains(char::is_control), "{told:?}");
        assert!(!told.contains("$2y$"), "{told}");
    }
}
