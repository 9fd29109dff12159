//! The web configuration at work: TLS, certificates of clients, users, headers,
//! and files that change.

use std::{fs, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::SanType;
use rustls::{
    CipherSuite, ClientConfig, NamedGroup, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    rig::{Exporter, Server, config, eventually, write},
    webfile::{Authority, loopback},
};

pub const SECTION: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

/// A directory with the files of a web configuration.
pub struct Files {
    directory: TempDir,
    authority: Authority,
}

impl Files {
    pub fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let authority = Authority::new("an authority");
        let files = Self {
            directory,
            authority,
        };
        files.renew(&files.authority);
        files.write("ca.pem", &files.authority.pem);
        files
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = write(self.directory.path(), name, text);
        path.to_str().unwrap().to_owned()
    }

    /// Puts a certificate of `authority` in place.
    fn renew(&self, authority: &Authority) {
        let (certificate, key) = authority.sign(&[loopback()]);
        self.write("server.key", &key);
        self.write("server.pem", &certificate);
    }

    /// Starts an exporter with this web configuration.
    pub async fn exporter(&self, server: &Server, text: &str) -> Exporter {
        let file = self.write("web.yml", text);
        Exporter::start(&config(server, ""), &["--web.config.file", &file]).await
    }

    fn peer(&self) -> Peer {
        Peer {
            trusted: self.authority.pem.clone(),
            ..Peer::default()
        }
    }
}

/// What a client of the exporter brings along.
#[derive(Default, Clone)]
struct Peer {
    trusted: String,
    identity: Option<(String, String)>,
    versions: Option<&'static SupportedProtocolVersion>,
    suite: Option<CipherSuite>,
    group: Option<NamedGroup>,
}

