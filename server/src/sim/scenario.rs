//! Days of mail over many domains: how a retry schedule or a limit behaves, before it is used.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use pillarbox_core::{node, queue};
use pillarbox_sim::{Faults, Progress, Report, Scenario, Settings};

use super::progress;
use super::report::{brief, page};
use super::words::{duration, number, some};
use crate::config::{Config, FILE};
use crate::failure::Failure;
use crate::print;

/// Letters that a user writes in a day, unless it is said how many there are.
const LETTERS_A_DAY: u64 = 2;

/// Users of a domain, unless it is said how many there are.
const USERS: u64 = 10;

/// Where there is no terminal, how often a line says how far it is.
const LINE: Duration = Duration::from_secs(10);

/// The report, unless it is said where.
const REPORT: &str = "sim-report.html";

/// What of the arguments is for a scenario alone.
#[derive(Args)]
pub(super) struct ScenarioArgs {
    /// Days of mail: so many domains, each with its server; then a report
    #[arg(long, value_name = "N", help_heading = "A scenario", conflicts_with = "seeds",
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    domains: Option<u64>,
    /// For how many days people write and things go wrong; 7 unless given
    #[arg(long, value_name = "N", help_heading = "A scenario", requires = "domains",
        value_parser = clap::value_parser!(u64).range(1..=365))]
    days: Option<u64>,
    /// Letters that are written in all; 2 a day from each user unless given
    #[arg(long, value_name = "N", help_heading = "A scenario", requires = "domains",
        value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    messages: Option<u64>,
    /// A server's configuration, or its folder: its retries, expiry and limits hold for all servers
    #[arg(long, value_name = "FILE", help_heading = "A scenario", requires = "domains")]
    config: Option<PathBuf>,
    /// Where the report goes; sim-report.html unless given
    #[arg(long, value_name = "FILE", help_heading = "A scenario", requires = "domains")]
    report: Option<PathBuf>,
}

/// How much goes wrong: a number of things, or a word for a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Things(usize),
    Much(Faults),
}

impl FromStr for Wrong {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::Much(Faults::None)),
            "light" => Ok(Self::Much(Faults::Light)),
            "heavy" => Ok(Self::Much(Faults::Heavy)),
            _ => text.parse().map(Self::Things).map_err(|_| "it is a number, or with --domains none, light or heavy"),
        }
    }
}

impl ScenarioArgs {
    /// It is a scenario that is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.domains.is_some()
    }

    /// What is asked for, and the words that ask for it again.
    ///
    /// # Errors
    /// When it makes no sense, or the configuration is wrong.
    fn scenario(&self, seed: u64, users: Option<usize>, wrong: Option<Wrong>) -> Result<(Scenario, String), Failure> {
        let domains = self.domains.unwrap_or(1);
        let users = users.map_or(domains * USERS, |users| users as u64);
        if users < domains {
            let least = "each domain has a user at least";
            return Err(Failure::usage(format!("{users} users are too few for {domains} domains: {least}")));
        }
        let faults = match wrong {
            None => Faults::Light,
            Some(Wrong::Much(faults)) => faults,
            Some(Wrong::Things(_)) => {
                return Err(Failure::usage("with --domains it is --faults none, light or heavy"));
            }
        };
        let days = self.days.unwrap_or(7);
        let letters = self.messages.unwrap_or(users.saturating_mul(days * LETTERS_A_DAY));
        if letters > u64::from(u32::MAX) {
            return Err(Failure::usage(format!("{} letters are too many: give --messages", number(letters))));
        }
        let settings = self.config.as_deref().map(settings).transpose()?.unwrap_or_default();
        let word = match faults {
            Faults::None => "none",
            Faults::Light => "light",
            Faults::Heavy => "heavy",
        };
        let mut command = format!(
            "pillarbox sim --domains {domains} --users {users} --days {days} --messages {letters} --faults {word} --seed {seed}"
        );
        for (option, path) in [("--config", &self.config), ("--report", &self.report)] {
            if let Some(path) = path {
                command += &format!(" {option} {}", quoted(path));
            }
        }
        let per_domain = usize::try_from(users.div_ceil(domains)).unwrap_or(usize::MAX);
        let scenario = Scenario {
            seed,
            domains: usize::try_from(domains).unwrap_or(usize::MAX),
            users: per_domain,
            span: Duration::from_secs(days * 86_400),
            letters,
            faults,
            settings,
        };
        Ok((scenario, command))
    }
}

