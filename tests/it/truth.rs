//! The exporter's counters and gauges against the simulator's oracle.
//!
//! The great story: thousands of transfers, tens of thousands of events while
//! the exporter polls, and at the end every series by sender and by transfer
//! is what the truth says. Then small ones, each of a single thing.

use std::collections::BTreeMap;

use cryptshare_exporter::clock::Clock;
use serde_json::{Value, json};

use crate::{
    oracle::{self, Series, Watch},
    rig::{Exporter, Sample, Server, config, eventually, polls, run, sum},
};

/// Every counter child of every sender is expected at least so often.
const OFTEN: f64 = 50.0;

/// So many transfers must have appeared, and so many events happened.
const TRANSFERS: u64 = 2_000;
const EVENTS: u64 = 20_000;

/// After so many polls without any change the exporter has said its last word.
const PATIENCE: f64 = 8.0;

/// Sizes the story: simulated seconds for each real one.
const SPEED: u32 = 20_000;

#[tokio::test]
async fn every_series_equals_the_truth_with_the_first_seed() {
    tell(1, &[]).await;
}

#[tokio::test]
async fn every_series_equals_the_truth_with_the_second_seed() {
    tell(2, &["--api-minor", "12"]).await;
}

#[tokio::test]
async fn every_series_equals_the_truth_with_the_third_seed() {
    let more = "--api-minor 15 --quirk unselected-null --quirk active-includes-processing";
    tell(3, &more.split(' ').collect::<Vec<_>>()).await;
}

async fn tell(seed: u32, more: &[&str]) {
    let arguments = format!("--speed 0 --senders 2 --transfers 800 --activity 1 --seed {seed}");
    let arguments: Vec<_> = arguments.split(' ').chain(more.iter().copied()).collect();
    let server = Server::start(&arguments).await;
    let before = quiet(&server).await;
    // What the move of the clock has brought is past.
    server.post("mark", json!({})).await;
    let watch = watch(&server, &before);
    let begin = now();
    let exporter = Exporter::start(&config_of(&server, &watch), &[]).await;
    settle(&server, &exporter, &watch).await;
    check_bounded(&before, &before, begin, &exporter.samples().await);
    let begin = now();
    live(&server).await;
    quiet(&server).await;
    settle(&server, &exporter, &watch).await;
    deeds(&server).await;
    let truth = settle(&server, &exporter, &watch).await;
    check_bounded(&before, &truth, begin, &exporter.samples().await);
    check_often(seed, &truth, &watch);
}

/// Names one transfer of each kind: one that lives, one that had ended, one
/// that there never was.
fn watch(server: &Server, before: &Value) -> Watch {
    let all = before["senders"].as_object().unwrap().values();
    let all: BTreeMap<_, _> = all.flat_map(oracle::transfers).collect();
    let first = oracle::transfers(&before["senders"][&server.senders[0]]);
    let one = |has_ended| {
        let mut fitting = first
            .iter()
            .filter(|(_, told)| told.has_ended() == has_ended);
        fitting.next().unwrap().0.clone()
    };
    Watch {
        ended_before: all
            .into_iter()
            .filter_map(|(id, told)| told.has_ended().then_some(id))
            .collect(),
        named: [
            (one(false), "one that lives"),
            (one(true), "one that had ended"),
        ]
        .map(|(id, name)| (id, name.to_owned()))
        .into(),
        missed_by: server.senders[0].clone(),
    }
}

fn config_of(server: &Server, watch: &Watch) -> String {
    let named = watch.named.iter();
    let named = named.map(|(id, name)| (id.as_str(), name.as_str()));
    let entries = named.chain([("20260401-081500-Qx7Lm2Za", "one that never was")]);
    let entries = entries.map(|(id, name)| {
        let sender = &watch.missed_by;
        format!(
            "[[server.transfer]]\nsender = \"{sender}\"\ntracking_id = \"{id}\"\nname = \"{name}\"\n"
        )
    });
    // A busy machine is no fault of anybody.
    let patient = config(server, "")
        .replace("read_timeout = \"1s\"", "read_timeout = \"20s\"")
        .replace("request_timeout = \"2s\"", "request_timeout = \"30s\"");
    patient + &entries.collect::<String>()
}

