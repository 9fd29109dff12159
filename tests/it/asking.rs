//! How much is asked of a server, in which version of the API, and what is made
//! of listings that miss something.

use serde_json::{Value, json};

use crate::{
    oracle,
    rig::{Exporter, Sample, Server, config, eventually, sum},
};

const REQUESTS: &str = "cryptshare_exporter_api_requests_total";
const POLLS: &str = "cryptshare_exporter_polls_total";
const TRANSFERS: &str = "cryptshare_transfers";
const VANISHED: &str = "cryptshare_transfers_vanished_total";
const VERSION: &str = "cryptshare_exporter_api_version_info";

/// One sender with 2,000 transfers, 1,800 of which have ended.
async fn server(more: &[&str]) -> Server {
    let fixed = "--speed 0 --senders 1 --transfers 2000 --ended 0.9";
    let fixed: Vec<_> = fixed.split(' ').collect();
    Server::start(&[fixed.as_slice(), more].concat()).await
}

/// A server with 90 of them, of which 40 have ended.
async fn small(more: &[&str]) -> Server {
    let fixed = "--speed 0 --senders 1 --transfers 90 --ended 0.4";
    let fixed: Vec<_> = fixed.split(' ').collect();
    Server::start(&[fixed.as_slice(), more].concat()).await
}

/// A configuration with the listing interval that operators have.
fn hourly(server: &Server) -> String {
    config(server, "").replace("listing_interval = \"1s\"", "listing_interval = \"1h\"")
}

/// The same with time to look between two rounds.
fn unhurried(server: &Server) -> String {
    hourly(server).replace("poll_interval = \"1s\"", "poll_interval = \"5s\"")
}

/// The numbers of transfers that live and that have ended.
async fn count(server: &Server) -> (usize, usize) {
    let truth = server.truth().await;
    let told = oracle::transfers(&truth["senders"][&server.senders[0]]);
    let ended = told.values().filter(|told| told.has_ended()).count();
    (told.len() - ended, ended)
}

