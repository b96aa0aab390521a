//! Trading with a station: inside its ring the available orders appear, with their keys.

use bevy::prelude::*;
use skirmish_shared::components::{Ship, Station};
use skirmish_shared::messages::{StationOrder, StationReply};
use throng_client::world::{Own, TellServer};
use throng_shared::protocol::registry::FromServer;

use super::chat::ChatLog;
use super::content::Tables;
use super::keys::KeyboardFocus;
use super::session::GamePhase;
use super::theme::{self, panel, text};
use super::view::{Appearance, Focus};

/// The keys of the orders, from the first.
const KEYS: [KeyCode; 8] = [
    KeyCode::Digit1,
    KeyCode::Digit2,
    KeyCode::Digit3,
    KeyCode::Digit4,
    KeyCode::Digit5,
    KeyCode::Digit6,
    KeyCode::Digit7,
    KeyCode::Digit8,
];

/// Shows the orders that a station offers.
pub(crate) struct DockingPlugin;

impl Plugin for DockingPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(OnEnter(GamePhase::Play), spawn_offers)
            .add_systems(Update, (offer, log_replies).run_if(in_state(GamePhase::Play)));
    }
}

#[derive(Component)]
struct Offers;

#[derive(Component)]
struct OfferWords;

fn spawn_offers(mut commands: Commands) {
    let left = Node {
        position_type: PositionType::Absolute,
        left: Val::Px(14.0),
        top: Val::Px(44.0),
        ..default()
    };
    commands
        .spawn((
            DespawnOnExit(GamePhase::Play),
            Offers,
            panel(left),
            Visibility::Hidden,
        ))
        .with_child((OfferWords, text("", 15.0, theme::TEXT)));
}

fn offer(
    stations: Query<(&Station, &Appearance)>,
    own: Query<&Ship, With<Own>>,
    (tables, focus, keyboard, keys): (Tables, Res<Focus>, Res<KeyboardFocus>, Res<ButtonInput<KeyCode>>),
    mut offers: Single<&mut Visibility, With<Offers>>,
    mut words: Single<&mut Text, With<OfferWords>>,
    mut tell: TellServer,
) -> Result {
    let (Some(space), Ok(ship)) = (tables.space(), own.single()) else {
        offers.set_if_neq(Visibility::Hidden);
        return Ok(());
    };
    let is_near = stations.iter().any(|(station, look)| {
        look.at.distance(focus.at) <= f32::from(station.radius_10) / 10.0 + space.dock.get()
    });
    let seen = if is_near {
        Visibility::Inherited
    } else {
        Visibility::Hidden
    };
    offers.set_if_neq(seen);
    if !is_near {
        return Ok(());
    }
    if focus.velocity.length() > space.dock_speed.get() {
        words.set_if_neq(Text(format!(
            "Station: slow down to {:.0} to dock",
            space.dock_speed.get()
        )));
        return Ok(());
    }
    let mut orders = vec![
        (
            format!("Sell all ore, {} credits each", space.ore_price),
            StationOrder::SellOre(u32::MAX),
        ),
        ("Buy missiles".to_owned(), StationOrder::BuyMissiles(u8::MAX)),
    ];
    for (place, class) in tables.ships().enumerate() {
        if place != usize::from(ship.class) {
            let order = StationOrder::BuyShip(place as u8);
            orders.push((format!("Fly a {} for {} credits", class.name, class.price), order));
        }
    }
    let mut lines = vec!["Docked. Repairs are free.".to_owned()];
    for (number, ((line, order), key)) in orders.iter().zip(KEYS).enumerate() {
        lines.push(format!("{}  {line}", number + 1));
        if *keyboard == KeyboardFocus::Ship && keys.just_pressed(key) {
            tell.send(order)?;
        }
    }
    words.set_if_neq(Text(lines.join("\n")));
    Ok(())
}

fn log_replies(mut replies: MessageReader<FromServer<StationReply>>, mut log: ResMut<ChatLog>) {
    for FromServer(reply) in replies.read() {
        let (words, color) = match reply {
            StationReply::Sold(credits) => (format!("Station: sold for {credits} credits."), theme::GOOD),
            StationReply::Bought(credits) => (format!("Station: bought for {credits} credits."), theme::GOOD),
            StationReply::NotDocked => ("Station: you are not docked.".into(), theme::ALERT),
            StationReply::Refused => (
                "Station: nothing to trade, or too few credits.".into(),
                theme::ALERT,
            ),
        };
        log.note(words, color);
    }
}
