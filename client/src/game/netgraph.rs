//! The net graph: what the network does, with the last twelve seconds of each figure, and sliders that make
//! the line worse.

use std::time::Duration;

use bevy::prelude::*;
use bevy::ui::RelativeCursorPosition;

use super::keys::{Action, Controls};
use super::minimap::{accent_bytes, blank};
use super::raster::Raster;
use super::session::Phase;
use super::theme::{self, panel, text};
use crate::link::LinkConditions;
use crate::stats::{NetStats, Series};
use crate::world::Connection;

/// Size of a plot, in pixels.
const PLOT: (u32, u32) = (118, 20);
/// Seconds between two pictures.
const EVERY_S: f32 = 0.2;
/// The worst line that can be simulated: lost each way, and one way's delay in milliseconds.
const WORST: (f32, f32) = (0.3, 300.0);

/// Shows the net graph.
pub struct NetGraphPlugin;

impl Plugin for NetGraphPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Frames>()
            .init_resource::<Simulated>()
            .add_systems(OnEnter(Phase::Play), spawn_graph)
            .add_systems(
                Update,
                (count_frames, toggle, pull_sliders, simulate, draw).chain().run_if(in_state(Phase::Play)),
            );
    }
}

/// How long frames take.
#[derive(Resource, Default)]
struct Frames {
    counted: u32,
    since_s: f32,
    fps: std::collections::VecDeque<f32>,
}

/// The line that is simulated.
#[derive(Resource, Clone, Copy, Default, PartialEq)]
struct Simulated {
    /// Part that is lost, each way.
    loss: f32,
    /// Milliseconds that everything is delayed, each way.
    delay_ms: f32,
    /// Milliseconds more at most.
    jitter_ms: f32,
}

/// The rows of the graph: a name, how its newest value is written, and its history.
type Figure = (&'static str, fn(f32) -> String, fn(&NetStats) -> &Series);
const FIGURES: [Figure; 9] = [
    ("Ping", ms, |stats| &stats.ping_ms),
    ("Jitter", ms, |stats| &stats.jitter_ms),
    ("Loss", percent, |stats| &stats.loss),
    ("Snapshot age", ms, |stats| &stats.snapshot_age_ms),
    ("Shown behind", ms, |stats| &stats.interpolation_delay_ms),
    ("Prediction off", units, |stats| &stats.prediction_error),
    ("In", bytes, |stats| &stats.bytes_in_s),
    ("Out", bytes, |stats| &stats.bytes_out_s),
    ("Entities", whole, |stats| &stats.entities),
];
/// The rows, and that of the frame rate.
const ROWS: usize = FIGURES.len() + 1;

fn ms(value: f32) -> String {
    format!("{value:.0} ms")
}

fn percent(value: f32) -> String {
    format!("{:.1} %", value * 100.0)
}

fn units(value: f32) -> String {
    format!("{value:.2} u")
}

fn bytes(value: f32) -> String {
    format!("{:.1} kB/s", value / 1_000.0)
}

fn whole(value: f32) -> String {
    format!("{value:.0}")
}

#[derive(Component)]
struct Graph;

#[derive(Component)]
struct Plot(usize, Handle<Image>);

#[derive(Component)]
struct Value(usize);

/// The server's tick, over the rows.
#[derive(Component)]
struct TickWords;

/// What a slider changes.
#[derive(Component, Clone, Copy, PartialEq, Eq)]
enum Slider {
    Loss,
    Delay,
    Jitter,
}

impl Slider {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Delay, "Delay"),
        (Self::Jitter, "Jitter"),
        (Self::Loss, "Loss"),
    ];

    /// Where it stands, 0..=1, and what it says.
    fn reads(self, line: Simulated) -> (f32, String) {
        match self {
            Self::Loss => (line.loss / WORST.0, percent(line.loss)),
            Self::Delay => (line.delay_ms / WORST.1, ms(line.delay_ms)),
            Self::Jitter => (line.jitter_ms / WORST.1, ms(line.jitter_ms)),
        }
    }

    fn set(self, line: &mut Simulated, part: f32) {
        match self {
            Self::Loss => line.loss = (part * WORST.0 * 100.0).round() / 100.0,
            Self::Delay => line.delay_ms = (part * WORST.1 / 10.0).round() * 10.0,
            Self::Jitter => line.jitter_ms = (part * WORST.1 / 10.0).round() * 10.0,
        }
    }
}