const fn pages(transfers: usize) -> usize {
    transfers.div_ceil(100)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// The sum of a family as a whole number.
fn whole(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> usize {
    let sum = sum(samples, name, labels).unwrap_or_default();
    sum.to_string().parse().unwrap()
}

/// How often `endpoint` was asked by now; all of them if it is empty.
fn asked(samples: &[Sample], endpoint: &str) -> usize {
    let labels = [("endpoint", endpoint)];
    let labels = if endpoint.is_empty() {
        &[][..]
    } else {
        &labels
    };
    whole(samples, REQUESTS, labels)
}

/// What is shown once so many polls have ended, and before the next one.
async fn after_polls(exporter: &Exporter, polls: usize) -> Vec<Sample> {
    eventually("so many polls", async || {
        let samples = exporter.samples().await;
        let ended = whole(&samples, POLLS, &[]);
        assert!(ended <= polls, "missed the moment: {ended} polls");
        (ended >= polls).then_some(samples)
    })
    .await
}

#[tokio::test]
async fn a_server_that_lists_whole_transfers_is_asked_for_pages_alone() {
    let server = server(&["--api-minor", "13"]).await;
    let (living, ended) = count(&server).await;
    let exporter = Exporter::start(&unhurried(&server), &[]).await;
    let first = after_polls(&exporter, 1).await;
    exporter.is(TRANSFERS, &[], number(living + ended)).await;
    let all = asked(&first, "");
    assert!(all <= pages(living + ended) + 5, "{all} requests");
    let second = after_polls(&exporter, 2).await;
    let more = asked(&second, "") - all;
    assert!(more <= pages(living) + 3, "{more} requests");
    assert_eq!(asked(&second, "transfer_status"), 0);
    let minor = sum(&second, VERSION, &[("minor", "12")]);
    assert_eq!(minor, Some(1.0));
    exporter.line_of_each(&["transfers are read in bulk"]).await;
    // What leaves the ones that live is read singly, and once.
    let truth = server.truth().await;
    let told = oracle::transfers(&truth["senders"][&server.senders[0]]);
    let mut active = told.iter().filter(|(_, told)| told.state == "active");
    let (oldest, _) = active.next().unwrap();
    server.happen(oldest, "revoke", json!({})).await;
    let revoked = [("state", "deleted_by_revocation")];
    let transitions = "cryptshare_state_transitions_total";
    exporter.is(transitions, &revoked, 1.0).await;
    exporter.polls(2.0).await;
    let later = exporter.samples().await;
    assert_eq!(asked(&later, "transfer_status"), 1);
}

#[tokio::test]
async fn an_older_server_is_asked_singly_for_what_has_not_ended() {
    let server = server(&[]).await;
    let (living, ended) = count(&server).await;
    let exporter = Exporter::start(&unhurried(&server), &[]).await;
    let first = after_polls(&exporter, 1).await;
    exporter.is(TRANSFERS, &[], number(living + ended)).await;
    assert_eq!(asked(&first, "transfer_status"), living);
    let lists = asked(&first, "transfers");
    assert!(lists <= pages(living + ended) + 1, "{lists} pages");
    let second = after_polls(&exporter, 2).await;
    assert_eq!(asked(&second, "transfers") - lists, 1);
    assert!(asked(&second, "transfer_status") <= 2 * living);
    assert_eq!(sum(&second, VERSION, &[("minor", "8")]), Some(1.0));
    let how = "transfers are read one by one";
    exporter.line_of_each(&[how]).await;
}

/// Falls back to reading one by one, and goes on so.
async fn check_fallback(server: &Server) {
    let (living, ended) = count(server).await;
    let exporter = Exporter::start(&hourly(server), &[]).await;
    exporter.is(TRANSFERS, &[], number(living + ended)).await;
    exporter.is(VERSION, &[("minor", "8")], 1.0).await;
    exporter.is("cryptshare_up", &[], 1.0).await;
    exporter.polls(2.0).await;
    let before = exporter.samples().await;
    exporter.polls(3.0).await;
    let after = exporter.samples().await;
    let bulk = asked(&after, "sent_transfers");
    assert_eq!(bulk, asked(&before, "sent_transfers"), "not tried again");
    assert!(asked(&after, "transfers") > asked(&before, "transfers"));
    let lines = exporter.process.lines();
    let told = lines.iter().filter(|line| line.contains("one by one"));
    assert_eq!(told.count(), 1, "{lines:?}");
    assert_eq!(sum(&after, VERSION, &[]), Some(1.0), "one version a server");
    let failures = sum(&after, "cryptshare_exporter_poll_failures_total", &[]);
    assert_eq!(failures, Some(0.0));
}

#[tokio::test]
async fn a_bulk_list_that_leaves_out_what_is_needed_is_not_asked_for() {
    let quirk = ["--api-minor", "12", "--quirk", "bulk-without-lists"];
    check_fallback(&small(&quirk).await).await;
}

#[tokio::test]
async fn a_bulk_list_that_is_refused_gives_way_to_the_other() {
    for (status, code) in [(404, 2004), (406, 0), (404, 2003), (400, 1004), (404, 1006)] {
        let server = small(&["--api-minor", "12"]).await;
        let refusal = json!({"kind": "status", "status": status, "errorCode": code,
                             "endpoint": "sent_transfers"});
        server.faults(json!([refusal])).await;
        check_fallback(&server).await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_say_its_version_is_read_in_bulk_all_the_same() {
    for fault in [
        json!({"kind": "status", "status": 500}),
        json!({"kind": "stall"}),
        json!({"kind": "reset"}),
        json!({"kind": "html"}),
    ] {
        let server = small(&["--api-minor", "13"]).await;
        let mut fault = fault;
        fault["endpoint"] = json!("api_status");
        server.faults(json!([fault])).await;
        let exporter = Exporter::start(&hourly(&server), &[]).await;
        exporter.is(VERSION, &[("minor", "12")], 1.0).await;
        exporter.polls(2.0).await;
        let samples = exporter.samples().await;
        assert_eq!(sum(&samples, "cryptshare_up", &[]), Some(1.0));
        assert_eq!(asked(&samples, "api_status"), 1);
        assert_eq!(asked(&samples, "transfers"), 0);
    }
}

#[tokio::test]
async fn a_server_that_throttles_the_question_for_its_version_is_left_alone() {
    let server = small(&["--api-minor", "13"]).await;
    let throttled = json!({"kind": "status", "status": 429, "errorCode": 2007, "retryAfter": 3600,
                           "endpoint": "api_status"});
    server.faults(json!([throttled])).await;
    let exporter = Exporter::start(&hourly(&server), &[]).await;
    exporter.is("cryptshare_up", &[], 0.0).await;
    let before = asked(&exporter.samples().await, "");
    exporter.polls(3.0).await;
    let samples = exporter.samples().await;
    assert_eq!(asked(&samples, ""), before, "Retry-After is honored");
    let why = [("reason", "throttled")];
    let failures = sum(&samples, "cryptshare_exporter_poll_failures_total", &why);
    assert!(failures.unwrap() >= 3.0);
}

#[tokio::test]
async fn a_list_that_is_empty_in_maintenance_lets_nothing_vanish() {
    for minor in ["8", "12"] {
        let server = small(&["--api-minor", minor]).await;
        let (living, ended) = count(&server).await;
        let exporter = Exporter::start(&hourly(&server), &[]).await;
        exporter.is(TRANSFERS, &[], number(living + ended)).await;
        exporter.polls(2.0).await;
        server.faults(json!([{"kind": "empty_list"}])).await;
        exporter
            .line_of_each(&["a listing misses many transfers"])
            .await;
        exporter.polls(3.0).await;
        let samples = exporter.samples().await;
        assert_eq!(whole(&samples, TRANSFERS, &[]), living + ended);
        assert_eq!(sum(&samples, VANISHED, &[]), Some(0.0));
        server.faults(json!([])).await;
        exporter.polls(2.0).await;
        let samples = exporter.samples().await;
        assert_eq!(whole(&samples, TRANSFERS, &[]), living + ended);
        assert_eq!(sum(&samples, VANISHED, &[]), Some(0.0));
    }
}

#[tokio::test]
async fn what_is_truly_gone_vanishes_once() {
    for minor in ["8", "12"] {
        let server = small(&["--api-minor", minor]).await;
        let (living, ended) = count(&server).await;
        let exporter = Exporter::start(&hourly(&server), &[]).await;
        exporter.is(TRANSFERS, &[], number(living + ended)).await;
        exporter.polls(1.0).await;
        let truth = server.truth().await;
        let told = oracle::transfers(&truth["senders"][&server.senders[0]]);
        for (id, _) in told.iter().filter(|(_, told)| !told.has_ended()) {
            server.happen(id, "forget", json!({})).await;
        }
        exporter.is(VANISHED, &[], number(living)).await;
        exporter.is(TRANSFERS, &[], number(ended)).await;
        exporter.polls(3.0).await;
        exporter.is(VANISHED, &[], number(living)).await;
    }
}

#[tokio::test]
async fn what_lives_alone_is_discovered_and_what_ends_stays_for_a_while() {
    for minor in ["8", "13"] {
        let server = server(&["--api-minor", minor]).await;
        let (living, _) = count(&server).await;
        let text = format!(
            "discover = \"active\"\nkeep_ended = \"5s\"\n{}",
            hourly(&server)
        );
        let text = text.replacen("[defaults]\n", "", 1);
        let text = format!("[defaults]\n{text}");
        let exporter = Exporter::start(&text, &[]).await;
        exporter.is(TRANSFERS, &[], number(living)).await;
        exporter.polls(2.0).await;
        exporter.is(TRANSFERS, &[], number(living)).await;
        if minor == "13" {
            let samples = exporter.samples().await;
            let (asked, polls) = (
                asked(&samples, "sent_transfers"),
                whole(&samples, POLLS, &[]),
            );
            assert!(asked <= (polls + 1) * (pages(living) + 2), "{asked} pages");
        }
        let id = server.active_transfer().await;
        exporter.is(TRANSFERS, &[], number(living + 1)).await;
        exporter.is(TRANSFERS, &[("state", "failed")], 0.0).await;
        server.happen(&id, "revoke", json!({})).await;
        let revoked = [("state", "deleted_by_revocation")];
        exporter.is(TRANSFERS, &revoked, 1.0).await;
        exporter.is(TRANSFERS, &[], number(living)).await;
        exporter.is(TRANSFERS, &revoked, 0.0).await;
        exporter.is(VANISHED, &[], 0.0).await;
        let transitions = "cryptshare_state_transitions_total";
        exporter.is(transitions, &revoked, 1.0).await;
    }
}

#[tokio::test]
async fn an_outage_of_one_server_changes_nothing_for_another() {
    let sick = small(&["--api-minor", "12"]).await;
    let well = small(&["--seed", "2"]).await;
    let second = hourly(&well);
    let (_, second) = second.split_once("[[server]]").unwrap();
    let second = second.replace("name = \"sim\"", "name = \"well\"");
    let text = format!("{}\n[[server]]{second}", hourly(&sick));
    let exporter = Exporter::start(&text, &[]).await;
    let (up, of) = ("cryptshare_up", |name| [("server", name)]);
    exporter.is(up, &of("sim"), 1.0).await;
    exporter.is(up, &of("well"), 1.0).await;
    let failures = "cryptshare_exporter_poll_failures_total";
    for fault in [
        json!({"kind": "stall"}),
        json!({"kind": "status", "status": 503}),
        json!({"kind": "status", "status": 429, "retryAfter": 2}),
        json!({"kind": "expired_token"}),
        json!({"kind": "empty_list"}),
        json!({"kind": "html"}),
    ] {
        sick.faults(json!([fault])).await;
        well_goes_on(&exporter).await;
        let samples = exporter.samples().await;
        assert_eq!(sum(&samples, up, &of("well")), Some(1.0), "{fault}");
        assert_eq!(sum(&samples, failures, &of("well")), Some(0.0), "{fault}");
    }
    sick.faults(Value::Array(Vec::new())).await;
    exporter.is(up, &of("sim"), 1.0).await;
    exporter.is(TRANSFERS, &of("well"), 90.0).await;
}

/// The server that is well is polled five times within twice their intervals.
async fn well_goes_on(exporter: &Exporter) {
    let polls = async || exporter.sum(POLLS, &[("server", "well")]).await.unwrap();
    let (begin, before) = (tokio::time::Instant::now(), polls().await);
    eventually("polls of the other server", async || {
        (polls().await >= before + 5.0).then_some(())
    })
    .await;
    let took = begin.elapsed().as_secs_f64();
    assert!(took <= 10.0, "{took} s for five polls");
}

#[tokio::test]
async fn the_log_says_why_a_transfer_is_read_again_when() {
    let server = small(&["--api-minor", "8"]).await;
    server
        .post(
            "transfers",
            json!({"sender": server.senders[0], "state": "pending"}),
        )
        .await;
    server
        .post(
            "transfers",
            json!({"sender": server.senders[0], "processing_seconds": 1_000_000}),
        )
        .await;
    let debug = ["--log.level", "debug"];
    let text = hourly(&server).replace("processing_interval = \"1s\"", "");
    let text = text.replace("poll_interval = \"1s\"", "poll_interval = \"10s\"");
    let exporter = Exporter::start(&text, &debug).await;
    for (state, why, seconds) in [
        ("active", "it is active", "10"),
        ("pending", "its state rarely changes", "3600"),
        ("processing", "it is being processed", "5"),
    ] {
        let line = async |line: &str| {
            let is = line.contains("read a transfer") && line.contains(&format!("state={state}"));
            is.then(|| line.to_owned())
        };
        let found = eventually(why, async || {
            for one in exporter.process.lines() {
                if let Some(found) = line(&one).await {
                    return Some(found);
                }
            }
            None
        });
        let found = found.await;
        assert!(found.contains(&format!("why=\"{why}\"")), "{found}");
        assert!(
            found.contains(&format!("next_read_seconds={seconds}")),
            "{found}"
        );
    }
    let id = server.active_transfer().await;
    exporter.is(TRANSFERS, &[("state", "active")], 51.0).await;
    server.happen(&id, "revoke", json!({})).await;
    exporter.line_of_each(&["why=\"it has ended\""]).await;
    let bulk = small(&["--api-minor", "12"]).await;
    let exporter = Exporter::start(&hourly(&bulk), &debug).await;
    exporter
        .line_of_each(&["why=\"listings tell all of it\""])
        .await;
}