/// Plays it, and writes the report.
///
/// # Errors
/// When it makes no sense, the report cannot be written, or a promise was broken.
pub(super) fn play(args: &ScenarioArgs, seed: u64, users: Option<usize>, wrong: Option<Wrong>) -> Result<(), Failure> {
    let (scenario, command) = args.scenario(seed, users, wrong)?;
    let path = args.report.as_deref().unwrap_or(Path::new(REPORT));
    // Before the time is spent.
    let not_written = |error: io::Error| Failure::new(format!("cannot write {}: {error}", path.display()));
    let mut file = File::create(path).map_err(not_written)?;
    introduce(&scenario)?;
    let line = progress::Progress::new();
    let is_terminal = io::stderr().is_terminal();
    let mut told = Instant::now();
    let report = scenario.run(|progress| {
        line.show(|| so_far(progress, line.taken()));
        if !is_terminal && told.elapsed() >= LINE {
            told = Instant::now();
            print::remark(so_far(progress, line.taken()));
        }
    });
    line.done();
    let taken = line.taken();
    file.write_all(page(&scenario, &report, &command, taken).as_bytes()).map_err(not_written)?;
    conclude(&report, taken)?;
    print::line(format_args!("report    {}", path.display()))?;
    for violation in &report.outcome.violations {
        print::line(format_args!("BROKEN    {violation}"))?;
    }
    print::line(format_args!("again     {command}"))?;
    print::line(format_args!("trace {:016x}", report.outcome.trace))?;
    print::flush()?;
    if report.outcome.violations.is_empty() { Ok(()) } else { Err(Failure::silent()) }
}

/// The settings of a configuration file, or of the one in a folder, that matter in a simulation.
///
/// # Errors
/// All that is wrong with it.
fn settings(path: &Path) -> Result<Settings, Failure> {
    let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display())))?;
    let dir = file.parent().unwrap_or(Path::new(""));
    let config = Config::parse(dir, &text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(|problem| format!("{}:{problem}", file.display())).collect();
        Failure::places(&lines)
    })?;
    Ok(of_config(&config))
}

