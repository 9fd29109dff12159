//! `tls_server_config`.
//!
//! **Invariants.** A name that Go knows and rustls does not is told apart from
//! one that nobody knows. Nothing is left out silently.

use rustls::{
    NamedGroup, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{SupportedKxGroup, aws_lc_rs},
    version::{TLS12, TLS13},
};
use secrecy::SecretString;

use super::{ClientAuth, Place, Reader, Tls, yaml::Mapping};
use crate::config::values::{self, Wrong};

/// Suites of Go for TLS 1.2 that lack forward secrecy or authenticated
/// encryption; rustls leaves them out for that.
const LEFT_OUT: [&str; 8] = [
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

const AUTH_TYPES: &str = "write NoClientCert, RequestClientCert, RequireAnyClientCert, \
     VerifyClientCertIfGiven or RequireAndVerifyClientCert";

/// Bits of a file's mode that let others read it.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Reads the section; none if it leaves TLS off.
pub(super) fn read(mut mapping: Mapping, reader: &mut Reader, http2: bool) -> Option<Tls> {
    let place = mapping.place.clone();
    let certificates = pem(&mut mapping, reader, ("cert", "cert_file"));
    let key = key(&mut mapping, reader);
    let authorities = pem(&mut mapping, reader, ("client_ca", "client_ca_file"));
    let auth = mapping.parsed("client_auth_type", auth_type);
    let sans = mapping.list("client_allowed_sans", |text| Ok(text.to_owned()));
    let versions = versions(&mut mapping);
    let suites = mapping.list("cipher_suites", suite);
    let curves = mapping.list("curve_preferences", curve);
    let prefer_server = mapping.flag("prefer_server_cipher_suites");
    let has_auth = mapping.is_told("client_auth_type");
    mapping.finish();
    if !certificates.is_told && !key.is_told && !authorities.is_told && !has_auth {
        let wrong = "TLS is off, for there is no cert_file";
        reader.warn(&place, wrong, "set cert_file and key_file, or leave it out");
        return None;
    }
    let tls = Tls {
        line: place.line,
        certificates: certificates.or_missing(&place, reader, "cert_file")?,
        key: key.or_missing(&place, reader, "key_file")?,
        client_authorities: authorities.value,
        client_auth: auth.unwrap_or(ClientAuth::No),
        client_allowed_sans: sans,
        cipher_suites: chosen(suites, &versions, (&place, reader)),
        versions,
        prefer_server_cipher_suites: prefer_server.unwrap_or(true),
        curves: curves.filter(|curves| !curves.is_empty()),
        http2,
    };
    // A type that is wrong has been told.
    if has_auth == auth.is_some() {
        judge_clients(&tls, authorities.is_told, (&place, reader));
    }
    Some(tls)
}

/// What two keys, of which one may stand there, say.
struct Given<T> {
    is_told: bool,
    value: Option<T>,
}

impl<T> Given<T> {
    /// The value, or a problem at `place`; one that could not be read has been
    /// told already.
    fn or_missing(self, place: &Place, reader: &Reader, key: &str) -> Option<T> {
        if !self.is_told {
            let wrong = format!("there is no {key}");
            reader.problems.add(place.problem(wrong, "add it"));
        }
        self.value
    }
}

/// PEM inline or from a file.
fn pem(
    mapping: &mut Mapping,
    reader: &mut Reader,
    (inline, file): (&'static str, &'static str),
) -> Given<Vec<u8>> {
    let is_told = mapping.is_told(inline) || mapping.is_told(file);
    let (inline, file) = (mapping.text(inline), mapping.text(file));
    let value = match (inline, file) {
        (Some((place, _)), Some((other, _))) => {
            stands_beside(reader, &place, &other);
            None
        }
        (Some((_, text)), None) => Some(text.into_bytes()),
        (None, Some((place, name))) => reader.content(&place, &name).map(|file| file.bytes),
        (None, None) => None,
    };
    Given { is_told, value }
}

fn stands_beside(reader: &Reader, place: &Place, other: &Place) {
    let wrong = format!("stands beside {}", other.key);
    let problem = place.problem(wrong, "keep one of them");
    reader.problems.add(problem);
}

/// The private key, whose text is in no problem.
fn key(mapping: &mut Mapping, reader: &mut Reader) -> Given<SecretString> {
    let is_told = mapping.is_told("key") || mapping.is_told("key_file");
    let (inline, file) = (mapping.text("key"), mapping.text("key_file"));
    let found = match (inline, file) {
        (Some((place, _)), Some((other, _))) => {
            stands_beside(reader, &place, &other);
            None
        }
        (Some(inline), None) => Some(inline),
        // Whoever wrote the key in place of the file's name must not find it
        // in a log.
        (None, Some((place, name))) if values::private_key(&name).is_ok() => {
            let problem = place.problem("holds a key", "name a file, or call it key");
            reader.problems.add(problem);
            None
        }
        (None, Some((place, name))) => {
            let text = key_file(reader, &place, &name);
            text.map(|text| (place, text))
        }
        (None, None) => None,
    };
    let value = found.and_then(|(place, text)| match values::private_key(&text) {
        Ok(()) => Some(SecretString::from(text)),
        Err((wrong, remedy)) => {
            reader.problems.add(place.problem(wrong, remedy));
            None
        }
    });
    Given { is_told, value }
}

fn key_file(reader: &mut Reader, place: &Place, name: &str) -> Option<String> {
    let content = reader.content(place, name)?;
    if content.mode & READABLE_BY_OTHERS != 0 {
        let wrong = "everybody on the machine can read the file";
        reader.warn(place, wrong, "run chmod o-r on it");
    }
    // What is not text holds no key either.
    Some(String::from_utf8(content.bytes).unwrap_or_default())
}

fn auth_type(text: &str) -> Result<ClientAuth, Wrong> {
    match text {
        "" | "NoClientCert" => Ok(ClientAuth::No),
        "RequestClientCert" => Ok(ClientAuth::Request),
        "RequireAnyClientCert" | "RequireClientCert" => Ok(ClientAuth::RequireAny),
        "VerifyClientCertIfGiven" => Ok(ClientAuth::VerifyIfGiven),
        "RequireAndVerifyClientCert" => Ok(ClientAuth::RequireAndVerify),
        _ => Err(("is no such type".to_owned(), AUTH_TYPES.to_owned())),
    }
}

/// Whether what is asked of clients can be asked.
fn judge_clients(tls: &Tls, has_authorities: bool, (place, reader): (&Place, &Reader)) {
    use ClientAuth::{No, Request, RequireAndVerify, RequireAny, VerifyIfGiven};

    let problem = |wrong: &str, remedy: &str| reader.problems.add(place.problem(wrong, remedy));
    match (tls.client_auth, has_authorities) {
        (No, true) => problem("a client_ca stands without client_auth_type", AUTH_TYPES),
        (VerifyIfGiven | RequireAndVerify, false) => problem(
            "certificates of clients are to be verified, and there is no client_ca_file",
            "add it; the authorities of the system would let half the world in",
        ),
        (Request | RequireAny, _) => reader.warn(
            place,
            "certificates of clients are asked for and not verified",
            "set client_auth_type to RequireAndVerifyClientCert",
        ),
        (No, false) | (VerifyIfGiven | RequireAndVerify, true) => {}
    }
    let is_required = matches!(tls.client_auth, RequireAny | RequireAndVerify);
    if tls.client_allowed_sans.is_some() && !is_required {
        problem(
            "client_allowed_sans stands without a client_auth_type that requires a certificate",
            "set client_auth_type to RequireAndVerifyClientCert",
        );
    }
}

/// From `min_version` to `max_version`, the newest first.
fn versions(mapping: &mut Mapping) -> Vec<&'static SupportedProtocolVersion> {
    let least = mapping.parsed("min_version", version).unwrap_or(12);
    let most = mapping.parsed("max_version", version).unwrap_or(13);
    if least > most {
        let problem = mapping
            .place
            .problem("min_version is above max_version", "swap them");
        mapping.problems.add(problem);
    }
    let all = [(13, &TLS13), (12, &TLS12)];
    let range = least..=most;
    let within = all.iter().filter(|(number, _)| range.contains(number));
    within.map(|(_, version)| *version).collect()
}

