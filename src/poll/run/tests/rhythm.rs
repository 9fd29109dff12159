//! When a server in health is asked for what.
//!
//! **Invariants.** No socket.

use super::*;

/// 5,000 transfers of ten senders, most of them ended, polled for a week.
#[tokio::test(start_paused = true)]
async fn a_week_of_5000_transfers() {
    let interval = Duration::from_mins(15);
    let population = |_| {
        let mut states = transfers("active", 30, State::Active);
        states.extend(transfers("ended", 465, State::DeletedByAdmin));
        states.extend(transfers("old", 5, State::Unknown));
        states
    };
    let fake = Fake::limited((0..10).map(population).collect(), Budget::new(4, 20));
    let plans = plans(10, |plan| plan.intervals.normal = interval);
    let run = Run::start(&fake, plans);
    let calls = run.calls_within(Duration::from_hours(7 * 24)).await;
    assert!(fake.most_under_way.load(Ordering::SeqCst) <= 4);
    assert!(busiest(&calls, Duration::from_secs(1)) <= 20);
    let times = times(&calls);
    assert_eq!(times.len(), 10 + 10 * 30 + 10 * 5, "nothing that had ended");
    for ((sender, what), times) in &times {
        let longest = gaps(times).into_iter().max().unwrap();
        let (limit, expect) = match what {
            what if what.starts_with("old") => (Duration::from_mins(90), 140..170),
            _ => (interval.mul_f64(1.25), 650..690),
        };
        assert!(longest <= limit, "{what} of {sender} starved: {longest:?}");
        assert!(expect.contains(&times.len()), "{what}: {}", times.len());
    }
    let lag = run.metric("cryptshare_exporter_schedule_lag_seconds");
    assert!(lag < 60.0, "{lag} s late in a week");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_every_call_and_listings_keep_the_interval() {
    let day = Duration::from_hours(24);
    let mut logs = Vec::new();
    for _ in 0..2 {
        let fake = Fake::new(vec![transfers("active", 3, State::Active); 2]);
        let run = Run::start(&fake, plans(2, |_| {}));
        let calls = run.calls_within(day).await;
        let log: Vec<_> = calls
            .iter()
            .map(|c| (c.at - fake.begin, c.sender))
            .collect();
        logs.push(log);
        for ((_, what), times) in times(&calls) {
            let gaps = gaps(&times);
            let mean = day.as_secs_f64() / 1440.0;
            let seen: f64 = gaps.iter().map(Duration::as_secs_f64).sum::<f64>();
            let seen = seen / f64::from(u32::try_from(gaps.len()).unwrap());
            assert!((seen - mean).abs() < 1.0, "{what} each {seen} s");
            let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
            assert!(*least >= MINUTE.mul_f64(0.89), "{what}: {least:?}");
            assert!(*most <= MINUTE.mul_f64(1.11), "{what}: {most:?}");
        }
        run.end().await;
    }
    assert_eq!(logs[0], logs[1]);
}

#[tokio::test(start_paused = true)]
async fn first_rounds_are_spread_over_ten_seconds_or_the_interval() {
    for (interval, limit) in [(MINUTE, 10.0), (Duration::from_secs(2), 2.0)] {
        let fake = Fake::new(vec![BTreeMap::new(); 100]);
        let run = Run::start(&fake, plans(100, |plan| plan.intervals.normal = interval));
        let calls = run.calls_within(Duration::from_secs_f64(limit)).await;
        let first = |n| calls.iter().find(|call| call.sender == n).unwrap().at - fake.begin;
        let firsts: Vec<_> = (0..100).map(|n| first(n).as_secs_f64()).collect();
        assert!(firsts.iter().all(|first| *first <= limit));
        let early = firsts.iter().filter(|first| **first < limit / 4.0).count();
        assert!((20..80).contains(&early), "{early} of 100 begin at once");
        run.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn processing_is_read_quickly_less_so_when_it_lasts_and_an_end_once() {
    let fake = Fake::new(vec![transfers("t", 1, State::Processing)]);
    let run = Run::start(&fake, plans(1, |_| {}));
    let calls = run.calls_within(Duration::from_mins(20)).await;
    let reads = times(&calls).remove(&(0, "t-0".to_owned())).unwrap();
    let gaps = gaps(&reads);
    let first: Duration = gaps[..5].iter().sum();
    assert!(
        (4.4..=5.6).contains(&(first.as_secs_f64() / 5.0)),
        "{first:?}"
    );
    let last = gaps[gaps.len() - 5..].iter().sum::<Duration>();
    assert!(
        (50.0..=70.0).contains(&(last.as_secs_f64() / 5.0)),
        "{last:?}"
    );
    fake.set(0, "t-0", State::DeletedByAdmin);
    let calls = run.calls_within(Duration::from_hours(2)).await;
    let reads = times(&calls).remove(&(0, "t-0".to_owned())).unwrap();
    assert_eq!(reads.len(), 1, "one last read");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_came_and_ended_between_two_listings_is_read_once() {
    let fake = Fake::new(vec![BTreeMap::new()]);
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(MINUTE).await;
    fake.set(0, "short", State::Failed);
    let calls = run.calls_within(Duration::from_mins(10)).await;
    assert_eq!(times(&calls)[&(0, "short".to_owned())].len(), 1);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_with_nothing_due_has_its_verification_asked_for() {
    let fake = Fake::new(vec![transfers("t", 1, State::Failed)]);
    let run = Run::start(
        &fake,
        plans(1, |plan| {
            plan.scope = Scope::default();
            plan.named = [id_of("t-0")].into();
        }),
    );
    let calls = run.calls_within(Duration::from_hours(1)).await;
    let times = times(&calls);
    assert_eq!(times[&(0, "t-0".to_owned())].len(), 1);
    let verified = times[&(0, "verify".to_owned())].len();
    assert!((56..=64).contains(&verified), "{verified} in an hour");
    assert_eq!(times.len(), 2, "nothing else is asked");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_named_transfer_that_is_not_found_is_asked_for_at_the_interval() {
    let fake = Fake::new(vec![BTreeMap::new()]);
    let named = |plan: &mut SenderPlan| {
        plan.scope = Scope::default();
        plan.named = [id_of("late")].into();
    };
    let run = Run::start(&fake, plans(1, named));
    let calls = run.calls_within(Duration::from_hours(1)).await;
    let asked = times(&calls)[&(0, "late".to_owned())].len();
    assert!((56..=64).contains(&asked), "{asked} in an hour");
    let failed = run
        .take_rounds()
        .into_iter()
        .filter(|(_, why)| why.is_some());
    assert_eq!(failed.count(), 0, "the round could talk");
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_listing_loses_is_read_at_once_named_or_not() {
    let fake = Fake::new(vec![transfers("t", 2, State::Unknown)]);
    let named = |plan: &mut SenderPlan| plan.named = [id_of("t-0")].into();
    let run = Run::start(&fake, plans(1, named));
    sleep(MINUTE * 5).await;
    fake.states.lock().unwrap()[0].clear();
    let calls = run.calls_within(MINUTE + Duration::from_secs(10)).await;
    let times = times(&calls);
    for id in ["t-0", "t-1"] {
        assert_eq!(times[&(0, id.to_owned())].len(), 1, "{id}");
    }
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_overlaps_its_next_turn_is_late_and_not_doubled() {
    let fake = Fake::new(vec![BTreeMap::new()]);
    *fake.latency.lock().unwrap() = Duration::from_secs(90);
    let run = Run::start(&fake, plans(1, |_| {}));
    let calls = run.calls_within(Duration::from_hours(1)).await;
    assert_eq!(fake.most_under_way.load(Ordering::SeqCst), 1);
    let gaps = gaps(&times(&calls)[&(0, "list".to_owned())]);
    assert!(gaps.iter().all(|gap| gap.as_secs() == 90), "{gaps:?}");
    let lag = run.metric("cryptshare_exporter_schedule_lag_seconds");
    assert!(lag > 30.0 * 30.0, "{lag} s late");
    run.end().await;
}

/// More is due than the server's budget allows: everything is read all the
/// same, in turn, and what is being processed is not left behind.
#[tokio::test(start_paused = true)]
async fn too_much_work_starves_nobody() {
    let mut states = transfers("active", 2000, State::Active);
    states.extend(transfers("processing", 20, State::Processing));
    let fake = Fake::limited(vec![states], Budget::new(4, 10));
    let run = Run::start(&fake, plans(1, |_| {}));
    sleep(Duration::from_mins(10)).await;
    fake.set(0, "fresh", State::Processing);
    let calls = run.calls_within(Duration::from_mins(30)).await;
    let times = times(&calls);
    assert!(busiest(&calls, Duration::from_secs(1)) <= 10);
    let fresh = times[&(0, "fresh".to_owned())][0] - calls[0].at;
    assert!(fresh <= Duration::from_mins(3), "seen after {fresh:?}");
    let longest = |(what, times): (&(usize, String), &Vec<Instant>)| {
        let longest = gaps(times).into_iter().max().unwrap_or_default();
        assert!(
            longest <= Duration::from_mins(6),
            "{what:?} after {longest:?}"
        );
    };
    assert_eq!(times.len(), 2022);
    times.iter().for_each(longest);
    run.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_scheduler_gives_a_sign_of_life_with_nothing_to_do() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    let every = Duration::from_secs(10);
    let pulse = Pulse::new(every, move || noted.lock().unwrap().push(Instant::now()));
    let fake = Fake::new(vec![BTreeMap::new()]);
    let hourly = |plan: &mut SenderPlan| plan.intervals.normal = Duration::from_hours(1);
    let run = Run::start_with(&fake, plans(1, hourly), pulse);
    sleep(Duration::from_hours(1)).await;
    run.end().await;
    let told = told.lock().unwrap();
    let longest = gaps(&told).into_iter().max().unwrap();
    assert!(longest <= every.mul_f64(1.5), "silent for {longest:?}");
    assert!(told.len() <= 800, "{} signs in an hour", told.len());
}
