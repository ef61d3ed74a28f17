//! What a scenario came to, as one page of HTML that needs nothing else: no script, nothing to fetch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use pillarbox_sim::{Fault, Figures, Latency, Point, Report, Said, Scenario};

use super::chart::{Axis, Chart};
use super::words::{duration, number, some};

/// Rows of a table that are shown; the rest is rare.
const ROWS: usize = 12;

const STYLE: &str = include_str!("report.css");

/// The page. `command` makes it again.
pub(super) fn page(scenario: &Scenario, report: &Report, command: &str, took: Duration) -> String {
    let (figures, counts) = (&report.figures, &report.outcome.counts);
    let end = figures.every * u32::try_from(figures.points.len()).unwrap_or(u32::MAX);
    let time = Time { figures, end, healed: scenario.span };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" \
         content=\"width=device-width\"/><title>Pillarbox: a simulated {days}</title><style>{STYLE}</style></head><body>\
         <h1>{letters} letters, {domains}, {days}</h1><p class=\"lead\">{accepted} were accepted; of their copies {delivered} \
         reached a mailbox, and {reported} were reported to the sender. Half of the mail to other servers was there within \
         {half}, 99 % within {most}.</p>",
        days = days(scenario.span),
        letters = number(scenario.letters),
        domains = some(scenario.domains, "domain"),
        accepted = number(counts.accepted),
        delivered = number(counts.delivered),
        reported = number(counts.reported),
        half = took_at_most(&figures.far, 500),
        most = took_at_most(&figures.far, 990),
    );
    verdict(&mut out, report);
    figure(
        &mut out,
        "Mail",
        "Letters accepted and copies delivered, an hour.",
        &time.mail(),
        &["accepted", "delivered"],
    );
    let queue = "Recipients that wait in all queues together: the most in each stretch of time.";
    figure(&mut out, "Queue", queue, &time.queue(), &[]);
    let faults = "What was wrong when; the darker, the more of it at once. All is well from the dashed line on.";
    figure(&mut out, "Faults", faults, &time.faults(&report.faults), &[]);
    let over_time = "How long letters to other servers had taken that arrived then.";
    figure(&mut out, "Latency over time", over_time, &time.latency(), &["half", "90 %", "99 %"]);
    let shares = "The share of copies that was not there yet after so long. Each retry is a step.";
    figure(&mut out, "Latency", shares, &not_yet(figures), &["to other servers", "at the same server"]);
    let waits = "Attempts an hour after which a recipient had to wait for another one.";
    figure(&mut out, "Retries over time", waits, &time.hourly(|point| point.deferred, 2, "retries"), &[]);
    let tries = "Recipients that left a queue, by the number of attempts it took.";
    figure(&mut out, "Attempts", tries, &attempts(figures), &[]);
    let bounces = "Recipients an hour whose failure was reported to the sender.";
    figure(&mut out, "Bounces over time", bounces, &time.hourly(|point| point.bounced, 3, "bounces"), &[]);
    out.push_str("<div class=\"tables\">");
    totals(&mut out, report, took);
    percentiles(&mut out, figures);
    settings(&mut out, scenario);
    statuses(&mut out, &figures.bounces);
    answers(&mut out, "Why recipients had to wait, or failed", &figures.deferrals);
    answers(&mut out, "What servers refused to those who came", &figures.refusals);
    let kinds = report.faults.iter().fold(BTreeMap::<String, u64>::new(), |mut kinds, fault| {
        *kinds.entry(fault.kind.to_string()).or_default() += 1;
        kinds
    });
    table(&mut out, "What went wrong", kinds.into_iter().map(|(kind, times)| (kind, number(times))).collect());
    _ = writeln!(
        out,
        "</div><h2>Again</h2><p>The same command gives the same page, but for the time that it takes.</p>\
         <pre>{}</pre><p class=\"small\">trace {:016x}</p></body></html>",
        escaped(command),
        report.outcome.trace
    );
    out
}

fn verdict(out: &mut String, report: &Report) {
    let broken = &report.outcome.violations;
    if broken.is_empty() {
        out.push_str(
            "<p class=\"good\">No promise was broken: what was accepted is in its mailbox, or its sender was told. Nothing \
             was lost, altered, or given to a stranger.</p>",
        );
        return;
    }
    let lines: String = broken.iter().map(|broken| format!("<li>{}</li>", escaped(broken))).collect();
    _ = write!(
        out,
        "<div class=\"bad\"><p>Promises were broken. This is a bug; please report it.</p><ul>{lines}</ul></div>"
    );
}

fn figure(out: &mut String, title: &str, words: &str, svg: &str, legend: &[&str]) {
    let legend: String = legend
        .iter()
        .enumerate()
        .map(|(colour, name)| format!("<span class=\"key k{colour}\">{name}</span>"))
        .collect();
    _ = write!(out, "<figure><figcaption><h2>{title}</h2><p>{words} {legend}</p></figcaption>{svg}</figure>");
}

