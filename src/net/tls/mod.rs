//! TLS on the connections that we accept.
//!
//! **Invariants.** Whoever has begun a handshake keeps the settings that it
//! began with; the next one gets the newest. No key is part of an error.

mod clients;
mod pem;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::NoClientAuth,
    version::TLS13,
};
use secrecy::{ExposeSecret, SecretString};

use self::clients::Clients;
pub use self::{clients::ClientSettings, pem::TlsError};

/// HTTP/2, as a client and a server agree on it.
pub(super) const H2: &[u8] = b"h2";

const HTTP1: &[u8] = b"http/1.1";

/// What TLS is made of.
pub struct TlsSettings {
    /// The certificate and those between it and an authority: PEM.
    pub certificates: Vec<u8>,
    /// Its key: PEM.
    pub key: SecretString,
    /// What is asked of clients.
    pub clients: ClientSettings,
    /// The versions that are spoken.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// The suites of TLS 1.2; none leaves the choice to rustls.
    pub cipher_suites: Option<Vec<SupportedCipherSuite>>,
    /// Our order of the suites counts, not the client's.
    pub prefers_own_suites: bool,
    /// The curves, the best first; none leaves the choice to rustls.
    pub curves: Option<Vec<&'static dyn SupportedKxGroup>>,
    /// HTTP/2 is offered beside HTTP/1.1.
    pub http2: bool,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = f.debug_struct("TlsSettings");
        settings
            .field("clients", &self.clients)
            .field("http2", &self.http2)
            .finish_non_exhaustive()
    }
}

/// The newest settings, as every listener sees them.
#[derive(Debug)]
pub struct Tls(ArcSwap<ServerConfig>);

impl Tls {
    /// TLS with these settings.
    ///
    /// # Errors
    /// If they are not whole, or do not fit together.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self(ArcSwap::new(config(settings)?)))
    }

    /// Gives the next connections other settings.
    pub fn replace(&self, other: Self) {
        self.0.store(other.0.into_inner());
    }

    /// The settings of a new connection.
    pub(super) fn newest(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

fn config(settings: &TlsSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(provider(settings));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&settings.versions)
        .map_err(TlsError::Unfit)?;
    let verifier: Arc<dyn rustls::server::danger::ClientCertVerifier> = if settings.clients.is_asked
    {
        Arc::new(Clients::new(&settings.clients, &provider)?)
    } else {
        Arc::new(NoClientAuth)
    };
    let key = PrivateKeyDer::from_pem_slice(settings.key.expose_secret().as_bytes())
        .map_err(|_| TlsError::Key)?;
    let certificates = pem::certificates(&settings.certificates).ok_or(TlsError::Certificate)?;
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)
        .map_err(TlsError::Unfit)?;
    config.ignore_client_order = settings.prefers_own_suites;
    if settings.http2 {
        config.alpn_protocols.push(H2.to_owned());
    }
    config.alpn_protocols.push(HTTP1.to_owned());
    Ok(Arc::new(config))
}

/// aws-lc-rs with the suites and curves that are left.
fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(older) = &settings.cipher_suites {
        // Those of TLS 1.3 are not a matter of choice, here as in Go.
        let is_newest = |suite: &SupportedCipherSuite| suite.version() == &TLS13;
        provider.cipher_suites.retain(is_newest);
        provider.cipher_suites.extend(older);
    }
    if let Some(curves) = &settings.curves {
        provider.kx_groups.clone_from(curves);
    }
    provider
}
