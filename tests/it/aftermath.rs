//! Every fault there is befalls the exporter while things happen; when it is
//! over, every series is what the truth says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};

use crate::{
    oracle::{self, Watch},
    rig::{Exporter, Server, config},
    truth::{quiet, settle},
};

/// Faults that one exporter lives through.
const TOGETHER: usize = 3;

/// Each kind of fault, and its varieties.
fn faults() -> Vec<Value> {
    vec![
        json!({"kind": "latency", "milliseconds": 4_000}),
        json!({"kind": "latency", "milliseconds": 300, "share": 0.5}),
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 502, "share": 0.5}),
        json!({"kind": "status", "status": 503, "retryAfter": 1}),
        json!({"kind": "status", "status": 429, "errorCode": 2007, "retryAfter": 1}),
        json!({"kind": "status", "status": 429}),
        json!({"kind": "status", "status": 404, "errorCode": 2004}),
        json!({"kind": "status", "status": 403, "errorCode": 3001}),
        json!({"kind": "stall", "share": 0.5}),
        json!({"kind": "reset"}),
        json!({"kind": "truncated"}),
        json!({"kind": "html", "status": 503}),
        json!({"kind": "html"}),
        json!({"kind": "oversized", "bytes": 2_000_000}),
        json!({"kind": "wrong_type"}),
        json!({"kind": "content_type"}),
        json!({"kind": "expired_token", "share": 0.3}),
        json!({"kind": "clock_skew", "skewSeconds": 20_000}),
        json!({"kind": "shifted_page", "items": 3}),
        json!({"kind": "shifted_page", "items": -3}),
        json!({"kind": "duplicate_items"}),
        json!({"kind": "corrupt_item"}),
        json!({"kind": "empty_list"}),
        json!({"kind": "redirect"}),
        json!({"kind": "redirect_loop"}),
    ]
}

/// The kinds that the server knows, as it says them when it is asked for
/// another.
pub async fn kinds() -> BTreeSet<String> {
    let server = Server::start(&["--transfers", "0"]).await;
    let url = format!("{}/_sim/faults", server.url);
    let wrong = json!([{"kind": "nothing"}]).to_string();
    let client = reqwest::Client::builder().build().unwrap();
    let request = client.put(url).body(wrong);
    let answer = crate::stranger::send(request).await.json();
    let error = answer["error"].as_str().unwrap();
    let (_, known) = error.split_once("expected one of").unwrap();
    let known = known.split('`').skip(1).step_by(2);
    known.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_whole_truth_is_told_after_every_fault() {
    let faults = faults();
    let kind = |fault: &Value| fault["kind"].as_str().unwrap().to_owned();
    assert_eq!(
        faults.iter().map(kind).collect::<BTreeSet<_>>(),
        kinds().await
    );
    let (local, mut stories) = (LocalSet::new(), JoinSet::new());
    for (minor, faults) in ["8", "13"].into_iter().cycle().zip(faults.chunks(TOGETHER)) {
        stories.spawn_local_on(live_through(minor, faults.to_vec()), &local);
    }
    local.run_until(stories.join_all()).await;
}

/// Lets the totals begin at a quiet moment, before an exporter comes.
pub async fn begin(server: &Server) -> Watch {
    let before = quiet(server).await;
    server.post("mark", json!({})).await;
    let senders = before["senders"].as_object().unwrap().values();
    let transfers = senders.flat_map(oracle::transfers);
    let ended = transfers.filter(|(_, told)| told.has_ended());
    Watch {
        ended_before: ended.map(|(id, _)| id).collect(),
        named: BTreeMap::new(),
        missed_by: String::new(),
    }
}

/// One fault after the other.
async fn live_through(minor: &'static str, faults: Vec<Value>) {
    let arguments = ["--speed", "0", "--senders", "1", "--transfers", "120"];
    let server = Server::start(&[&arguments[..], &["--api-minor", minor]].concat()).await;
    let watch = begin(&server).await;
    let text = config(&server, "max_response_bytes = 1000000");
    let exporter = Exporter::start(&text, &[]).await;
    settle(&server, &exporter, &watch).await;
    let mut known = server.active_transfer().await;
    for fault in faults {
        server.faults(json!([fault])).await;
        exporter.polls(1.0).await;
        known = happen(&server, &known).await;
        exporter.polls(1.0).await;
        server.faults(json!([])).await;
        settle(&server, &exporter, &watch).await;
    }
}

/// A transfer comes and another, `known`, goes, and what may befall them does;
/// the answer is the one that came.
async fn happen(server: &Server, known: &str) -> String {
    let new = server.active_transfer().await;
    for (id, event, file) in [
        (known, "retrieve", 1),
        (&new, "view", 0),
        (&new, "retrieve", 1),
        (&new, "remove_file", 0),
        (&new, "notification_failure", 0),
        (&new, "eml_failure", 0),
        (known, "sender_notification_failure", 0),
        (known, "admin_delete", 0),
    ] {
        server.happen(id, event, json!({"file": file})).await;
    }
    new
}
