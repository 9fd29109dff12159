//! The way to a server: whom to trust, who we are, what stands between.
//!
//! **Invariants.** Files are read and checked here, so that a way that cannot
//! work is a problem of the configuration. What weakens it is a warning.

use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Surroundings, Table,
    secret::{self, Given},
};
use crate::config::{Proxy, Way};

/// The keys of a server that say how connections to it are made.
pub(super) fn read(table: &mut Table<'_>, around: &Surroundings) -> Way {
    Way {
        ca_pem: certificates(table, around, "ca_file"),
        identity_pem: identity(table, around),
        insecure_skip_verify: insecure_skip_verify(table, around),
        proxy: proxy(table, around),
    }
}

fn certificates(
    table: &mut Table<'_>,
    around: &Surroundings,
    key: &'static str,
) -> Option<Vec<u8>> {
    let (place, name) = table.text(key)?;
    let wrong = match around.read(&name) {
        Ok(file) if holds_certificates(&file.bytes) => return Some(file.bytes),
        Ok(_) => format!("{name} holds no certificate"),
        Err((path, error)) => format!("{path} cannot be read ({error})"),
    };
    let remedy = "name a file of certificates in PEM";
    table.problems.add(place.problem(wrong, remedy));
    None
}

fn holds_certificates(pem: &[u8]) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(pem).peekable();
    certificates.peek().is_some() && certificates.all(|certificate| certificate.is_ok())
}

/// The client certificate and its key, which come together.
fn identity(table: &mut Table<'_>, around: &Surroundings) -> Option<SecretString> {
    let certificates = certificates(table, around, "cert_file");
    let key = secret::private_key(table, around);
    match (certificates, key) {
        (Some(certificates), Given::Is(_, key)) => {
            let certificates = String::from_utf8_lossy(&certificates);
            let pem = format!("{certificates}\n{}\n", key.expose_secret());
            Some(SecretString::from(pem))
        }
        (Some(_), Given::Not) => {
            let wrong = "there is no key for cert_file";
            table.wrong(wrong, "add key_file, or key");
            None
        }
        (None, Given::Is(place, _)) if !table.is_told("cert_file") => {
            let wrong = "stands without its certificate";
            table.problems.add(place.problem(wrong, "add cert_file"));
            None
        }
        (Some(_) | None, _) => None,
    }
}

fn insecure_skip_verify(table: &mut Table<'_>, around: &Surroundings) -> bool {
    let is_set = table.flag("insecure_skip_verify") == Some(true);
    if is_set {
        let wrong = "insecure_skip_verify: the certificate of the server is NOT checked; \
                     whoever stands in between can read the client id and every transfer";
        around.warn(&table.place, wrong, "set ca_file in its place");
    }
    is_set
}

/// One proxy at most. The environment counts only where the file says so: a
/// daemon that asks elsewhere because of a variable is a surprise.
fn proxy(table: &mut Table<'_>, around: &Surroundings) -> Proxy {
    let from_environment = table.flag("proxy_from_environment") == Some(true);
    match secret::proxy_url(table, around) {
        Given::Is(place, _) if from_environment => {
            let wrong = "stands beside proxy_from_environment";
            let problem = place.problem(wrong, "keep one of them");
            table.problems.add(problem);
            Proxy::None
        }
        Given::Is(_, url) => Proxy::Url(url),
        Given::Not | Given::Wrong if from_environment => Proxy::Environment,
        Given::Not | Given::Wrong => Proxy::None,
    }
}
