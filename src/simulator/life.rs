//! How the simulated world lives: what the clock brings, and what people do.
//!
//! **Invariants.** While time is frozen nobody does anything by chance; what
//! is due by the clock (the end of processing, the cleanup task) comes all the
//! same when the clock is advanced.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use super::{
    letter::Way,
    names,
    quirk::Quirk,
    scan,
    transfer::{Happening, Outcome, Stage},
    world::World,
};

/// The world is looked at this often, in simulated time.
const STEP: SignedDuration = SignedDuration::from_secs(10);

/// A long leap is taken in at most so many steps.
const MOST_STEPS: i32 = 20_000;

/// What people do in a simulated second, however few transfers there are.
const PACE: f64 = 0.12;

/// Causes of removals, as the server words them in English.
const CAUSES: [&str; 3] = [
    "A virus was found in this file.",
    "This type of file is not permitted.",
    "The file could not be processed.",
];

/// Fills the world with transfers of the last days, in every state; what
/// happened to them is past and in no total. With `ended`, that share of them
/// has ended and the others are active.
pub(super) fn populate(world: &mut World, transfers: usize, ended: Option<f64>) {
    let now = world.now();
    let age = |_| SignedDuration::from_mins(world.rng.random_range(20..5_000));
    let mut ages: Vec<_> = (0..transfers).map(age).collect();
    ages.sort();
    let (fresh, old): (Vec<_>, Vec<_>) = ages
        .into_iter()
        .rev()
        .enumerate()
        .map(|(n, age)| (kind(n, ended), age))
        .partition(|(kind, _)| *kind == 0);
    // What is still processing has begun just now, so it comes last.
    let fresh = fresh
        .into_iter()
        .map(|(kind, _)| (kind, SignedDuration::ZERO));
    for (kind, age) in old.into_iter().chain(fresh) {
        let begun = now.checked_sub(age).unwrap_or(now);
        let mut plan = world.plan();
        // Nothing of it expires right away.
        let left = Duration::from_secs(world.rng.random_range(10_000..600_000));
        plan.retention = age.unsigned_abs().saturating_add(left);
        plan.outcome = Outcome::Active;
        if kind == 2 {
            plan.stage = Stage::Unknown;
        }
        let position = world.create(plan, begun);
        settle(world, position, kind, begun);
    }
    by_the_clock(world, now);
    world.mark();
}

/// Of which kind the `n`-th transfer of the first population is: one of twelve.
fn kind(n: usize, ended: Option<f64>) -> usize {
    const ACTIVE: usize = 7;
    const ENDED: [usize; 5] = [1, 3, 4, 5, 6];
    let Some(share) = ended else {
        return n % 12;
    };
    let percent = u8::try_from(n % 100).unwrap_or_default();
    let has_ended = f64::from(percent) < share * 100.0;
    let kind = ENDED.iter().cycle().nth(n % ENDED.len());
    kind.copied().filter(|_| has_ended).unwrap_or(ACTIVE)
}

/// Puts a transfer of the first population into the state of its kind.
fn settle(world: &mut World, position: usize, kind: usize, begun: Timestamp) {
    let at = begun.checked_add(SignedDuration::from_mins(5));
    let at = at.unwrap_or(begun);
    let end = match kind {
        0 | 2 => return,
        1 => return fail(world, position, at),
        3 => Some(Stage::DeletedByExpiration),
        4 => Some(Stage::DeletedByRevocation),
        5 => Some(Stage::DeletedByAdmin),
        6 => Some(Stage::DeletedBySecurity),
        _ => None,
    };
    enter(world, position, Stage::Active, at);
    for _ in 0..world.rng.random_range(0..6) {
        fetch(world, position, at);
    }
    mishaps(world, position, at);
    if let Some(end) = end {
        enter(world, position, end, at);
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
            by_chance(world, at, step);
        }
    }
    // What is due within the step that has begun comes now, not at its end.
    by_the_clock(world, now);
    let term = world.policy.session_term();
    world.sessions.end_idle(term, now);
}

fn by_the_clock(world: &mut World, at: Timestamp) {
    while let Some(position) = world.index.pop_due(at) {
        let Some(transfer) = world.transfers.get(position) else {
            continue;
        };
        match transfer.stage {
            Stage::Processing if transfer.outcome == Outcome::Failed => fail(world, position, at),
            Stage::Processing if transfer.outcome == Outcome::AsFound => {
                inspect(world, position, at);
            }
            Stage::Processing => {
                enter(world, position, Stage::Active, at);
                if world.time.runs() {
                    mishaps(world, position, at);
                }
            }
            Stage::Active => enter(world, position, Stage::DeletedByExpiration, at),
            Stage::Failed
            | Stage::DeletedByExpiration
            | Stage::DeletedByRevocation
            | Stage::DeletedByAdmin
            | Stage::DeletedBySecurity => {
                drop(world.happen(position, &Happening::Forgotten, at));
            }
            Stage::Pending | Stage::Unknown | Stage::Archived => {}
        }
    }
}