/// Charts over time.
struct Time<'a> {
    figures: &'a Figures,
    end: Duration,
    healed: Duration,
}

impl Time<'_> {
    fn x(&self) -> Axis {
        Axis::days(self.end)
    }

    /// The hour in the middle of a point.
    fn hour(&self, point: usize) -> f64 {
        (point as f64 + 0.5) * self.figures.every.as_secs_f64() / 3600.0
    }

    fn with_healing(&self, chart: Chart) -> Chart {
        chart.mark(self.healed.as_secs_f64() / 3600.0, "all is well")
    }

    /// A series of numbers, each as many as there would be in an hour.
    fn rates(&self, of: impl Fn(&Point) -> u64) -> Vec<(f64, f64)> {
        let an_hour = 3600.0 / self.figures.every.as_secs_f64();
        let points = self.figures.points.iter().enumerate();
        points.map(|(index, point)| (self.hour(index), of(point) as f64 * an_hour)).collect()
    }

    fn mail(&self) -> String {
        let accepted = self.rates(|point| point.accepted);
        let delivered = self.rates(|point| point.delivered);
        let chart = Chart::new(self.x(), Axis::numbers(most(&accepted).max(most(&delivered))));
        self.with_healing(chart.area(&accepted, 0).line(&delivered, 1)).svg("mail an hour")
    }

    fn queue(&self) -> String {
        let points = self.figures.points.iter().enumerate();
        let queued: Vec<_> = points.map(|(index, point)| (self.hour(index), point.queued as f64)).collect();
        let chart = Chart::new(self.x(), Axis::numbers(most(&queued))).area(&queued, 0);
        self.with_healing(chart).svg("recipients in queues")
    }

    fn hourly(&self, of: impl Fn(&Point) -> u64, colour: usize, label: &str) -> String {
        let rates = self.rates(of);
        let chart = Chart::new(self.x(), Axis::numbers(most(&rates))).area(&rates, colour);
        self.with_healing(chart).svg(&format!("{label} an hour"))
    }

    fn latency(&self) -> String {
        let lines = [500, 900, 990].map(|permille| {
            let points = self.figures.points.iter().enumerate();
            let took = points.filter_map(|(index, point)| Some((self.hour(index), point.far.permille(permille)?)));
            took.map(|(hour, took)| (hour, milliseconds(took))).collect::<Vec<_>>()
        });
        let least = lines[0].iter().map(|(_, took)| *took).fold(f64::MAX, f64::min).min(1e6);
        let axis = Axis::durations(of_milliseconds(least), of_milliseconds(most(&lines[2])));
        let mut chart = Chart::new(self.x(), axis);
        for (colour, line) in lines.iter().enumerate() {
            chart = chart.line(line, colour);
        }
        self.with_healing(chart).svg("latency over time")
    }

    /// A lane for each kind, and how much of it there is in each stretch of time.
    fn faults(&self, faults: &[Fault]) -> String {
        let kinds: BTreeSet<_> = faults.iter().map(|fault| fault.kind).collect();
        let names: Vec<_> = kinds.iter().map(ToString::to_string).collect();
        let mut chart = Chart::lanes(self.x(), if names.is_empty() { &[] } else { &names });
        for (lane, kind) in kinds.iter().enumerate() {
            let depths = self.depths(faults.iter().filter(|fault| fault.kind == *kind));
            for depth in 1..=DEPTHS {
                chart = chart.stretches(lane, &self.stretches(&depths, depth), depth);
            }
        }
        self.with_healing(chart).svg("what was wrong when")
    }

    /// How much is wrong in each stretch of time, from 0 to [`DEPTHS`].
    fn depths<'f>(&self, faults: impl Iterator<Item = &'f Fault>) -> Vec<usize> {
        let every = self.figures.every.as_secs_f64();
        let mut counts = vec![0_usize; self.figures.points.len()];
        for fault in faults {
            let end = (fault.at + fault.lasts).min(self.healed);
            let first = (fault.at.as_secs_f64() / every) as usize;
            let last = (end.as_secs_f64() / every) as usize;
            counts.iter_mut().take(last + 1).skip(first).for_each(|count| *count += 1);
        }
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        counts.iter().map(|count| (count * DEPTHS).div_ceil(most)).collect()
    }

    fn stretches(&self, depths: &[usize], depth: usize) -> Vec<(f64, f64)> {
        let width = self.figures.every.as_secs_f64() / 3600.0;
        let runs = depths.chunk_by(|a, b| a == b).scan(0, |at, run| {
            *at += run.len();
            Some((*at - run.len(), *at, run[0]))
        });
        runs.filter(|(.., of)| *of == depth).map(|(from, to, _)| (from as f64 * width, to as f64 * width)).collect()
    }
}

