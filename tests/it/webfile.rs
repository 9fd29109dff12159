//! Every file of tests/web, with what its first lines say of it.
//!
//! `# problem: LINE: …` is the beginning of a problem that must be told, and a
//! file without one is good. `# promtool: accepts, …` and `# promtool: refuses,
//! …` say why Prometheus' own tool judges otherwise; the judge is in judges.rs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cryptshare_exporter::config::web::WebConfig;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use tempfile::TempDir;

use crate::rig::{run, write};

/// An authority and what it has signed, in a directory.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A certificate with these names, and its key.
    pub fn sign(&self, names: &[SanType]) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names.to_vec();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// The name of this machine's loopback.
pub fn loopback() -> SanType {
    SanType::IpAddress([127, 0, 0, 1].into())
}

/// A file of tests/web in its directory, beside the files that it names.
pub struct Case {
    pub name: String,
    pub path: PathBuf,
    /// How each problem begins.
    pub problems: Vec<String>,
    /// Whether promtool accepts it.
    pub promtool_accepts: bool,
}

/// All of them.
pub fn cases(directory: &Path) -> Vec<Case> {
    let authority = Authority::new("an authority");
    let (certificate, key) = authority.sign(&[loopback()]);
    write(directory, "server.pem", &certificate);
    write(directory, "server.key", &key);
    write(directory, "other.key", &authority.sign(&[]).1);
    write(directory, "ca.pem", &authority.pem);
    let inline = |pem: &str| {
        let lines: Vec<_> = pem.lines().map(|line| format!("    {line}")).collect();
        lines.join("\n")
    };
    let mut names: Vec<_> = fs::read_dir("tests/web").unwrap().collect();
    names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let case = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let text = fs::read_to_string(format!("tests/web/{name}")).unwrap();
        let said = |word: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(word));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let problems = said("# problem: ");
        let promtool_accepts = match said("# promtool: ").first() {
            Some(said) if said.starts_with("accepts, ") => true,
            Some(said) if said.starts_with("refuses, ") => false,
            Some(said) => panic!("{name}: {said}"),
            None => problems.is_empty(),
        };
        let text = text
            .replace("@CERT@", &inline(&certificate))
            .replace("@KEY@", &inline(&key))
            .replace("@CA@", &inline(&authority.pem));
        Case {
            path: write(directory, &name, &text),
            name,
            problems,
            promtool_accepts,
        }
    };
    names.into_iter().map(case).collect()
}

#[test]
fn every_file_is_judged_as_it_says_of_itself() {
    let directory = TempDir::new().unwrap();
    let cases = cases(directory.path());
    assert!(cases.len() > 50);
    let good = write(
        directory.path(),
        "exporter.toml",
        &format!(
            "[[server]]\nname = \"a\"\nurl = \"https://cs.example.com\"\nclient_id = \"{}\"\n\
             [[server.sender]]\nemail = \"a@example.com\"\n",
            "x".repeat(50)
        ),
    );
    let misjudged: Vec<_> = cases
        .iter()
        .filter_map(|case| misjudged(case, &good))
        .collect();
    assert!(misjudged.is_empty(), "{}", misjudged.join("\n"));
}

/// How the judgement of a file differs from what it says of itself.
fn misjudged(case: &Case, good: &Path) -> Option<String> {
    let path = case.path.to_str().unwrap();
    let config = ["--config.file", good.to_str().unwrap()];
    let check = ["--config.check", "--web.config.file", path];
    let (code, out, told) = run(&[config.as_slice(), &check].concat());
    let is_good = case.problems.is_empty();
    let has = |problem: &String| {
        let (line, text) = problem.split_once(": ").unwrap();
        let begin = format!("{path}:{line}: ");
        let mut lines = told.lines();
        lines.any(|told| told.starts_with(&begin) && told.contains(text))
    };
    let count = told.lines().filter(|line| line.starts_with(path)).count();
    let problems = count - told.matches(" (warning)").count();
    let is_told = out.contains(&format!("{path}: ok; TLS: "));
    let agrees = code == (if is_good { 0 } else { 3 })
        && is_told == is_good
        && problems == case.problems.len()
        && case.problems.iter().all(has);
    let leaks = ["$2", "canary", "PRIVATE"].map(|secret| told.contains(secret));
    (!agrees || leaks != [false; 3]).then(|| format!("{}: {code} {out}{told}", case.name))
}

/// Each line that begins with "#" and a key becomes that key.
#[test]
fn the_example_is_good_with_every_key() {
    let directory = TempDir::new().unwrap();
    cases(directory.path());
    let example = fs::read_to_string("config/web.yml").unwrap();
    let line = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(key) if key.starts_with(char::is_alphabetic) => line.replacen('#', "", 1),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = example.lines().map(line).collect();
    let all = WebConfig::parse(&lines.join("\n"), &directory.path().join("web.yml"));
    let all = all.unwrap_or_else(|problems| panic!("{problems}"));
    let tls = all.tls.unwrap();
    assert!(tls.http2 && tls.prefer_server_cipher_suites);
    assert_eq!(tls.cipher_suites.map(|all| all.len()), Some(6));
    assert_eq!(tls.versions.len(), 2);
    assert_eq!((all.headers.len(), all.users.len()), (5, 1));
    assert!(all.rate.is_some());
}

/// Every name of a key, of a type and of a suite stands in the parity table or
/// in the example.
#[test]
fn the_parity_table_names_every_key() {
    let table = fs::read_to_string("docs/PARITY.md").unwrap();
    for key in [
        "cert_file",
        "key_file",
        "`.cert`",
        "`.key`",
        "`.client_ca`",
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "prefer_server_cipher_suites",
        "curve_preferences",
        "http2",
        "headers",
        "basic_auth_users",
        "rate_limit",
    ] {
        assert!(table.contains(key), "{key}");
    }
    let (_, help, _) = run(&["--help"]);
    let flags = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    for flag in flags.filter(|flag| flag.contains('.') && !flag.contains("state")) {
        assert!(table.contains(&format!("`{flag}`")), "{flag}");
    }
}

#[test]
fn a_file_that_is_not_there_stops_the_start() {
    let arguments = ["--config.check", "--web.config.file", "/nowhere.yml"];
    let (code, _, problem) = run(&arguments);
    assert_eq!(code, 3);
    let expect = "/nowhere.yml: cannot be read (No such file or directory (os error 2)); \
                  name the file with --web.config.file";
    assert!(problem.contains(expect), "{problem}");
}
