//! The net graph: the network statistics of the last twelve seconds, and sliders that degrade the connection.
//!
//! Owns the panel and the choice of statistics in it; [`plots`] draws them, [`sliders`] set the simulated
//! conditions. The statistics themselves are [`NetStats`](throng_client::stats::NetStats), which are measured
//! whether the panel is open or not.

mod plots;
mod sliders;

use bevy::prelude::*;
use throng_client::stats::NetStatsPlugin;

use super::keys::{Action, ActionInput};
use super::session::GamePhase;
use super::theme::{self, panel, text};

/// Widths of the columns of names, values and plots, in pixels.
const COLUMNS: [f32; 3] = [118.0, 78.0, 140.0];
const COLUMN_GAP: f32 = 8.0;
/// Pixels between the panel and the right side of the window.
const RIGHT: f32 = 14.0;
/// Width that the panel takes at the right side of the window, in pixels.
pub(super) const TAKEN: f32 =
    RIGHT + 2.0 * (theme::PANEL_EDGE + COLUMN_GAP) + COLUMNS[0] + COLUMNS[1] + COLUMNS[2];

pub(crate) struct NetGraphPlugin;

impl Plugin for NetGraphPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins((NetStatsPlugin, plots::PlotsPlugin, sliders::SlidersPlugin))
            .add_systems(OnEnter(GamePhase::Play), spawn_graph)
            .add_systems(Update, toggle.run_if(in_state(GamePhase::Play)));
    }
}

/// Marks the panel of the net graph.
#[derive(Component)]
pub(super) struct Graph;

fn spawn_graph(mut images: ResMut<Assets<Image>>, mut commands: Commands) {
    let corner = Node {
        position_type: PositionType::Absolute,
        top: Val::Px(12.0),
        right: Val::Px(RIGHT),
        row_gap: Val::Px(3.0),
        ..default()
    };
    commands
        .spawn((
            DespawnOnExit(GamePhase::Play),
            Graph,
            panel(corner),
            Visibility::Hidden,
        ))
        .with_children(|graph| {
            plots::spawn(graph, &mut images);
            sliders::spawn(graph);
        });
}

fn toggle(controls: ActionInput, mut graph: Single<&mut Visibility, With<Graph>>) {
    if controls.just_pressed_in_menus(Action::NetGraph) {
        **graph = match **graph {
            Visibility::Hidden => Visibility::Inherited,
            _ => Visibility::Hidden,
        };
    }
}

/// Spawns a row: a name, and a value marked by `value`; `last` adds the content of the third column.
fn row(
    graph: &mut ChildSpawnerCommands,
    name: &str,
    value: impl Bundle,
    last: impl FnOnce(&mut ChildSpawnerCommands),
) {
    let node = Node {
        align_items: AlignItems::Center,
        column_gap: Val::Px(COLUMN_GAP),
        ..default()
    };
    graph.spawn(node).with_children(|row| {
        row.spawn((text(name, 13.0, theme::MUTED), column(0)));
        row.spawn((value, text("", 13.0, theme::TEXT), column(1)));
        last(row);
    });
}

fn column(number: usize) -> Node {
    Node {
        width: Val::Px(COLUMNS[number]),
        ..default()
    }
}

/// Formats a time in milliseconds.
fn ms(value: f32) -> String {
    format!("{value:.0} ms")
}

/// Formats a share (0 to 1) as a percentage.
fn percent(value: f32) -> String {
    format!("{:.1} %", value * 100.0)
}
