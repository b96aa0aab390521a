//! The net graph: what the network does, with the last twelve seconds of each figure.

use std::collections::VecDeque;
use std::time::Duration;

use bevy::prelude::*;

use super::keys::{Action, Controls};
use super::minimap::{accent_bytes, blank};
use super::raster::Raster;
use super::session::Phase;
use super::theme::{self, panel, text};
use crate::predict::PredictionErrors;
use crate::schedule::ClientSystems;
use crate::world::{ClientClock, Mirrored};

/// Size of a plot, in pixels.
const PLOT: (u32, u32) = (118, 20);
/// Seconds between two pictures.
const EVERY_S: f32 = 0.2;
/// Seconds between two samples, and samples that are kept.
const SAMPLE_S: f32 = 0.1;
const SAMPLES: usize = 120;

/// Shows the net graph.
pub struct NetGraphPlugin;

impl Plugin for NetGraphPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Frames>()
            .init_resource::<Figures>()
            .add_systems(PreUpdate, sample.in_set(ClientSystems::Measure))
            .add_systems(OnEnter(Phase::Play), spawn_graph)
            .add_systems(
                Update,
                (count_frames, toggle, draw).chain().run_if(in_state(Phase::Play)),
            );
    }
}

/// How long frames take.
#[derive(Resource, Default)]
struct Frames {
    counted: u32,
    since_s: f32,
    fps: History,
}

/// A figure's history, oldest first.
type History = VecDeque<f32>;

/// What the network did.
#[derive(Resource, Default)]
struct Figures {
    tick: Option<u32>,
    since_s: f32,
    histories: [History; FIGURES.len()],
}

/// The figures: a name, and how a value is written.
const FIGURES: [(&str, fn(f32) -> String); 6] = [
    ("Ping", ms),
    ("Jitter", ms),
    ("Snapshot age", ms),
    ("Shown behind", ms),
    ("Prediction off", units),
    ("Entities", whole),
];
/// The rows, and that of the frame rate.
const ROWS: usize = FIGURES.len() + 1;

fn ms(value: f32) -> String {
    format!("{value:.0} ms")
}

fn units(value: f32) -> String {
    format!("{value:.2} u")
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
        .spawn((
            DespawnOnExit(Phase::Play),
            Graph,
            panel(corner),
            Visibility::Hidden,
        ))
        .with_children(|graph| {
            graph.spawn((TickWords, text("", 14.0, theme::ACCENT)));
            for number in 0..ROWS {
                let name = FIGURES.get(number).map_or("Frames", |figure| figure.0);
                let picture = images.add(blank(PLOT.0, PLOT.1));
                graph.spawn(row()).with_children(|row| {
                    row.spawn((text(name, 13.0, theme::MUTED), column(120.0)));
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
        });
}

fn sample(
    clock: Res<ClientClock>,
    errors: Option<Res<PredictionErrors>>,
    seen: Query<(), With<Mirrored>>,
    mut figures: ResMut<Figures>,
) {
    figures.since_s += clock.delta().as_secs_f32();
    if figures.since_s < SAMPLE_S {
        return;
    }
    figures.since_s = 0.0;
    let ms = |time: Option<Duration>| time.unwrap_or_default().as_secs_f32() * 1_000.0;
    let newest = clock.newest();
    figures.tick = newest.map(|(tick, _)| tick.0);
    let values = [
        ms(clock.round_trip()),
        ms(clock.jitter()),
        ms(newest.map(|(_, age)| age)),
        ms(clock.interpolation_delay()),
        errors.and_then(|errors| errors.newest()).unwrap_or_default(),
        seen.iter().count() as f32,
    ];
    for (history, value) in figures.histories.iter_mut().zip(values) {
        if history.len() == SAMPLES {
            history.pop_front();
        }
        history.push_back(value);
    }
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

fn draw(
    (figures, frames, time): (Res<Figures>, Res<Frames>, Res<Time>),
    graph: Single<Ref<Visibility>, With<Graph>>,
    mut images: ResMut<Assets<Image>>,
    plots: Query<&Plot>,
    mut words: ParamSet<(Query<(&Value, &mut Text)>, Single<&mut Text, With<TickWords>>)>,
    mut since_s: Local<f32>,
) {
    *since_s += time.delta_secs();
    if **graph == Visibility::Hidden || (*since_s < EVERY_S && !graph.is_changed()) {
        return;
    }
    *since_s = 0.0;
    let tick = figures.tick.map_or_else(|| "-".into(), |tick| tick.to_string());
    words.p1().set_if_neq(Text(format!("Network   tick {tick}")));
    for (Value(number), mut words) in &mut words.p0() {
        let shown = match FIGURES.get(*number) {
            Some((_, format)) => format(figures.histories[*number].back().copied().unwrap_or_default()),
            None => format!("{:.0} FPS", frames.fps.back().copied().unwrap_or_default()),
        };
        words.set_if_neq(Text(shown));
    }
    for Plot(number, picture) in &plots {
        let history = figures.histories.get(*number).unwrap_or(&frames.fps);
        let history: Vec<f32> = history.iter().copied().collect();
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
        Vec2::new(
            1.0 + number as f32 * step,
            height as f32 - 2.0 - value / top * (height as f32 - 4.0),
        )
    };
    for (number, pair) in history.windows(2).enumerate() {
        raster.line(at(number, pair[0]), at(number + 1, pair[1]), 1.4, accent_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_drawn_from_left_to_right_and_its_top_is_the_largest_value() {
        let mut data = vec![0; (PLOT.0 * PLOT.1 * 4) as usize];
        let mut raster = Raster::new(&mut data, PLOT.0 as i32, PLOT.1 as i32);
        plot(&mut raster, &[0.0, 0.0, 8.0]);
        let blue = |x: u32, y: u32| data[((y * PLOT.0 + x) * 4 + 2) as usize];
        assert!(blue(2, PLOT.1 - 2) > 150 && blue(2, 2) < 60);
        assert!(blue(PLOT.0 - 2, 2) > 100 && blue(PLOT.0 - 2, PLOT.1 - 2) < 60);
    }
}
