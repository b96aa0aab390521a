//! The net graph: the network statistics of the last twelve seconds, and sliders that degrade the connection.
//!
//! Owns the panel and the choice of statistics in it; [`plots`] draws them, [`sliders`] set the simulated
//! conditions. The statistics themselves are [`NetStats`](throng_client::stats::NetStats), which are measured
//! whether the panel is open or not.

mod layout;
mod plots;
mod sliders;

use bevy::prelude::*;
use throng_client::stats::NetStatsPlugin;

use super::keys::{Action, ActionInput};
use super::session::GamePhase;
use super::theme::panel;
use layout::RIGHT;
pub(super) use layout::{Graph, TAKEN_WIDTH};

pub(crate) struct NetGraphPlugin;

impl Plugin for NetGraphPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins((NetStatsPlugin, plots::PlotsPlugin, sliders::SlidersPlugin))
            .add_systems(OnEnter(GamePhase::Play), spawn_graph)
            .add_systems(Update, toggle.run_if(in_state(GamePhase::Play)));
    }
}

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
