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
        listed: View {
            scope: plan(0).scope,
            since: None,
        },
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

/// A server in maintenance may list nothing, and so may the first listing be.
#[tokio::test(start_paused = true)]
async fn what_had_ended_before_a_first_listing_that_missed_it_is_not_read() {
    let fake = Fake::new(vec![BTreeMap::new()]);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE).await;
    // The fake's date is the first of January 1970.
    for n in 0..30 {
        let id = format!("19691224-1200{n:02}-Qx7Lm2Za");
        fake.set(0, &id, State::DeletedByExpiration);
    }
    fake.set(0, "19700101-000000-Qx7Lm2Za", State::Failed);
    let calls = run.calls_within(MINUTE * 3).await;
    assert_eq!(reads(&calls), ["19700101-000000-Qx7Lm2Za"]);
    run.end().await;
}