/// What people do in one step: about seven things in a simulated minute, and
/// more with the activity that was asked for.
fn by_chance(world: &mut World, at: Timestamp, step: SignedDuration) {
    let active = u32::try_from(world.index.active().len()).unwrap_or(u32::MAX);
    let pace = PACE + f64::from(active) * world.activity / 3_600.0;
    let mut acts = step.as_secs_f64() * pace;
    // A part of an act is an act with that probability.
    while acts >= 1.0 || (acts > 0.0 && world.rng.random_bool(acts)) {
        acts -= 1.0;
        act(world, at);
    }
}

fn act(world: &mut World, at: Timestamp) {
    let roll = world.rng.random_range(0..100);
    if roll < 10 {
        let plan = world.plan();
        world.create(plan, at);
        return;
    }
    let active = world.index.active();
    if active.is_empty() {
        return;
    }
    let position = *names::pick(active, &mut world.rng);
    let end = match roll {
        10..13 => Stage::DeletedByRevocation,
        13..15 => Stage::DeletedByAdmin,
        15..17 => Stage::DeletedBySecurity,
        _ => return fetch(world, position, at),
    };
    enter(world, position, end, at);
}

/// What may go wrong around the end of processing.
fn mishaps(world: &mut World, position: usize, at: Timestamp) {
    if world.rng.random_bool(0.15) {
        let happening = Happening::RecipientNotificationFailed(0);
        drop(world.happen(position, &happening, at));
    }
    if world.rng.random_bool(0.08) {
        drop(world.happen(position, &Happening::SenderNotificationFailed, at));
    }
    if world.rng.random_bool(0.08) {
        drop(world.happen(position, &Happening::EmlFailed, at));
    }
    let files = world.transfers.get(position).map_or(0, |t| t.files.len());
    if files > 1 && world.rng.random_bool(0.15) {
        remove(world, position, 0, at);
    }
}

fn fetch(world: &mut World, position: usize, at: Timestamp) {
    let Some(transfer) = world.transfers.get(position) else {
        return;
    };
    let (fetchers, files) = (transfer.fetchers, transfer.files.len());
    if fetchers.min(files) == 0 {
        return;
    }
    let way = if world.quirks.shows(Quirk::UnknownMethods, &mut world.rng) {
        Way::Printed
    } else if world.rng.random_bool(0.3) {
        Way::Viewed
    } else {
        Way::Downloaded
    };
    let happening = Happening::Retrieved {
        recipient: world.rng.random_range(0..fetchers),
        file: world.rng.random_range(0..files),
        way,
    };
    // A removed file cannot be retrieved; then nothing happens.
    drop(world.happen(position, &happening, at));
}

/// Ends the processing of what a client has sent.
fn inspect(world: &mut World, position: usize, at: Timestamp) {
    let Some(transfer) = world.transfers.get(position) else {
        return;
    };
    let found = transfer.files.iter().map(|file| {
        let algorithm = transfer.letter.algorithm.as_str();
        scan::finding(file, algorithm, &world.policy.denied_file_types)
    });
    let found: Vec<_> = found.collect();
    let is_good = found.contains(&None);
    for (file, finding) in found.into_iter().enumerate() {
        if let Some(cause) = finding {
            let cause = cause.to_owned();
            drop(world.happen(position, &Happening::FileRemoved { file, cause }, at));
        }
    }
    let end = if is_good {
        Stage::Active
    } else {
        Stage::Failed
    };
    enter(world, position, end, at);
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::simulator::{Scenario, truth};

    fn world() -> World {
        let scenario = Scenario {
            seed: 7,
            speed: 600.0,
            senders: 2,
            transfers: 50,
            ended: None,
            activity: 1.0,
            api_minor: 8,
            quirks: crate::simulator::Quirks::default(),
            faults: Vec::new(),
            start: Timestamp::from_second(1_775_000_000).unwrap(),
        };
        let mut world = World::new(&scenario, String::new());
        populate(&mut world, scenario.transfers, scenario.ended);
        world
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_lives_the_same_life_however_often_it_is_looked_at() {
        let (mut watched, mut alone) = (world(), world());
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(730)).await;
            live(&mut watched);
        }
        live(&mut alone);
        assert_eq!(truth::of_world(&watched), truth::of_world(&alone));
    }

    #[tokio::test(start_paused = true)]
    async fn frozen_time_brings_what_is_due_and_nothing_by_chance() {
        let mut world = world();
        world.time.set_speed(0.0);
        let created = world.transfers.len();
        tokio::time::advance(Duration::from_hours(1)).await;
        live(&mut world);
        assert_eq!(world.lived_until, world.now());
        world.time.advance(Duration::from_hours(24 * 400));
        live(&mut world);
        assert_eq!(world.transfers.len(), created);
        let left = |t: &&crate::simulator::transfer::SimTransfer| !t.forgotten;
        let stages = world.transfers.iter().filter(left).map(|t| t.stage);
        assert!(stages.clone().count() > 0 && stages.clone().all(|s| s == Stage::Unknown));
        assert!(world.index.active().is_empty());
    }
}