/// Lets time run until enough has happened. Lists turn null now and then, and
/// what the clock does not bring comes by hand: transfers from before 5.7.0,
/// words that nobody knows, sessions that nobody finalizes yet.
async fn live(server: &Server) {
    server
        .quirks(json!({"null_lists": 0.05, "unknown_methods": 0.03}))
        .await;
    server.post("clock", json!({"speed": SPEED})).await;
    for _ in 0..60 {
        for sender in &server.senders {
            for state in ["unknown", "archived", "pending"] {
                let plan = json!({"sender": sender, "state": state});
                server.post("transfers", plan).await;
            }
        }
    }
    eventually("enough events", async || {
        let totals = server.get("totals").await;
        let appeared = totals["totals"]["appeared"].as_u64().unwrap();
        let vanished = "/vanished";
        let mut counts = Vec::new();
        for sender in totals["senders"].as_object().unwrap().values() {
            leaves(sender, String::new(), &mut counts);
        }
        let is_often = |(place, count): &(String, u64)| {
            place == vanished || place == "/forgotten" || *count >= 60
        };
        let is_enough = appeared >= TRANSFERS && events(&totals["totals"]) >= EVENTS;
        (is_enough && counts.iter().all(is_often)).then_some(())
    })
    .await;
    server.post("clock", json!({"speed": 0})).await;
    server.quirks(json!({})).await;
}

/// All numbers of the totals of a sender, each with its place.
fn leaves(value: &Value, place: String, found: &mut Vec<(String, u64)>) {
    let Some(members) = value.as_object() else {
        return found.push((place, value.as_u64().unwrap()));
    };
    for (name, value) in members {
        leaves(value, format!("{place}/{name}"), found);
    }
}

/// How many events the totals count; a removal has a place by its cause, too.
fn events(totals: &Value) -> u64 {
    let mut counts = Vec::new();
    leaves(totals, String::new(), &mut counts);
    let own = counts
        .iter()
        .filter(|(place, _)| !place.starts_with("/files_removed_by"));
    own.map(|(_, count)| count).sum()
}

/// What only counts because the exporter has seen how it was before: sessions
/// are finalized, active transfers become something unknown, and others vanish.
async fn deeds(server: &Server) {
    let truth = server.truth().await;
    for told in truth["senders"].as_object().unwrap().values() {
        let transfers = oracle::transfers(told);
        let known = |state: &'static str| {
            let is =
                move |(_, told): &(&String, &oracle::Told)| !told.forgotten && told.state == state;
            transfers.iter().filter(is).map(|(id, _)| id)
        };
        for id in known("pending") {
            server.happen(id, "finalize", json!({})).await;
        }
        for id in known("active").take(20) {
            server.happen(id, "archive", json!({})).await;
        }
        let lost = known("active").skip(20).take(30);
        for id in lost
            .chain(known("unknown").take(20))
            .chain(known("other").take(20))
        {
            server.happen(id, "forget", json!({})).await;
        }
    }
}

/// Moves the frozen clock to where no transfer is about to be overdue or
/// expiring: the exporter knows the server's date to some seconds only.
pub async fn quiet(server: &Server) -> Value {
    const DAY: i64 = 86_400;
    for _ in 0..20 {
        let truth = server.truth().await;
        let now = oracle::seconds(truth["now"].as_str().unwrap());
        let senders = truth["senders"].as_object().unwrap().values();
        let transfers = senders
            .flat_map(oracle::transfers)
            .map(|(_, told)| told.expires_at());
        let turns: Vec<_> = transfers
            .flat_map(|at| [at - now, at - DAY - now])
            .collect();
        let is_quiet = |at: i64| !turns.iter().any(|turn| (at - 4..at + 40).contains(turn));
        let moment = (0..DAY).find(|at| is_quiet(*at)).unwrap();
        if moment == 0 {
            return truth;
        }
        server
            .post("clock", json!({"advance_seconds": moment}))
            .await;
    }
    panic!("the clock finds no quiet moment");
}