impl Peer {
    fn config(&self) -> ClientConfig {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(suite) = self.suite {
            provider
                .cipher_suites
                .retain(|known| known.suite() == suite);
        }
        if let Some(group) = self.group {
            provider.kx_groups.retain(|known| known.name() == group);
        }
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.trusted.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let versions = self
            .versions
            .map_or(vec![&TLS13, &TLS12], |only| vec![only]);
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots);
        match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                let chain = vec![certificate.unwrap()];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }

    /// What the exporter answers, if it does.
    async fn ask(&self, url: &str, path: &str) -> std::io::Result<String> {
        self.ask_with(url, path, "").await
    }

    async fn ask_with(&self, url: &str, path: &str, headers: &str) -> std::io::Result<String> {
        let address = url.strip_prefix("http://").unwrap();
        let wire = TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::new(self.config()));
        let mut stream = connector.connect(name, wire).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    async fn is_served(&self, url: &str) -> bool {
        let answer = self.ask(url, "/metrics").await;
        answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

async fn simulator() -> Server {
    Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let (server, files) = (simulator().await, Files::new());
    let exporter = files.exporter(&server, SECTION).await;
    let (old, url) = (files.peer(), &exporter.url);
    assert!(old.is_served(url).await);
    // The key comes later than its certificate, which is a moment of mismatch.
    let other = Authority::new("another authority");
    let (certificate, key) = other.sign(&[loopback()]);
    files.write("server.pem", &certificate);
    let told = "the web configuration has problems, the last good one stays";
    exporter.line_of_each(&[told, "do not fit together"]).await;
    assert!(old.is_served(url).await, "the last good one stays");
    files.write("server.key", &key);
    let new = Peer {
        trusted: other.pem.clone(),
        ..Peer::default()
    };
    let renewed = async || new.is_served(url).await.then_some(());
    eventually("the new certificate", renewed).await;
    assert!(!old.is_served(url).await);
    // Files are watched under whatever name the file gives them now.
    fs::rename(
        files.directory.path().join("server.pem"),
        files.directory.path().join("renamed.pem"),
    )
    .unwrap();
    files.write("web.yml", &SECTION.replace("server.pem", "renamed.pem"));
    exporter.line_of_each(&["was read anew"]).await;
    assert!(new.is_served(url).await);
}

#[tokio::test]
async fn tls_neither_begins_nor_ends_by_a_change_of_the_file() {
    let (server, files) = (simulator().await, Files::new());
    let exporter = files.exporter(&server, SECTION).await;
    files.write("web.yml", "");
    exporter
        .line_of_each(&["TLS ends with a restart only"])
        .await;
    assert!(files.peer().is_served(&exporter.url).await);
    let plain = files.exporter(&server, "").await;
    files.write("web.yml", SECTION);
    plain
        .line_of_each(&["TLS begins with a restart only"])
        .await;
    assert_eq!(plain.get("/-/healthy").await, "Healthy\n");
}

/// Which of several clients are served: without a certificate, with one of the
/// authority and of nobody that the exporter knows.
async fn served(section: &str) -> (bool, bool, bool) {
    let (server, files) = (simulator().await, Files::new());
    let exporter = files
        .exporter(&server, &format!("{SECTION}{section}"))
        .await;
    let names = [
        SanType::DnsName("scraper.example.com".try_into().unwrap()),
        SanType::IpAddress([192, 0, 2, 1].into()),
        SanType::URI("spiffe://example.com/scraper".try_into().unwrap()),
        SanType::Rfc822Name("ops@example.com".try_into().unwrap()),
    ];
    let bare = files.peer();
    let with = |authority: &Authority| Peer {
        identity: Some(authority.sign(&names)),
        ..bare.clone()
    };
    let (known, foreign) = (with(&files.authority), with(&Authority::new("nobody")));
    (
        bare.is_served(&exporter.url).await,
        known.is_served(&exporter.url).await,
        foreign.is_served(&exporter.url).await,
    )
}

#[tokio::test]
async fn each_client_auth_type_lets_in_whom_it_should() {
    let ca = "  client_ca_file: ca.pem\n";
    for (section, expect) in [
        (
            "  client_auth_type: NoClientCert\n".to_owned(),
            (true, true, true),
        ),
        (
            "  client_auth_type: RequestClientCert\n".to_owned(),
            (true, true, true),
        ),
        (
            "  client_auth_type: RequireAnyClientCert\n".to_owned(),
            (false, true, true),
        ),
        (
            format!("  client_auth_type: VerifyClientCertIfGiven\n{ca}"),
            (true, true, false),
        ),
        (
            format!("  client_auth_type: RequireAndVerifyClientCert\n{ca}"),
            (false, true, false),
        ),
    ] {
        assert_eq!(served(&section).await, expect, "{section}");
    }
}

#[tokio::test]
async fn a_client_needs_one_of_the_allowed_names() {
    let auth = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    for (name, expect) in [
        ("scraper.example.com", true),
        ("192.0.2.1", true),
        ("spiffe://example.com/scraper", true),
        ("ops@example.com", true),
        ("example.com", false),
        ("Scraper.example.com", false),
        ("*.example.com", false),
        ("192.0.2.2", false),
    ] {
        let section = format!("{auth}  client_allowed_sans: [other, \"{name}\"]\n");
        assert_eq!(served(&section).await, (false, expect, false), "{name}");
    }
    let any =
        "  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [ops@example.com]\n";
    assert_eq!(served(any).await, (false, true, true));
}

#[tokio::test]
async fn versions_suites_and_curves_are_those_of_the_file() {
    let (server, files) = (simulator().await, Files::new());
    let section = "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  \
                   curve_preferences: [CurveP384]\n";
    let exporter = files
        .exporter(&server, &format!("{SECTION}{section}"))
        .await;
    let any = files.peer();
    let old = Peer {
        versions: Some(&TLS12),
        suite: Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
        group: Some(NamedGroup::secp384r1),
        ..any.clone()
    };
    for (peer, expect) in [
        (any.clone(), true),
        (old.clone(), true),
        (
            Peer {
                versions: Some(&TLS13),
                ..any.clone()
            },
            false,
        ),
        (
            Peer {
                suite: Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
                ..old.clone()
            },
            false,
        ),
        (
            Peer {
                group: Some(NamedGroup::X25519),
                ..old.clone()
            },
            false,
        ),
    ] {
        assert_eq!(peer.is_served(&exporter.url).await, expect);
    }
    let newest = files
        .exporter(&server, &format!("{SECTION}  min_version: TLS13\n"))
        .await;
    assert!(!old.is_served(&newest.url).await);
    assert!(any.is_served(&newest.url).await);
}

fn authorization(name: &str, password: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("Authorization: Basic {pair}\r\n")
}

fn user(name: &str, password: &str) -> String {
    let hash = bcrypt::hash(password, 4).unwrap();
    format!("  {name}: {hash}\n")
}

#[tokio::test]
async fn users_are_let_in_and_everybody_sees_the_health() {
    let (server, files) = (simulator().await, Files::new());
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    \
                   Content-Security-Policy: default-src 'self'\n";
    let text = format!(
        "{SECTION}{headers}basic_auth_users:\n{}",
        user("ada", "canary word")
    );
    let exporter = files.exporter(&server, &text).await;
    let (peer, url) = (files.peer(), exporter.url.clone());
    let status = async |path: &str, headers: &str| {
        let answer = peer.ask_with(&url, path, headers).await.unwrap();
        assert!(answer.contains("x-frame-options: deny\r\n"), "{answer}");
        assert!(answer.contains("content-security-policy: default-src 'self'\r\n"));
        let status = answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap();
        let asks = answer.contains("www-authenticate: Basic realm=");
        assert_eq!(asks, status == 401, "{answer}");
        assert!(status == 200 || !answer.contains("cryptshare_"), "{answer}");
        status
    };
    let right = authorization("ada", "canary word");
    for (path, headers, expect) in [
        ("/metrics", "", 401),
        ("/", "", 401),
        ("/nothing", "", 401),
        ("/-/healthy", "", 200),
        ("/-/ready", "", 200),
        ("/-/healthy/", "", 401),
        ("/-/healthy", &authorization("eve", "x"), 200),
        ("/metrics", &authorization("ada", "wrong"), 401),
        ("/metrics", &authorization("eve", "canary word"), 401),
        ("/metrics", &right, 200),
        ("/metrics", &right, 200),
        ("/nothing", &right, 404),
    ] {
        assert_eq!(status(path, headers).await, expect, "{path} {headers}");
    }
    let healthy = peer.ask(&url, "/-/healthy").await.unwrap();
    assert!(healthy.ends_with("\r\n\r\nHealthy\n"), "{healthy}");
    // Who is struck out is gone, and a broken file lets nobody in again.
    files.write("web.yml", &text.replace("ada", "bea"));
    let gone = async || (status("/metrics", &right).await == 401).then_some(());
    eventually("ada to be gone", gone).await;
    files.write("web.yml", &format!("{text}  eve: canary-hash\n"));
    exporter.line_of_each(&["is no bcrypt hash"]).await;
    // A file that was cut leaves nobody in without a password, either.
    files.write("web.yml", &format!("{SECTION}{headers}"));
    let refused = "passwords end with a restart only";
    exporter.line_of_each(&[refused]).await;
    assert_eq!(status("/metrics", "").await, 401);
    assert_eq!(status("/metrics", &right).await, 401);
    let bea = authorization("bea", "canary word");
    assert_eq!(status("/metrics", &bea).await, 200);
    for line in exporter.process.lines() {
        assert!(!line.contains("canary") && !line.contains("$2"), "{line}");
    }
}

#[tokio::test]
async fn more_than_the_rate_is_refused_and_the_health_is_not() {
    let (server, files) = (simulator().await, Files::new());
    let exporter = files
        .exporter(&server, "rate_limit:\n  interval: 1h\n  burst: 2\n")
        .await;
    let status = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", exporter.url))
            .await
            .unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status("/metrics").await, 200);
    assert_eq!(status("/-/healthy").await, 200);
    assert_eq!(status("/").await, 200);
    assert_eq!(status("/metrics").await, 429);
    assert_eq!(status("/-/healthy").await, 200);
}
