//! Certificates of clients: whether one is asked for, who signed it, what it
//! names.
//!
//! **Invariants.** A handshake must be signed with the certificate's key, also
//! where anybody's certificate is good. A certificate that cannot be read is
//! refused.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::pem::{TlsError, authorities};

/// What is asked of clients.
#[derive(Debug, Default)]
pub struct ClientSettings {
    /// A certificate is asked for.
    pub is_asked: bool,
    /// There is no connection without one.
    pub is_required: bool,
    /// The authorities that must have signed it, PEM; without them anybody's
    /// is good.
    pub authorities: Option<Vec<u8>>,
    /// Names of which it must have at least one.
    pub allowed_sans: Option<Vec<String>>,
}

/// What asks it.
#[derive(Debug)]
pub(super) struct Clients {
    /// Who signed the certificate, if that matters.
    signed: Option<Arc<dyn ClientCertVerifier>>,
    is_required: bool,
    allowed_sans: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// Asks for what `settings` say.
    pub(super) fn new(
        settings: &ClientSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        let signed = match &settings.authorities {
            Some(pem) => {
                let (roots, provider) = (authorities(pem)?, Arc::clone(provider));
                let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
                Some(builder.build().map_err(TlsError::Clients)?)
            }
            None => None,
        };
        Ok(Self {
            signed,
            is_required: settings.is_required,
            allowed_sans: settings.allowed_sans.clone(),
            algorithms: provider.signature_verification_algorithms,
        })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let signed = self.signed.as_ref();
        signed.map_or(&[], |signed| signed.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(signed) = &self.signed {
            signed.verify_client_cert(certificate, intermediates, now)?;
        }
        match &self.allowed_sans {
            Some(allowed)
                if !names(certificate)?
                    .iter()
                    .any(|name| allowed.contains(name)) =>
            {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Some(_) | None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The names of DNS, mail, address and URI that a certificate is for.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let unreadable = |_| Error::from(CertificateError::BadEncoding);
    let certificate = Certificate::from_der(certificate).map_err(unreadable)?;
    let extension = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>();
    let names = extension.map_err(unreadable)?.map(|(_, names)| names.0);
    Ok(names.iter().flatten().filter_map(name).collect())
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(text)
        | GeneralName::Rfc822Name(text)
        | GeneralName::UniformResourceIdentifier(text) => Some(text.to_string()),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let old = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
            let new = <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).to_string());
            old.or(new).ok()
        }
        GeneralName::OtherName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::RegisteredId(_) => None,
    }
}