/// Waits until `/metrics` shows the truth, and that it goes on to do so.
pub async fn settle(server: &Server, exporter: &Exporter, watch: &Watch) -> Value {
    // A token that is due is renewed first; then the truth stands still.
    exporter.polls(1.0).await;
    let truth = server.truth().await;
    let expected = oracle::expected(&truth, watch);
    let mut last = LastWord::default();
    eventually("the truth on /metrics", async || {
        let samples = exporter.samples().await;
        let differences = oracle::differences(&expected, &oracle::shown(&samples));
        last.hear(&expected, &samples, &differences);
        differences.is_empty().then_some(())
    })
    .await;
    exporter.polls(2.0).await;
    let shown = oracle::shown(&exporter.samples().await);
    let differences = oracle::differences(&expected, &shown);
    assert_eq!(
        differences,
        Vec::<String>::new(),
        "differences from the truth, two polls later; the exporter said: {:#?}",
        exporter.process.problems()
    );
    truth
}

/// Differences that will not go away any more.
#[derive(Default)]
struct LastWord {
    differences: Vec<String>,
    since: Vec<f64>,
}

impl LastWord {
    fn hear(&mut self, expected: &Series, samples: &[Sample], differences: &[String]) {
        let shown = oracle::shown(samples);
        for (name, count) in oracle::counters_by_sender(&shown) {
            // A counter never falls, so it will never be right again.
            assert!(
                count <= expected[name],
                "differences from the truth: {name} is {count}, the truth is {}",
                expected[name]
            );
        }
        let polls = polls(samples);
        if differences != self.differences {
            self.differences = differences.to_vec();
            self.since = polls;
            return;
        }
        let further = polls.iter().zip(&self.since).map(|(now, then)| now - then);
        let is_last = differences.is_empty() || further.fold(f64::MAX, f64::min) < PATIENCE;
        assert!(is_last, "differences from the truth: {differences:#?}");
    }
}

/// What depends on when the exporter looked, within its bounds: processing was
/// seen after `begin`, and its end of all that were found processing at first.
fn check_bounded(before: &Value, truth: &Value, begin: f64, samples: &[Sample]) {
    for (sender, told) in truth["senders"].as_object().unwrap() {
        let labels = [("sender", sender.as_str())];
        let processing = |told: &Value| {
            let transfers = oracle::transfers(told);
            transfers
                .values()
                .filter(|told| told.state == "processing")
                .count()
        };
        let oldest = sum(samples, oracle::BOUNDED[0], &labels);
        assert_eq!(oldest.is_some(), processing(told) > 0);
        assert!(
            oldest.is_none_or(|at| (begin..=now()).contains(&at)),
            "{oldest:?}"
        );
        let [count, total] = ["count", "sum"].map(|part| {
            let name = format!("{}_{part}", oracle::BOUNDED[1]);
            sum(samples, &name, &labels).unwrap()
        });
        let totals = &told["totals"]["state_transitions"];
        let ended = totals["active"].as_f64().unwrap() + totals["failed"].as_f64().unwrap();
        let found = u32::try_from(processing(&before["senders"][sender])).unwrap();
        let least = if before == truth {
            0.0
        } else {
            f64::from(found)
        };
        assert!(
            (least..=ended).contains(&count),
            "{least} <= {count} <= {ended}"
        );
        assert!(
            (0.0..=count * (now() - begin + 60.0)).contains(&total),
            "{total} s"
        );
    }
}

/// Nothing is right by never having happened.
#[expect(clippy::print_stdout, reason = "the figures are part of the proof")]
fn check_often(seed: u32, truth: &Value, watch: &Watch) {
    let expected = oracle::expected(truth, watch);
    for (name, count) in oracle::counters_by_sender(&expected) {
        assert!(count >= OFTEN, "{name} is expected only {count} times");
    }
    let totals = &truth["totals"];
    let (transfers, events) = (totals["appeared"].as_u64().unwrap(), events(totals));
    assert!(transfers >= TRANSFERS && events >= EVENTS);
    println!(
        "seed {seed}: {transfers} transfers, {events} events, {} series, 0 differences: {totals:#}",
        expected.len()
    );
    let (_, catalog, _) = run(&["metrics", "--format", "json"]);
    let catalog: Vec<Value> = serde_json::from_str(&catalog).unwrap();
    // Families by recipient are off unless the configuration asks for them.
    let foreign = [
        "cryptshare_exporter_",
        "cryptshare_recipient_re",
        "cryptshare_recipient_notification_failed",
        "process_",
    ];
    for family in catalog
        .iter()
        .map(|metric| metric["name"].as_str().unwrap())
    {
        let is_foreign = foreign.iter().any(|prefix| family.starts_with(prefix));
        let is_told = expected
            .keys()
            .any(|name| name.split('{').next() == Some(family));
        assert!(
            is_foreign || is_told || oracle::BOUNDED.contains(&family),
            "the story tells nothing of {family}"
        );
    }
}

