//! Line charts as small, self-contained SVG files: axes with round ticks, a grid, and a name at the end of each line.
//!
//! Pure: values in, text out. Equal input gives equal bytes, so that a rerun changes only the lines that it measured.

use std::fmt::Write;

/// The mapping from values to positions along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances are equal differences. The axis begins at 0.
    Linear,
    /// Equal distances are equal ratios. Values must be positive.
    Logarithmic,
}

/// An axis of a chart.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Text beside the axis: quantity and unit.
    pub label: String,
    /// Mapping from values to positions.
    pub scale: Scale,
}

/// The style of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineWeight {
    /// The subject of the chart: solid and thick, with a value at every point.
    Subject,
    /// A line that the subject is compared with: solid and thinner.
    Peer,
    /// A bound: dashed, without points.
    Bound,
}

/// A line of a chart.
#[derive(Debug, Clone)]
pub struct ChartSeries {
    /// Name, which is drawn at the line's right end.
    pub label: String,
    /// Points (x, y) in ascending order of x.
    pub points: Vec<(f64, f64)>,
    /// Style of the line.
    pub weight: LineWeight,
}

/// A chart with one or more lines.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The quantity that the chart shows, in one line.
    pub title: String,
    /// The method of measurement, in one line.
    pub subtitle: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// All lines, the most important first.
    pub series: Vec<ChartSeries>,
}

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 400.0;
/// Smallest vertical distance between the names of two lines.
const LABEL_HEIGHT: f64 = 17.0;
/// Colours that most colour-blind readers can distinguish (Okabe and Ito), and that are dark enough on white.
const SUBJECT_COLOURS: [&str; 3] = ["#0072b2", "#009e73", "#56b4e9"];
const PEER_COLOURS: [&str; 4] = ["#d55e00", "#cc79a7", "#b8860b", "#7a5195"];
const BOUND_COLOUR: &str = "#555555";

impl Chart {
    /// Returns the chart as an SVG document. Empty series are omitted.
    #[must_use]
    pub fn svg(&self) -> String {
        let x = AxisMapping::new(self.x.scale, self.values(|point| point.0), LEFT, RIGHT);
        let y = AxisMapping::new(self.y.scale, self.values(|point| point.1), BOTTOM, TOP);
        let mut svg = Svg::new();
        svg.text(LEFT, 32.0, "title", "start", &self.title);
        svg.text(LEFT, 52.0, "note", "start", &self.subtitle);
        self.draw_axes(&mut svg, &x, &y);
        self.draw_series(&mut svg, &x, &y);
        svg.finish()
    }

    fn values(&self, pick: impl Fn(&(f64, f64)) -> f64) -> Vec<f64> {
        self.series
            .iter()
            .flat_map(|series| &series.points)
            .map(pick)
            .collect()
    }

    fn draw_axes(&self, svg: &mut Svg, x: &AxisMapping, y: &AxisMapping) {
        for tick in y.ticks() {
            let position = y.position(tick);
            svg.line((LEFT, position), (RIGHT, position), "grid");
            svg.text(LEFT - 10.0, position + 4.0, "tick", "end", &tick_label(tick));
        }
        for tick in x.ticks() {
            let position = x.position(tick);
            svg.line((position, BOTTOM), (position, BOTTOM + 5.0), "axis");
            svg.text(position, BOTTOM + 21.0, "tick", "middle", &tick_label(tick));
        }
        svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "axis");
        svg.text(
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 44.0,
            "label",
            "middle",
            &self.x.label,
        );
        svg.text(LEFT, TOP - 16.0, "label", "start", &self.y.label);
    }

    fn draw_series(&self, svg: &mut Svg, x: &AxisMapping, y: &AxisMapping) {
        let (mut subjects, mut peers) = (SUBJECT_COLOURS.iter().cycle(), PEER_COLOURS.iter().cycle());
        let colours: Vec<&str> = self
            .series
            .iter()
            .map(|series| match series.weight {
                LineWeight::Subject => subjects.next().unwrap_or(&BOUND_COLOUR),
                LineWeight::Peer => peers.next().unwrap_or(&BOUND_COLOUR),
                LineWeight::Bound => BOUND_COLOUR,
            })
            .collect();
        let mut names: Vec<(f64, &str, &str, LineWeight)> = Vec::new();
        // The most important line is drawn last, so that it is above the others.
        for (series, colour) in self.series.iter().zip(colours).rev() {
            let points: Vec<(f64, f64)> = series
                .points
                .iter()
                .map(|(px, py)| (x.position(*px), y.position(*py)))
                .collect();
            let Some(last) = points.last() else { continue };
            svg.path(&points, colour, series.weight);
            if series.weight != LineWeight::Bound {
                for (position, (px, py)) in points.iter().zip(&series.points) {
                    svg.point(
                        *position,
                        colour,
                        &format!("{}: {} at {}", series.label, tick_label(*py), px),
                    );
                }
            }
            names.push((last.1, &series.label, colour, series.weight));
        }
        spread(&mut names);
        for (position, label, colour, weight) in names {
            let class = if weight == LineWeight::Subject {
                "name subject"
            } else {
                "name"
            };
            svg.coloured_text(RIGHT + 14.0, position + 4.0, class, colour, label);
        }
    }
}

