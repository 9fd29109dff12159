//! Loading the configuration again: by `/-/reload`, by SIGHUP, and when a file
//! changes that it names.

use std::{fmt::Write, fs, path::Path, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    rig::{BINARY, Exporter, Server, eventually, sum, write},
    systemd::Manager,
};

const UP: &str = "cryptshare_up";
const POLLS: &str = "cryptshare_exporter_polls_total";
const RETRIEVALS: &str = "cryptshare_retrievals_total";
const INFO: &str = "cryptshare_transfer_info";
const SUCCESSFUL: &str = "cryptshare_exporter_config_last_reload_successful";
const SINCE: &str = "cryptshare_exporter_config_last_reload_success_timestamp_seconds";
const LIFECYCLE: &[&str] = &["--web.enable-lifecycle"];

const DEFAULTS: &str = "[defaults]\npoll_interval = \"1s\"\nprocessing_interval = \"1s\"\n\
                        listing_interval = \"1s\"\n[metrics]\nmax_transfers = 0\n";

async fn simulator() -> Server {
    Server::start(&["--speed", "0", "--senders", "2", "--transfers", "4"]).await
}

/// The section of a server with these further keys, whose senders are called
/// by their addresses.
fn section(server: &Server, name: &str, more: &str, senders: &[&str]) -> String {
    let mut text = format!(
        "[[server]]\nname = \"{name}\"\nurl = \"{}\"\nmax_backoff = \"1s\"\n\
         max_concurrency = 16\nmax_requests_per_second = 2000\n{more}\n",
        server.url
    );
    for sender in senders {
        write!(text, "[[server.sender]]\nemail = \"{sender}\"\n").unwrap();
    }
    text
}

fn inline(server: &Server) -> String {
    format!("client_id = \"{}\"\n", server.client_id)
}

/// A configuration of one server.
fn config(server: &Server, senders: &[&str]) -> String {
    DEFAULTS.to_owned() + &section(server, "sim", &inline(server), senders)
}

impl Exporter {
    async fn reload_well(&self, config: &str) {
        self.configure(config);
        assert_eq!(self.reload("POST").await, (200, String::new()));
    }

    /// What is told of a reload that fails.
    async fn reload_badly(&self, config: &str) -> String {
        self.configure(config);
        let (status, told) = self.reload("POST").await;
        assert_eq!(status, 500, "{told}");
        assert!(told.starts_with("failed to reload config: "), "{told}");
        assert_eq!(self.sum(SUCCESSFUL, &[]).await, Some(0.0));
        told
    }
}

fn labels_of(sender: &str) -> [(&str, &str); 1] {
    [("sender", sender)]
}

/// How many requests the simulator has had for `endpoint`.
async fn requests(server: &Server, endpoint: &str) -> i64 {
    let all = server.get("requests").await;
    let count = |(name, count): (&String, &Value)| {
        let is_meant = name.contains(endpoint);
        is_meant.then(|| count.as_i64().unwrap())
    };
    all.as_object().unwrap().iter().filter_map(count).sum()
}

#[tokio::test]
async fn senders_come_and_go_and_their_counters_go_on() {
    let server = simulator().await;
    let (ada, bob) = (server.senders[0].as_str(), server.senders[1].as_str());
    let state = TempDir::new().unwrap();
    let state = format!("[state]\ndirectory = \"{}\"\n", state.path().display());
    let config = |senders: &[&str]| state.clone() + &config(&server, senders);
    let exporter = Exporter::start(&config(&[ada]), LIFECYCLE).await;
    exporter.is(UP, &labels_of(ada), 1.0).await;
    let id = server.active_transfer().await;
    server.happen(&id, "retrieve", json!({})).await;
    exporter.is(RETRIEVALS, &labels_of(ada), 1.0).await;

    exporter.reload_well(&config(&[ada, bob])).await;
    exporter.is(UP, &labels_of(bob), 1.0).await;
    let before = exporter.sum(POLLS, &labels_of(bob)).await.unwrap();

    // Its series vanish at once, and what happens meanwhile is none of ours.
    exporter.reload_well(&config(&[bob])).await;
    let text = exporter.get("/metrics").await;
    assert!(!text.contains(ada), "{text}");
    server.happen(&id, "retrieve", json!({})).await;
    exporter.polls(2.0).await;
    assert!(exporter.sum(POLLS, &labels_of(bob)).await.unwrap() > before);
    assert!(!exporter.get("/metrics").await.contains(ada));

    exporter.reload_well(&config(&[bob, ada])).await;
    exporter.is(UP, &labels_of(ada), 1.0).await;
    exporter.is(INFO, &[("tracking_id", &id)], 1.0).await;
    exporter.polls(2.0).await;
    assert_eq!(exporter.sum(RETRIEVALS, &labels_of(ada)).await, Some(1.0));
    server.happen(&id, "retrieve", json!({})).await;
    exporter.is(RETRIEVALS, &labels_of(ada), 2.0).await;
}

