//! The control API under `/_sim/`: the oracle and the levers.
//!
//! **Invariants.** Only tests and people use it; no Cryptshare server has it.

use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    asked::Asked,
    fault::Fault,
    letter::{Security, Way},
    life,
    quirk::Quirks,
    reply::Reply,
    secrets,
    transfer::{Happening, Origin, Outcome as Ending, Stage},
    truth,
    world::World,
};

/// The highest speed: 1,000,000 simulated seconds for each real one.
const FASTEST: f64 = 1e6;

/// The body of `POST /_sim/transfers`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewTransfer {
    sender: String,
    files: Option<Vec<NewFile>>,
    recipients: Option<Vec<String>>,
    processing_seconds: Option<u64>,
    retention_seconds: Option<u64>,
    outcome: Option<String>,
    state: Option<String>,
    security_mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFile {
    name: String,
    size: u64,
}

/// The body of `POST /_sim/transfers/{id}/{event}`: positions from 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Which {
    recipient: usize,
    file: usize,
    cause: Option<String>,
}

/// The body of `POST /_sim/clock`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Clock {
    advance_seconds: u64,
    speed: Option<f64>,
}

/// A body that says nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

type Outcome = Result<(u16, Value), (u16, String)>;

/// Answers a request of the control API.
pub(super) fn answer(world: &mut World, asked: &Asked) -> Reply {
    life::live(world);
    let path = asked.uri.path().to_owned();
    let segments: Vec<_> = path.split('/').skip(2).collect();
    let (status, body) = match route(world, asked, &segments) {
        Ok((status, body)) => (status, body),
        Err((status, error)) => (status, json!({"error": error})),
    };
    let mut reply = Reply::json(status, &body);
    reply.date = Some(world.now());
    reply
}

fn route(world: &mut World, asked: &Asked, segments: &[&str]) -> Outcome {
    let (get, post) = (asked.method == Method::GET, asked.method == Method::POST);
    match segments {
        ["truth"] if get => Ok((200, truth::of_world(world))),
        ["totals"] if get => Ok((200, truth::totals(world))),
        ["secrets"] if get => Ok((200, secrets::of_world(world))),
        ["mark"] if post => {
            let Nothing {} = body(asked)?;
            world.mark();
            Ok((200, json!({})))
        }
        ["transfers"] if post => create(world, body(asked)?),
        ["transfers", id, event] if post => happen(world, id, event, &body(asked)?),
        ["clock"] if post => clock(world, &body(asked)?),
        ["requests"] if get => Ok((200, json!(world.requests))),
        ["faults"] if get => Ok((200, json!(world.faults.list()))),
        ["faults"] if asked.method == Method::PUT => {
            let faults: Vec<Fault> = body(asked)?;
            faults
                .iter()
                .try_for_each(Fault::check)
                .map_err(|wrong| (400, wrong))?;
            world.faults.set(faults);
            Ok((200, json!(world.faults.list())))
        }
        ["quirks"] if get => Ok((200, json!(world.quirks.shares()))),
        ["quirks"] if asked.method == Method::PUT => {
            world.quirks = Quirks::read(&body(asked)?).map_err(|wrong| (400, wrong))?;
            Ok((200, json!(world.quirks.shares())))
        }
        ["mailbox"] if get => {
            let address = asked.query("email");
            let address = address.ok_or((400, "email is missing".to_owned()))?;
            Ok((200, json!(world.mailboxes.of(&address))))
        }
        ["verification"] if get => Ok((200, json!(world.verification))),
        ["verification"] if asked.method == Method::PUT => {
            world.verification = body(asked)?;
            world.tokens.set_terms(world.verification.terms());
            Ok((200, json!(world.verification)))
        }
        ["policy"] if get => Ok((200, json!(world.policy))),
        ["policy"] if asked.method == Method::PUT => {
            world.set_policy(body(asked)?);
            Ok((200, json!(world.policy)))
        }
        ["verification", "reset"] if post => {
            let Nothing {} = body(asked)?;
            world.tokens.reset();
            Ok((200, json!({})))
        }
        _ => Err((404, "there is no such control".to_owned())),
    }
}

/// The request's body; an empty one is an empty object.
fn body<T: for<'de> Deserialize<'de>>(asked: &Asked) -> Result<T, (u16, String)> {
    asked.json().map_err(|error| (400, error.to_string()))
}

/// Another speed holds from now on; an advance comes on top, at once.
fn clock(world: &mut World, wanted: &Clock) -> Outcome {
    if let Some(speed) = wanted.speed {
        if !(0.0..=FASTEST).contains(&speed) {
            return Err((400, format!("speed is from 0 to {FASTEST}")));
        }
        world.time.set_speed(speed);
    }
    world
        .time
        .advance(Duration::from_secs(wanted.advance_seconds));
    life::live(world);
    Ok((200, json!({"now": world.now().to_string()})))
}

