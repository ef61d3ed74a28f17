//! Charts: points and spans of time as SVG, with axes that can be read. Colours are the page's.

use std::fmt::Write as _;
use std::time::Duration;

/// A chart's size on the page, and what its edges leave to the axes.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// The height of a chart, and of a lane where there are lanes.
const HEIGHT: f64 = 210.0;
const LANE: f64 = 15.0;

/// Durations that an axis may name.
const DURATIONS: [(u64, &str); 14] = [
    (1, "1 ms"),
    (10, "10 ms"),
    (100, "0.1 s"),
    (1_000, "1 s"),
    (10_000, "10 s"),
    (60_000, "1 min"),
    (600_000, "10 min"),
    (3_600_000, "1 h"),
    (14_400_000, "4 h"),
    (86_400_000, "1 d"),
    (432_000_000, "5 d"),
    (2_592_000_000, "30 d"),
    (31_536_000_000, "1 y"),
    (315_360_000_000, "10 y"),
];

/// What a place along a side means.
pub(super) struct Axis {
    from: f64,
    to: f64,
    is_log: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Days since the beginning; places are hours.
    pub(super) fn days(end: Duration) -> Self {
        let hours = end.as_secs_f64() / 3600.0;
        let (step, unit, word) = match () {
            () if hours <= 12.0 => (1.0, 1.0, "h"),
            () if hours <= 72.0 => (6.0, 1.0, "h"),
            () => (24.0 * (hours / 24.0 / 16.0).ceil(), 24.0, "d"),
        };
        let ticks = (0..).map(|number| f64::from(number) * step).take_while(|at| *at <= hours);
        let ticks = ticks.map(|at| (at, format!("{:.0} {word}", at / unit))).collect();
        Self { from: 0.0, to: hours.max(0.01), is_log: false, ticks }
    }

    /// Numbers from 0.
    pub(super) fn numbers(most: f64) -> Self {
        let most = most.max(1.0);
        let power = 10_f64.powf(most.log10().floor());
        let steps = [0.2, 0.5, 1.0, 2.0].map(|step| step * power);
        let step = steps.into_iter().find(|step| most / step <= 6.0).unwrap_or(power * 2.0).max(1.0);
        let to = (most / step).ceil() * step;
        let ticks = (0..).map(|number| f64::from(number) * step).take_while(|at| *at <= to);
        Self { from: 0.0, to, is_log: false, ticks: ticks.map(|at| (at, short(at))).collect() }
    }

    /// Numbers from 1, each power of ten as far from the next.
    pub(super) fn powers(most: f64) -> Self {
        let powers = most.max(10.0).log10().ceil() as i32;
        let ticks = (0..=powers).map(|power| (10_f64.powi(power), short(10_f64.powi(power)))).collect();
        // Where there is one it is seen.
        Self { from: 0.6, to: 10_f64.powi(powers), is_log: true, ticks }
    }

    /// Shares of a whole, from all to so small a one.
    pub(super) fn shares(least: f64) -> Self {
        let powers = (-least.clamp(1e-9, 0.1).log10()).ceil() as i32;
        let ticks = (0..=powers).map(|power| (10_f64.powi(-power), format!("{} %", 100.0 * 10_f64.powi(-power))));
        Self { from: 10_f64.powi(-powers), to: 1.0, is_log: true, ticks: ticks.collect() }
    }

    /// Durations; places are milliseconds.
    pub(super) fn durations(least: Duration, most: Duration) -> Self {
        let (least, most) = (least.as_millis().max(1), most.as_millis().max(10));
        let below = DURATIONS.iter().rev().find(|(at, _)| u128::from(*at) <= least).unwrap_or(&DURATIONS[0]);
        let last = DURATIONS.iter().find(|(at, _)| u128::from(*at) >= most).unwrap_or(&DURATIONS[13]);
        let ticks = DURATIONS.iter().filter(|(at, _)| (below.0..=last.0).contains(at));
        let ticks = ticks.map(|(at, name)| (*at as f64, (*name).to_owned())).collect();
        Self { from: below.0 as f64, to: (last.0 as f64).max(below.0 as f64 * 10.0), is_log: true, ticks }
    }