#[tokio::test]
async fn a_server_that_stays_as_it_is_notices_nothing_and_another_way_is_taken_at_once() {
    let (stays, first, second) = (simulator().await, simulator().await, simulator().await);
    let of = |server: &Server, name: &str, more: &str| {
        let senders: Vec<_> = server.senders.iter().map(String::as_str).collect();
        section(server, name, &(inline(server) + more), &senders[..1])
    };
    let stay = of(&stays, "stays", "");
    let text = format!("{DEFAULTS}{stay}{}", of(&first, "moves", ""));
    let exporter = Exporter::start(&text, LIFECYCLE).await;
    exporter.is(UP, &[], 2.0).await;
    let tokens = "token";
    let moved = [("server", "moves")];

    // The same server by other deadlines: its token is still good.
    let text = format!(
        "{DEFAULTS}{stay}{}",
        of(&first, "moves", "read_timeout = \"3s\"")
    );
    exporter.reload_well(&text).await;
    let before = exporter.sum(POLLS, &moved).await.unwrap();
    eventually("a further poll", async || {
        let polls = exporter.sum(POLLS, &moved).await?;
        (polls > before + 1.0).then_some(())
    })
    .await;
    assert_eq!(requests(&first, tokens).await, 1);

    let text = format!("{DEFAULTS}{}{stay}", of(&second, "moves", ""));
    exporter.reload_well(&text).await;
    let asked = requests(&first, "").await;
    exporter.polls(2.0).await;
    exporter.is(UP, &[], 2.0).await;
    assert_eq!(requests(&first, "").await, asked);
    assert_eq!(requests(&second, tokens).await, 1);
    assert_eq!(requests(&stays, tokens).await, 1);

    exporter.reload_well(&format!("{DEFAULTS}{stay}")).await;
    let text = exporter.get("/metrics").await;
    assert!(!text.contains("moves"), "{text}");
}

#[tokio::test]
async fn names_and_intervals_change_with_a_hangup() {
    let server = simulator().await;
    let senders = [server.senders[0].as_str()];
    let slow =
        config(&server, &senders).replace("poll_interval = \"1s\"", "poll_interval = \"1h\"");
    let slow = slow.replace("listing_interval = \"1s\"", "listing_interval = \"1h\"");
    let exporter = Exporter::start(&slow, &[]).await;
    exporter.is(UP, &[], 1.0).await;
    exporter
        .is("cryptshare_exporter_poll_interval_seconds", &[], 3600.0)
        .await;
    let quick = config(&server, &senders) + "name = \"ada\"\ndiscover = \"active\"\n";
    exporter.configure(&quick);
    exporter.process.signal("HUP");
    exporter
        .is(
            "cryptshare_exporter_poll_interval_seconds",
            &labels_of("ada"),
            1.0,
        )
        .await;
    exporter.polls(2.0).await;
    assert!(!exporter.get("/metrics").await.contains(senders[0]));
    exporter
        .line_of_each(&["the configuration was loaded again"])
        .await;
    exporter.is(SUCCESSFUL, &[], 1.0).await;
}

/// Loads the file again by themselves, and look every second.
const BY_ITSELF: &[&str] = &[
    "--config.enable-auto-reload",
    "--config.auto-reload-interval",
    "1s",
];

#[tokio::test]
async fn a_changed_file_is_loaded_by_itself_where_that_is_wished_for() {
    let server = simulator().await;
    let text = config(&server, &[&server.senders[0]]);
    let exporter = Exporter::start(&text, BY_ITSELF).await;
    exporter.is(UP, &[], 1.0).await;
    let since = exporter.sum(SINCE, &[]).await.unwrap();
    exporter.configure(&format!("{text}name = \"ada\"\n"));
    exporter.is(UP, &labels_of("ada"), 1.0).await;
    assert!(exporter.sum(SINCE, &[]).await.unwrap() > since);

    exporter.configure(&format!("{text}poll_interval = 7\n"));
    exporter.is(SUCCESSFUL, &[], 0.0).await;
    exporter
        .line_of_each(&["poll_interval: ", "the configuration was not reloaded"])
        .await;
    exporter.polls(3.0).await;
    exporter.is(UP, &labels_of("ada"), 1.0).await;
    let told = exporter.process.lines();
    let told = told.iter().filter(|line| line.contains("poll_interval: "));
    assert_eq!(told.count(), 1, "a file that stays broken is told of once");

    // So Kubernetes changes the file of a mounted ConfigMap.
    let directory = TempDir::new().unwrap();
    let next = format!("{text}name = \"berta\"\n");
    let next = write(directory.path(), "exporter.toml", &next);
    exporter.link_configuration(&next);
    exporter.is(UP, &labels_of("berta"), 1.0).await;
    exporter.is(SUCCESSFUL, &[], 1.0).await;
}

