//! Watch files: dropped, changed, broken, mended and removed while the exporter
//! runs, and there when it starts.

use std::{fmt::Write, fs, path::Path};

use serde_json::json;
use tempfile::TempDir;

use crate::rig::{Exporter, Server, eventually, sum, write};

const RETRIEVALS: &str = "cryptshare_retrievals_total";
const INFO: &str = "cryptshare_transfer_info";

/// A server, and a folder for watch files of its first sender, whose transfers
/// are not discovered.
struct Story {
    server: Server,
    folder: TempDir,
    config: String,
}

impl Story {
    async fn begin(state: Option<&Path>) -> Self {
        let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "3"]).await;
        let folder = TempDir::new().unwrap();
        let state = state.map(|path| format!("[state]\ndirectory = \"{}\"\n", path.display()));
        let config = format!(
            "{}[defaults]\npoll_interval = \"1s\"\nprocessing_interval = \"1s\"\n[metrics]\nmax_transfers = 0\n\
             [[server]]\nname = \"sim\"\nurl = \"{}\"\nclient_id = \"{}\"\n\
             max_concurrency = 16\nmax_requests_per_second = 2000\nwatch_files = [\"{}/*.toml\"]\n\
             [[server.sender]]\nemail = \"{}\"\nname = \"ada\"\ndiscover = false\n",
            state.unwrap_or_default(),
            server.url,
            server.client_id,
            folder.path().display(),
            server.senders[0],
        );
        Self {
            server,
            folder,
            config,
        }
    }

    /// A watch file's entry.
    fn entry(&self, id: &str, name: &str) -> String {
        let sender = &self.server.senders[0];
        format!("[[transfer]]\nsender = \"{sender}\"\ntracking_id = \"{id}\"\nname = \"{name}\"\n")
    }

    fn write(&self, file: &str, text: &str) {
        write(self.folder.path(), file, text);
    }

    /// As an application should: complete, or not there.
    fn put(&self, file: &str, text: &str) {
        let draft = write(self.folder.path(), ".draft", text);
        fs::rename(draft, self.folder.path().join(file)).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.folder.path().join(file)).unwrap();
    }

    async fn retrieve(&self, id: &str) {
        self.server.happen(id, "retrieve", json!({})).await;
    }
}

