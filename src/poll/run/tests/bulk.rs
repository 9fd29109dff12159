//! What is asked of a server that lists whole transfers.
//!
//! **Invariants.** No socket.

use super::*;

/// A server that lists in bulk, with one sender's transfers; the newest come
/// first, so those that are processed do.
fn server(ended: usize, active: usize) -> Arc<Fake> {
    let mut states = transfers("b-ended", ended, State::DeletedByAdmin);
    states.extend(transfers("c-active", active, State::Active));
    let fake = Fake::new(vec![states]);
    fake.list_in_bulk();
    fake
}

#[tokio::test(start_paused = true)]
async fn a_round_costs_the_pages_of_what_lives() {
    let fake = server(4500, 500);
    let run = Run::start(&fake, plans(1, |_| {}));
    let first = run.calls_within(Duration::from_secs(50)).await;
    assert!(first.len() <= 51, "{} requests", first.len());
    let hour = run.calls_within(Duration::from_mins(50)).await;
    let rounds = run.take_rounds().len();
    // The newest page, five full ones and the empty one at their end.
    assert_eq!(hour.len(), (rounds - 1) * 7);
    let calls = run.calls_within(Duration::from_hours(3)).await;
    assert_eq!(reads(&calls), Vec::<&str>::new());
    let full = 3 * 51;
    assert!(calls.len() <= 180 * 7 + full + 7 * 20, "{}", calls.len());
    run.end().await;
}

/// One that has more than a listing may read would be listed without an end.
#[tokio::test(start_paused = true)]
async fn a_sender_beyond_all_bounds_is_not_listed_again_each_round() {
    let fake = server(100_100, 100);
    let run = Run::start(&fake, plans(1, |_| {}));
    let first = run.calls_within(Duration::from_secs(50)).await;
    assert_eq!(first.len(), 1000);
    let later = run.calls_within(MINUTE * 30).await;
    let rounds = run.take_rounds().len();
    assert!(later.len() <= rounds * 3, "{} requests", later.len());
    assert_eq!(reads(&later), Vec::<&str>::new());
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_left_what_lives_is_read_once_and_what_is_new_not_at_all() {
    let fake = server(400, 200);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    fake.set(0, "c-active-7", State::DeletedByExpiration);
    fake.set(0, "a-new", State::Active);
    let calls = run.calls_within(MINUTE * 10).await;
    assert_eq!(reads(&calls), ["c-active-7"]);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_processed_is_read_by_the_second_until_it_lives() {
    let fake = server(400, 200);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    fake.set(0, "a-new", State::Processing);
    let calls = run.calls_within(MINUTE * 2).await;
    assert!(reads(&calls).len() >= 8, "{:?}", reads(&calls));
    fake.set(0, "a-new", State::Active);
    sleep(MINUTE * 2).await;
    let calls = run.calls_within(MINUTE * 10).await;
    assert_eq!(reads(&calls), Vec::<&str>::new());
    run.end().await;
}

/// A listing may take longer than the interval.
#[tokio::test(start_paused = true)]
async fn a_slow_listing_makes_nothing_due() {
    let fake = server(4000, 3000);
    *fake.latency.lock().unwrap() = Duration::from_secs(5);
    let run = Run::start(&fake, plans(1, |_| {}));
    let calls = run.calls_within(Duration::from_hours(3)).await;
    assert_eq!(reads(&calls), Vec::<&str>::new());
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_listing_comes_to_its_end_on_a_server_that_fails_now_and_then() {
    let fake = server(9900, 60);
    fake.flaky.store(20, Ordering::SeqCst);
    let run = Run::start(&fake, plans(1, |_| {}));
    let calls = run.calls_within(MINUTE * 7).await;
    assert!(calls.len() <= 106 + 3, "{} requests", calls.len());
    fake.set(0, "a-new", State::Failed);
    // What had ended before the first listing is not read, what is new is.
    fake.list_plainly();
    let calls = run.calls_within(MINUTE * 3).await;
    let ended = reads(&calls).into_iter().filter(|id| !id.starts_with('c'));
    assert_eq!(ended.collect::<Vec<_>>(), ["a-new"]);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_no_listing_tells_whole_any_more_is_read_singly() {
    let fake = server(10, 30);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    fake.list_plainly();
    sleep(MINUTE * 2).await;
    let calls = run.calls_within(MINUTE * 10).await;
    let times = times(&calls);
    for n in 0..30 {
        let read = times[&(0, format!("c-active-{n}"))].len();
        assert!((9..=11).contains(&read), "{read} times");
    }
    fake.list_in_bulk();
    sleep(MINUTE * 2).await;
    let calls = run.calls_within(MINUTE * 10).await;
    assert_eq!(reads(&calls), Vec::<&str>::new());
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_wider_scope_reads_nothing_that_had_ended_before() {
    let fake = server(300, 3);
    let named = |plan: &mut SenderPlan| plan.scope = Scope::default();
    let run = Run::start(&fake, plans(1, named));
    fake.list_plainly();
    sleep(MINUTE * 2).await;
    run.replan(plans(1, |_| {})).await;
    let calls = run.calls_within(MINUTE * 3).await;
    assert!(calls.iter().any(|call| call.what == What::List));
    let ended = reads(&calls).into_iter().filter(|id| id.starts_with('b'));
    assert_eq!(ended.count(), 0);
    run.replan(plans(1, named)).await;
    sleep(MINUTE * 2).await;
    let calls = run.calls_within(MINUTE * 10).await;
    assert!(calls.iter().all(|call| call.what == What::Verify));
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn many_that_are_processed_are_one_page_and_not_many_reads() {
    let fake = server(400, 200);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    for n in 0..60 {
        fake.set(0, &format!("a-new-{n}"), State::Processing);
    }
    sleep(MINUTE).await;
    let calls = run.calls_within(MINUTE).await;
    assert_eq!(reads(&calls), Vec::<&str>::new());
    // One of them each five seconds at first, and less as it lasts.
    assert!((7..=24).contains(&calls.len()), "{}", calls.len());
    for n in 0..60 {
        fake.set(0, &format!("a-new-{n}"), State::Active);
    }
    let calls = run.calls_within(MINUTE * 10).await;
    assert_eq!(reads(&calls), Vec::<&str>::new());
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_newest_page_does_not_tell_is_read_singly() {
    let fake = server(400, 200);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    for n in 0..20 {
        fake.set(0, &format!("a-new-{n}"), State::Processing);
    }
    sleep(Duration::from_secs(70)).await;
    fake.hide(|id| id.as_str().starts_with("a-new"));
    let calls = run.calls_within(Duration::from_secs(30)).await;
    let times = times(&calls);
    for n in 0..20 {
        assert!(times.contains_key(&(0, format!("a-new-{n}"))), "{n}");
    }
    run.end().await;
}
