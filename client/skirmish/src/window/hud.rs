//! The instruments: shield, hull, boost, cargo, speed and position.

use bevy::prelude::*;
use skirmish_shared::components::{Boost, Cargo, Credits, Hull, Magazine, Shield, Ship};
use throng_client::world::Own;

use super::content::Tables;
use super::session::GamePhase;
use super::theme::{self, panel, text};
use super::view::Focus;

pub(crate) struct HudPlugin;

impl Plugin for HudPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(OnEnter(GamePhase::Play), spawn_instruments)
            .add_systems(
                Update,
                (show_bars, show_counts, show_place).run_if(in_state(GamePhase::Play)),
            );
    }
}

/// The value that a bar or number shows.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
enum Gauge {
    Shield,
    Hull,
    Boost,
    Missiles,
    Ore,
    Credits,
    Speed,
}

/// Marks the filled part of a bar.
#[derive(Component)]
struct Fill(Gauge);

/// Marks the text of a number.
#[derive(Component)]
struct GaugeText(Gauge);

#[derive(Component)]
struct PlaceName;

fn spawn_instruments(mut commands: Commands) {
    let bottom = Node {
        position_type: PositionType::Absolute,
        bottom: Val::Px(14.0),
        width: Val::Percent(100.0),
        justify_content: JustifyContent::Center,
        ..default()
    };
    commands
        .spawn((DespawnOnExit(GamePhase::Play), bottom))
        .with_children(|bottom| {
            let node = Node {
                flex_direction: FlexDirection::Row,
                column_gap: Val::Px(22.0),
                align_items: AlignItems::Center,
                ..default()
            };
            bottom
                .spawn((panel(Node::default()), Name::new("instruments")))
                .insert(Node {
                    padding: UiRect::all(Val::Px(12.0)),
                    border: UiRect::all(Val::Px(1.0)),
                    border_radius: BorderRadius::all(Val::Px(6.0)),
                    ..node
                })
                .with_children(|panel| {
                    panel
                        .spawn(Node {
                            flex_direction: FlexDirection::Column,
                            row_gap: Val::Px(5.0),
                            ..default()
                        })
                        .with_children(|bars| {
                            bar(bars, "SHIELD", Gauge::Shield, theme::ACCENT);
                            bar(bars, "HULL", Gauge::Hull, theme::GOOD);
                            bar(bars, "BOOST", Gauge::Boost, theme::WARM);
                        });
                    for (label, gauge) in [
                        ("SPEED", Gauge::Speed),
                        ("MISSILES", Gauge::Missiles),
                        ("ORE", Gauge::Ore),
                        ("CREDITS", Gauge::Credits),
                    ] {
                        figure(panel, label, gauge);
                    }
                });
        });
    commands.spawn((
        DespawnOnExit(GamePhase::Play),
        PlaceName,
        text("", 15.0, theme::TEXT),
        // The panel may be over a bright hull.
        BackgroundColor(theme::PANEL),
        Node {
            position_type: PositionType::Absolute,
            top: Val::Px(12.0),
            left: Val::Px(14.0),
            padding: UiRect::axes(Val::Px(10.0), Val::Px(5.0)),
            border_radius: BorderRadius::all(Val::Px(6.0)),
            ..default()
        },
    ));
}

fn bar(bars: &mut ChildSpawnerCommands, label: &str, gauge: Gauge, color: Color) {
    bars.spawn(Node {
        align_items: AlignItems::Center,
        column_gap: Val::Px(8.0),
        ..default()
    })
    .with_children(|row| {
        row.spawn((
            text(label, 13.0, theme::MUTED),
            Node {
                width: Val::Px(54.0),
                ..default()
            },
        ));
        row.spawn((
            Node {
                width: Val::Px(190.0),
                height: Val::Px(10.0),
                border_radius: BorderRadius::all(Val::Px(3.0)),
                overflow: Overflow::clip(),
                ..default()
            },
            BackgroundColor(theme::FIELD),
        ))
        .with_child((
            Fill(gauge),
            Node {
                width: Val::Percent(0.0),
                height: Val::Percent(100.0),
                border_radius: BorderRadius::all(Val::Px(3.0)),
                ..default()
            },
            BackgroundColor(color),
        ));
        row.spawn((
            GaugeText(gauge),
            text("", 13.0, theme::TEXT),
            Node {
                width: Val::Px(34.0),
                ..default()
            },
        ));
    });
}

