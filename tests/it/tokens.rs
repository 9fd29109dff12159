//! Where tokens come from: a human with a mailed code, or the client id alone;
//! and what is told when one is missing.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{BINARY, Exporter, Process, Server, config, eventually, write};

const DAY: u64 = 24 * 3_600;

const NOBODY: u32 = 65_534;

const REQUESTS: &str = "cryptshare_exporter_api_requests_total";

/// A server that verifies by mailed codes alone, and the exporter's state.
struct World {
    server: Server,
    directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let arguments = ["--speed", "0", "--senders", "1", "--transfers", "5"];
        let server = Server::start(&arguments).await;
        let world = Self {
            server,
            directory: TempDir::new().unwrap(),
        };
        fs::create_dir(world.state()).unwrap();
        world
            .set(json!({"methods": {"client_id": false, "email": true}}))
            .await;
        write(world.directory.path(), "exporter.toml", &world.config());
        world
    }

    async fn set(&self, settings: Value) {
        self.server.put("verification", settings).await;
    }

    fn state(&self) -> std::path::PathBuf {
        self.directory.path().join("state")
    }

    fn config(&self) -> String {
        let state = self.state();
        let rest = config(&self.server, "");
        format!("[state]\ndirectory = \"{}\"\n{rest}", state.display())
    }

    async fn exporter(&self) -> Exporter {
        Exporter::start(&self.config(), &[]).await
    }

    /// Starts `verify` for a sender of a server, with a pipe to write the code
    /// into.
    fn verify(&self, server: &str, sender: &str) -> Process {
        let mut command = Command::new(BINARY);
        command.args(self.arguments(server, sender));
        Process::with_input(command, Stdio::piped())
    }

    fn arguments(&self, server: &str, sender: &str) -> Vec<String> {
        let file = self.directory.path().join("exporter.toml");
        let file = file.to_str().unwrap();
        let words = [
            "verify",
            "--config.file",
            file,
            "--server",
            server,
            "--sender",
            sender,
        ];
        words.map(str::to_owned).to_vec()
    }

    /// The code that was mailed last, once `verify` says so.
    async fn mailed_code(&self, verify: &Process) -> String {
        let is_mailed = |line: &str| line.contains("has mailed a code to").then_some(());
        verify.line("word of a mail", is_mailed).await;
        let mails = format!("mailbox?email={}", self.server.senders[0]);
        let mails = self.server.get(&mails).await;
        let newest = mails.as_array().unwrap().last().unwrap();
        newest["code"].as_str().unwrap().to_owned()
    }

    /// What a human does.
    async fn verified_by_a_human(&self) {
        let mut verify = self.verify("sim", &self.server.senders[0].to_uppercase());
        let code = self.mailed_code(&verify).await;
        verify.write(&format!("{code}\n"));
        assert_eq!(verify.exit().await.code(), Some(0), "{:?}", verify.lines());
        let is_told = |line: &str| line.contains("is verified until 20").then_some(());
        verify.line("the end", is_told).await;
        assert!(verify.lines().iter().all(|line| !line.contains(&code)));
    }

    /// Waits for the end of a `verify` that nobody helps: exit code and words.
    async fn refused(&self, mut verify: Process) -> (i32, String) {
        let code = verify.exit().await.code().unwrap();
        let told = eventually("a reason", async || {
            let lines = verify.lines();
            (!lines.is_empty()).then_some(lines)
        });
        (code, told.await.join("\n"))
    }

    /// Requests to an endpoint of the server.
    async fn requests(&self, endpoint: &str) -> u64 {
        let requests = self.server.get("requests").await;
        requests[endpoint].as_u64().unwrap_or_default()
    }
}

#[tokio::test]
async fn a_code_from_a_human_opens_a_running_exporter() {
    let world = World::new().await;
    let exporter = world.exporter().await;
    exporter.is("cryptshare_verified", &[], 0.0).await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    let remedy = "run cryptshare-exporter verify";
    let is_told = |line: &str| line.contains("level=warn") && line.contains(remedy);
    let told = exporter
        .process
        .line("what to do", |line| is_told(line).then_some(()));
    told.await;
    eventually("the remedy on the page", async || {
        exporter.get("/").await.contains(remedy).then_some(())
    })
    .await;

    world.verified_by_a_human().await;
    exporter.is("cryptshare_verified", &[], 1.0).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    exporter
        .line_of_each(&["found a verification token", "polling works again"])
        .await;
    assert!(!exporter.get("/").await.contains(remedy));
    let tokens = world.requests("verification_token").await;
    assert_eq!(tokens, 2, "the exporter asked once, and verify once");
    drop(exporter);
    let exporter = world.exporter().await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    assert_eq!(world.requests("verification_token").await, tokens);
}