    /// Things side by side, from 1 on.
    pub(super) fn places(most: u32) -> Self {
        let step = (most / 20 + 1) as usize;
        let ticks = (1..=most).step_by(step).map(|place| (f64::from(place), place.to_string())).collect();
        Self { from: 0.4, to: f64::from(most.max(3)) + 0.6, is_log: false, ticks }
    }

    /// Where this is between the ends: from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let (from, to, value) = match self.is_log {
            true => (self.from.ln(), self.to.ln(), value.max(self.from).ln()),
            false => (self.from, self.to, value),
        };
        ((value - from) / (to - from)).clamp(0.0, 1.0)
    }
}

/// A number with few signs.
fn short(number: f64) -> String {
    match number {
        _ if number >= 1e6 => format!("{} M", number / 1e6),
        _ if number >= 1e4 => format!("{} k", number / 1e3),
        _ => number.to_string(),
    }
}

/// A chart that is being drawn.
pub(super) struct Chart {
    x: Axis,
    y: Axis,
    height: f64,
    drawn: String,
}

impl Chart {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        let (height, drawn) = (HEIGHT, String::new());
        let mut chart = Self { x, y, height, drawn };
        let lines = chart.y.ticks.iter().fold(String::new(), |mut lines, (at, name)| {
            let y = chart.y_of(*at);
            _ = write!(lines, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT);
            _ = write!(lines, "<text x=\"{:.1}\" y=\"{:.1}\" class=\"end\">{name}</text>", LEFT - 8.0, y + 4.0);
            lines
        });
        chart.drawn = lines;
        chart.ticks();
        chart
    }

    /// One with a lane for each of these names.
    pub(super) fn lanes(x: Axis, names: &[String]) -> Self {
        let y = Axis { from: 0.0, to: names.len().max(1) as f64, is_log: false, ticks: Vec::new() };
        let height = TOP + BOTTOM + LANE * names.len().max(1) as f64;
        let mut chart = Self { x, y, height, drawn: String::new() };
        chart.ticks();
        for (lane, name) in names.iter().enumerate() {
            let y = TOP + LANE * lane as f64;
            let end = WIDTH - RIGHT;
            _ = write!(chart.drawn, "<path class=\"grid\" d=\"M{LEFT} {:.1}H{end:.1}\"/>", y + LANE);
            _ = write!(chart.drawn, "<text x=\"{:.1}\" y=\"{:.1}\" class=\"lane\">{name}</text>", end - 4.0, y + 11.5);
        }
        chart
    }

    fn ticks(&mut self) {
        let base = self.height - BOTTOM;
        for (at, name) in &self.x.ticks {
            let x = self.x_of(*at);
            _ = write!(self.drawn, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/>", base + 4.0);
            _ = write!(self.drawn, "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"mid\">{name}</text>", base + 18.0);
        }
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * self.x.place(value)
    }

    fn y_of(&self, value: f64) -> f64 {
        let base = self.height - BOTTOM;
        base - (base - TOP) * self.y.place(value)
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            _ = write!(path, "{letter}{:.1} {:.1}", self.x_of(*x), self.y_of(*y));
        }
        path
    }

    /// A line through these points, in the colour of this number.
    pub(super) fn line(mut self, points: &[(f64, f64)], colour: usize) -> Self {
        let path = self.path(points);
        if !path.is_empty() {
            _ = write!(self.drawn, "<path class=\"line c{colour}\" d=\"{path}\"/>");
        }
        self
    }

    /// The same, filled down to the base.
    pub(super) fn area(mut self, points: &[(f64, f64)], colour: usize) -> Self {
        let (path, base) = (self.path(points), self.height - BOTTOM);
        if let (Some(first), Some(last)) = (points.first(), points.last()) {
            let (from, to) = (self.x_of(first.0), self.x_of(last.0));
            _ = write!(
                self.drawn,
                "<path class=\"area c{colour}\" d=\"{path}L{to:.1} {base:.1}L{from:.1} {base:.1}Z\"/>"
            );
        }
        self.line(points, colour)
    }

    /// A bar at each place.
    pub(super) fn bars(mut self, bars: &[(f64, f64)], colour: usize) -> Self {
        let base = self.height - BOTTOM;
        for (at, value) in bars {
            let (from, to, y) = (self.x_of(at - 0.35), self.x_of(at + 0.35), self.y_of(*value));
            _ = write!(
                self.drawn,
                "<path class=\"bar c{colour}\" d=\"M{from:.1} {base:.1}V{y:.1}H{to:.1}V{base:.1}Z\"><title>{at}: {value}</title></path>"
            );
        }
        self
    }

    /// Stretches of a lane, from and to, in this depth of colour.
    pub(super) fn stretches(mut self, lane: usize, stretches: &[(f64, f64)], depth: usize) -> Self {
        let mut path = String::new();
        for (from, to) in stretches {
            let (from, to) = (self.x_of(*from), self.x_of(*to));
            let width = (to - from).max(0.6);
            let (y, height) = (TOP + LANE * lane as f64 + 2.0, LANE - 4.0);
            _ = write!(path, "M{from:.1} {y:.1}h{width:.1}v{height:.1}h-{width:.1}Z");
        }
        if !path.is_empty() {
            _ = write!(self.drawn, "<path class=\"fault d{depth}\" d=\"{path}\"/>");
        }
        self
    }

    /// A line across it, and what it means.
    pub(super) fn mark(mut self, at: f64, words: &str) -> Self {
        let (x, base) = (self.x_of(at), self.height - BOTTOM);
        _ = write!(self.drawn, "<path class=\"mark\" d=\"M{x:.1} {TOP}V{base:.1}\"/>");
        // On the side that has room.
        let (x, class) = if x > WIDTH / 2.0 { (x - 5.0, "end") } else { (x + 5.0, "start") };
        _ = write!(self.drawn, "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"{class}\">{words}</text>", TOP + 11.0);
        self
    }

    /// All of it; `label` says what it shows to those who do not see it.
    pub(super) fn svg(self, label: &str) -> String {
        let height = self.height;
        let drawn = self.drawn;
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">{drawn}</svg>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_where_something_can_be_read() {
        let names = |axis: &Axis| axis.ticks.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&Axis::numbers(0.0)), ["0", "1"]);
        assert_eq!(names(&Axis::numbers(7.0)), ["0", "2", "4", "6", "8"]);
        assert_eq!(names(&Axis::numbers(23_000.0)).last().map(String::as_str), Some("25 k"));
        assert_eq!(names(&Axis::powers(3.0)), ["1", "10"]);
        assert_eq!(names(&Axis::shares(0.002)), ["100 %", "10 %", "1 %", "0.1 %"]);
        let seconds = Duration::from_secs;
        assert_eq!(names(&Axis::durations(seconds(2), seconds(70))), ["1 s", "10 s", "1 min", "10 min"]);
        assert_eq!(names(&Axis::days(seconds(86_400 * 4))), ["0 d", "1 d", "2 d", "3 d", "4 d"]);
        assert_eq!(names(&Axis::days(seconds(86_400))), ["0 h", "6 h", "12 h", "18 h", "24 h"]);
        for axis in [Axis::numbers(9.0), Axis::powers(500.0), Axis::shares(0.001), Axis::places(2)] {
            assert!(axis.ticks.iter().all(|(at, _)| (0.0..=1.0).contains(&axis.place(*at))));
            assert_eq!((axis.place(f64::MAX), axis.place(-1.0)), (1.0, 0.0));
        }
    }
}