#[tokio::test]
async fn a_broken_configuration_is_told_with_its_lines_and_the_last_good_one_stays() {
    let server = simulator().await;
    let good = config(&server, &[&server.senders[0]]);
    let exporter = Exporter::start(&good, LIFECYCLE).await;
    exporter.is(UP, &[], 1.0).await;
    let since = exporter.sum(SINCE, &[]).await.unwrap();
    let lines = good.lines().count();
    let wrong = good.clone() + "poll_interval = 7\n[[server]]\n";
    let told = exporter.reload_badly(&wrong).await;
    for problem in [
        format!(
            "exporter.toml:{}: server[0].sender[0].poll_interval: ",
            lines + 1
        ),
        format!(
            "exporter.toml:{}: server[1]: there is no name; add ",
            lines + 2
        ),
    ] {
        assert!(told.contains(&problem), "{told}");
    }
    assert!(!told.contains(&server.client_id), "{told}");
    exporter
        .line_of_each(&["poll_interval: ", "the configuration was not reloaded"])
        .await;
    exporter.polls(2.0).await;
    assert_eq!(exporter.sum(UP, &[]).await, Some(1.0));
    assert_eq!(exporter.sum(SINCE, &[]).await, Some(since));

    let certificate = format!("cert_file = \"none.pem\"\n{}", inline(&server));
    let told = exporter
        .reload_badly(&good.replace(&inline(&server), &certificate))
        .await;
    assert!(told.contains("none.pem cannot be read"), "{told}");

    exporter.reload_well(&good).await;
    exporter.is(SUCCESSFUL, &[], 1.0).await;
    assert!(exporter.sum(SINCE, &[]).await.unwrap() >= since);
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_by_name() {
    let server = simulator().await;
    let directory = TempDir::new().unwrap();
    let place = |name: &str| {
        let path = directory.path().join(name);
        format!("[state]\ndirectory = \"{}\"\n", path.display())
    };
    let text = config(&server, &[&server.senders[0]]);
    let exporter = Exporter::start(&(place("first") + &text), LIFECYCLE).await;
    exporter.is(UP, &[], 1.0).await;
    let told = exporter.reload_badly(&(place("second") + &text)).await;
    let problem = "exporter.toml:2: state.directory: cannot change while the exporter runs; \
                   restart it, or write";
    assert!(told.contains(problem), "{told}");
    assert!(!directory.path().join("second").exists());
    let told = exporter.reload_badly(&text).await;
    assert!(
        told.contains("exporter.toml:1: state.directory: "),
        "{told}"
    );
    exporter.polls(1.0).await;
    exporter.reload_well(&(place("first") + &text)).await;
}

#[tokio::test]
async fn nobody_reloads_over_the_network_unless_that_is_enabled() {
    let server = simulator().await;
    let text = config(&server, &[&server.senders[0]]);
    let exporter = Exporter::start(&text, &[]).await;
    exporter.configure("nonsense");
    for method in ["POST", "PUT"] {
        let told = "Lifecycle API is not enabled.\n".to_owned();
        assert_eq!(exporter.reload(method).await, (403, told));
    }
    assert_eq!(exporter.sum(SUCCESSFUL, &[]).await, Some(1.0));
    let exporter = Exporter::start(&text, LIFECYCLE).await;
    for method in ["GET", "DELETE", "PATCH"] {
        let told = "Only POST or PUT requests allowed\n".to_owned();
        assert_eq!(exporter.reload(method).await, (405, told));
    }
    assert_eq!(exporter.reload("PUT").await, (200, String::new()));
    let url = format!("{}/-/reload", exporter.url);
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.headers()["allow"], "POST, PUT");
}

#[tokio::test]
async fn all_who_wish_at_once_are_answered() {
    let server = simulator().await;
    let text = config(&server, &[&server.senders[0]]);
    let exporter = Exporter::start(&text, LIFECYCLE).await;
    exporter.is(UP, &[], 1.0).await;
    let mut wishes = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let url = format!("{}/-/reload", exporter.url);
        wishes.spawn(async move {
            let request = reqwest::Client::builder().build().unwrap().post(url);
            request.send().await.unwrap().status().as_u16()
        });
    }
    assert_eq!(wishes.join_all().await, vec![200; 200]);
    exporter.polls(1.0).await;
}

