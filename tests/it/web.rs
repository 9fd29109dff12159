//! Paths, methods and headers.

use std::io::{Read, Write};

use flate2::read::GzDecoder;
use reqwest::{Client, Method, header::HeaderValue};

use crate::rig::{Exporter, Server};

#[tokio::test]
async fn every_path_and_method_has_its_answer() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let exporter = Exporter::watching(&server, &["--web.telemetry-path", "/m"]).await;
    let client = Client::builder().gzip(false).build().unwrap();
    let ask = async |method: Method, path: &str| {
        let url = format!("{}{path}", exporter.url);
        client.request(method, url).send().await.unwrap()
    };
    for (method, path, status) in [
        (Method::GET, "/", 200),
        (Method::GET, "/m?x=1", 200),
        (Method::GET, "/metrics", 404),
        (Method::GET, "/-/healthy", 200),
        (Method::GET, "/-/ready", 200),
        (Method::HEAD, "/m", 200),
        (Method::POST, "/m", 405),
        (Method::DELETE, "/", 405),
        (Method::GET, "/nothing", 404),
        (Method::POST, "/-/reload", 403),
    ] {
        let answer = ask(method.clone(), path).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert!(answer.headers().contains_key("date"), "{method} {path}");
    }
    let metrics = ask(Method::GET, "/m").await;
    assert_eq!(
        metrics.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(metrics.headers()["vary"], "accept, accept-encoding");
    let head = ask(Method::HEAD, "/m").await;
    assert!(
        head.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 1000
    );
    assert!(head.bytes().await.unwrap().is_empty());
    assert_eq!(
        ask(Method::POST, "/m").await.headers()["allow"],
        "GET, HEAD"
    );
    let page = ask(Method::GET, "/").await;
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("<a href=\"/m\">Metrics</a>")
    );
}

/// Answers change from scrape to scrape, so each is judged by itself: what gzip
/// carries is a whole page, and the lengths are those that were told.
#[tokio::test]
async fn a_scrape_gets_the_coding_that_it_asks_for() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let client = Client::builder().gzip(false).build().unwrap();
    for (accept, coding) in [
        (None, None),
        (Some("gzip"), Some("gzip")),
        (Some("gzip;q=0"), None),
        (Some("gzip;q=0, *"), None),
        (Some("*"), Some("gzip")),
        (Some("identity;q=0"), Some("gzip")),
        (Some("br;q=1.0, gzip;q=0.8, *;q=0.1"), Some("gzip")),
    ] {
        for format in ["text/plain", "application/openmetrics-text;version=1.0.0"] {
            let url = format!("{}/metrics", exporter.url);
            let mut request = client.get(url).header("accept", format);
            if let Some(accept) = accept {
                request = request.header("accept-encoding", accept);
            }
            let answer = request.send().await.unwrap();
            let told = answer.headers().get("content-encoding").cloned();
            assert_eq!(told, coding.map(HeaderValue::from_static), "{accept:?}");
            assert_eq!(answer.headers()["vary"], "accept, accept-encoding");
            let length = answer.headers()["content-length"]
                .to_str()
                .unwrap()
                .to_owned();
            let body = answer.bytes().await.unwrap();
            assert_eq!(length, body.len().to_string());
            let text = match coding {
                None => String::from_utf8(body.to_vec()).unwrap(),
                Some(_) => gunzipped(&body),
            };
            let end = if format == "text/plain" {
                "\n"
            } else {
                "\n# EOF\n"
            };
            assert!(text.starts_with("# HELP cryptshare_up ") && text.ends_with(end));
        }
    }
}

/// One member, and nothing after it.
fn gunzipped(member: &[u8]) -> String {
    let mut reader = GzDecoder::new(member);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(reader.into_inner().is_empty());
    text
}

#[tokio::test]
async fn a_scrape_gets_the_format_that_it_asks_for() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let client = Client::builder().build().unwrap();
    for (accept, content_type) in [
        (
            "text/plain;version=0.0.4",
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            "application/openmetrics-text",
            "application/openmetrics-text; version=0.0.1; charset=utf-8",
        ),
    ] {
        let request = client.get(format!("{}/metrics", exporter.url));
        let answer = request.header("accept", accept).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], content_type);
        assert_eq!(answer.headers()["vary"], "accept, accept-encoding");
        let body = answer.text().await.unwrap();
        let is_openmetrics = content_type.contains("openmetrics");
        assert_eq!(body.ends_with("\n# EOF\n"), is_openmetrics);
        assert_eq!(body.matches("# EOF").count(), usize::from(is_openmetrics));
        assert_eq!(
            body.contains("# TYPE cryptshare_exporter_build info"),
            is_openmetrics
        );
    }
}

#[tokio::test]
async fn nonsense_on_the_socket_harms_nobody() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    let address = exporter.url.strip_prefix("http://").unwrap();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    for (nonsense, status) in [
        ("\0\u{ff}\u{fe}", 400),
        ("GET\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\n\r\n", 400),
        (&long, 431),
        (&many, 431),
    ] {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let begin = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&begin), "{nonsense:.20}: {answer}");
    }
    assert_eq!(exporter.get("/-/healthy").await, "Healthy\n");
    assert!(!exporter.samples().await.is_empty());
}

/// RFC 9112, section 3.2.
#[tokio::test]
async fn a_request_names_its_host_once() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    let address = exporter.url.strip_prefix("http://").unwrap();
    for (version, headers, status) in [
        ("1.1", "Host: a\r\n", 200),
        ("1.1", "Host: [::1]:10062\r\n", 200),
        ("1.1", "Host:\r\n", 200),
        ("1.0", "", 200),
        ("1.1", "", 400),
        ("1.1", "Host: a\r\nHost: a\r\n", 400),
        ("1.0", "Host: a\r\nHost: b\r\n", 400),
        ("1.1", "Host: a/b\r\n", 400),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: a, b\r\n", 400),
    ] {
        for path in ["/-/healthy", "/metrics", "http://a/"] {
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            let request =
                format!("GET {path} HTTP/{version}\r\n{headers}Connection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).unwrap();
            let begin = format!("HTTP/{version} {status} ");
            assert!(answer.starts_with(&begin), "{request}{answer:.100}");
        }
    }
}