#[derive(Component)]
struct Knob(Slider);

#[derive(Component)]
struct SliderWords(Slider);

fn row() -> Node {
    Node {
        align_items: AlignItems::Center,
        column_gap: Val::Px(8.0),
        ..default()
    }
}

fn column(width: f32) -> Node {
    Node {
        width: Val::Px(width),
        ..default()
    }
}

fn spawn_graph(mut images: ResMut<Assets<Image>>, mut commands: Commands) {
    let corner = Node {
        position_type: PositionType::Absolute,
        top: Val::Px(12.0),
        right: Val::Px(14.0),
        row_gap: Val::Px(3.0),
        ..default()
    };
    commands
        .spawn((DespawnOnExit(Phase::Play), Graph, panel(corner), Visibility::Hidden))
        .with_children(|graph| {
            graph.spawn((TickWords, text("", 14.0, theme::ACCENT)));
            for number in 0..ROWS {
                let name = FIGURES.get(number).map_or("Frames", |figure| figure.0);
                let picture = images.add(blank(PLOT.0, PLOT.1));
                graph.spawn(row()).with_children(|row| {
                    row.spawn((text(name, 13.0, theme::MUTED), column(104.0)));
                    row.spawn((Value(number), text("", 13.0, theme::TEXT), column(82.0)));
                    row.spawn((
                        Plot(number, picture.clone()),
                        ImageNode::new(picture),
                        Node {
                            height: Val::Px(PLOT.1 as f32),
                            ..column(PLOT.0 as f32)
                        },
                    ));
                });
            }
            graph.spawn((
                text("Simulated line, each way", 13.0, theme::ACCENT),
                Node {
                    margin: UiRect::top(Val::Px(6.0)),
                    ..default()
                },
            ));
            for (slider, name) in Slider::ALL {
                graph.spawn(row()).with_children(|row| {
                    row.spawn((text(name, 13.0, theme::MUTED), column(104.0)));
                    row.spawn((SliderWords(slider), text("", 13.0, theme::TEXT), column(82.0)));
                    row.spawn((
                        slider,
                        Button,
                        RelativeCursorPosition::default(),
                        Node {
                            height: Val::Px(16.0),
                            border_radius: BorderRadius::all(Val::Px(3.0)),
                            ..column(PLOT.0 as f32)
                        },
                        BackgroundColor(theme::FIELD),
                    ))
                    .with_child((
                        Knob(slider),
                        Node {
                            height: Val::Percent(100.0),
                            min_width: Val::Px(4.0),
                            border_radius: BorderRadius::all(Val::Px(3.0)),
                            ..default()
                        },
                        BackgroundColor(theme::WARM),
                    ));
                });
            }
        });
}

fn count_frames(time: Res<Time<Real>>, mut frames: ResMut<Frames>) {
    frames.counted += 1;
    frames.since_s += time.delta_secs();
    if frames.since_s >= 0.5 {
        let fps = frames.counted as f32 / frames.since_s;
        (frames.counted, frames.since_s) = (0, 0.0);
        frames.fps.push_back(fps);
        if frames.fps.len() > 48 {
            frames.fps.pop_front();
        }
        debug!("{fps:.1} frames a second");
    }
}

fn toggle(controls: Controls, mut graph: Single<&mut Visibility, With<Graph>>) {
    if controls.just_pressed_in_menus(Action::NetGraph) {
        **graph = match **graph {
            Visibility::Hidden => Visibility::Inherited,
            _ => Visibility::Hidden,
        };
    }
}

