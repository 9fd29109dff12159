//! When a server in trouble is asked for what, and what is said of it.
//!
//! **Invariants.** No socket.

use super::*;

const OPEN: &str = "cryptshare_exporter_api_breaker_open";

/// Three senders with twenty active transfers each, polled at `interval`.
fn start(interval: Duration) -> (Arc<Fake>, Run) {
    let fake = Fake::new(vec![transfers("t", 20, State::Active); 3]);
    let run = Run::start(&fake, plans(3, |plan| plan.intervals.normal = interval));
    (fake, run)
}

fn only_lists(what: &What) -> bool {
    *what == What::List
}

fn only_reads(what: &What) -> bool {
    matches!(what, What::Inspect(_))
}

async fn check_every_fault(style: Style) {
    let places: [fn(&What) -> bool; 3] = [|_| true, only_lists, only_reads];
    for interval in [Duration::from_secs(2), MINUTE, Duration::from_mins(10)] {
        for reason in Reason::ALL {
            for concerns in places {
                let (fake, run) = start(interval);
                *fake.style.lock().unwrap() = style;
                let window = MINUTE.max(interval);
                sleep(window * 2).await;
                let healthy = busiest(&run.calls_within(window * 8).await, MINUTE);
                fake.break_down(Fault {
                    reason,
                    retry_after: None,
                    concerns,
                });
                let sick = busiest(&run.calls_within(window * 8).await, MINUTE);
                assert!(
                    sick <= healthy,
                    "{reason:?}: {sick} requests against {healthy}"
                );
                run.end().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_minute_of_any_fault_has_more_requests_than_one_of_health() {
    check_every_fault(Style::Plain).await;
}

#[tokio::test(start_paused = true)]
async fn no_minute_of_any_fault_has_more_requests_where_transfers_come_in_bulk() {
    check_every_fault(Style::Bulk).await;
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_after_five_failures_and_lets_one_probe_through_at_a_time() {
    let (fake, run) = start(Duration::from_secs(1));
    sleep(MINUTE).await;
    assert!(run.metric(OPEN).abs() < f64::EPSILON);
    fake.break_down(Fault::everywhere(Reason::Timeout));
    sleep(MINUTE).await;
    assert!(run.metric(OPEN) > 0.0);
    *fake.latency.lock().unwrap() = Duration::from_secs(5);
    sleep(MINUTE).await;
    fake.most_under_way.store(0, Ordering::SeqCst);
    let calls = run.calls_within(Duration::from_hours(2)).await;
    assert_eq!(fake.most_under_way.load(Ordering::SeqCst), 1);
    let times: Vec<_> = calls.iter().map(|call| call.at).collect();
    let gaps = gaps(&times);
    let longest = gaps.iter().max().unwrap();
    assert!(*longest <= MINUTE + Duration::from_secs(7), "{longest:?}");
    let count = u32::try_from(gaps.len()).unwrap();
    let mean = gaps.iter().sum::<Duration>().as_secs_f64() / f64::from(count);
    assert!((20.0..=50.0).contains(&mean), "full jitter, mean {mean} s");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn polling_comes_back_within_a_probe_and_an_interval() {
    for reason in Reason::ALL {
        let (fake, run) = start(MINUTE);
        sleep(MINUTE * 3).await;
        fake.break_down(Fault::everywhere(reason));
        sleep(Duration::from_hours(1)).await;
        fake.recover();
        sleep(MINUTE * 2 + Duration::from_secs(10)).await;
        drop(run.take_rounds());
        sleep(MINUTE * 2).await;
        let rounds = run.take_rounds();
        assert!(rounds.len() >= 3, "{reason:?}: {rounds:?}");
        let failed = rounds.iter().filter(|(_, failure)| failure.is_some());
        assert_eq!(failed.count(), 0, "{reason:?}: {rounds:?}");
        assert!(run.metric(OPEN).abs() < f64::EPSILON);
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_down_every_sender_is_reported_down_each_interval() {
    let (fake, run) = start(MINUTE);
    fake.break_down(Fault::everywhere(Reason::Unreachable));
    sleep(MINUTE * 10).await;
    drop(run.take_rounds());
    sleep(MINUTE * 10).await;
    let rounds = run.take_rounds();
    for sender in 0..3 {
        let own = rounds.iter().filter(|(number, _)| *number == sender);
        assert!((9..=21).contains(&own.count()), "{rounds:?}");
    }
    let unreachable = |(_, failure): &(usize, _)| *failure == Some(Reason::Unreachable);
    assert!(rounds.iter().all(unreachable));
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn retry_after_silences_the_whole_server_up_to_an_hour() {
    for (asked, silent) in [(20, 20), (7200, 3600)] {
        let (fake, run) = start(MINUTE);
        sleep(MINUTE * 3).await;
        fake.break_down(Fault {
            reason: Reason::Throttled,
            retry_after: Some(Duration::from_secs(asked)),
            concerns: |_| true,
        });
        let calls = run.calls_within(Duration::from_hours(4)).await;
        // Calls under way when the first answer came make one cluster.
        let cluster = |pair: &[Call]| pair[1].at - pair[0].at;
        let silences = calls.windows(2).map(cluster);
        let silences: Vec<_> = silences
            .map(|gap| gap.as_secs())
            .filter(|s| *s > 0)
            .collect();
        let (least, most) = (silences.iter().min(), silences.iter().max());
        assert!(*least.unwrap() >= silent, "{asked}: {silences:?}");
        assert!(
            *most.unwrap() <= silent.max(60) + 5,
            "{asked}: {silences:?}"
        );
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_is_not_verified_does_not_stop_the_others() {
    let (fake, run) = start(MINUTE);
    sleep(MINUTE * 3).await;
    fake.break_down(Fault::everywhere(Reason::NotVerified));
    let calls = run.calls_within(Duration::from_hours(1)).await;
    assert!(run.metric(OPEN).abs() < f64::EPSILON);
    let per_sender = calls.len() / 3;
    assert!((30..=62).contains(&per_sender), "{per_sender} in an hour");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn single_failures_do_not_make_a_round_fail_unless_all_did() {
    let (fake, run) = start(MINUTE);
    fake.break_down(Fault {
        reason: Reason::Malformed,
        retry_after: None,
        concerns: only_reads,
    });
    sleep(MINUTE * 5).await;
    let rounds = run.take_rounds();
    assert!(rounds.iter().all(|(_, failure)| failure.is_none()));
    assert!(run.metric("cryptshare_exporter_poll_failures_total") > 0.0);
    run.end().await;

    let fake = Fake::new(vec![transfers("t", 3, State::Active)]);
    let named = |plan: &mut SenderPlan| {
        plan.scope = Scope::default();
        plan.named = (0..3).map(|n| id_of(&format!("t-{n}"))).collect();
    };
    let run = Run::start(&fake, plans(1, named));
    sleep(MINUTE * 2).await;
    fake.break_down(Fault {
        reason: Reason::Server,
        retry_after: None,
        concerns: only_reads,
    });
    drop(run.take_rounds());
    sleep(MINUTE * 2).await;
    let rounds = run.take_rounds();
    assert!(rounds.contains(&(0, Some(Reason::Server))), "{rounds:?}");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_round_of_reads_stops_after_a_few_failures_in_a_row() {
    let fake = Fake::new(vec![transfers("t", 200, State::Active)]);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE * 3).await;
    fake.break_down(Fault {
        reason: Reason::Server,
        retry_after: None,
        concerns: only_reads,
    });
    let calls = run.calls_within(MINUTE).await;
    assert!(calls.len() <= 2 * (1 + 4 + 16), "{} requests", calls.len());
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_round_ends_the_scheduler() {
    let fake = Fake::new(Vec::new());
    let run = Run::start(&fake, plans(1, |_| {}));
    let ended = run.task.await;
    assert!(ended.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_single_reads_alone_neither_opens_the_breaker_nor_flaps() {
    let (fake, run) = start(MINUTE);
    sleep(MINUTE * 3).await;
    fake.break_down(Fault {
        reason: Reason::Server,
        retry_after: None,
        concerns: only_reads,
    });
    sleep(MINUTE * 2).await;
    drop(run.take_rounds());
    sleep(MINUTE * 30).await;
    assert!(run.metric(OPEN).abs() < f64::EPSILON);
    let rounds = run.take_rounds();
    assert!(rounds.len() >= 60, "{rounds:?}");
    assert!(rounds.iter().all(|(_, failure)| failure.is_none()));
    run.end().await;
}
