//! What stands before the simulator in some stories: a server that speaks TLS,
//! or lives under a prefix, or at an IPv6 address, and proxies.
//!
//! Each counts who came through, and lives as long as the test.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::rig::Server;

/// An authority, and what it signs.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its own certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name`, and its key, in PEM.
    pub fn sign(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server of `name` that asks for a certificate of `clients`, if it does.
    pub fn tls(&self, name: &str, clients: Option<&Self>) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

/// A listener in this process.
pub struct Front {
    pub address: SocketAddr,
    passed: Arc<AtomicU32>,
    _tasks: JoinSet<()>,
}

impl Front {
    /// Listens at `at`; `serve` counts what it lets through.
    async fn begin<F>(
        at: &str,
        serve: impl Fn(TcpStream, Arc<AtomicU32>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let passed = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&passed);
        let (address, tasks) = listen(at, move |stream| serve(stream, Arc::clone(&count))).await;
        Self {
            address,
            passed,
            _tasks: tasks,
        }
    }

    /// How many requests or connections came through.
    pub fn passed(&self) -> u32 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Serves the simulator at `at`, below `prefix` and over TLS if there is
    /// one. What does not begin with the prefix is answered 404.
    pub async fn serve(at: &str, server: &Server, prefix: &str, tls: Option<TlsAcceptor>) -> Self {
        let (target, prefix) = (server.url.clone(), prefix.to_owned());
        Self::begin(at, move |stream, count| {
            let (target, prefix, tls) = (target.clone(), prefix.clone(), tls.clone());
            async move {
                match tls {
                    None => answer(stream, &target, &prefix, &count).await,
                    Some(tls) => {
                        match tls.accept(stream).into_fallible().await {
                            Ok(stream) => answer(stream, &target, &prefix, &count).await,
                            // Unread bytes would reset the connection and take
                            // the alert with them.
                            Err((_, mut stream)) => drain(&mut stream).await,
                        }
                    }
                }
            }
        })
        .await
    }

    /// An HTTP proxy for CONNECT that leads to `to`, whatever is asked for;
    /// whoever comes without `credentials` is answered 407.
    pub async fn http_proxy(to: SocketAddr, credentials: &'static str) -> Self {
        Self::begin("127.0.0.1:0", move |mut stream, count| async move {
            let head = head(&mut stream).await;
            let authorized = head.contains(&format!("proxy-authorization: basic {credentials}"));
            if !head.starts_with("connect cs.invalid:443 ") || !authorized {
                let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
                drop(stream.write_all(refusal).await);
                return;
            }
            count.fetch_add(1, Ordering::Relaxed);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
            pass(stream, to).await;
        })
        .await
    }

    /// A SOCKS5 proxy (RFC 1928, RFC 1929) that leads to `to`, whatever is
    /// asked for, and lets nobody else in but `user` with `password`.
    pub async fn socks_proxy(to: SocketAddr, user: &'static str, password: &'static str) -> Self {
        Self::begin("127.0.0.1:0", move |mut stream, count| async move {
            if greet(&mut stream, (user, password)).await.is_err() {
                return;
            }
            count.fetch_add(1, Ordering::Relaxed);
            pass(stream, to).await;
        })
        .await
    }
}

/// Listens at `at` and lets `serve` have each connection, while the set lives.
async fn listen<F>(
    at: &str,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> (SocketAddr, JoinSet<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut set = JoinSet::new();
    set.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream));
        }
    });
    (address, set)
}

/// Answers each request of a connection with what the simulator answers.
async fn answer<S>(stream: S, target: &str, prefix: &str, count: &AtomicU32)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let forward = service_fn(async |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().unwrap().as_str();
        let Some(path) = path.strip_prefix(prefix) else {
            return Response::builder()
                .status(404)
                .body(Full::<Bytes>::default());
        };
        count.fetch_add(1, Ordering::Relaxed);
        let body = body.collect().await.unwrap().to_bytes();
        let mut headers = head.headers;
        headers.remove(hyper::header::HOST);
        let request = client.request(head.method, format!("{target}{path}"));
        let answer = request.headers(headers).body(body).send().await.unwrap();
        let mut response = Response::builder().status(answer.status());
        if let Some(date) = answer.headers().get(hyper::header::DATE) {
            response = response.header(hyper::header::DATE, date);
        }
        response.body(Full::from(answer.bytes().await.unwrap()))
    });
    let connection = hyper::server::conn::http1::Builder::new();
    drop(
        connection
            .serve_connection(TokioIo::new(stream), forward)
            .await,
    );
}

/// The head of a request in lower case.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 10_000 {
        let Ok(byte) = stream.read_u8().await else {
            break;
        };
        head.push(byte);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// The server's side of a SOCKS5 greeting, with a user name and a password.
async fn greet(stream: &mut TcpStream, known: (&str, &str)) -> std::io::Result<()> {
    let refused = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    stream.read_u8().await?;
    if !text(stream).await?.contains(&2) {
        stream.write_all(&[5, 255]).await?;
        return Err(refused());
    }
    stream.write_all(&[5, 2]).await?;
    stream.read_u8().await?;
    let (user, password) = (text(stream).await?, text(stream).await?);
    if (user.as_slice(), password.as_slice()) != (known.0.as_bytes(), known.1.as_bytes()) {
        stream.write_all(&[1, 1]).await?;
        return Err(refused());
    }
    stream.write_all(&[1, 0]).await?;
    let mut command = [0; 4];
    stream.read_exact(&mut command).await?;
    assert_eq!(command, [5, 1, 0, 3], "the proxy is to find the host");
    assert_eq!(text(stream).await?, b"cs.invalid");
    assert_eq!(stream.read_u16().await?, 443);
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await
}

/// A length and as many bytes.
async fn text(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut text = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut text).await?;
    Ok(text)
}

/// Reads until the peer hangs up.
async fn drain(stream: &mut TcpStream) {
    drop(stream.shutdown().await);
    drop(tokio::io::copy(stream, &mut tokio::io::sink()).await);
}

async fn pass(mut stream: TcpStream, to: SocketAddr) {
    let mut other = TcpStream::connect(to).await.unwrap();
    drop(copy_bidirectional(&mut stream, &mut other).await);
}