fn figure(panel: &mut ChildSpawnerCommands, label: &str, gauge: Gauge) {
    panel
        .spawn(Node {
            flex_direction: FlexDirection::Column,
            align_items: AlignItems::Center,
            min_width: Val::Px(66.0),
            row_gap: Val::Px(4.0),
            ..default()
        })
        .with_children(|column| {
            column.spawn((GaugeText(gauge), text("", 21.0, theme::TEXT)));
            column.spawn(text(label, 12.0, theme::MUTED));
        });
}

type Instruments = (
    &'static Ship,
    Option<&'static Hull>,
    Option<&'static Shield>,
    Option<&'static Boost>,
);

fn show_bars(
    own: Query<Instruments, With<Own>>,
    tables: Tables,
    mut fills: Query<(&Fill, &mut Node, &mut BackgroundColor)>,
) {
    let own = own.single().ok();
    for (Fill(gauge), mut node, mut color) in &mut fills {
        let part = |(now, max): (u16, u16)| f32::from(now) / f32::from(max.max(1));
        let filled = own.map_or(0.0, |(ship, hull, shield, boost)| match gauge {
            Gauge::Shield => shield.map_or(0.0, |shield| part((shield.now, shield.max))),
            Gauge::Hull => hull.map_or(0.0, |hull| part((hull.now, hull.max))),
            Gauge::Boost => {
                let full_s = tables
                    .ship(ship.class)
                    .map_or(2.0, |class| class.handling.boost_s.get());
                boost.map_or(0.0, |boost| f32::from(boost.0) / (full_s * 1_000.0))
            }
            _ => 0.0,
        });
        let width = Val::Percent((filled * 100.0).clamp(0.0, 100.0).round());
        if node.width != width {
            node.width = width;
        }
        if *gauge == Gauge::Hull {
            let warning = if filled < 0.3 { theme::ALERT } else { theme::GOOD };
            color.set_if_neq(BackgroundColor(warning));
        }
    }
}

type ShipQuery = (
    &'static Ship,
    Option<&'static Hull>,
    Option<&'static Shield>,
    Option<&'static Boost>,
    Option<&'static Magazine>,
    Option<&'static Cargo>,
    Option<&'static Credits>,
);

fn show_counts(
    own: Query<ShipQuery, With<Own>>,
    focus: Res<Focus>,
    tables: Tables,
    mut figures: Query<(&GaugeText, &mut Text)>,
) {
    let own = own.single().ok();
    for (GaugeText(gauge), mut words) in &mut figures {
        let shown = own.map(|(ship, hull, shield, boost, magazine, cargo, credits)| {
            let hold = tables.ship(ship.class).map_or(0, |class| class.cargo);
            match gauge {
                Gauge::Shield => shield.map(|shield| shield.now.to_string()),
                Gauge::Hull => hull.map(|hull| hull.now.to_string()),
                Gauge::Boost => boost.map(|boost| format!("{:.1}", f32::from(boost.0) / 1_000.0)),
                Gauge::Missiles => magazine.map(|magazine| magazine.0.to_string()),
                Gauge::Ore => cargo.map(|cargo| format!("{}/{hold}", cargo.0)),
                Gauge::Credits => credits.map(|credits| credits.0.to_string()),
                Gauge::Speed => Some(format!("{:.0}", focus.velocity.length())),
            }
        });
        words.set_if_neq(Text(shown.flatten().unwrap_or_else(|| "-".into())));
    }
}

fn show_place(
    focus: Res<Focus>,
    tables: Tables,
    own: Query<&Ship, With<Own>>,
    mut words: Single<&mut Text, With<PlaceName>>,
) {
    let class = own.single().ok().and_then(|ship| tables.ship(ship.class));
    let name = class.map_or("", |class| class.name.as_str());
    let region = tables.region(focus.at);
    words.set_if_neq(Text(format!(
        "{region}   {:.0}, {:.0}   {name}",
        focus.at.x, focus.at.y
    )));
}
