//! Listings that miss too much.
//!
//! **Invariants.** No socket.

use super::*;

/// A sender's transfers, 200 of them active, polled for three minutes.
async fn start(style: Style) -> (Arc<Fake>, Run) {
    let mut states = transfers("active", 200, State::Active);
    states.extend(transfers("ended", 50, State::Failed));
    let fake = Fake::new(vec![states]);
    *fake.style.lock().unwrap() = style;
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    (fake, run)
}

fn is_read(calls: &[Call]) -> usize {
    let reads = calls.iter().map(|call| &call.what);
    reads
        .filter(|what| matches!(what, What::Inspect(_)))
        .count()
}

/// Lets the `n`-th active transfers be gone for which this holds.
fn lose(fake: &Fake, is_lost: impl Fn(usize) -> bool) {
    let mut states = fake.states.lock().unwrap();
    for n in (0..200).filter(|n| is_lost(*n)) {
        states[0].remove(&id_of(&format!("active-{n}")));
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_in_maintenance_lets_nothing_vanish_and_costs_no_more_than_health() {
    for style in [Style::Plain, Style::Bulk] {
        let (fake, run) = start(style).await;
        let healthy = busiest(&run.calls_within(MINUTE * 10).await, MINUTE);
        fake.hide(|_| true);
        let calls = run.calls_within(Duration::from_hours(3)).await;
        let sick = busiest(&calls, MINUTE);
        assert!(sick <= healthy, "{style:?}: {sick} against {healthy}");
        assert_eq!(run.take_gone(), []);
        fake.hide(|_| false);
        let calls = run.calls_within(Duration::from_hours(3)).await;
        assert!(busiest(&calls, MINUTE) <= healthy + 3, "{style:?}");
        assert_eq!(run.take_gone(), []);
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_loses_a_part_in_maintenance_lets_nothing_vanish() {
    for style in [Style::Plain, Style::Bulk] {
        let (fake, run) = start(style).await;
        let healthy = busiest(&run.calls_within(MINUTE * 10).await, MINUTE);
        fake.hide(|id| id.as_str().ends_with(['1', '2', '3']));
        let calls = run.calls_within(Duration::from_hours(1)).await;
        let sick = busiest(&calls, MINUTE);
        assert!(sick <= healthy, "{style:?}: {sick} against {healthy}");
        assert_eq!(run.take_gone(), []);
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_truly_gone_vanishes_within_one_round() {
    for style in [Style::Plain, Style::Bulk] {
        let (fake, run) = start(style).await;
        lose(&fake, |_| true);
        sleep(MINUTE + Duration::from_secs(10)).await;
        let gone = run.take_gone();
        let unique: BTreeSet<_> = gone.iter().collect();
        assert_eq!((gone.len(), unique.len()), (200, 200), "{style:?}");
        let calls = run.calls_within(Duration::from_hours(2)).await;
        assert_eq!(is_read(&calls), 0, "{style:?}");
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_gone_vanishes_once_the_list_tells_the_others() {
    let (fake, run) = start(Style::Bulk).await;
    fake.hide(|_| true);
    lose(&fake, |n| n < 100);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(run.take_gone(), [], "some of them live");
    fake.hide(|_| false);
    sleep(MINUTE + Duration::from_secs(10)).await;
    assert_eq!(run.take_gone().len(), 100);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_sample_that_is_never_answered_lets_nothing_vanish_until_it_is() {
    for style in [Style::Plain, Style::Bulk] {
        let (fake, run) = start(style).await;
        let healthy = busiest(&run.calls_within(MINUTE * 10).await, MINUTE);
        lose(&fake, |_| true);
        fake.break_down(Fault {
            reason: Reason::Malformed,
            retry_after: None,
            concerns: |what| matches!(what, What::Inspect(_)),
        });
        let calls = run.calls_within(Duration::from_hours(1)).await;
        let sick = busiest(&calls, MINUTE);
        assert!(sick <= healthy, "{style:?}: {sick} against {healthy}");
        assert_eq!(run.take_gone(), []);
        fake.recover();
        sleep(MINUTE * 2 + Duration::from_secs(10)).await;
        assert_eq!(run.take_gone().len(), 200, "{style:?}");
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_that_are_missing_are_read_at_once() {
    for style in [Style::Plain, Style::Bulk] {
        let (fake, run) = start(style).await;
        lose(&fake, |n| n < 20);
        sleep(MINUTE + Duration::from_secs(10)).await;
        assert_eq!(run.take_gone().len(), 20, "{style:?}");
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenth_of_many_may_be_missing() {
    let fake = Fake::new(vec![transfers("active", 500, State::Active)]);
    fake.list_in_bulk();
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    fake.hide(|id| id.as_str().ends_with('7'));
    let calls = run.calls_within(MINUTE).await;
    let read = is_read(&calls);
    assert!([50, 100].contains(&read), "no suspicion: {read}");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_failure_but_not_found_lets_anything_vanish() {
    for reason in Reason::ALL.into_iter().filter(|r| *r != Reason::NotFound) {
        for is_everywhere in [true, false] {
            let (fake, run) = start(Style::Plain).await;
            let only_reads: fn(&What) -> bool = |what| matches!(what, What::Inspect(_));
            fake.break_down(Fault {
                reason,
                retry_after: None,
                concerns: if is_everywhere { |_| true } else { only_reads },
            });
            fake.hide(|_| true);
            sleep(Duration::from_mins(10)).await;
            assert_eq!(run.take_gone(), [], "{reason:?}");
            run.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_loses_much_of_what_has_ended_is_believed_the_second_time() {
    let fake = Fake::new(vec![transfers("ended", 500, State::Failed)]);
    fake.list_in_bulk();
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(Duration::from_mins(50)).await;
    drop(run.take_listed());
    fake.states.lock().unwrap()[0].retain(|id, _| id.as_str() < "ended-3");
    let calls = run.calls_within(Duration::from_mins(90)).await;
    let listed = run.take_listed();
    assert!(listed.iter().all(|n| *n == 223), "{listed:?}");
    assert!((1..=2).contains(&listed.len()), "{listed:?}");
    assert_eq!(is_read(&calls), 0);
    // One page that comes empty takes nothing away.
    run.calls_within(Duration::from_mins(20)).await;
    for _ in 0..60 {
        fake.lost_page.store(1, Ordering::SeqCst);
        sleep(Duration::from_mins(5)).await;
    }
    let listed = run.take_listed();
    assert!(listed.iter().all(|n| *n == 223), "{listed:?}");
    assert_eq!(run.take_gone(), []);
    run.end().await;
}