fn now() -> f64 {
    let since = Clock::System
        .now()
        .duration_since(jiff::Timestamp::UNIX_EPOCH);
    since.as_secs_f64()
}

#[tokio::test]
async fn a_transfer_shows_what_the_server_tells_of_it() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "0"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter.polls(1.0).await;
    let id = server.active_transfer().await;
    server.happen(&id, "retrieve", json!({})).await;
    server.happen(&id, "remove_file", json!({"file": 1})).await;
    let labels = [("tracking_id", id.as_str())];
    exporter
        .is("cryptshare_transfer_files_removed", &labels, 1.0)
        .await;
    for (name, expect) in [
        ("cryptshare_transfer_state", 1.0),
        ("cryptshare_transfer_files", 2.0),
        ("cryptshare_transfer_size_bytes", 1024.0),
        ("cryptshare_transfer_recipients", 2.0),
        ("cryptshare_transfer_recipients_retrieved", 1.0),
        ("cryptshare_transfer_recipient_notifications_failed", 0.0),
        ("cryptshare_transfer_warnings", 1.0),
        ("cryptshare_transfer_retrievals_total", 1.0),
    ] {
        exporter.is(name, &labels, expect).await;
    }
    exporter
        .is(
            "cryptshare_files_removed_total",
            &[("cause", "malware")],
            1.0,
        )
        .await;
}

#[tokio::test]
async fn a_named_transfer_that_was_never_found_is_told_until_it_comes() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "3"]).await;
    let known = server.truth().await;
    let known = known["senders"][&server.senders[0]]["transfers"]
        .as_object()
        .unwrap();
    let known = known.keys().next().unwrap();
    let config = format!(
        "[defaults]\npoll_interval = \"1s\"\n[[server]]\nname = \"sim\"\nurl = \"{}\"\n\
         client_id = \"{}\"\n[[server.transfer]]\nsender = \"{sender}\"\ntracking_id = \"{known}\"\n\
         name = \"year-end report\"\n[[server.transfer]]\nsender = \"{sender}\"\n\
         tracking_id = \"20260401-081500-Qx7Lm2Za\"\n",
        server.url,
        server.client_id,
        sender = server.senders[0]
    );
    let exporter = Exporter::start(&config, &[]).await;
    exporter
        .is("cryptshare_transfers_not_found", &[], 1.0)
        .await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    let named = [("name", "year-end report"), ("tracking_id", known.as_str())];
    exporter.is("cryptshare_transfer_info", &named, 1.0).await;
    assert_eq!(
        exporter
            .sum("cryptshare_transfers_vanished_total", &[])
            .await,
        Some(0.0)
    );
}

#[tokio::test]
async fn what_had_ended_before_is_counted_and_not_shown_by_transfer() {
    let server = Server::start(&["--speed", "0", "--senders", "1", "--transfers", "24"]).await;
    let exporter = Exporter::watching(&server, &[]).await;
    exporter
        .is("cryptshare_transfers", &[("state", "failed")], 2.0)
        .await;
    exporter
        .is("cryptshare_transfers", &[("state", "active")], 10.0)
        .await;
    exporter
        .is("cryptshare_transfer_state", &[("state", "active")], 10.0)
        .await;
    let shown = exporter
        .sum("cryptshare_transfer_state", &[("state", "failed")])
        .await;
    assert_eq!(shown, None);
    let id = server.active_transfer().await;
    let labels = [("tracking_id", id.as_str())];
    exporter.is("cryptshare_transfer_state", &labels, 1.0).await;
    server.happen(&id, "revoke", json!({})).await;
    let ended = [
        ("tracking_id", id.as_str()),
        ("state", "deleted_by_revocation"),
    ];
    exporter.is("cryptshare_transfer_state", &ended, 1.0).await;
}
