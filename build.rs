//! Tells the program which revision and which compiler it was built from.

use std::{path::Path, process::Command};

fn main() {
    // Named files only: a commit moves HEAD or the branch that it names.
    for file in [".git/HEAD", ".git/logs/HEAD"] {
        if Path::new(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CRYPTSHARE_EXPORTER_REVISION");
    let given = std::env::var("CRYPTSHARE_EXPORTER_REVISION").ok();
    let revision = given
        .or_else(|| line("git", &["rev-parse", "--short=10", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=CRYPTSHARE_EXPORTER_REVISION={revision}");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = line(&compiler, &["--version"]).unwrap_or_default();
    let version = version.split(' ').nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=CRYPTSHARE_EXPORTER_RUSTC={version}");
}

fn line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
