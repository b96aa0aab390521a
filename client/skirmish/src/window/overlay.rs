//! Overlays of the game world: help, the hit and destruction effects, and a lost connection.

use bevy::prelude::*;
use skirmish_shared::messages::{Destroyed, Hit};
use throng_client::player::ConnectionStatus;
use throng_client::world::{ClientClock, Own};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::registry::FromServer;

use super::connect::sentence;
use super::keys::{Action, ActionInput, Bindings};
use super::session::{GamePhase, LinkState};
use super::theme::{self, centred, panel, paragraph, text};
use super::view::Focus;

/// Seconds without a snapshot after which the player sees a message.
const SILENCE_S: f32 = 1.5;

/// Shows the overlays of the game world.
pub(crate) struct OverlayPlugin;

impl Plugin for OverlayPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<OverlayState>()
            .add_systems(OnEnter(GamePhase::Play), (spawn_help, spawn_banner))
            .add_systems(
                Update,
                (toggle_help, update_overlay_state, show_banner, show_damage_flash)
                    .chain()
                    .run_if(in_state(GamePhase::Play)),
            );
    }
}

/// The state of the player's ship after hits and destruction.
#[derive(Resource, Default)]
struct OverlayState {
    /// Seconds until the player gets a new ship.
    respawn_s: f32,
    /// Strength of the hit effect, 0..=1.
    flash: f32,
}

#[derive(Component)]
struct Help;

#[derive(Component)]
struct HelpKey(Action);

#[derive(Component)]
struct BannerText;

#[derive(Component)]
struct BannerBox;

#[derive(Component)]
struct DamageFlash;

fn spawn_help(mut commands: Commands) {
    commands
        .spawn((DespawnOnExit(GamePhase::Play), Help, centred(), GlobalZIndex(5), Visibility::Hidden))
        .with_children(|screen| {
            screen.spawn(panel(Node { width: Val::Px(620.0), ..default() })).with_children(|help| {
                help.spawn(text("How to fly", 24.0, theme::TEXT));
                help.spawn(paragraph(
                    "The mouse aims; guns reach only so far from the bow. Shoot drones and the other team, \
                     mine rocks with ore, and sell the ore inside a station's ring, slowly. Say something with \
                     the chat key; /team WORDS and /tell NAME WORDS choose who hears it. Esc opens the settings.",
                    14.0,
                    theme::MUTED,
                ));
                help.spawn(Node { column_gap: Val::Px(30.0), ..default() }).with_children(|columns| {
                    for half in Action::ALL.chunks(Action::ALL.len() / 2) {
                        columns
                            .spawn(Node {
                                flex_direction: FlexDirection::Column,
                                row_gap: Val::Px(3.0),
                                ..default()
                            })
                            .with_children(|column| {
                                for action in half {
                                    column.spawn(Node::default()).with_children(|row| {
                                        row.spawn((
                                            HelpKey(*action),
                                            text("", 15.0, theme::ACCENT),
                                            Node { width: Val::Px(126.0), ..default() },
                                        ));
                                        row.spawn(text(action.name(), 15.0, theme::TEXT));
                                    });
                                }
                            });
                    }
                });
            });
        });
}

fn spawn_banner(mut commands: Commands) {
    commands.spawn((
        DespawnOnExit(GamePhase::Play),
        DamageFlash,
        GlobalZIndex(-1),
        Node {
            border: UiRect::all(Val::Px(10.0)),
            ..centred()
        },
        BorderColor::all(Color::NONE),
    ));
    commands
        .spawn((
            DespawnOnExit(GamePhase::Play),
            GlobalZIndex(4),
            Node {
                justify_content: JustifyContent::FlexStart,
                padding: UiRect::top(Val::Px(150.0)),
                ..centred()
            },
        ))
        .with_children(|screen| {
            screen
                .spawn((panel(Node::default()), BannerBox, Visibility::Hidden))
                .with_child((BannerText, text("", 20.0, theme::TEXT)));
        });
}