/// Moves names apart so that none covers another. Their order stays the same.
fn spread(names: &mut [(f64, &str, &str, LineWeight)]) {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    for index in 1..names.len() {
        names[index].0 = names[index].0.max(names[index - 1].0 + LABEL_HEIGHT);
    }
    // Names that were moved below the axis are moved up again, and the names above them as far as needed.
    let mut floor = BOTTOM;
    for name in names.iter_mut().rev() {
        name.0 = name.0.min(floor);
        floor = name.0 - LABEL_HEIGHT;
    }
}

/// Maps values to positions along one axis, whose ends are round values.
struct AxisMapping {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl AxisMapping {
    fn new(scale: Scale, values: Vec<f64>, from: f64, to: f64) -> Self {
        let usable = values
            .into_iter()
            .filter(|value| scale == Scale::Linear || *value > 0.0);
        let (least, most) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (least, most) = if least <= most { (least, most) } else { (1.0, 10.0) };
        let (low, high) = match scale {
            Scale::Linear => {
                let step = round_step(most.max(f64::MIN_POSITIVE));
                (0.0, (most / step).ceil() * step)
            }
            Scale::Logarithmic => {
                // A margin below, so that the lowest line does not lie on the axis.
                let (low, high) = (round_down(least / 1.3), round_up(most));
                if low < high {
                    (low, high)
                } else {
                    (low, low * 10.0)
                }
            }
        };
        Self {
            scale,
            low,
            high,
            from,
            to,
        }
    }

    fn position(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + share * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = round_step(self.high);
                let count = (self.high / step).round() as u32;
                (0..=count).map(|index| f64::from(index) * step).collect()
            }
            Scale::Logarithmic => {
                let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
                let slack = 1.0 + 1e-9;
                decades
                    .flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade)))
                    .filter(|tick| *tick * slack >= self.low && *tick <= self.high * slack)
                    .collect()
            }
        }
    }
}

/// Returns a step of 1, 2 or 5 times a power of ten, of which 4 to 10 reach `most`.
fn round_step(most: f64) -> f64 {
    let rough = most / 5.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let digit = rough / decade;
    decade
        * if digit < 1.5 {
            1.0
        } else if digit < 3.5 {
            2.0
        } else if digit < 7.5 {
            5.0
        } else {
            10.0
        }
}

/// Returns the largest 1, 2 or 5 times a power of ten that is not above `value`.
fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let digit = value / decade * (1.0 + 1e-9);
    decade
        * if digit < 2.0 {
            1.0
        } else if digit < 5.0 {
            2.0
        } else {
            5.0
        }
}

/// Returns the smallest 1, 2 or 5 times a power of ten that is not below `value`.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let digit = value / decade * (1.0 - 1e-9);
    decade
        * if digit <= 1.0 {
            1.0
        } else if digit <= 2.0 {
            2.0
        } else if digit <= 5.0 {
            5.0
        } else {
            10.0
        }
}