fn version(text: &str) -> Result<u8, Wrong> {
    let wrong = match text {
        "TLS12" => return Ok(12),
        "TLS13" => return Ok(13),
        "TLS10" | "TLS11" => "is too old: rustls speaks TLS 1.2 and 1.3 only",
        _ => "is no version of TLS",
    };
    Err((wrong.to_owned(), "write TLS12 or TLS13".to_owned()))
}

/// Those of TLS 1.3 cannot be chosen, in Go neither: naming one is no mistake.
fn suite(text: &str) -> Result<SupportedCipherSuite, Wrong> {
    let known = aws_lc_rs::ALL_CIPHER_SUITES;
    let found = known.iter().find(|suite| name_of(suite) == text);
    let names = known.iter().map(name_of).collect::<Vec<_>>();
    found.copied().ok_or_else(|| {
        let wrong = if LEFT_OUT.contains(&text) {
            "is a weak suite that rustls does not have"
        } else {
            "is no cipher suite"
        };
        let remedy = format!("the suites are {}", names.join(", "));
        (wrong.to_owned(), remedy)
    })
}

/// The name that Go gives a suite: that of the standards, which rustls keeps
/// but for those of TLS 1.3.
fn name_of(suite: &SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    name.replace("TLS13_", "TLS_")
}

/// The suites of TLS 1.2 that are left.
fn chosen(
    suites: Option<Vec<SupportedCipherSuite>>,
    versions: &[&'static SupportedProtocolVersion],
    (place, reader): (&Place, &Reader),
) -> Option<Vec<SupportedCipherSuite>> {
    let suites = suites.filter(|suites| !suites.is_empty())?;
    let older: Vec<_> = suites
        .into_iter()
        .filter(|suite| suite.version() == &TLS12)
        .collect();
    if older.is_empty() && versions == [&TLS12] {
        let wrong = "no cipher suite is left for TLS 1.2";
        let remedy = "name one that begins with TLS_ECDHE_, or leave cipher_suites out";
        reader.problems.add(place.problem(wrong, remedy));
    }
    Some(older)
}

fn curve(text: &str) -> Result<&'static dyn SupportedKxGroup, Wrong> {
    let group = match text {
        "CurveP256" => NamedGroup::secp256r1,
        "CurveP384" => NamedGroup::secp384r1,
        "X25519" => NamedGroup::X25519,
        "CurveP521" => {
            let wrong = "is a curve that rustls does not have".to_owned();
            return Err((wrong, CURVES.to_owned()));
        }
        _ => return Err(("is no curve".to_owned(), CURVES.to_owned())),
    };
    let all = aws_lc_rs::ALL_KX_GROUPS.iter();
    let found = all.copied().find(|known| known.name() == group);
    found.ok_or_else(|| ("is not built in".to_owned(), CURVES.to_owned()))
}

const CURVES: &str = "write CurveP256, CurveP384 or X25519";
