//! What becomes of a new plan of a sender that is polled.
//!
//! **Invariants.** No socket.

use super::*;

/// Names these transfers, and none of them is discovered.
fn naming(names: &[&str]) -> SenderPlan {
    SenderPlan {
        scope: Scope::default(),
        named: names.iter().map(|name| id_of(name)).collect(),
        ..plan(0)
    }
}

fn is_all_that_is_read(calls: &[Call], id: &str) {
    let read = reads(calls);
    let is_all = read.len() >= 2 && read.iter().all(|one| *one == id);
    assert!(is_all, "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_named_anew_is_read_at_once_and_what_is_named_no_more_never_again() {
    let fake = Fake::new(vec![transfers("t", 2, State::Active)]);
    let run = Run::start(&fake, vec![naming(&["t-0"])]);
    run.calls_within(Duration::from_secs(20)).await;
    run.replan(vec![naming(&["t-0", "t-1"])]).await;
    sleep(Duration::from_secs(1)).await;
    let calls = fake.take_calls();
    assert_eq!(reads(&calls), ["t-1"]);
    run.replan(vec![naming(&["t-1"])]).await;
    let calls = run.calls_within(MINUTE * 3).await;
    is_all_that_is_read(&calls, "t-1");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_comes_during_a_round_waits_for_its_end() {
    let fake = Fake::new(vec![transfers("t", 2, State::Active)]);
    *fake.latency.lock().unwrap() = Duration::from_secs(20);
    let run = Run::start(&fake, vec![naming(&["t-0"])]);
    while fake.calls.lock().unwrap().is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    drop(fake.take_calls());
    run.replan(vec![naming(&["t-1"])]).await;
    let calls = run.calls_within(Duration::from_secs(19)).await;
    assert_eq!(reads(&calls), Vec::<&str>::new());
    let calls = run.calls_within(MINUTE * 3).await;
    is_all_that_is_read(&calls, "t-1");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_asks_nothing_earlier_of_a_server_in_trouble() {
    let fake = Fake::new(vec![transfers("t", 9, State::Active)]);
    let run = Run::start(&fake, vec![naming(&["t-0"])]);
    fake.break_down(Fault::everywhere(Reason::Server));
    run.calls_within(MINUTE * 5).await;
    let mut names = vec!["t-0"];
    let mut calls = Vec::new();
    for name in ["t-1", "t-2", "t-3", "t-4", "t-5", "t-6", "t-7", "t-8"] {
        names.push(name);
        run.replan(vec![naming(&names)]).await;
        calls.extend(run.calls_within(Duration::from_secs(5)).await);
    }
    assert!(calls.len() <= 10, "{}", calls.len());
    fake.recover();
    let calls = run.calls_within(MINUTE * 3).await;
    let mut read = reads(&calls);
    read.sort_unstable();
    read.dedup();
    assert_eq!(
        read,
        [
            "t-0", "t-1", "t-2", "t-3", "t-4", "t-5", "t-6", "t-7", "t-8"
        ]
    );
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_named_no_more_is_not_read_to_the_end_of_the_round() {
    let names: Vec<_> = (0..200).map(|n| format!("gone-{n}")).collect();
    let mut all: Vec<_> = names.iter().map(String::as_str).collect();
    all.push("t-0");
    let fake = Fake::new(vec![transfers("t", 1, State::Active)]);
    *fake.latency.lock().unwrap() = Duration::from_secs(1);
    let run = Run::start(&fake, vec![naming(&all)]);
    while fake.calls.lock().unwrap().is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    run.replan(vec![naming(&["t-0"])]).await;
    let calls = run.calls_within(MINUTE * 3).await;
    is_all_that_is_read(&calls, "t-0");
    assert_eq!(run.take_gone(), vec![], "no answer is wanted any more");
    run.end().await;
}