fn tick_label(value: f64) -> String {
    if value >= 1_000.0 {
        return throng_client::table::grouped(value.round() as u64);
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The SVG text under construction. Writing to a `String` cannot fail.
struct Svg(String);

impl Svg {
    fn new() -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\">\n\
             <style>text{{font-size:13px;fill:#333}}.title{{font-size:17px;font-weight:600;fill:#111}}\
             .note{{fill:#666}}.tick{{font-size:12px;fill:#666;font-variant-numeric:tabular-nums}}\
             .label{{fill:#444}}.subject{{font-weight:600}}.grid{{stroke:#e6e6e6}}.axis{{stroke:#888}}\
             path{{fill:none;stroke-linejoin:round;stroke-linecap:round}}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\" fill=\"#fff\"/>\n"
        ))
    }

    fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    fn coloured_text(&mut self, x: f64, y: f64, class: &str, colour: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" style=\"fill:{colour}\">{text}</text>"
        );
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn path(&mut self, points: &[(f64, f64)], colour: &str, weight: LineWeight) {
        let mut data = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let _ = write!(data, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        let looks = match weight {
            LineWeight::Subject => "stroke-width=\"3\"",
            LineWeight::Peer => "stroke-width=\"1.8\"",
            LineWeight::Bound => "stroke-width=\"1.5\" stroke-dasharray=\"2 5\"",
        };
        let _ = writeln!(self.0, "<path d=\"{data}\" stroke=\"{colour}\" {looks}/>");
    }

    fn point(&mut self, (x, y): (f64, f64), colour: &str, hint: &str) {
        let hint = escape(hint);
        let _ = writeln!(
            self.0,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{hint}</title></circle>"
        );
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chart(scale: Scale, points: Vec<(f64, f64)>) -> Chart {
        let axis = |label: &str| Axis {
            label: label.to_owned(),
            scale,
        };
        let series = |label: &str, weight| ChartSeries {
            label: label.to_owned(),
            points: points.clone(),
            weight,
        };
        Chart {
            title: "A & B < C".to_owned(),
            subtitle: "how".to_owned(),
            x: axis("clients"),
            y: axis("us"),
            series: vec![
                series("ours", LineWeight::Subject),
                series("peer", LineWeight::Peer),
                series("floor", LineWeight::Bound),
            ],
        }
    }

    #[test]
    fn axis_ticks_are_round_numbers() {
        let log = AxisMapping::new(Scale::Logarithmic, vec![5.2, 134.0], 0.0, 1.0);
        assert_eq!(log.ticks(), [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        let linear = AxisMapping::new(Scale::Linear, vec![3.0, 18.0], 0.0, 1.0);
        assert_eq!(linear.ticks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(
            [0.5, 5.0, 12.25, 2_000.0].map(tick_label),
            ["0.5", "5", "12.25", "2,000"]
        );
    }

    #[test]
    fn logarithmic_positions_follow_the_scale() {
        let log = AxisMapping::new(Scale::Logarithmic, vec![1.4, 100.0], 0.0, 200.0);
        assert_eq!(
            [1.0, 10.0, 100.0].map(|value| log.position(value).round()),
            [0.0, 100.0, 200.0]
        );
    }

    #[test]
    fn names_do_not_cover_each_other_and_stay_inside() {
        for position in [TOP, BOTTOM - 3.0] {
            let mut names: Vec<_> = (0..8)
                .map(|_| (position, "name", "#000", LineWeight::Peer))
                .collect();
            spread(&mut names);
            let apart = |pair: &[(f64, &str, &str, LineWeight)]| pair[1].0 - pair[0].0 >= LABEL_HEIGHT - 1e-9;
            assert!(names.windows(2).all(apart));
            assert!(names.iter().all(|name| (TOP..=BOTTOM).contains(&name.0)));
        }
    }

    #[test]
    fn text_is_escaped_and_empty_series_are_omitted() {
        let svg = chart(Scale::Linear, vec![]).svg();
        assert!(svg.contains("A &amp; B &lt; C"));
        assert!(!svg.contains("<path"));
    }

    proptest! {
        #[test]
        fn every_point_lies_within_the_axes(
            points in prop::collection::vec((0.01_f64..1e6, 0.01_f64..1e6), 1..10), log: bool,
        ) {
            let scale = if log { Scale::Logarithmic } else { Scale::Linear };
            let x = AxisMapping::new(scale, points.iter().map(|point| point.0).collect(), LEFT, RIGHT);
            for (value, _) in &points {
                let position = x.position(*value);
                prop_assert!((LEFT - 0.01..=RIGHT + 0.01).contains(&position), "{value} at {position}");
            }
            prop_assert!((2..=24).contains(&x.ticks().len()), "{:?}", x.ticks());
            prop_assert!(!chart(scale, points).svg().contains("NaN"));
        }
    }
}
