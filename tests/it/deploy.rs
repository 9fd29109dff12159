//! The unit files as systemd's own tools see them, and the exporter started as
//! they say.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    rig::{BINARY, Process, Server, address, config, eventually, parse, sum, write},
    systemd::Manager,
};

const SERVICE: &str = "cryptshare-exporter.service";
const SOCKET: &str = "cryptshare-exporter.socket";

/// One of the users that systemd lends.
const LENT: u32 = 61_234;

fn unit(name: &str) -> String {
    fs::read_to_string(Path::new("deploy/systemd").join(name)).unwrap()
}

/// A directory with both units, which name the binary where it is.
fn installed() -> TempDir {
    let directory = TempDir::new().unwrap();
    let service = unit(SERVICE).replace("/usr/bin/cryptshare-exporter", BINARY);
    write(directory.path(), SERVICE, &service);
    write(directory.path(), SOCKET, &unit(SOCKET));
    directory
}

/// What `systemd-analyze` says, of standard output and standard error.
fn analyze(directory: &TempDir, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new("systemd-analyze");
    let output = command
        .args(arguments)
        .current_dir(directory.path())
        .output()
        .unwrap_or_else(|error| panic!("systemd-analyze, from scripts/test: {error}"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn every_place_that_tells_the_version_tells_the_same() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, told) in [
        ("CHANGELOG.md", format!("\n## [{version}] - 20")),
        ("deploy/debian/changelog", format!("({version}-1)")),
        (
            "deploy/container/Containerfile",
            format!("\nARG VERSION={version}\n"),
        ),
        (
            "deploy/container/Containerfile",
            format!("cryptshare-exporter:{version} "),
        ),
        (
            "deploy/helm/cryptshare-exporter/Chart.yaml",
            format!("\nversion: {version}\nappVersion: {version}\n"),
        ),
        ("docs/deploy.md", format!("cryptshare-exporter:{version} ")),
    ] {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&told), "{file} does not tell {told:?}");
    }
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let directory = installed();
    for name in [SERVICE, SOCKET] {
        let told = analyze(&directory, &["verify", "--man=no", name]);
        assert_eq!(told, (true, String::new(), String::new()), "{name}");
    }
}

#[test]
fn the_service_is_exposed_no_more_than_it_must_be() {
    let directory = installed();
    let arguments = ["security", "--offline=true", "--threshold=12", SERVICE];
    let (is_good, told, _) = analyze(&directory, &arguments);
    assert!(is_good, "{told}");
}

/// The words of `ExecStart=`, with `ARGS` and the configuration in place.
fn exec_start(arguments: &str, file: &Path) -> Vec<String> {
    let unit = unit(SERVICE);
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    let line = line.unwrap().replace("$ARGS", arguments);
    let line = line.replace("/usr/bin/cryptshare-exporter", BINARY);
    let file = file.display().to_string();
    let line = line.replace("/etc/cryptshare-exporter/config.toml", &file);
    line.split(' ').map(str::to_owned).collect()
}

/// A configuration whose client id is where `LoadCredential=` puts it.
fn with_credential(server: &Server, directory: &Path) -> String {
    assert!(unit(SERVICE).contains("\nLoadCredential=client-id:"));
    write(directory, "client-id", &format!("{}\n", server.client_id));
    let inline = format!("client_id = \"{}\"", server.client_id);
    let text = config(server, "");
    text.replace(
        &inline,
        "client_id_file = \"${CREDENTIALS_DIRECTORY}/client-id\"",
    )
}

#[tokio::test]
async fn the_service_starts_when_its_socket_is_asked_and_tells_how_it_is() {
    let server = Server::start(&["--speed", "0", "--senders", "2", "--transfers", "4"]).await;
    let directory = TempDir::new().unwrap();
    let text = with_credential(&server, directory.path());
    let file = write(directory.path(), "config.toml", &text);
    let mut manager = Manager::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap().to_string();
    drop(free);
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", &listen, "-E", "WATCHDOG_USEC=60000000"]);
    command.args(["-E", &format!("NOTIFY_SOCKET={}", manager.socket())]);
    let credentials = directory.path().display();
    command.args(["-E", &format!("CREDENTIALS_DIRECTORY={credentials}")]);
    command.args(exec_start("--web.systemd-socket", &file));
    let mut process = Process::spawn(command);
    eventually("a scrape with both senders", async || {
        let answer = reqwest::get(format!("http://{listen}/metrics")).await;
        let samples = parse(&answer.ok()?.text().await.ok()?);
        (sum(&samples, "cryptshare_up", &[]) == Some(2.0)).then_some(())
    })
    .await;
    manager.hears("READY=1").await;
    manager.hears("STATUS=2 of 2 senders up").await;
    manager.hears("WATCHDOG=1").await;
    process.signal("TERM");
    manager.hears("STOPPING=1").await;
    assert_eq!(process.exit().await.code(), Some(0));
}

