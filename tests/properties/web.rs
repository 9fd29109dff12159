//! Web configurations: any text gives settings or problems, each at a line that
//! the file has, and no problem tells a hash.

use std::path::Path;

use cryptshare_exporter::config::{Error, web::WebConfig};

/// The text of a web configuration.
pub fn web(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Devices and the kernel's own files may never end.
    if ["/dev", "/proc", "/sys"]
        .iter()
        .any(|path| text.contains(path))
    {
        return;
    }
    let problems = match WebConfig::parse(&text, Path::new("web.yml")) {
        Ok(config) => config.warnings,
        Err(Error::Wrong {
            mut problems,
            warnings,
            ..
        }) => {
            problems.extend(warnings);
            problems
        }
        Err(error @ Error::Unreadable { .. }) => panic!("{error}"),
    };
    let lines = text.lines().count().max(1);
    for problem in &problems {
        assert!((1..=lines).contains(&problem.line), "{problem}");
        let told = problem.to_string();
        assert!(!told.contains(char::is_control), "{told:?}");
        assert!(!told.contains("$2y$"), "{told}");
    }
}
