//! `healthcheck`, as a container runs it.

use tempfile::TempDir;

use crate::{
    rig::{Exporter, Server, config, run},
    tls::{Files, SECTION},
};

/// Exit code, and what is printed.
fn check(arguments: &[&str]) -> (i32, String, String) {
    run(&[&["healthcheck"], arguments].concat())
}

#[tokio::test]
async fn a_healthy_exporter_is_found_wherever_it_listens() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let directory = TempDir::new().unwrap();
    let unix = format!("unix:{}", directory.path().join("socket").display());
    let arguments = ["--web.listen-address", &unix];
    let exporter = Exporter::start(&config(&server, ""), &arguments).await;
    for target in [&exporter.url, &format!("{}/-/healthy", exporter.url), &unix] {
        assert_eq!(check(&[target]), (0, "Healthy\n".to_owned(), String::new()));
    }
    let ready = format!("{}/-/ready", exporter.url);
    assert_eq!(check(&[&ready]).1, "Ready\n");
    let (code, _, error) = check(&[&format!("{}/nothing", exporter.url)]);
    assert_eq!(code, 1);
    assert!(
        error.contains("/nothing: it answered 404 Not Found"),
        "{error}"
    );
    let url = exporter.url.clone();
    drop(exporter);
    for (target, cause) in [(&url, "Connection refused"), (&unix, "(os error")] {
        let (code, out, error) = check(&[target]);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(error.starts_with(target.as_str()), "{error}");
        assert!(error.contains(cause), "{error}");
        assert_eq!(
            error.matches("http://").count(),
            target.matches("http://").count()
        );
    }
}

#[tokio::test]
async fn a_password_is_not_needed_and_the_certificate_is_judged() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "2"]).await;
    let files = Files::new();
    let hash = bcrypt::hash("word", 4).unwrap();
    let text = format!("{SECTION}basic_auth_users:\n  ada: {hash}\n");
    let exporter = files.exporter(&server, &text).await;
    let url = exporter.url.replace("http:", "https:");
    let (code, _, error) = check(&[&url]);
    assert_eq!(code, 1);
    assert!(
        error.contains("certificate") && error.contains("--insecure"),
        "{error}"
    );
    assert_eq!(check(&["--insecure", &url]).0, 0);
}

#[test]
fn what_cannot_be_asked_is_a_wrong_usage() {
    for target in [
        "10062",
        "unix:relative",
        "ftp://localhost/",
        "localhost:10062",
    ] {
        let (code, _, error) = check(&[target]);
        assert_eq!(code, 2, "{target}");
        assert!(error.contains("write a URL such as"), "{error}");
    }
}