/// What systemd makes for `DynamicUser=` with `StateDirectory=`: the directory
/// is the lent user's, behind one that nobody else may enter.
fn state_directory(above: &Path, user: u32) -> String {
    let private = above.join("private");
    fs::DirBuilder::new().mode(0o700).create(&private).unwrap();
    let state = private.join("cryptshare-exporter");
    fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    chown(&state, Some(user), Some(user)).unwrap();
    let link = above.join("cryptshare-exporter");
    symlink("private/cryptshare-exporter", &link).unwrap();
    link.display().to_string()
}

/// `verify` is run by root, beside a service that runs as a user whom nobody
/// knows; for anybody else than root both are the same user.
#[tokio::test]
async fn the_lent_user_of_the_service_finds_the_token_that_root_has_got() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "4"]).await;
    let by_mail = json!({"methods": {"client_id": false, "email": true}});
    server.put("verification", by_mail).await;
    let directory = TempDir::new().unwrap();
    let me = fs::metadata(directory.path()).unwrap().uid();
    let user = if me == 0 { LENT } else { me };
    let state = state_directory(directory.path(), user);
    let rest = with_credential(&server, directory.path());
    let text = format!("[state]\ndirectory = \"{state}\"\n{rest}");
    let file = write(directory.path(), "config.toml", &text);

    // As systemd does it, the service enters its own view of the directories;
    // here the ways there are opened.
    for path in [directory.path(), &directory.path().join("private")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut service = Command::new(BINARY);
    let words = exec_start("--web.listen-address 127.0.0.1:0", &file);
    service.args(&words[1..]);
    service.env("CREDENTIALS_DIRECTORY", directory.path());
    if me == 0 {
        service.uid(user).gid(user);
    }
    let service = Process::spawn(service);
    let url = address(&service).await;
    let remedy = "run cryptshare-exporter verify";
    let told = |line: &str| line.contains(remedy).then_some(());
    service.line("what to do", told).await;

    let mut verify = Command::new(BINARY);
    verify.args(["verify", "--config.file", file.to_str().unwrap()]);
    verify.args(["--server", "sim", "--sender", &server.senders[0]]);
    verify.env("CREDENTIALS_DIRECTORY", directory.path());
    let mut verify = Process::with_input(verify, Stdio::piped());
    let mailed = |line: &str| line.contains("has mailed a code to").then_some(());
    verify.line("word of a mail", mailed).await;
    let mails = format!("mailbox?email={}", server.senders[0]);
    let mails = server.get(&mails).await;
    let code = mails[0]["code"].as_str().unwrap().to_owned();
    verify.write(&format!("{code}\n"));
    assert_eq!(verify.exit().await.code(), Some(0), "{:?}", verify.lines());

    eventually("polls with the token", async || {
        let body = reqwest::get(format!("{url}/metrics")).await.ok()?;
        let samples = parse(&body.text().await.ok()?);
        (sum(&samples, "cryptshare_up", &[]) == Some(1.0)).then_some(())
    })
    .await;
    let tokens = Path::new(&state).join("tokens");
    let files = fs::read_dir(&tokens).unwrap().map(Result::unwrap);
    let owners: Vec<_> = files.map(|file| file.metadata().unwrap().uid()).collect();
    assert_eq!(owners, [user]);
}

#[test]
fn without_credentials_the_problem_names_what_is_missing() {
    let directory = TempDir::new().unwrap();
    let text = "[[server]]\nname = \"a\"\nurl = \"https://a.example\"\n\
                client_id_file = \"${CREDENTIALS_DIRECTORY}/client-id\"\n\
                ca_file = \"${CREDENTIALS_DIRECTORY}/ca\"\n\
                [[server.sender]]\nemail = \"ada@example.com\"\n";
    let file = write(directory.path(), "config.toml", text);
    let mut check = Command::new(BINARY);
    check.args(["--config.check", "--config.file"]).arg(&file);
    let output = check.env_remove("CREDENTIALS_DIRECTORY").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    for part in [
        "4: server[0].client_id_file: ${CREDENTIALS_DIRECTORY}/client-id cannot be read",
        "5: server[0].ca_file: ${CREDENTIALS_DIRECTORY}/ca cannot be read",
        "(the environment has no CREDENTIALS_DIRECTORY)",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