/// Depths of colour that are told apart.
const DEPTHS: usize = 4;

/// How much had not arrived after so long.
fn not_yet(figures: &Figures) -> String {
    let line = |latency: &Latency| {
        let all = latency.count().max(1) as f64;
        let within = latency.within();
        within.map(|(took, count)| (milliseconds(took), (all - count as f64) / all)).collect::<Vec<_>>()
    };
    let (far, near) = (line(&figures.far), line(&figures.near));
    let both = || far.iter().chain(&near);
    let least = both().map(|(took, _)| *took).fold(f64::MAX, f64::min).min(1e6);
    let most = both().map(|(took, _)| *took).fold(0.0, f64::max);
    let smallest = 1.0 / (figures.far.count().max(figures.near.count()).max(10) as f64);
    let x = Axis::durations(of_milliseconds(least), of_milliseconds(most));
    Chart::new(x, Axis::shares(smallest)).line(&far, 0).line(&near, 1).svg("share of copies that took longer")
}

fn attempts(figures: &Figures) -> String {
    let bars: Vec<_> = figures.attempts.iter().map(|(times, count)| (f64::from(*times), *count as f64)).collect();
    let last = figures.attempts.keys().last().copied().unwrap_or(1);
    Chart::new(Axis::places(last), Axis::powers(most(&bars))).bars(&bars, 0).svg("recipients by attempts")
}

