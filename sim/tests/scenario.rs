//! A week of mail, in small: played twice it is the same, all that is to be shown is there, and settings are followed.

use std::time::Duration;

use pillarbox_sim::{Faults, Report, Scenario, Settings};

fn small() -> Scenario {
    Scenario {
        seed: 3,
        domains: 5,
        users: 4,
        span: Duration::from_secs(86_400),
        letters: 300,
        faults: Faults::Heavy,
        settings: Settings::default(),
    }
}

fn play(scenario: &Scenario) -> Report {
    let report = scenario.run(|_| ());
    assert_eq!(report.outcome.violations, Vec::<String>::new());
    report
}

#[test]
fn a_scenario_repeats_itself() {
    let (mut written, mut looks, mut faults) = (0, 0, 0);
    let first = small().run(|progress| {
        assert!(progress.written >= written && progress.written <= 300);
        (written, looks) = (progress.written, looks + 1);
        faults += progress.faults().count();
    });
    assert_eq!(first.outcome.violations, Vec::<String>::new());
    assert!(written == 300 && looks >= 24 * 60 && faults > 0);
    let again = play(&small());
    assert_eq!((again.outcome.trace, &again.figures), (first.outcome.trace, &first.figures));
    let other = play(&Scenario { seed: 4, ..small() });
    assert_ne!(other.outcome.trace, first.outcome.trace);
}

#[test]
fn every_figure_is_there() {
    let report = play(&small());
    let (figures, counts) = (&report.figures, &report.outcome.counts);
    let sum = |of: fn(&pillarbox_sim::Point) -> u64| figures.points.iter().map(of).sum::<u64>();
    assert_eq!(sum(|point| point.accepted), counts.accepted);
    assert_eq!(sum(|point| point.refused), counts.refused + counts.unknown);
    assert_eq!(sum(|point| point.delivered), counts.delivered);
    assert_eq!(sum(|point| point.bounced), counts.reported);
    assert_eq!(figures.near.count() + figures.far.count(), counts.delivered);
    assert_eq!(figures.bounces.values().sum::<u64>(), counts.reported);
    assert!(sum(|point| point.deferred) > 0 && sum(|point| point.queued as u64) > 0);
    assert!(figures.attempts.len() > 1, "{:?}", figures.attempts);
    assert!(!figures.deferrals.is_empty() && !report.faults.is_empty());
}

#[test]
fn where_nothing_goes_wrong_mail_arrives_at_once() {
    let report = play(&Scenario { faults: Faults::None, ..small() });
    assert!(report.faults.is_empty());
    let half = report.figures.far.permille(500).expect("some went to other servers");
    assert!(half < Duration::from_secs(5), "{half:?}");
}

#[test]
fn a_later_retry_is_seen_in_the_latencies() {
    let after = |minutes: u64| {
        let mut settings = Settings::default();
        settings.queue.retry = vec![Duration::from_secs(60 * minutes)];
        play(&Scenario { settings, letters: 800, ..small() }).figures
    };
    let (early, late) = (after(2), after(120));
    // A wait is longer or shorter by a fifth of it.
    let slow = |figures: &pillarbox_sim::Figures| {
        let far = &figures.far;
        far.count() - far.within().take_while(|(took, _)| *took < Duration::from_secs(90 * 60)).last().unwrap().1
    };
    assert!(slow(&late) > 2 * slow(&early), "{} and {}", slow(&late), slow(&early));
    assert!(
        early.points.iter().map(|point| point.deferred).sum::<u64>()
            > late.points.iter().map(|point| point.deferred).sum()
    );
}

#[test]
fn limits_are_kept() {
    let narrow = Settings { connections: 1, ..Settings::default() };
    let crowded = play(&Scenario { faults: Faults::None, domains: 2, letters: 1_200, settings: narrow, ..small() });
    let calm = play(&Scenario { faults: Faults::None, domains: 2, letters: 1_200, ..small() });
    let full = |report: &Report| report.figures.refusals.iter().filter(|(code, _)| code.starts_with("421")).count();
    assert_eq!((full(&crowded), full(&calm)), (1, 0), "{:?}", crowded.figures.refusals);
    assert!(crowded.outcome.counts.accepted < calm.outcome.counts.accepted);
}