/// Waits until no series has this tracking id.
async fn vanishes(exporter: &Exporter, id: &str) {
    eventually("the end of its series", async || {
        let text = exporter.get("/metrics").await;
        (!text.contains(id)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_transfer_that_is_dropped_counts_from_its_beginning_and_one_that_was_there_does_not() {
    let story = Story::begin(None).await;
    let (old, new) = (
        story.server.active_transfer().await,
        story.server.active_transfer().await,
    );
    for id in [&old, &new] {
        story.retrieve(id).await;
    }
    story.put("old.toml", &story.entry(&old, "old"));
    let exporter = Exporter::start(&story.config, &[]).await;
    exporter.is(INFO, &[("name", "old")], 1.0).await;
    exporter.polls(1.0).await;
    assert_eq!(exporter.sum(RETRIEVALS, &[]).await, Some(0.0));
    story.put("new.toml", &story.entry(&new, "new"));
    exporter.is(INFO, &[("name", "new")], 1.0).await;
    exporter.is(RETRIEVALS, &[], 1.0).await;
    for id in [&old, &new] {
        story.retrieve(id).await;
    }
    exporter.is(RETRIEVALS, &[], 3.0).await;

    // Another name is another label, and nothing else.
    story.put("new.toml", &story.entry(&new, "renamed"));
    exporter.is(INFO, &[("name", "renamed")], 1.0).await;
    assert_eq!(exporter.sum(INFO, &[("name", "new")]).await, None);

    story.remove("old.toml");
    vanishes(&exporter, &old).await;
    let samples = exporter.samples().await;
    assert_eq!(sum(&samples, "cryptshare_transfers", &[]), Some(1.0));
    assert_eq!(sum(&samples, RETRIEVALS, &[]), Some(3.0));
    story.retrieve(&old).await;
    exporter.polls(2.0).await;
    assert_eq!(exporter.sum(RETRIEVALS, &[]).await, Some(3.0));
}

#[tokio::test]
async fn a_file_that_breaks_is_told_once_and_what_it_said_stays_until_it_is_mended() {
    let story = Story::begin(None).await;
    let (first, second) = (
        story.server.active_transfer().await,
        story.server.active_transfer().await,
    );
    story.write("list.toml", &story.entry(&first, "first"));
    let exporter = Exporter::start(&story.config, &[]).await;
    exporter.is(INFO, &[("name", "first")], 1.0).await;

    let stranger = "[[transfer]]\nsender = \"eve@example.com\"\ntracking_id = \"x\"\n";
    for (text, told) in [
        (
            "[[transfer]]\nsender = 7\ntracking_id = \"x\"\n",
            "2: transfer[0].sender: is an integer",
        ),
        ("", "1: file: there is no [[transfer]]"),
        (
            stranger,
            "2: transfer[0].sender: the server \\\"sim\\\" has no such sender",
        ),
    ] {
        story.write("list.toml", text);
        exporter.line_of_each(&[told]).await;
    }
    exporter.polls(2.0).await;
    assert_eq!(exporter.sum(INFO, &[("name", "first")]).await, Some(1.0));
    let lines = exporter.process.lines();
    let warnings = lines
        .iter()
        .filter(|line| line.contains("a watch file is wrong"));
    let warnings: Vec<_> = warnings.collect();
    assert!(warnings.iter().all(|line| line.contains("list.toml")));
    assert!(!lines.iter().any(|line| line.contains("eve@")), "{lines:?}");
    let of_empty = warnings
        .iter()
        .filter(|line| line.contains("there is no [[transfer]]"));
    assert_eq!(of_empty.count(), 1, "{warnings:#?}");

    story.write("list.toml", &story.entry(&second, "second"));
    exporter.is(INFO, &[("name", "second")], 1.0).await;
    vanishes(&exporter, &first).await;
}

#[tokio::test]
async fn counters_go_on_after_a_restart_with_the_file_in_place() {
    let state = TempDir::new().unwrap();
    let story = Story::begin(Some(state.path())).await;
    let id = story.server.active_transfer().await;
    story.retrieve(&id).await;
    let mut first = Exporter::start(&story.config, &[]).await;
    first.polls(1.0).await;
    story.put("list.toml", &story.entry(&id, "kept"));
    first.is(RETRIEVALS, &[], 1.0).await;
    first.process.signal("KILL");
    first.process.exit().await;

    story.retrieve(&id).await;
    let mut second = Exporter::start(&story.config, &[]).await;
    second.is(RETRIEVALS, &[], 2.0).await;
    second.process.signal("TERM");
    assert_eq!(second.process.exit().await.code(), Some(0));

    // Removed while nobody looked, it is gone, and what it counted stays.
    story.remove("list.toml");
    let third = Exporter::start(&story.config, &[]).await;
    third.polls(1.0).await;
    assert_eq!(third.sum(RETRIEVALS, &[]).await, Some(2.0));
    assert!(!third.get("/metrics").await.contains(&id));
}

#[tokio::test]
async fn many_files_come_and_go() {
    let story = Story::begin(None).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(story.server.active_transfer().await);
    }
    for id in &ids {
        story.retrieve(id).await;
    }
    let exporter = Exporter::start(&story.config, &[]).await;
    exporter.polls(1.0).await;
    for (number, id) in ids.iter().enumerate() {
        story.put(&format!("{number}.toml"), &story.entry(id, "one of many"));
    }
    exporter.is(RETRIEVALS, &[], 40.0).await;
    exporter.is(INFO, &[], 40.0).await;
    for number in 0..39 {
        story.remove(&format!("{number}.toml"));
    }
    exporter.is(INFO, &[], 1.0).await;
    // All in one file, with what is still in a file of its own.
    let mut all = String::new();
    for id in &ids {
        write!(all, "{}", story.entry(id, "one of many")).unwrap();
    }
    story.put("all.toml", &all);
    exporter.is(INFO, &[], 40.0).await;
    exporter.polls(2.0).await;
    assert_eq!(exporter.sum(RETRIEVALS, &[]).await, Some(40.0));
}

#[tokio::test]
async fn a_discovered_transfer_gets_its_name_and_the_configuration_wins() {
    let mut story = Story::begin(None).await;
    let (listed, named) = (
        story.server.active_transfer().await,
        story.server.active_transfer().await,
    );
    story.retrieve(&listed).await;
    let sender = &story.server.senders[0];
    story.config = story.config.replace("discover = false\n", "");
    write!(
        story.config,
        "[[server.transfer]]\nsender = \"{sender}\"\ntracking_id = \"{named}\"\nname = \"by config\"\n"
    )
    .unwrap();
    let exporter = Exporter::start(&story.config, &[]).await;
    exporter.is(INFO, &[("tracking_id", &listed)], 1.0).await;
    let text = story.entry(&listed, "by file") + &story.entry(&named, "by file");
    story.put("list.toml", &text);
    exporter.is(INFO, &[("name", "by file")], 1.0).await;
    exporter.is(INFO, &[("name", "by config")], 1.0).await;
    exporter.polls(1.0).await;
    // It was in the first listing, so that its past is none of ours.
    assert_eq!(exporter.sum(RETRIEVALS, &[]).await, Some(0.0));
    story.remove("list.toml");
    let by_file = [("name", "by file")];
    eventually("the end of the name", async || {
        exporter.sum(INFO, &by_file).await.is_none().then_some(())
    })
    .await;
    exporter.is(INFO, &[("tracking_id", &listed)], 1.0).await;
}

#[tokio::test]
async fn a_content_that_is_wrong_is_one_line_that_says_what_becomes_of_the_file() {
    let story = Story::begin(None).await;
    let id = story.server.active_transfer().await;
    let wrong = "[[transfer]]\nsender = 7\ntracking_id = \"a/b\"\n".repeat(20);
    story.put("list.toml", &wrong);
    fs::create_dir(story.folder.path().join("folder.toml")).unwrap();
    let exporter = Exporter::start(&story.config, &[]).await;
    exporter.polls(2.0).await;
    let of = |lines: &[String], file: &str| {
        let told = lines.iter().filter(|line| line.contains(file));
        told.cloned().collect::<Vec<_>>()
    };
    let lines = exporter.process.lines();
    let folder = of(&lines, "folder.toml");
    assert_eq!(folder.len(), 1, "{folder:#?}");
    let expect = "it is not a regular file; put a file in its place, or remove it";
    assert!(folder[0].contains(expect), "{folder:#?}");
    let list = of(&lines, "list.toml");
    assert_eq!(list.len(), 1, "{list:#?}");
    for expect in [
        "2: transfer[0].sender: is an integer",
        "more=39",
        "nothing is read from it until it is mended",
    ] {
        assert!(list[0].contains(expect), "{list:#?}");
    }

    // The same again is no news.
    story.put("list.toml", &wrong);
    exporter.polls(2.0).await;
    story.put("list.toml", &story.entry(&id, "mended"));
    exporter.is(INFO, &[("name", "mended")], 1.0).await;
    story.put("list.toml", &wrong);
    let stays = "what it said before stays until it is mended";
    exporter.line_of_each(&[stays]).await;
    exporter.polls(2.0).await;
    let list = of(&exporter.process.lines(), "list.toml");
    let warnings = list.iter().filter(|line| line.contains("level=warn"));
    assert_eq!(warnings.count(), 2, "{list:#?}");
    exporter.is(INFO, &[("name", "mended")], 1.0).await;
}

/// What a name holds reaches the log as an escape, in both formats.
#[tokio::test]
async fn a_name_that_a_terminal_would_obey_is_told_by_its_number() {
    let story = Story::begin(None).await;
    for format in ["logfmt", "json"] {
        let exporter = Exporter::start(&story.config, &["--log.format", format]).await;
        story.put(
            "odd\u{9b}31m\u{202e}.toml",
            &story.entry("20260401-081500-Qx7Lm2Za", "x\\u009B31m\\u202Ey"),
        );
        let told = exporter.process.line("the problem", |line| {
            line.contains("a watch file is wrong")
                .then(|| line.to_owned())
        });
        let told = told.await;
        assert!(
            told.contains("has the character U+009B, which cannot be seen"),
            "{told}"
        );
        assert!(told.contains("odd\\u009b31m\\u202e.toml"), "{told}");
        let is_shown = |c: char| !cryptshare_exporter::printable::is_obeyed(c);
        assert!(told.chars().all(is_shown), "{told:?}");
        story.remove("odd\u{9b}31m\u{202e}.toml");
    }
}