fn pull_sliders(
    sliders: Query<(&Slider, &Interaction, &RelativeCursorPosition)>,
    graph: Single<&Visibility, With<Graph>>,
    mut line: ResMut<Simulated>,
) {
    for (slider, interaction, cursor) in &sliders {
        let held = *interaction == Interaction::Pressed && **graph != Visibility::Hidden;
        if let (true, Some(at)) = (held, cursor.normalized) {
            let mut pulled = *line;
            slider.set(&mut pulled, (at.x + 0.5).clamp(0.0, 1.0));
            line.set_if_neq(pulled);
        }
    }
}

/// A new session begins with a perfect line, so the wish is told again.
fn simulate(line: Res<Simulated>, connection: Option<ResMut<Connection>>) {
    let Some(mut connection) = connection else { return };
    if !line.is_changed() && !connection.is_added() {
        return;
    }
    let wait = |ms: f32| Duration::from_secs_f32(ms / 1_000.0);
    connection.0.set_line(LinkConditions {
        loss: f64::from(line.loss),
        latency: wait(line.delay_ms),
        jitter: wait(line.jitter_ms),
        ..LinkConditions::PERFECT
    });
}

fn draw(
    (stats, frames, line, time): (Res<NetStats>, Res<Frames>, Res<Simulated>, Res<Time>),
    graph: Single<Ref<Visibility>, With<Graph>>,
    mut images: ResMut<Assets<Image>>,
    plots: Query<&Plot>,
    mut words: ParamSet<(
        Query<(&Value, &mut Text)>,
        Query<(&SliderWords, &mut Text)>,
        Single<&mut Text, With<TickWords>>,
    )>,
    mut knobs: Query<(&Knob, &mut Node)>,
    mut since_s: Local<f32>,
) {
    *since_s += time.delta_secs();
    if **graph == Visibility::Hidden || (*since_s < EVERY_S && !graph.is_changed()) {
        return;
    }
    *since_s = 0.0;
    let tick = stats.tick.map_or_else(|| "-".into(), |tick| tick.0.to_string());
    words.p2().set_if_neq(Text(format!("Network   tick {tick}")));
    for (Value(number), mut words) in &mut words.p0() {
        let shown = match FIGURES.get(*number) {
            Some((_, format, series)) => format(series(&stats).newest()),
            None => format!("{:.0} FPS", frames.fps.back().copied().unwrap_or_default()),
        };
        words.set_if_neq(Text(shown));
    }
    for (SliderWords(slider), mut words) in &mut words.p1() {
        words.set_if_neq(Text(slider.reads(*line).1));
    }
    for (Knob(slider), mut node) in &mut knobs {
        node.width = Val::Percent(slider.reads(*line).0 * 100.0);
    }
    for Plot(number, picture) in &plots {
        let history: Vec<f32> = match FIGURES.get(*number) {
            Some((_, _, series)) => series(&stats).iter().collect(),
            None => frames.fps.iter().copied().collect(),
        };
        if let Some(mut image) = images.get_mut(picture)
            && let Some(data) = &mut image.data
        {
            plot(&mut Raster::new(data, PLOT.0 as i32, PLOT.1 as i32), &history);
        }
    }
}

/// A line through the values, the newest at the right; its top is the largest of them.
fn plot(raster: &mut Raster<'_>, history: &[f32]) {
    let (width, height) = (PLOT.0 as i32, PLOT.1 as i32);
    raster.clear();
    raster.fill(IVec2::ZERO, IVec2::new(width, height), [20, 31, 46, 255]);
    let top = history.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let step = (width - 2) as f32 / (history.len().max(2) - 1) as f32;
    let at = |number: usize, value: f32| {
        Vec2::new(1.0 + number as f32 * step, height as f32 - 2.0 - value / top * (height as f32 - 4.0))
    };
    for (number, pair) in history.windows(2).enumerate() {
        raster.line(at(number, pair[0]), at(number + 1, pair[1]), 1.4, accent_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sliders_set_what_they_read() {
        for (slider, _) in Slider::ALL {
            let mut line = Simulated::default();
            slider.set(&mut line, 0.5);
            assert!((slider.reads(line).0 - 0.5).abs() < 0.02);
        }
    }
}
