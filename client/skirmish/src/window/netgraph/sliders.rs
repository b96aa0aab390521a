//! Sliders for simulated network conditions: delay, jitter and loss, in each direction, between the session and
//! its socket.
//!
//! Owns the conditions that the player chose, which outlive sessions: a new session starts with them.

use std::time::Duration;

use bevy::prelude::*;
use bevy::ui::RelativeCursorPosition;
use throng_client::link::LinkConditions;
use throng_client::world::Connection;

use super::layout::{Graph, column, ms, percent, row};
use crate::window::keys::PointerOverControl;
use crate::window::session::GamePhase;
use crate::window::theme::{self, text};

/// The worst selectable conditions: milliseconds of delay and of jitter, and the share of lost datagrams, in
/// each direction.
const WORST_MS: f32 = 300.0;
const WORST_LOSS: f32 = 0.3;
/// Step sizes of the sliders.
const STEP_MS: f32 = 5.0;
const STEP_LOSS: f32 = 0.01;

pub(super) struct SlidersPlugin;

impl Plugin for SlidersPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Simulated>()
            .add_systems(
                Update,
                (pull, simulate, show).chain().run_if(in_state(GamePhase::Play)),
            )
            .add_systems(
                OnExit(GamePhase::Play),
                |mut taken: ResMut<PointerOverControl>| {
                    taken.0 = false;
                },
            );
    }
}

/// The simulated network conditions.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq)]
struct Simulated {
    /// Delay of every datagram, in milliseconds, in each direction.
    delay_ms: f32,
    /// Largest additional delay, in milliseconds.
    jitter_ms: f32,
    /// Share of lost datagrams, in each direction.
    loss: f32,
}

impl Simulated {
    fn conditions(self) -> LinkConditions {
        let wait = |ms: f32| Duration::from_millis(ms.round() as u64);
        LinkConditions {
            loss: f64::from(self.loss),
            latency: wait(self.delay_ms),
            jitter: wait(self.jitter_ms),
            ..LinkConditions::PERFECT
        }
    }
}

/// The condition that a slider changes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
enum Slider {
    Delay,
    Jitter,
    Loss,
}

impl Slider {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Delay, "Delay"),
        (Self::Jitter, "Jitter"),
        (Self::Loss, "Loss"),
    ];

    /// Returns the slider's position, 0 to 1, and its label.
    fn reads(self, line: Simulated) -> (f32, String) {
        match self {
            Self::Delay => (line.delay_ms / WORST_MS, ms(line.delay_ms)),
            Self::Jitter => (line.jitter_ms / WORST_MS, ms(line.jitter_ms)),
            Self::Loss => (line.loss / WORST_LOSS, percent(line.loss)),
        }
    }

    /// Sets the slider to position `part`, 0 to 1.
    fn set(self, line: &mut Simulated, part: f32) {
        let stepped = |worst: f32, step: f32| (part.clamp(0.0, 1.0) * worst / step).round() * step;
        match self {
            Self::Delay => line.delay_ms = stepped(WORST_MS, STEP_MS),
            Self::Jitter => line.jitter_ms = stepped(WORST_MS, STEP_MS),
            Self::Loss => line.loss = stepped(WORST_LOSS, STEP_LOSS),
        }
    }
}

/// Marks the filled part of a slider.
#[derive(Component)]
struct Filled(Slider);

#[derive(Component)]
struct SliderWords(Slider);

pub(super) fn spawn(graph: &mut ChildSpawnerCommands) {
    graph.spawn((
        text("A worse line, each way (drag)", 13.0, theme::ACCENT),
        Node {
            margin: UiRect::top(Val::Px(6.0)),
            ..default()
        },
    ));
    for (slider, name) in Slider::ALL {
        row(graph, name, SliderWords(slider), |row| {
            row.spawn((
                slider,
                Button,
                RelativeCursorPosition::default(),
                Node {
                    height: Val::Px(16.0),
                    border_radius: BorderRadius::all(Val::Px(3.0)),
                    ..column(2)
                },
                BackgroundColor(theme::FIELD),
            ))
            .with_child((
                Filled(slider),
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
}

fn pull(
    sliders: Query<(&Slider, &Interaction, &RelativeCursorPosition)>,
    graph: Single<&Visibility, With<Graph>>,
    mut line: ResMut<Simulated>,
    mut taken: ResMut<PointerOverControl>,
) {
    let is_open = **graph != Visibility::Hidden;
    let is_touched = |interaction: &Interaction| is_open && *interaction != Interaction::None;
    let touched = sliders.iter().any(|(_, interaction, _)| is_touched(interaction));
    taken.set_if_neq(PointerOverControl(touched));
    for (slider, interaction, cursor) in &sliders {
        if let (Interaction::Pressed, true, Some(at)) = (interaction, is_open, cursor.normalized) {
            let mut pulled = *line;
            slider.set(&mut pulled, at.x + 0.5);
            line.set_if_neq(pulled);
        }
    }
}

/// Applies the conditions to the connection; a new one starts with perfect conditions.
fn simulate(line: Res<Simulated>, connection: Option<ResMut<Connection>>) {
    if let Some(mut connection) = connection
        && connection.0.line() != line.conditions()
    {
        connection.0.set_line(line.conditions());
    }
}

fn show(
    line: Res<Simulated>,
    mut words: Query<(&SliderWords, &mut Text)>,
    mut filled: Query<(&Filled, &mut Node)>,
) {
    for (SliderWords(slider), mut words) in &mut words {
        words.set_if_neq(Text(slider.reads(*line).1));
    }
    for (Filled(slider), mut node) in &mut filled {
        let width = Val::Percent(slider.reads(*line).0 * 100.0);
        if node.width != width {
            node.width = width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slider_sets_only_its_own_condition() {
        for (slider, name) in Slider::ALL {
            let mut line = Simulated::default();
            slider.set(&mut line, 0.5);
            for (other, _) in Slider::ALL {
                let expected = if other == slider { 0.5 } else { 0.0 };
                assert!((other.reads(line).0 - expected).abs() < 0.02, "{name}");
            }
            slider.set(&mut line, 7.0);
            assert!((slider.reads(line).0 - 1.0).abs() < 1e-3, "{name}");
            slider.set(&mut line, -7.0);
            assert_eq!(line.conditions(), LinkConditions::PERFECT, "{name}");
        }
    }

    #[test]
    fn simulated_conditions_match_the_sliders() {
        let line = Simulated {
            delay_ms: 75.0,
            jitter_ms: 10.0,
            loss: 0.25,
        };
        let conditions = line.conditions();
        assert_eq!(conditions.latency, Duration::from_millis(75));
        assert_eq!(conditions.jitter, Duration::from_millis(10));
        assert_eq!(conditions.loss, 0.25);
    }
}