fn toggle_help(
    controls: ActionInput,
    bindings: Res<Bindings>,
    mut help: Single<&mut Visibility, With<Help>>,
    mut keys: Query<(&HelpKey, &mut Text)>,
) {
    if controls.just_pressed_in_menus(Action::Help) {
        **help = match **help {
            Visibility::Hidden => Visibility::Inherited,
            _ => Visibility::Hidden,
        };
    }
    for (HelpKey(action), mut words) in &mut keys {
        words.set_if_neq(Text(bindings.name(*action).into()));
    }
}

fn update_overlay_state(
    mut destroyed: MessageReader<FromServer<Destroyed>>,
    mut hits: MessageReader<FromServer<Hit>>,
    own: Query<&GlobalId, With<Own>>,
    focus: Res<Focus>,
    time: Res<Time>,
    mut last: Local<Option<GlobalId>>,
    mut state: ResMut<OverlayState>,
) {
    let own = own.single().ok().copied();
    *last = own.or(*last);
    state.respawn_s = (state.respawn_s - time.delta_secs()).max(0.0);
    state.flash = (state.flash - time.delta_secs() * 2.5).max(0.0);
    if focus.alive {
        state.respawn_s = 0.0;
    }
    for FromServer(event) in destroyed
        .read()
        .filter(|FromServer(event)| Some(event.ship) == *last)
    {
        state.respawn_s = event.respawn_ticks as f32 / 20.0;
    }
    for FromServer(hit) in hits.read().filter(|FromServer(hit)| Some(hit.victim) == own) {
        state.flash = (state.flash + hit.damage as f32 / 30.0).min(1.0);
    }
}

/// Returns the seconds since the newest snapshot.
fn silence_s(clock: &ClientClock) -> f32 {
    clock.newest().map_or(0.0, |(_, age)| age.as_secs_f32())
}

fn show_banner(
    (state, focus, link, time, clock): (
        Res<OverlayState>,
        Res<Focus>,
        Res<LinkState>,
        Res<Time>,
        Res<ClientClock>,
    ),
    status: Option<Res<ConnectionStatus>>,
    mut banner: Single<(&mut Text, &mut TextColor), With<BannerText>>,
    mut around: Single<&mut Visibility, With<BannerBox>>,
) {
    let (words, color) = match &*link {
        LinkState::Waiting { problem, until } => {
            let left = until.saturating_sub(time.elapsed()).as_secs_f32();
            (
                format!("Connection lost. {} Back in {left:.1} s.", sentence(problem)),
                theme::WARM,
            )
        }
        LinkState::Joining => ("Connection lost. Joining again ...".into(), theme::WARM),
        LinkState::Silent => match status.as_deref() {
            Some(silent @ ConnectionStatus::Silent { .. }) => (sentence(&silent.to_string()), theme::WARM),
            _ => ("The server replies; the ship is on its way.".into(), theme::GOOD),
        },
        LinkState::Up if silence_s(&clock) >= SILENCE_S => (
            format!(
                "The server replies, but its world has stood still for {:.0} s.",
                silence_s(&clock)
            ),
            theme::WARM,
        ),
        _ if !focus.alive && state.respawn_s > 0.0 => (
            format!("Destroyed. A new ship in {:.0} s.", state.respawn_s.ceil()),
            theme::ALERT,
        ),
        _ => (String::new(), theme::TEXT),
    };
    let seen = if words.is_empty() {
        Visibility::Hidden
    } else {
        Visibility::Inherited
    };
    around.set_if_neq(seen);
    banner.0.set_if_neq(Text(words));
    banner.1.set_if_neq(TextColor(color));
}

fn show_damage_flash(state: Res<OverlayState>, mut edge: Single<&mut BorderColor, With<DamageFlash>>) {
    let color = Color::srgba(1.0, 0.12, 0.08, state.flash * 0.5);
    edge.set_if_neq(BorderColor::all(color));
}