fn create(world: &mut World, wanted: NewTransfer) -> Outcome {
    let sender = world.sender(&wanted.sender);
    let sender = sender.ok_or((404, "there is no such sender".to_owned()))?;
    let mut plan = world.plan();
    plan.sender = sender;
    plan.outcome = match wanted.outcome.as_deref() {
        None | Some("active") => Ending::Active,
        Some("failed") => Ending::Failed,
        Some(_) => return Err((400, "outcome is active or failed".to_owned())),
    };
    plan.stage = match wanted.state.as_deref() {
        None | Some("processing") => Stage::Processing,
        Some("pending") => Stage::Pending,
        Some("unknown") => Stage::Unknown,
        Some("archived") => Stage::Archived,
        Some(_) => {
            let error = "state is processing, pending, unknown or archived";
            return Err((400, error.to_owned()));
        }
    };
    if let Some(wanted) = wanted.security_mode {
        let mut modes = Security::ALL.into_iter();
        let mode = modes.find(|mode| mode.word() == wanted);
        let error = || (400, "there is no such security_mode".to_owned());
        plan.security = mode.ok_or_else(error)?;
    }
    plan.origin = Origin::Control;
    let is_empty = |count: Option<usize>| count == Some(0);
    let (files, recipients) = (wanted.files.as_ref(), wanted.recipients.as_ref());
    if is_empty(files.map(Vec::len)) || is_empty(recipients.map(Vec::len)) {
        let error = "a transfer has a file and a recipient at least";
        return Err((400, error.to_owned()));
    }
    if let Some(files) = wanted.files {
        plan.files = files.into_iter().map(|f| (f.name, f.size)).collect();
    }
    if let Some(recipients) = wanted.recipients {
        plan.fetchers = plan.fetchers.min(recipients.len());
        plan.recipients = recipients;
    }
    let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
    plan.processing = seconds(wanted.processing_seconds, plan.processing);
    plan.retention = seconds(wanted.retention_seconds, plan.retention);
    let now = world.now();
    let position = world.create(plan, now);
    let transfer = world.transfers.get(position);
    let transfer = transfer.ok_or((500, "the transfer is gone".to_owned()))?;
    let files: Vec<_> = transfer.files.iter().map(|file| &file.id).collect();
    let recipients: Vec<_> = transfer.recipients.iter().map(|r| &r.id).collect();
    let body = json!({"trackingId": transfer.id, "files": files, "recipients": recipients});
    Ok((201, body))
}

fn happen(world: &mut World, id: &str, event: &str, which: &Which) -> Outcome {
    let position = world.index.find(id);
    let position = position.ok_or((404, "there is no such transfer".to_owned()))?;
    let now = world.now();
    let transfer = world.transfers.get(position);
    let is_processing = transfer.is_some_and(|t| t.stage == Stage::Processing);
    if event == "fail" && is_processing {
        let files = transfer.map_or(0, |t| t.files.len());
        for file in 0..files {
            // One that is removed already stays so.
            drop(world.happen(position, &removal(file, which), now));
        }
    }
    let happening = happening(event, which).ok_or((404, "there is no such event".to_owned()))?;
    world
        .happen(position, &happening, now)
        .map_err(|conflict| (409, conflict))?;
    Ok((200, json!({})))
}

fn happening(event: &str, which: &Which) -> Option<Happening> {
    let retrieved = |way| Happening::Retrieved {
        recipient: which.recipient,
        file: which.file,
        way,
    };
    Some(match event {
        "retrieve" => retrieved(Way::Downloaded),
        "view" => retrieved(Way::Viewed),
        "print" => retrieved(Way::Printed),
        "finalize" => Happening::Entered(Stage::Processing),
        "archive" => Happening::Entered(Stage::Archived),
        "activate" => Happening::Entered(Stage::Active),
        "fail" => Happening::Entered(Stage::Failed),
        "revoke" => Happening::Entered(Stage::DeletedByRevocation),
        "admin_delete" => Happening::Entered(Stage::DeletedByAdmin),
        "security_delete" => Happening::Entered(Stage::DeletedBySecurity),
        "cleanup" => Happening::Entered(Stage::DeletedByExpiration),
        "expire" => Happening::Expired,
        "notification_failure" => Happening::RecipientNotificationFailed(which.recipient),
        "sender_notification_failure" => Happening::SenderNotificationFailed,
        "eml_failure" => Happening::EmlFailed,
        "remove_file" => removal(which.file, which),
        "forget" => Happening::Forgotten,
        _ => return None,
    })
}

fn removal(file: usize, which: &Which) -> Happening {
    let cause = which.cause.clone();
    Happening::FileRemoved {
        file,
        cause: cause.unwrap_or_else(|| "A virus was found in this file.".to_owned()),
    }
}