#[tokio::test]
async fn a_token_is_kept_for_the_owner_of_the_directory() {
    let world = World::new().await;
    let is_root = fs::metadata(world.state()).unwrap().uid() == 0;
    if is_root {
        chown(world.state(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    world.verified_by_a_human().await;
    let tokens = world.state().join("tokens");
    let files: Vec<_> = fs::read_dir(&tokens).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    let owner = fs::metadata(world.state()).unwrap();
    for (path, mode) in [(files[0].path(), 0o600), (tokens, 0o700)] {
        let metadata = fs::metadata(path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        assert_eq!((metadata.uid(), metadata.gid()), (owner.uid(), owner.gid()));
    }
}

#[tokio::test]
async fn whoever_asks_for_what_is_not_there_is_told_what_is() {
    let world = World::new().await;
    let sender = world.server.senders[0].as_str();
    let (code, told) = world.refused(world.verify("prod", sender)).await;
    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains("no server \"prod\"") && told.contains("it has sim"),
        "{told}"
    );
    let (code, told) = world.refused(world.verify("sim", "eve@example.org")).await;
    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains("no sender \"eve@example.org\"") && told.contains(sender),
        "{told}"
    );
    // What lies in the place of the directory of the tokens lets none be kept.
    fs::write(world.state().join("tokens"), "").unwrap();
    let (code, told) = world.refused(world.verify("sim", sender)).await;
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("the token cannot be kept"), "{told}");
    fs::remove_dir_all(world.state()).unwrap();
    let (code, told) = world.refused(world.verify("sim", sender)).await;
    assert_eq!(code, 3, "{told}");
    assert!(
        told.contains("does not exist; start the exporter once"),
        "{told}"
    );
    let memory = config(&world.server, "");
    write(world.directory.path(), "exporter.toml", &memory);
    let (code, told) = world.refused(world.verify("sim", sender)).await;
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("add [state] directory"), "{told}");
    assert_eq!(
        world.requests("verification_code").await,
        0,
        "nothing was mailed"
    );
}

#[tokio::test]
async fn a_server_that_hands_out_no_token_is_told_of() {
    let world = World::new().await;
    let sender = world.server.senders[0].as_str();
    for (methods, remedy) in [
        (
            json!({"client_id": true, "email": false}),
            "verifies this client id by itself",
        ),
        (
            json!({"client_id": false, "email": false}),
            "have it switched on",
        ),
    ] {
        world.set(json!({"methods": methods})).await;
        let (code, told) = world.refused(world.verify("sim", sender)).await;
        assert_eq!(code, 4, "{told}");
        assert!(
            told.contains("mails no codes") && told.contains(remedy),
            "{told}"
        );
    }
    let by_mail = json!({"client_id": false, "email": true});
    world
        .set(json!({"methods": by_mail, "codes_per_minute": 2}))
        .await;
    for wrong in ["0000000000\n", " \n"] {
        let mut verify = world.verify("sim", sender);
        world.mailed_code(&verify).await;
        verify.write(wrong);
        assert_eq!(verify.exit().await.code(), Some(4));
        let is_told = |line: &str| {
            let words = ["does not accept this code; run verify again", "has no code"];
            words.iter().any(|words| line.contains(words)).then_some(())
        };
        verify.line("why", is_told).await;
    }
    let (code, told) = world.refused(world.verify("sim", sender)).await;
    assert_eq!(code, 4, "{told}");
    assert!(
        told.contains("429") && told.contains("run verify again in "),
        "{told}"
    );
    let kept = fs::read_dir(world.state().join("tokens"));
    assert_eq!(kept.map_or(0, Iterator::count), 0);
}

