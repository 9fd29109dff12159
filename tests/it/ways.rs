//! Every way to a server: certificates on both sides, proxies, a prefix, IPv6.

use std::process::Command;

use tempfile::TempDir;

use crate::{
    front::{Authority, Front},
    rig::{BINARY, Exporter, Server, config, eventually, run, write},
};

/// A simulator and a directory for certificates.
async fn world() -> (Server, TempDir) {
    let arguments = ["--speed", "0", "--senders", "1", "--transfers", "5"];
    (Server::start(&arguments).await, TempDir::new().unwrap())
}

/// The configuration of a server at `url`, with further keys.
fn at(url: &str, server: &Server, keys: &str) -> String {
    config(server, keys).replace(&server.url, url)
}

/// A key of the configuration that names a file with `text`.
fn file(directory: &TempDir, key: &str, text: &str) -> String {
    let path = write(directory.path(), key, text);
    format!("{key} = \"{}\"\n", path.display())
}

/// Waits until polling has failed for `reason`, and no other.
async fn fails(exporter: &Exporter, reason: &str) {
    let failures = "cryptshare_exporter_poll_failures_total";
    eventually(reason, async || {
        let count = exporter.sum(failures, &[("reason", reason)]).await;
        (count > Some(0.0)).then_some(())
    })
    .await;
    let samples = exporter.samples().await;
    let others = samples.iter().filter(|sample| {
        let is_other = !sample.labels.iter().any(|(_, value)| value == reason);
        sample.name == failures && is_other && sample.value > 0.0
    });
    assert_eq!(
        others.collect::<Vec<_>>(),
        Vec::<&crate::rig::Sample>::new()
    );
    exporter.is("cryptshare_up", &[], 0.0).await;
}