fn most(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

fn milliseconds(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn of_milliseconds(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds / 1000.0)
}

fn totals(out: &mut String, report: &Report, took: Duration) {
    let counts = &report.outcome.counts;
    let deferred = report.figures.points.iter().map(|point| point.deferred).sum();
    let queued = report.figures.points.iter().map(|point| point.queued).max().unwrap_or(0);
    let rows = [
        ("letters accepted", number(counts.accepted)),
        ("letters refused", number(counts.refused)),
        ("letters whose writer never heard", number(counts.unknown)),
        ("copies delivered", number(counts.delivered)),
        ("of them twice, after a crash or a lost reply", number(counts.doubled)),
        ("recipients reported to the sender", number(counts.reported)),
        ("attempts that had to be made again", number(deferred)),
        ("most recipients in queues at one time", number(queued as u64)),
        ("messages read", number(counts.read)),
        ("things that went wrong", number(report.faults.len() as u64)),
        ("virtual time", duration(report.outcome.passed)),
        ("events", number(report.outcome.steps)),
        ("real time", duration(took)),
    ];
    table(out, "Totals", rows.map(|(name, value)| (name.to_owned(), value)).into());
}

fn percentiles(out: &mut String, figures: &Figures) {
    let shares = [("50 %", 500), ("90 %", 900), ("95 %", 950), ("99 %", 990), ("99.9 %", 999), ("all", 1000)];
    let rows: String = shares
        .iter()
        .map(|(name, permille)| {
            let (far, near) = (took_at_most(&figures.far, *permille), took_at_most(&figures.near, *permille));
            format!("<tr><th>{name}</th><td>{far}</td><td>{near}</td></tr>")
        })
        .collect();
    _ = write!(
        out,
        "<section><h2>Latency, at most</h2><table><tr><th></th><td>to other servers</td><td>at the same</td></tr>{rows}\
         </table></section>"
    );
}

fn settings(out: &mut String, scenario: &Scenario) {
    let settings = &scenario.settings;
    let retry: Vec<_> = settings.queue.retry.iter().map(|wait| brief(*wait)).collect();
    let limits = &settings.queue.limits;
    let rows = [
        ("domains, each with its server", number(scenario.domains as u64)),
        ("users of each", number(scenario.users as u64)),
        ("retry", retry.join(", ")),
        ("expire_after", brief(settings.queue.expire_after)),
        ("message_size", format!("{} kB", number(settings.message_size >> 10))),
        ("recipients", number(settings.limits.recipients as u64)),
        ("connections", number(settings.connections as u64)),
        ("connections_per_address", number(settings.connections_per_address as u64)),
        ("attempts at once", number(limits.attempts as u64)),
        ("of them to one destination", number(limits.attempts_per_destination as u64)),
    ];
    table(out, "Settings", rows.map(|(name, value)| (name.to_owned(), value)).into());
}

fn statuses(out: &mut String, bounces: &BTreeMap<String, u64>) {
    let mut rows: Vec<_> = bounces.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let rows = rows.into_iter().map(|(status, count)| {
        let words = match status.as_str() {
            "5.1.1" => " no such mailbox",
            "5.1.2" | "5.4.4" => " no such domain, or nobody there takes mail",
            "5.1.10" => " the domain wants no mail",
            "4.4.7" | "5.4.7" => " given up after all retries",
            "5.4.6" => " it goes in circles",
            "5.3.4" | "5.2.3" => " too large",
            _ => "",
        };
        (format!("{status}{words}"), number(*count))
    });
    table(out, "Bounces by status", rows.take(ROWS).collect());
}

fn answers(out: &mut String, title: &str, said: &BTreeMap<String, Said>) {
    let mut rows: Vec<_> = said.iter().collect();
    rows.sort_by_key(|(_, said)| std::cmp::Reverse(said.times));
    let rows = rows.into_iter().map(|(code, said)| (format!("{code} {}", said.words), number(said.times)));
    table(out, title, rows.take(ROWS).collect());
}

fn table(out: &mut String, title: &str, rows: Vec<(String, String)>) {
    if rows.is_empty() {
        return;
    }
    let row =
        |(name, value): &(String, String)| format!("<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    let rows: String = rows.iter().map(row).collect();
    _ = write!(out, "<section><h2>{title}</h2><table>{rows}</table></section>");
}

fn took_at_most(latency: &Latency, permille: u64) -> String {
    latency.permille(permille).map_or_else(|| "–".to_owned(), brief)
}

/// A duration with two or three digits.
pub(super) fn brief(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let (value, unit) = match seconds {
        _ if seconds < 1.0 => (seconds * 1000.0, "ms"),
        _ if seconds < 60.0 => (seconds, "s"),
        _ if seconds < 3600.0 => (seconds / 60.0, "min"),
        _ if seconds < 86_400.0 => (seconds / 3600.0, "h"),
        _ => (seconds / 86_400.0, "d"),
    };
    let value = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {unit}", value.strip_suffix(".0").unwrap_or(&value))
}

/// So many days, or hours.
pub(super) fn days(span: Duration) -> String {
    let hours = span.as_secs() / 3600;
    if hours.is_multiple_of(24) { some((hours / 24) as usize, "day") } else { some(hours as usize, "hour") }
}

/// As text of a page, whoever it came from.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use pillarbox_sim::{Faults, Settings};

    use super::*;

    fn small(settings: Settings) -> Scenario {
        let (span, faults) = (Duration::from_secs(86_400), Faults::Heavy);
        Scenario { seed: 3, domains: 4, users: 3, span, letters: 200, faults, settings }
    }

    /// Every element is closed, in the order in which they were opened; the names of all that were.
    fn elements(page: &str) -> Vec<String> {
        let (mut open, mut all) = (Vec::new(), Vec::new());
        let body = page.strip_prefix("<!DOCTYPE html>\n").expect("it is HTML");
        for tag in body.split('<').skip(1) {
            let (tag, text) = tag.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{text}");
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            let name = tag.trim_end_matches('/').split(' ').next().expect("it has a name").to_owned();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
                None if tag.ends_with('/') => all.push(name),
                None => {
                    open.push(name.clone());
                    all.push(name);
                }
            }
        }
        assert!(open.is_empty(), "{open:?}");
        all
    }

    #[test]
    fn the_page_is_well_formed_and_every_plot_has_data() {
        let scenario = small(Settings::default());
        let report = scenario.run(|_| ());
        assert_eq!(report.outcome.violations, Vec::<String>::new());
        let page = page(&scenario, &report, "pillarbox sim --config 'a<b'", Duration::from_secs(2));
        let elements = elements(&page);
        assert_eq!(elements.iter().filter(|name| *name == "svg").count(), 8);
        assert!(!elements.iter().any(|name| ["script", "img", "link"].contains(&name.as_str())));
        assert!(!page.contains("http") && !page.contains("url(") && !page.contains("NaN") && !page.contains("inf"));
        for svg in page.split("<svg ").skip(1) {
            let svg = svg.split("</svg>").next().expect("it ends");
            let drawn = ["class=\"line", "class=\"bar", "class=\"fault"].iter().any(|class| svg.contains(class));
            assert!(drawn, "{svg}");
        }
        assert!(page.contains("--config 'a&lt;b'") && page.contains("No promise was broken"));
        assert!(page.len() < 300_000, "{}", page.len());
    }

    #[test]
    fn a_page_of_nothing_is_a_page() {
        let scenario = Scenario { letters: 0, faults: Faults::None, ..small(Settings::default()) };
        let mut report = scenario.run(|_| ());
        report.outcome.violations.push("<b>".to_owned());
        let page = page(&scenario, &report, "", Duration::ZERO);
        elements(&page);
        assert!(page.contains("<li>&lt;b&gt;</li>") && !page.contains("NaN"));
    }

    #[test]
    fn durations_are_brief() {
        let brief = |milliseconds| brief(Duration::from_millis(milliseconds));
        assert_eq!([120, 1_500, 30_000, 600_000, 5_400_000].map(brief), ["120 ms", "1.5 s", "30 s", "10 min", "1.5 h"]);
        assert_eq!(brief(432_000_000), "5 d");
    }
}