#[tokio::test]
async fn a_code_may_be_mistyped_at_a_terminal() {
    let world = World::new().await;
    let words = world.arguments("sim", &world.server.senders[0]);
    let line = format!("{BINARY} {}", words.join(" "));
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]);
    let mut verify = Process::with_input(command, Stdio::piped());
    let code = world.mailed_code(&verify).await;
    verify.write("0000000000\n");
    let again = |line: &str| line.contains("type it once more").then_some(());
    verify.line("another try", again).await;
    verify.write(&format!("{code}\n"));
    assert_eq!(verify.exit().await.code(), Some(0), "{:?}", verify.lines());
}

#[tokio::test]
async fn a_human_is_told_before_the_token_ends() {
    let world = World::new().await;
    world.verified_by_a_human().await;
    let exporter = world.exporter().await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let reminder = "nobody but a human can renew it";
    let reminders = || {
        let lines = exporter.process.lines();
        lines.iter().filter(|line| line.contains(reminder)).count()
    };
    assert_eq!(reminders(), 0);
    let before = world.requests("verification_token").await;
    world
        .server
        .post("clock", json!({"advance_seconds": 28 * DAY}))
        .await;
    exporter.line_of_each(&[reminder]).await;
    eventually("the remedy on the page", async || {
        let page = exporter.get("/").await;
        page.contains("the verification ends at 20").then_some(())
    })
    .await;
    exporter.polls(3.0).await;
    assert_eq!(reminders(), 1);
    assert_eq!(world.requests("verification_token").await, before);
    exporter.is("cryptshare_verified", &[], 1.0).await;
    exporter.is("cryptshare_up", &[], 1.0).await;

    world.verified_by_a_human().await;
    eventually("a page without a remedy", async || {
        let page = exporter.get("/").await;
        (!page.contains("the verification ends")).then_some(())
    })
    .await;
    world
        .server
        .post("clock", json!({"advance_seconds": 31 * DAY}))
        .await;
    exporter.is("cryptshare_verified", &[], 0.0).await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    world.verified_by_a_human().await;
    exporter.is("cryptshare_up", &[], 1.0).await;
}

#[tokio::test]
async fn a_client_id_that_is_registered_later_needs_no_code_any_more() {
    let world = World::new().await;
    world.verified_by_a_human().await;
    let exporter = world.exporter().await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    world.set(json!({})).await;
    let before = exporter
        .sum("cryptshare_verification_expiry_timestamp_seconds", &[])
        .await;
    world
        .server
        .post("clock", json!({"advance_seconds": 28 * DAY}))
        .await;
    eventually("a later end of the token", async || {
        let now = exporter
            .sum("cryptshare_verification_expiry_timestamp_seconds", &[])
            .await;
        (now > before).then_some(())
    })
    .await;
    assert!(!exporter.get("/").await.contains("the verification ends"));
}

#[tokio::test]
async fn a_reset_by_the_administrator_costs_no_poll() {
    let world = World::new().await;
    world.set(json!({})).await;
    let exporter = world.exporter().await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    for renewals in [2.0, 3.0] {
        world.server.post("verification/reset", json!({})).await;
        let tokens = [("endpoint", "verification_token")];
        exporter.is(REQUESTS, &tokens, renewals).await;
        // A token that is refused before it was of use is another story.
        exporter.polls(2.0).await;
    }
    let failures = exporter
        .sum("cryptshare_exporter_poll_failures_total", &[])
        .await;
    assert_eq!(failures, Some(0.0));
}

#[tokio::test]
async fn two_exporters_that_end_each_others_tokens_do_not_storm_the_server() {
    let world = World::new().await;
    world.set(json!({})).await;
    world
        .server
        .quirks(json!({"new-token-ends-older": true}))
        .await;
    let memory = config(&world.server, "");
    let first = Exporter::start(&memory, &[]).await;
    let second = Exporter::start(&memory, &[]).await;
    // Who pauses first leaves the other one his token.
    eventually("an exporter that pauses", async || {
        let mut lines = [&first, &second].map(|exporter| exporter.process.lines());
        let mut lines = lines.iter_mut().flat_map(|lines| lines.drain(..));
        lines
            .any(|line| line.contains("reason=unauthorized"))
            .then_some(())
    })
    .await;
    let begin = world.requests("verification_token").await;
    first.polls(8.0).await;
    second.polls(8.0).await;
    let more = world.requests("verification_token").await - begin;
    assert!(
        begin <= 12 && more <= 2,
        "{begin} renewals, then {more} more"
    );
}