/// A configuration whose client id is in a file of its own.
fn config_with_file(server: &Server, directory: &Path) -> String {
    let file = directory.join("client-id");
    let more = format!("client_id_file = \"{}\"\n", file.display());
    DEFAULTS.to_owned() + &section(server, "sim", &more, &[&server.senders[0]])
}

#[tokio::test]
async fn a_secret_is_taken_up_when_its_file_changes_and_nothing_else_is() {
    let server = simulator().await;
    let directory = TempDir::new().unwrap();
    let wrong = "canary".repeat(12);
    let put = |text: &str| {
        let draft = write(directory.path(), "draft", text);
        fs::rename(draft, directory.path().join("client-id")).unwrap();
    };
    put(&wrong);
    let text = config_with_file(&server, directory.path());
    let exporter = Exporter::start(&text, LIFECYCLE).await;
    exporter.is(UP, &[], 0.0).await;
    // Somebody is at work on the configuration.
    exporter.configure("[[server");
    put(&server.client_id);
    exporter.is(UP, &[], 1.0).await;
    assert_eq!(exporter.sum(SUCCESSFUL, &[]).await, Some(1.0));

    put("canary, too short");
    exporter
        .line_of_each(&["a changed file was not taken up, its last good content stays"])
        .await;
    exporter.polls(2.0).await;
    assert_eq!(exporter.sum(UP, &[]).await, Some(1.0));
    put(&server.client_id);
    exporter.polls(2.0).await;
    exporter.reload_well(&text).await;
    let lines = exporter.process.lines();
    assert!(
        !lines.iter().any(|line| line.contains("canary")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn watch_files_come_and_go_with_their_patterns() {
    let server = simulator().await;
    let folder = TempDir::new().unwrap();
    let sender = server.senders[0].as_str();
    let (old, new) = (
        server.active_transfer().await,
        server.active_transfer().await,
    );
    for id in [&old, &new] {
        server.happen(id, "retrieve", json!({})).await;
    }
    let entry = |id: &str| {
        format!("[[transfer]]\nsender = \"{sender}\"\ntracking_id = \"{id}\"\nname = \"{id}\"\n")
    };
    write(folder.path(), "old.toml", &entry(&old));
    let with = |more: &str| {
        DEFAULTS.to_owned()
            + &section(&server, "sim", &(inline(&server) + more), &[sender])
            + "discover = false\n"
    };
    let exporter = Exporter::start(&with(""), LIFECYCLE).await;
    exporter.is(UP, &[], 1.0).await;
    assert_eq!(exporter.sum(INFO, &[]).await, None);

    // What is there when a pattern comes is a baseline, and what comes later is
    // new.
    let files = format!("watch_files = [\"{}/*.toml\"]\n", folder.path().display());
    exporter.reload_well(&with(&files)).await;
    exporter.is(INFO, &[("name", &old)], 1.0).await;
    write(folder.path(), "new.toml", &entry(&new));
    exporter.is(INFO, &[("name", &new)], 1.0).await;
    exporter.is(RETRIEVALS, &[], 1.0).await;

    exporter.reload_well(&with("")).await;
    assert_eq!(exporter.sum(INFO, &[]).await, None);
    exporter.reload_well(&with(&files)).await;
    exporter.is(INFO, &[], 2.0).await;
    exporter.polls(2.0).await;
    assert_eq!(exporter.sum(RETRIEVALS, &[]).await, Some(1.0));
}

#[tokio::test]
async fn the_service_manager_is_told_of_a_reload_and_of_its_end() {
    let server = simulator().await;
    let text = config(&server, &[&server.senders[0]]);
    let mut manager = Manager::new();
    let socket = manager.socket();
    let mut command = Command::new(BINARY);
    command.env("NOTIFY_SOCKET", &socket);
    let exporter = Exporter::spawn(command, &text, &[]).await;
    manager.hears("READY=1").await;
    for text in ["nonsense", &text] {
        manager.forget();
        exporter.configure(text);
        exporter.process.signal("HUP");
        manager.hears("RELOADING=1").await;
        manager.hears("READY=1").await;
        let told = manager.told();
        let place = |what: &str| told.iter().position(|line| line.starts_with(what)).unwrap();
        assert_eq!(
            place("MONOTONIC_USEC="),
            place("RELOADING=1") + 1,
            "{told:?}"
        );
        assert!(place("READY=1") > place("RELOADING=1"), "{told:?}");
    }
    assert_eq!(sum(&exporter.samples().await, SUCCESSFUL, &[]), Some(1.0));
}
