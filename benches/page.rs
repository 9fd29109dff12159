//! What a server answers, for the bench of the poll and the count of its
//! instructions: a bulk page of 100 transfers, each with three recipients and
//! three files, and one of them read singly.
//!
//! **Invariants.** The bodies are the simulator's, byte for byte the same at
//! each run.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use cryptshare_exporter::{
    cryptshare::answers,
    ledger::{Ledger, Settings, Watching},
    model::{Finding, Observation, Scope, SenderId, TrackingId, Transfer},
    simulator::{Quirks, Scenario, Simulator},
};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// Transfers of a page.
pub(crate) const PAGE: usize = 100;

/// The sender's address.
pub(crate) const ADDRESS: &str = "invoices@example.com";

/// Who retrieves which file before and after the change: recipients and files
/// by their positions.
const BEFORE: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (2, 2)];
const AFTER: (usize, usize) = (1, 2);

/// The answers of a server.
pub(crate) struct Answers {
    /// The page when each transfer has four retrievals.
    pub(crate) before: Bytes,
    /// The page when each has five.
    pub(crate) after: Bytes,
    /// The transfer that is read singly.
    pub(crate) id: TrackingId,
    /// Its status.
    pub(crate) status: Bytes,
}

impl Answers {
    /// What the simulator answers.
    pub(crate) fn of_simulator() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let simulator = Simulator::bind(([127, 0, 0, 1], 0).into(), scenario());
            let simulator = simulator.await.unwrap();
            let mut world = World::new(&simulator);
            let server = simulator.serve(CancellationToken::new());
            tokio::select! {
                _ = server => unreachable!("it answers until it is stopped"),
                answers = world.answers() => answers,
            }
        })
    }
}

/// The time stands still, and nothing happens of itself.
fn scenario() -> Scenario {
    Scenario {
        seed: 1,
        speed: 0.0,
        senders: 1,
        transfers: 0,
        activity: 0.0,
        api_minor: 12,
        ended: None,
        quirks: Quirks::default(),
        faults: Vec::new(),
        start: at(),
    }
}

/// The date of everything.
pub(crate) fn at() -> Timestamp {
    "2026-04-01T08:15:00Z".parse().unwrap()
}

/// The simulator, as its client and its master.
struct World {
    http: reqwest::Client,
    url: String,
    sender: String,
    client_id: String,
    token: String,
}

impl World {
    fn new(simulator: &Simulator) -> Self {
        Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: simulator.base_url(),
            sender: simulator.senders().remove(0),
            client_id: simulator.client_id(),
            token: String::new(),
        }
    }

    async fn answers(&mut self) -> Answers {
        let own = format!("api/users/{}", self.sender);
        let token = format!("{own}/verification/token");
        let grant = self.ask(Method::POST, &token, json!({})).await;
        let grant: Value = serde_json::from_slice(&grant).unwrap();
        self.token = grant["data"]["token"].as_str().unwrap().into();
        let mut ids = Vec::new();
        for _ in 0..PAGE {
            ids.push(self.create().await);
        }
        let id = TrackingId::parse(&ids[0]).unwrap();
        let fields = answers::FIELDS;
        let page = format!("{own}/transfers/sent-transfers?page-size={PAGE}&fields={fields}");
        let before = self.get(&page).await;
        for id in &ids {
            self.retrieve(id, AFTER).await;
        }
        Answers {
            before,
            after: self.get(&page).await,
            status: self.get(&format!("{own}/transfers/{id}")).await,
            id,
        }
    }

    /// A new transfer that is active, and some of which is retrieved.
    async fn create(&self) -> String {
        let file = |n| json!({"name": format!("{n}.pdf"), "size": 1_000_000});
        let recipient = |n| json!(format!("{n}@example.org"));
        let wanted = json!({
            "sender": self.sender,
            "state": "pending",
            "files": [file(1), file(2), file(3)],
            "recipients": [recipient(1), recipient(2), recipient(3)],
        });
        let made = self.ask(Method::POST, "_sim/transfers", wanted).await;
        let made: Value = serde_json::from_slice(&made).unwrap();
        let id = made["trackingId"].as_str().unwrap();
        for event in ["finalize", "activate"] {
            self.happen(id, event, json!({})).await;
        }
        for place in BEFORE {
            self.retrieve(id, place).await;
        }
        id.to_owned()
    }

    async fn retrieve(&self, id: &str, (recipient, file): (usize, usize)) {
        let which = json!({"recipient": recipient, "file": file});
        self.happen(id, "retrieve", which).await;
    }

    async fn happen(&self, id: &str, event: &str, which: Value) {
        let path = format!("_sim/transfers/{id}/{event}");
        self.ask(Method::POST, &path, which).await;
    }

    async fn get(&self, path: &str) -> Bytes {
        self.ask(Method::GET, path, Value::Null).await
    }

    /// The answer must be good.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Bytes {
        let request = self.http.request(method, format!("{}/{path}", self.url));
        let request = request
            .header("X-CS-MajorApiVersion", "1")
            .header("X-CS-MinimumMinorApiVersion", "12")
            .header("X-CS-ProductKey", "api.rest")
            .header("X-CS-ClientId", &self.client_id)
            .header("X-CS-VerificationToken", &self.token)
            .body(if body.is_null() {
                String::new()
            } else {
                body.to_string()
            });
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.bytes().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body:?}");
        body
    }
}

/// The sender whose transfers these are.
pub(crate) fn sender() -> SenderId {
    SenderId::new("prod", ADDRESS)
}

/// A ledger that discovers the sender's transfers and has seen `body`; nothing
/// of it is pending.
pub(crate) fn ledger(body: &[u8]) -> Ledger {
    let watching = Watching {
        scope: Scope::EVERYTHING,
        named: BTreeMap::new(),
        keep_ended: Duration::from_hours(24),
    };
    let settings = Settings {
        senders: vec![(sender(), watching)],
        ..Settings::default()
    };
    let mut ledger = Ledger::new(settings, at());
    let (ids, ended, scope) = (Vec::new(), at(), Scope::EVERYTHING);
    take_in(&mut ledger, Finding::Listed { ids, ended, scope });
    merge(&mut ledger, decode(body));
    ledger.settle();
    ledger
}

/// Decodes and translates a page.
#[inline(never)]
pub(crate) fn decode(body: &[u8]) -> Vec<Transfer> {
    answers::bulk(body).unwrap().value.transfers
}

/// Merges a page; the answer is how many events it brought.
#[inline(never)]
pub(crate) fn merge(ledger: &mut Ledger, page: Vec<Transfer>) -> usize {
    take_in(ledger, Finding::Seen(page))
}

fn take_in(ledger: &mut Ledger, finding: Finding) -> usize {
    let observation = Observation {
        sender: sender(),
        at: at(),
        finding,
    };
    ledger.apply(observation).len()
}
