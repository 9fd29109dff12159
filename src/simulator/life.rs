//! How the simulated world lives: what the clock brings, and what people do.
//!
//! **Invariants.** While time is frozen nobody does anything by chance; what
//! is due by the clock (the end of processing, the cleanup task) comes all the
//! same when the clock is advanced.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use super::{
    names,
    transfer::{Happening, Outcome, SimTransfer, Stage, Way},
    world::World,
};

/// The world is looked at this often, in simulated time.
const STEP: SignedDuration = SignedDuration::from_secs(10);

/// A long leap is taken in at most so many steps.
const MOST_STEPS: i32 = 20_000;

/// The cleanup task runs this long after an expiration, and forgets ended
/// transfers after [`FORGET_AFTER`].
const CLEANUP_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The "automated deletion" of the contract, section 7.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Causes of removals, as the server words them in English.
const CAUSES: [&str; 3] = [
    "A virus was found in this file.",
    "This type of file is not permitted.",
    "The file could not be processed.",
];

/// Fills the world with transfers of the last days, in every state; what
/// happened to them is past and in no total.
pub(super) fn populate(world: &mut World, transfers: usize) {
    let now = world.now();
    for n in 0..transfers {
        let age = SignedDuration::from_mins(world.rng.random_range(20..5_000));
        let begun = now.checked_sub(age).unwrap_or(now);
        let mut plan = world.plan();
        plan.retention = Duration::from_secs(world.rng.random_range(90_000..900_000));
        plan.outcome = Outcome::Active;
        let position = world.create(plan, begun);
        settle(world, position, n, begun);
    }
    let by_age = |a: &SimTransfer, b: &SimTransfer| a.id.cmp(&b.id);
    world.transfers.sort_by(by_age);
    world.mark();
}

/// Puts a transfer of the first population into one of the states in turn.
fn settle(world: &mut World, position: usize, n: usize, begun: Timestamp) {
    let at = begun.checked_add(SignedDuration::from_mins(5));
    let at = at.unwrap_or(begun);
    match n % 12 {
        0 => {}
        1 => fail(world, position, at),
        2 => {
            if let Some(transfer) = world.transfers.get_mut(position) {
                transfer.stage = Stage::Unknown;
                transfer.passed = [Stage::Unknown].into();
            }
        }
        n => {
            enter(world, position, Stage::Active, at);
            for _ in 0..world.rng.random_range(0..6) {
                retrieve(world, position, at);
            }
            mishaps(world, position, at);
            let end = match n {
                3 => Stage::DeletedByExpiration,
                4 => Stage::DeletedByRevocation,
                5 => Stage::DeletedByAdmin,
                6 => Stage::DeletedBySecurity,
                _ => return,
            };
            enter(world, position, end, at);
        }
    }
}

/// Lives through the time since the last look.
pub(super) fn live(world: &mut World) {
    let now = world.now();
    let gap = now.duration_since(world.lived_until);
    let step = STEP.max(gap / MOST_STEPS);
    while now.duration_since(world.lived_until) >= step {
        let at = world.lived_until.checked_add(step).unwrap_or(now);
        world.lived_until = at;
        by_the_clock(world, at);
        if world.time.runs() {
            by_chance(world, at);
        }
    }
}

fn by_the_clock(world: &mut World, at: Timestamp) {
    for position in 0..world.transfers.len() {
        let Some(transfer) = world.transfers.get(position) else {
            continue;
        };
        let since = |date: Timestamp| at.duration_since(date);
        let processed = since(transfer.processed_at) >= SignedDuration::ZERO;
        let overdue = since(transfer.expires_at) >= CLEANUP_AFTER;
        let old = transfer
            .ended_at
            .is_some_and(|end| since(end) >= FORGET_AFTER);
        match transfer.stage {
            Stage::Processing if processed && transfer.outcome == Outcome::Failed => {
                fail(world, position, at);
            }
            Stage::Processing if processed => {
                enter(world, position, Stage::Active, at);
                if world.time.runs() {
                    mishaps(world, position, at);
                }
            }
            Stage::Active if overdue => enter(world, position, Stage::DeletedByExpiration, at),
            Stage::Processing | Stage::Active | Stage::Unknown => {}
            Stage::Failed
            | Stage::DeletedByExpiration
            | Stage::DeletedByRevocation
            | Stage::DeletedByAdmin
            | Stage::DeletedBySecurity => {
                if old && !transfer.forgotten {
                    drop(world.happen(position, &Happening::Forgotten, at));
                }
            }
        }
    }
}

/// What people do in one step: about ten things in a simulated minute.
fn by_chance(world: &mut World, at: Timestamp) {
    if world.rng.random_bool(0.12) {
        let plan = world.plan();
        world.create(plan, at);
    }
    let active: Vec<_> = positions(world, Stage::Active);
    if active.is_empty() {
        return;
    }
    for _ in 0..world.rng.random_range(0..3) {
        let position = *names::pick(&active, &mut world.rng);
        retrieve(world, position, at);
    }
    let position = *names::pick(&active, &mut world.rng);
    let end = match world.rng.random_range(0..100) {
        0..4 => Stage::DeletedByRevocation,
        4..6 => Stage::DeletedByAdmin,
        6..8 => Stage::DeletedBySecurity,
        _ => return,
    };
    enter(world, position, end, at);
}

/// What may go wrong around the end of processing.
fn mishaps(world: &mut World, position: usize, at: Timestamp) {
    if world.rng.random_bool(0.15) {
        let happening = Happening::RecipientNotificationFailed(0);
        drop(world.happen(position, &happening, at));
    }
    if world.rng.random_bool(0.05) {
        drop(world.happen(position, &Happening::SenderNotificationFailed, at));
    }
    if world.rng.random_bool(0.05) {
        drop(world.happen(position, &Happening::EmlFailed, at));
    }
    let files = world.transfers.get(position).map_or(0, |t| t.files.len());
    if files > 1 && world.rng.random_bool(0.15) {
        remove(world, position, 0, at);
    }
}

fn retrieve(world: &mut World, position: usize, at: Timestamp) {
    let Some(transfer) = world.transfers.get(position) else {
        return;
    };
    let (recipients, files) = (transfer.recipients.len(), transfer.files.len());
    let viewed = world.rng.random_bool(0.3);
    let happening = Happening::Retrieved {
        recipient: world.rng.random_range(0..recipients.max(1)),
        file: world.rng.random_range(0..files.max(1)),
        way: if viewed { Way::Viewed } else { Way::Downloaded },
    };
    // A removed file cannot be retrieved; then nothing happens.
    drop(world.happen(position, &happening, at));
}

fn fail(world: &mut World, position: usize, at: Timestamp) {
    let files = world.transfers.get(position).map_or(0, |t| t.files.len());
    for file in 0..files {
        remove(world, position, file, at);
    }
    enter(world, position, Stage::Failed, at);
}

fn remove(world: &mut World, position: usize, file: usize, at: Timestamp) {
    let cause = (*names::pick(&CAUSES, &mut world.rng)).to_owned();
    drop(world.happen(position, &Happening::FileRemoved { file, cause }, at));
}

fn enter(world: &mut World, position: usize, stage: Stage, at: Timestamp) {
    drop(world.happen(position, &Happening::Entered(stage), at));
}

fn positions(world: &World, stage: Stage) -> Vec<usize> {
    let is = |(_, transfer): &(usize, &SimTransfer)| transfer.stage == stage;
    let all = world.transfers.iter().enumerate();
    all.filter(is).map(|(position, _)| position).collect()
}
