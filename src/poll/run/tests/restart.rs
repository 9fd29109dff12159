//! What is asked after a restart of what an earlier life has learned.
//!
//! **Invariants.** No socket.

use super::*;
use crate::poll::Known;

#[tokio::test(start_paused = true)]
async fn what_had_ended_is_not_read_again_and_what_ended_meanwhile_is() {
    let mut states = transfers("ended", 300, State::Failed);
    states.extend(transfers("active", 3, State::Active));
    states.insert(id_of("ended-meanwhile"), State::DeletedByAdmin);
    states.insert(id_of("came-and-ended"), State::Failed);
    let known = states
        .iter()
        .filter(|(id, _)| id.as_str() != "came-and-ended");
    let before = |(id, state): (&TrackingId, &State)| {
        let was_active = id.as_str() == "ended-meanwhile";
        (
            id.clone(),
            Some(if was_active { State::Active } else { *state }),
        )
    };
    let known = Known {
        listed: plan(0).scope,
        transfers: known.map(before).collect(),
    };
    let fake = Fake::new(vec![states]);
    let run = Run::start(&fake, plans(1, |plan| plan.known = Some(known.clone())));
    let calls = run.calls_within(Duration::from_secs(50)).await;
    let times = times(&calls);
    let mut read: Vec<_> = times.keys().map(|(_, what)| what.as_str()).collect();
    read.sort_unstable();
    let expect = [
        "active-0",
        "active-1",
        "active-2",
        "came-and-ended",
        "ended-meanwhile",
        "list",
    ];
    assert_eq!(read, expect);
    run.end().await;
}
