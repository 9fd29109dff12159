//! What PEM holds for TLS, and why there may be none.
//!
//! **Invariants.** No key is part of an error.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM of the certificate is none.
    #[error("there is no certificate in PEM")]
    Certificate,
    /// The PEM of the key is none.
    #[error("there is no private key in PEM")]
    Key,
    /// The PEM of the authorities is none.
    #[error("client_ca holds no certificate in PEM")]
    Authorities,
    /// Certificates of clients cannot be verified.
    #[error("certificates of clients cannot be verified by this client_ca")]
    Clients(#[source] rustls::server::VerifierBuilderError),
    /// The parts do not fit.
    #[error("certificate, key, versions, cipher suites and curves do not fit together")]
    Unfit(#[source] rustls::Error),
}

/// Every certificate of `pem`; none if there is none, or one is broken.
pub(super) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|all| !all.is_empty())
}

/// Authorities, as rustls looks them up.
pub(super) fn authorities(pem: &[u8]) -> Result<Arc<rustls::RootCertStore>, TlsError> {
    let mut store = rustls::RootCertStore::empty();
    for certificate in certificates(pem).ok_or(TlsError::Authorities)? {
        let added = store.add(certificate);
        added.map_err(|_| TlsError::Authorities)?;
    }
    Ok(Arc::new(store))
}