fn of_config(config: &Config) -> Settings {
    let usual = Settings::default();
    Settings {
        message_size: config.limits.message_size,
        connections: config.limits.connections,
        connections_per_address: config.limits.connections_per_address,
        queue: queue::Config {
            retry: config.delivery.retry.clone(),
            expire_after: config.delivery.expire_after,
            ..usual.queue
        },
        limits: node::Limits { recipients: config.limits.recipients, ..usual.limits },
        ..usual
    }
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn introduce(scenario: &Scenario) -> Result<(), Failure> {
    let retry: Vec<_> = scenario.settings.queue.retry.iter().map(|wait| brief(*wait)).collect();
    print::line(format_args!(
        "scenario  {}: {}, {} users each; {} letters in {}",
        scenario.seed,
        some(scenario.domains, "domain"),
        number(scenario.users as u64),
        number(scenario.letters),
        super::report::days(scenario.span),
    ))?;
    let expires = brief(scenario.settings.queue.expire_after);
    print::line(format_args!("retries   after {}; given up after {expires}", retry.join(", ")))?;
    print::flush()
}

/// How far it is, in a line.
fn so_far(progress: &Progress<'_>, taken: Duration) -> String {
    let minutes = progress.passed.as_secs() / 60;
    let wrong = match (progress.is_healed(), progress.faults().count()) {
        (true, _) => "all is well, the queues drain".to_owned(),
        (false, 0) => "nothing is wrong".to_owned(),
        (false, many) => {
            let mut kinds: Vec<_> = progress.faults().map(|fault| fault.kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let named: Vec<_> = kinds.iter().take(2).map(ToString::to_string).collect();
            let more = if kinds.len() > 2 { ", …" } else { "" };
            format!("{}: {}{more}", some(many, "fault"), named.join(", "))
        }
    };
    format!(
        "day {} {:02}:{:02}, {} written, {} delivered, {} queued, {} bounced; {wrong}; {}",
        minutes / 1440 + 1,
        minutes / 60 % 24,
        minutes % 60,
        number(progress.written),
        number(progress.counts.delivered),
        number(progress.queued as u64),
        number(progress.counts.reported),
        duration(taken),
    )
}

fn conclude(report: &Report, taken: Duration) -> Result<(), Failure> {
    let (counts, figures) = (&report.outcome.counts, &report.figures);
    print::line(format_args!(
        "letters   {} accepted, {} refused, {} whose writer never heard",
        number(counts.accepted),
        number(counts.refused),
        number(counts.unknown),
    ))?;
    print::line(format_args!(
        "copies    {} delivered, {} of them a second time where that is allowed; {} reported as failed",
        number(counts.delivered),
        number(counts.doubled),
        number(counts.reported),
    ))?;
    let took = |permille| figures.far.permille(permille).map_or_else(|| "-".to_owned(), brief);
    print::line(format_args!("latency   to other servers: half within {}, 99 % within {}", took(500), took(990)))?;
    print::line(format_args!(
        "it took   {} of virtual time, {} steps, {} faults, {} of yours",
        duration(report.outcome.passed),
        number(report.outcome.steps),
        number(report.faults.len() as u64),
        duration(taken),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(domains: u64) -> ScenarioArgs {
        ScenarioArgs { domains: Some(domains), days: None, messages: None, config: None, report: None }
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let (scenario, command) = args(3).scenario(1, None, None).expect("it makes sense");
        assert_eq!((scenario.domains, scenario.users, scenario.letters), (3, 10, 420));
        assert_eq!(scenario.faults, Faults::Light);
        assert_eq!(command, "pillarbox sim --domains 3 --users 30 --days 7 --messages 420 --faults light --seed 1");
        let (scenario, _) = args(3).scenario(1, Some(10), "heavy".parse().ok()).expect("it makes sense");
        assert_eq!((scenario.users, scenario.faults), (4, Faults::Heavy));
        assert!(args(3).scenario(1, Some(2), None).is_err());
        assert!(args(3).scenario(1, None, Some(Wrong::Things(3))).is_err());
        assert!("some".parse::<Wrong>().is_err());
    }

    #[test]
    fn a_configuration_is_followed() {
        let least = "hostname = \"mx.example.org\"\ndomains = [\"example.org\"]\n\
                     [[listener]]\nprotocol = \"smtp\"\nbind = \"127.0.0.1:2525\"\n";
        let parsed = |more: &str| {
            let text = format!("{least}{more}");
            of_config(&Config::parse(Path::new(""), &text).map_err(|wrong| wrong.len()).expect("it is right"))
        };
        assert_eq!(parsed(""), Settings::default());
        let other = parsed(
            "[delivery]\nretry = [\"7m\", \"1h\"]\nexpire_after = \"1d\"\n\
             [limits]\nmessage_size = \"1MB\"\nconnections = 9\nconnections_per_address = 3\nrecipients = 100\n",
        );
        assert_eq!(other.queue.retry, [420, 3600].map(Duration::from_secs));
        assert_eq!(other.queue.expire_after, Duration::from_secs(86_400));
        assert_eq!((other.connections, other.connections_per_address), (9, 3));
        assert_eq!((other.message_size, other.limits.recipients), (1 << 20, 100));
    }

    #[test]
    fn a_later_retry_is_seen() {
        let slow = |wait: &str| {
            let text = format!(
                "hostname = \"mx.example.org\"\ndomains = [\"example.org\"]\n[[listener]]\nprotocol = \"smtp\"\n\
                 bind = \"127.0.0.1:2525\"\n[delivery]\nretry = [\"{wait}\"]\n"
            );
            let config = Config::parse(Path::new(""), &text).map_err(|wrong| wrong.len()).expect("it is right");
            let mut small = args(5);
            (small.days, small.messages) = (Some(1), Some(800));
            let (scenario, _) = small.scenario(3, Some(20), Some(Wrong::Much(Faults::Heavy))).expect("it makes sense");
            let report = Scenario { settings: of_config(&config), ..scenario }.run(|_| ());
            assert_eq!(report.outcome.violations, Vec::<String>::new());
            let far = &report.figures.far;
            let soon = far.within().take_while(|(took, _)| took.as_secs() < 90 * 60).last().map_or(0, |(_, soon)| soon);
            far.count() - soon
        };
        assert!(slow("2h") > slow("2m"));
    }

    #[test]
    fn paths_are_quoted_where_they_must_be() {
        assert_eq!(quoted(Path::new("mail/pillarbox.toml")), "mail/pillarbox.toml");
        assert_eq!(quoted(Path::new("my mail's")), "'my mail'\\''s'");
    }
}
