//! What becomes of senders and servers that come, go and change.
//!
//! **Invariants.** No socket.

use super::*;

impl Run {
    /// Lets these plans of the one server take effect.
    pub(super) async fn replan(&self, plans: Vec<SenderPlan>) {
        self.change(settings(&self.fake, plans)).await;
    }

    async fn change(&self, settings: Settings<Fake>) {
        let (done, is_done) = oneshot::channel();
        let change = Change { settings, done };
        self.changes.send(change).await.unwrap();
        is_done.await.unwrap();
    }
}

fn server_of(count: usize) -> Arc<Fake> {
    Fake::new(vec![transfers("t", 2, State::Active); count])
}

/// When the sender was asked for what.
fn calls_of(calls: &[Call], sender: usize) -> Vec<Call> {
    let own = calls.iter().filter(|call| call.sender == sender);
    own.cloned().collect()
}

/// When the first sender was asked for what in five minutes, in which the plans
/// become `next` after one.
async fn five_minutes(next: Option<Vec<SenderPlan>>) -> Vec<(Duration, What)> {
    let fake = server_of(3);
    let run = Run::start(&fake, plans(2, |_| {}));
    sleep(MINUTE).await;
    if let Some(next) = next {
        run.replan(next).await;
    }
    sleep(MINUTE * 4).await;
    let own = calls_of(&fake.take_calls(), 0).into_iter();
    let calls = own.map(|call| (call.at - fake.begin, call.what)).collect();
    run.end().await;
    calls
}

#[tokio::test(start_paused = true)]
async fn who_stays_as_it_is_is_not_disturbed_by_who_comes_goes_and_changes() {
    let alone = five_minutes(None).await;
    assert!(alone.len() > 10, "{alone:?}");
    for next in [
        plans(2, |_| {}),
        plans(1, |_| {}),
        plans(3, |_| {}),
        plans(2, |plan| {
            if number(&plan.id) == 1 {
                plan.intervals.normal = Duration::from_secs(10);
            }
        }),
    ] {
        assert_eq!(five_minutes(Some(next)).await, alone);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_leaves_is_asked_no_more_not_even_to_the_end_of_its_round() {
    let fake = server_of(2);
    *fake.latency.lock().unwrap() = Duration::from_secs(20);
    let run = Run::start(&fake, plans(2, |_| {}));
    while calls_of(&fake.calls.lock().unwrap(), 1).is_empty() {
        sleep(Duration::from_millis(100)).await;
    }
    run.replan(plans(1, |_| {})).await;
    drop(run.take_rounds());
    let calls = run.calls_within(MINUTE * 10).await;
    assert_eq!(calls_of(&calls, 1), []);
    assert!(calls_of(&calls, 0).len() > 10);
    assert!(run.take_rounds().iter().all(|(sender, _)| *sender == 0));
    run.replan(plans(2, |_| {})).await;
    let calls = run.calls_within(MINUTE).await;
    assert!(!calls_of(&calls, 1).is_empty(), "it has come back");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_reached_by_another_way_begins_anew_by_that_way_alone() {
    let (wrong, right) = (server_of(2), server_of(2));
    wrong.break_down(Fault::everywhere(Reason::Unreachable));
    let run = Run::start(&wrong, plans(2, |_| {}));
    sleep(MINUTE * 5).await;
    let open = "cryptshare_exporter_api_breaker_open";
    assert!(run.metric(open) > 0.0);
    *wrong.latency.lock().unwrap() = MINUTE * 2;
    sleep(MINUTE).await;
    drop(wrong.take_calls());
    run.change(settings(&right, plans(2, |_| {}))).await;
    assert!(run.metric(open) < 1.0);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(wrong.take_calls(), []);
    let calls = right.take_calls();
    assert!([0, 1].iter().all(|n| !calls_of(&calls, *n).is_empty()));
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_shorter_interval_takes_effect_within_it() {
    let fake = server_of(1);
    let rare = |plan: &mut SenderPlan| plan.intervals.normal = MINUTE * 60;
    let run = Run::start(&fake, plans(1, rare));
    run.calls_within(MINUTE).await;
    assert_eq!(run.calls_within(MINUTE * 5).await, []);
    run.replan(plans(1, |_| {})).await;
    let calls = run.calls_within(MINUTE).await;
    let lists = calls.iter().filter(|call| call.what == What::List);
    assert_eq!((lists.count(), reads(&calls).len()), (1, 2));
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_it_probes_a_server_leaves_the_probe_to_the_others() {
    let fake = server_of(2);
    fake.break_down(Fault::everywhere(Reason::Server));
    let run = Run::start(&fake, plans(2, |_| {}));
    run.calls_within(MINUTE * 5).await;
    *fake.latency.lock().unwrap() = MINUTE;
    drop(fake.take_calls());
    let probe = loop {
        sleep(Duration::from_millis(100)).await;
        if let Some(call) = fake.take_calls().pop() {
            break call.sender;
        }
    };
    *fake.latency.lock().unwrap() = Duration::from_millis(20);
    fake.recover();
    let others = |plan: &SenderPlan| number(&plan.id) != probe;
    run.replan(plans(2, |_| {}).into_iter().filter(others).collect())
        .await;
    let calls = run.calls_within(MINUTE * 2).await;
    assert!(!calls_of(&calls, 1 - probe).is_empty());
    run.end().await;
}