#[tokio::test]
async fn a_server_is_believed_by_the_authority_of_ca_file_alone() {
    let (server, directory) = world().await;
    let authority = Authority::new();
    let tls = Some(authority.tls("127.0.0.1", None));
    let front = Front::serve("127.0.0.1:0", &server, "", tls).await;
    let url = format!("https://{}", front.address);
    let good = file(&directory, "ca_file", &authority.pem());
    let exporter = Exporter::start(&at(&url, &server, &good), &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let other = file(&directory, "ca_file", &Authority::new().pem());
    let exporter = Exporter::start(&at(&url, &server, &other), &[]).await;
    fails(&exporter, "tls").await;
    let exporter = Exporter::start(&at(&url, &server, ""), &[]).await;
    fails(&exporter, "tls").await;
}

/// A machine without `ca-certificates`.
#[tokio::test]
async fn authorities_of_the_system_are_needed_only_where_nobody_else_is_named() {
    let (server, directory) = world().await;
    let authority = Authority::new();
    let tls = Some(authority.tls("127.0.0.1", None));
    let front = Front::serve("127.0.0.1:0", &server, "", tls).await;
    let url = format!("https://{}", front.address);
    let none = directory.path().join("none");
    let none = none.to_str().unwrap();
    let nothing = [("SSL_CERT_FILE", none), ("SSL_CERT_DIR", none)];
    let named = at(
        &url,
        &server,
        &file(&directory, "ca_file", &authority.pem()),
    );
    for text in [&config(&server, ""), &named] {
        let exporter = Exporter::with_environment(&nothing, text).await;
        exporter.is("cryptshare_up", &[], 1.0).await;
    }
    let unnamed = write(directory.path(), "unnamed.toml", &at(&url, &server, ""));
    let check = Command::new(BINARY)
        .args(["--config.check", "--config.file"])
        .arg(unnamed)
        .envs(nothing)
        .output()
        .unwrap();
    let told = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(3), "{told}");
    assert!(told.contains("install ca-certificates"), "{told}");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_not_believed() {
    let (server, directory) = world().await;
    let authority = Authority::new();
    let tls = Some(authority.tls("other.invalid", None));
    let front = Front::serve("127.0.0.1:0", &server, "", tls).await;
    let url = format!("https://{}", front.address);
    let keys = file(&directory, "ca_file", &authority.pem());
    let exporter = Exporter::start(&at(&url, &server, &keys), &[]).await;
    fails(&exporter, "tls").await;
}

#[tokio::test]
async fn whoever_answers_is_believed_with_a_loud_warning() {
    let (server, directory) = world().await;
    let tls = Some(Authority::new().tls("other.invalid", None));
    let front = Front::serve("127.0.0.1:0", &server, "", tls).await;
    let url = format!("https://{}", front.address);
    let text = at(&url, &server, "insecure_skip_verify = true\n");
    let exporter = Exporter::start(&text, &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let is_loud = |line: &str| line.contains("NOT checked") && line.contains("level=warn");
    let warning = |line: &str| is_loud(line).then_some(());
    exporter.process.line("a loud warning", warning).await;
    let path = write(directory.path(), "exporter.toml", &text);
    let check = ["--config.check", "--config.file", path.to_str().unwrap()];
    let (code, _, warnings) = run(&check);
    assert_eq!(code, 0);
    assert!(warnings.contains("NOT checked"), "{warnings}");
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_gets_our_certificate() {
    let (server, directory) = world().await;
    let (authority, clients) = (Authority::new(), Authority::new());
    let tls = Some(authority.tls("127.0.0.1", Some(&clients)));
    let front = Front::serve("127.0.0.1:0", &server, "", tls).await;
    let url = format!("https://{}", front.address);
    let ca = file(&directory, "ca_file", &authority.pem());
    let identity = |(certificate, key): (String, String)| {
        let certificate = file(&directory, "cert_file", &certificate);
        let key = file(&directory, "key_file", &key);
        at(&url, &server, &format!("{ca}{certificate}{key}"))
    };
    let exporter = Exporter::start(&identity(clients.sign("exporter")), &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let stranger = Authority::new().sign("exporter");
    let exporter = Exporter::start(&identity(stranger), &[]).await;
    fails(&exporter, "tls").await;
    let exporter = Exporter::start(&at(&url, &server, &ca), &[]).await;
    fails(&exporter, "tls").await;
}

#[tokio::test]
async fn a_key_of_another_certificate_is_a_wrong_configuration() {
    let (server, directory) = world().await;
    let authority = Authority::new();
    let (certificate, _) = authority.sign("exporter");
    let (_, key) = authority.sign("exporter");
    let certificate = file(&directory, "cert_file", &certificate);
    let key_file = file(&directory, "key_file", &key);
    let text = at(
        "https://127.0.0.1:1",
        &server,
        &format!("{certificate}{key_file}"),
    );
    let path = write(directory.path(), "exporter.toml", &text);
    let start = ["--config.file", path.to_str().unwrap()];
    for arguments in [&["--config.check"], &["--web.listen-address=127.0.0.1:0"]] {
        let (code, _, problem) = run(&[arguments.as_slice(), &start].concat());
        assert_eq!(code, 3, "{problem}");
        assert!(problem.contains("cert_file with its key"), "{problem}");
    }
}

/// A server behind TLS that has the name `cs.invalid`, which nobody finds but
/// a proxy; the keys that let us believe it.
async fn hidden(server: &Server, directory: &TempDir) -> (Front, String) {
    let authority = Authority::new();
    let tls = Some(authority.tls("cs.invalid", None));
    let front = Front::serve("127.0.0.1:0", server, "", tls).await;
    (front, file(directory, "ca_file", &authority.pem()))
}

const HIDDEN: &str = "https://cs.invalid";

/// What no line may show of a proxy's credentials.
fn keeps_to_itself(exporter: &Exporter) {
    for line in exporter.process.lines() {
        assert!(
            !line.contains("canary") && !line.contains("Y2FuYXJ5"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn an_http_proxy_leads_to_the_server() {
    let (server, directory) = world().await;
    let (front, ca) = hidden(&server, &directory).await;
    // "canary:p@ss" in base64, in lower case as the proxy compares it.
    let proxy = Front::http_proxy(front.address, "y2fuyxj5onbac3m=").await;
    let url = format!("http://canary:p%40ss@{}", proxy.address);
    let by_file = file(&directory, "proxy_url_file", &format!("{url}\n"));
    let log = ["--log.level", "debug"];
    for key in [format!("proxy_url = \"{url}\"\n"), by_file] {
        let before = proxy.passed();
        let text = at(HIDDEN, &server, &format!("{ca}{key}"));
        let exporter = Exporter::start(&text, &log).await;
        exporter.is("cryptshare_up", &[], 1.0).await;
        assert!(proxy.passed() > before);
        keeps_to_itself(&exporter);
    }
    let wrong = format!("{ca}proxy_url = \"http://canary:no@{}\"\n", proxy.address);
    let exporter = Exporter::start(&at(HIDDEN, &server, &wrong), &log).await;
    fails(&exporter, "unreachable").await;
    exporter
        .line_of_each(&["proxy authorization required"])
        .await;
    keeps_to_itself(&exporter);
}

#[tokio::test]
async fn a_socks_proxy_leads_to_the_server() {
    let (server, directory) = world().await;
    let (front, ca) = hidden(&server, &directory).await;
    let proxy = Front::socks_proxy(front.address, "canary", "p@ss").await;
    let through = |credentials: &str| {
        let url = format!("socks5h://{credentials}@{}", proxy.address);
        at(HIDDEN, &server, &format!("{ca}proxy_url = \"{url}\"\n"))
    };
    let log = ["--log.level", "debug"];
    let exporter = Exporter::start(&through("canary:p%40ss"), &log).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    assert!(proxy.passed() > 0);
    keeps_to_itself(&exporter);
    let exporter = Exporter::start(&through("canary:no"), &log).await;
    fails(&exporter, "unreachable").await;
    keeps_to_itself(&exporter);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_unreachable() {
    let (server, _directory) = world().await;
    for scheme in ["http", "https", "socks5", "socks5h"] {
        let key = format!("proxy_url = \"{scheme}://canary:canary@127.0.0.1:1\"\n");
        let exporter = Exporter::start(&at("https://127.0.0.1:1", &server, &key), &[]).await;
        fails(&exporter, "unreachable").await;
        keeps_to_itself(&exporter);
    }
}

#[tokio::test]
async fn the_environment_names_a_proxy_only_where_the_file_lets_it() {
    let (server, directory) = world().await;
    let (front, ca) = hidden(&server, &directory).await;
    let proxy = Front::http_proxy(front.address, "y2fuyxj5onbac3m=").await;
    let url = format!("http://canary:p%40ss@{}", proxy.address);
    let variables = [("HTTPS_PROXY", url.as_str())];
    let text = at(
        HIDDEN,
        &server,
        &format!("{ca}proxy_from_environment = true\n"),
    );
    let exporter = Exporter::with_environment(&variables, &text).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    assert!(proxy.passed() > 0);
    let nowhere = [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ];
    let exporter = Exporter::with_environment(&nowhere, &config(&server, "")).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
}

#[tokio::test]
async fn a_server_may_live_below_a_prefix() {
    let (server, _directory) = world().await;
    let front = Front::serve("127.0.0.1:0", &server, "/mail/cs", None).await;
    for slash in ["", "/"] {
        let url = format!("http://{}/mail/cs{slash}", front.address);
        let exporter = Exporter::start(&at(&url, &server, ""), &[]).await;
        exporter.is("cryptshare_up", &[], 1.0).await;
        exporter.is("cryptshare_verified", &[], 1.0).await;
    }
}

#[tokio::test]
async fn a_server_may_have_an_ipv6_address() {
    let (server, directory) = world().await;
    let authority = Authority::new();
    let tls = Some(authority.tls("::1", None));
    let front = Front::serve("[::1]:0", &server, "", tls).await;
    let url = format!("https://{}", front.address);
    assert!(url.starts_with("https://[::1]:"));
    let keys = file(&directory, "ca_file", &authority.pem());
    let exporter = Exporter::start(&at(&url, &server, &keys), &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let front = Front::serve("[::1]:0", &server, "", None).await;
    let url = format!("http://{}", front.address);
    let exporter = Exporter::start(&at(&url, &server, ""), &[]).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
}
