//! The rows of the net graph, each with its newest value and a plot of its history.

use std::collections::VecDeque;

use bevy::prelude::*;
use throng_client::stats::{NetStats, Series};

use super::layout::{COLUMNS, Graph, column, ms, percent, row};
use crate::window::minimap::{accent_bytes, blank};
use crate::window::raster::Raster;
use crate::window::session::GamePhase;
use crate::window::theme::{self, text};

/// Size of a plot, in pixels.
const PLOT: (u32, u32) = (COLUMNS[2] as u32, 18);
/// Seconds between two redraws of the plots.
const EVERY_S: f32 = 0.2;
/// Seconds over which frames are counted, and the number of counts that are kept: twelve seconds.
const COUNTED_S: f32 = 0.5;
const COUNTS: usize = 24;
/// Background of a plot: [`theme::FIELD`], as bytes.
const BACK: [u8; 4] = [20, 31, 46, 255];

/// A row: its name, the format of its newest value, and its history.
type PlottedFigure = (&'static str, fn(f32) -> String, fn(&NetStats) -> &Series);

const FIGURES: [PlottedFigure; 10] = [
    ("Ping", ms, |stats| &stats.ping_ms),
    ("Loss", percent, |stats| &stats.loss),
    ("Jitter", ms, |stats| &stats.jitter_ms),
    ("Snapshot age", ms, |stats| &stats.snapshot_age_ms),
    ("Others behind", ms, |stats| &stats.interpolation_delay_ms),
    ("Inputs early", ms, |stats| &stats.input_margin_ms),
    ("Prediction off", units, |stats| &stats.prediction_error),
    ("In", bytes, |stats| &stats.bytes_in_s),
    ("Out", bytes, |stats| &stats.bytes_out_s),
    ("Entities", whole, |stats| &stats.entities),
];

fn units(value: f32) -> String {
    format!("{value:.2} u")
}

fn bytes(value: f32) -> String {
    format!("{:.1} kB/s", value / 1_000.0)
}

fn whole(value: f32) -> String {
    format!("{value:.0}")
}

pub(super) struct PlotsPlugin;

impl Plugin for PlotsPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<FrameCounter>().add_systems(
            Update,
            (count_frames, show_values, draw_plots)
                .chain()
                .run_if(in_state(GamePhase::Play)),
        );
    }
}

/// The number of frames drawn per second.
#[derive(Resource, Default)]
struct FrameCounter {
    counted: u32,
    since_s: f32,
    fps: VecDeque<f32>,
}

/// The content of a row: an index in [`FIGURES`], or the frame rate for the index after the last.
#[derive(Component)]
struct PlotValue(usize);

#[derive(Component)]
struct Plot(usize, Handle<Image>);

/// Marks the text with the server's tick, above the rows.
#[derive(Component)]
struct TickWords;

pub(super) fn spawn(graph: &mut ChildSpawnerCommands, images: &mut Assets<Image>) {
    graph.spawn((TickWords, text("", 14.0, theme::ACCENT)));
    for number in 0..=FIGURES.len() {
        let name = FIGURES.get(number).map_or("Frames", |figure| figure.0);
        let picture = images.add(blank(PLOT.0, PLOT.1));
        row(graph, name, PlotValue(number), |row| {
            row.spawn((
                Plot(number, picture.clone()),
                ImageNode::new(picture),
                Node {
                    height: Val::Px(PLOT.1 as f32),
                    ..column(2)
                },
            ));
        });
    }
}

fn count_frames(time: Res<Time<Real>>, stats: Res<NetStats>, mut frames: ResMut<FrameCounter>) {
    frames.counted += 1;
    frames.since_s += time.delta_secs();
    if frames.since_s >= COUNTED_S {
        let fps = frames.counted as f32 / frames.since_s;
        (frames.counted, frames.since_s) = (0, 0.0);
        if frames.fps.len() == COUNTS {
            frames.fps.pop_front();
        }
        frames.fps.push_back(fps);
        debug!("{fps:.1} frames a second, {} entities", stats.entities.newest());
    }
}

fn show_values(
    (stats, frames): (Res<NetStats>, Res<FrameCounter>),
    graph: Single<&Visibility, With<Graph>>,
    mut values: Query<(&PlotValue, &mut Text), Without<TickWords>>,
    mut tick: Single<&mut Text, With<TickWords>>,
) {
    if **graph == Visibility::Hidden {
        return;
    }
    let newest = stats.tick.map_or_else(|| "-".into(), |tick| tick.0.to_string());
    tick.set_if_neq(Text(format!("Network   tick {newest}")));
    for (PlotValue(number), mut words) in &mut values {
        let shown = match FIGURES.get(*number) {
            Some((_, format, series)) => format(series(&stats).newest()),
            None => format!("{:.0} FPS", frames.fps.back().copied().unwrap_or_default()),
        };
        words.set_if_neq(Text(shown));
    }
}

fn draw_plots(
    (stats, frames, time): (Res<NetStats>, Res<FrameCounter>, Res<Time>),
    graph: Single<Ref<Visibility>, With<Graph>>,
    plots: Query<&Plot>,
    mut images: ResMut<Assets<Image>>,
    mut since_s: Local<f32>,
) {
    *since_s += time.delta_secs();
    if **graph == Visibility::Hidden || (*since_s < EVERY_S && !graph.is_changed()) {
        return;
    }
    *since_s = 0.0;
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

/// Draws a line through the values, the newest at the right. The top of the plot is the largest value. Its
/// bottom is 0, or the smallest value if that is negative.
fn plot(raster: &mut Raster<'_>, history: &[f32]) {
    let (width, height) = (PLOT.0 as i32, PLOT.1 as i32);
    raster.clear();
    raster.fill(IVec2::ZERO, IVec2::new(width, height), BACK);
    let top = history.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let bottom = history.iter().copied().fold(0.0, f32::min);
    let step = (width - 2) as f32 / (history.len().max(2) - 1) as f32;
    let at = |number: usize, value: f32| {
        let part = (value - bottom) / (top - bottom);
        Vec2::new(
            1.0 + number as f32 * step,
            height as f32 - 2.0 - part * (height as f32 - 4.0),
        )
    };
    for (number, pair) in history.windows(2).enumerate() {
        raster.line(at(number, pair[0]), at(number + 1, pair[1]), 1.4, accent_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the blue channel of a plot's pixels: high on the line, low on the background.
    fn drawn(history: &[f32]) -> impl Fn(u32, u32) -> u8 {
        let mut data = vec![0; (PLOT.0 * PLOT.1 * 4) as usize];
        plot(&mut Raster::new(&mut data, PLOT.0 as i32, PLOT.1 as i32), history);
        move |x, y| data[((y * PLOT.0 + x) * 4 + 2) as usize]
    }

    #[test]
    fn plot_runs_from_left_to_right_with_the_largest_value_at_the_top() {
        let blue = drawn(&[0.0, 0.0, 8.0]);
        assert!(blue(2, PLOT.1 - 2) > 150 && blue(2, 2) < 60);
        assert!(blue(PLOT.0 - 2, 2) > 100 && blue(PLOT.0 - 2, PLOT.1 - 2) < 60);
    }

    #[test]
    fn plot_draws_negative_values_below_zero() {
        let blue = drawn(&[-8.0, 0.0]);
        assert!(blue(2, PLOT.1 - 2) > 100 && blue(PLOT.0 - 2, 2) > 100);
    }
}
