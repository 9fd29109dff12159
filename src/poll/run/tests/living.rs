//! What is asked where only what lives is discovered.
//!
//! **Invariants.** No socket.

use super::*;

/// A server with this one sender, who discovers what lives.
fn start(style: Style) -> (Arc<Fake>, Run) {
    let mut states = transfers("a-active", 30, State::Active);
    states.extend(transfers("b-ended", 3000, State::Failed));
    states.extend(transfers("c-active", 20, State::Active));
    let fake = Fake::new(vec![states]);
    *fake.style.lock().unwrap() = style;
    let living = |plan: &mut SenderPlan| plan.scope.discover = Discover::Active;
    let run = Run::start(&fake, plans(1, living));
    (fake, run)
}

fn reads(calls: &[Call]) -> BTreeMap<&str, usize> {
    let mut reads = BTreeMap::new();
    for call in calls {
        if let What::Inspect(id) = &call.what {
            *reads.entry(id.as_str()).or_default() += 1;
        }
    }
    reads
}

#[tokio::test(start_paused = true)]
async fn in_bulk_nothing_but_the_newest_page_and_what_lives_is_listed() {
    let (_, run) = start(Style::Bulk);
    let calls = run.calls_within(Duration::from_hours(5)).await;
    let rounds = run.take_rounds().len();
    assert!(rounds >= 270, "{rounds}");
    let asked = rounds * 2..=rounds * 2 + 2;
    assert!(asked.contains(&calls.len()), "{}", calls.len());
    assert!(reads(&calls).is_empty());
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_older_server_is_asked_for_what_lives_one_by_one() {
    let (fake, run) = start(Style::Plain);
    let calls = run.calls_within(MINUTE * 10).await;
    let read = reads(&calls);
    assert_eq!(read.len(), 50);
    assert!(read.values().all(|times| (9..=11).contains(times)));
    fake.set(0, "c-active-0", State::DeletedByAdmin);
    fake.set(0, "d-came-and-ended", State::DeletedByAdmin);
    sleep(MINUTE * 2).await;
    let calls = run.calls_within(Duration::from_hours(2)).await;
    assert_eq!(reads(&calls).len(), 49, "what had ended is not read");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_is_read_once_and_then_forgotten() {
    let (fake, run) = start(Style::Bulk);
    sleep(MINUTE * 3).await;
    for id in ["a-active-0", "c-active-0"] {
        fake.set(0, id, State::DeletedByExpiration);
    }
    let calls = run.calls_within(Duration::from_hours(2)).await;
    // The newest page tells the first of them whole.
    assert_eq!(reads(&calls), [("c-active-0", 1)].into());
    assert_eq!(run.take_gone(), []);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_found_out() {
    let (fake, run) = start(Style::Bulk);
    sleep(MINUTE * 3).await;
    fake.states.lock().unwrap()[0].remove(&id_of("c-active-0"));
    sleep(MINUTE + Duration::from_secs(10)).await;
    assert_eq!(run.take_gone(), [id_of("c-active-0")]);
    run.end().await;
}
