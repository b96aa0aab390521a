//! Prediction of the own missiles, before the server's missiles arrive.
//!
//! A launch shows in the frame of its input, at the bow of the ship, which is drawn at the present time. The
//! missile's targets, however, are drawn slightly in the past. So a missile starts at the present time and
//! shifts back to the time of the other entities while it flies: it leaves the bow when the player launches it,
//! and it visibly hits its target. It flies straight until the server's missile is due, because the client does
//! not know its target. Guarantees that no launch is shown twice, and that a launch which the server does not
//! confirm is removed.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Magazine, Missile, Ship};
use skirmish_shared::input::PilotInput;
use throng_client::blend::Shown;
use throng_client::predict::{PredictTime, PredictedInput, Present};
use throng_client::predict::{PredictedSpawn, SpawnOutcome};
use throng_client::world::{ClientClock, Mirrored, Own};
use throng_shared::protocol::ids::Team;
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::tick::Tick;

use crate::content::KnownContent;

/// Seconds in which a missile shifts from the present to the time of other entities; longer when the delay is
/// long.
const FALL_BACK_S: f32 = 1.0;
/// Largest distance of the server's missile from the course of the launched one, in units.
const ASIDE_MAX: f32 = 5.0;
/// Largest distance along its course of the server's missile when it first arrives, in units.
const AHEAD_MAX: f32 = 60.0;

/// A missile as the client launched it.
#[derive(Debug, Clone, Copy)]
struct Launch {
    /// The entity that is drawn: the client's own at first, then the server's.
    entity: Entity,
    tick: Tick,
    start: Vec2,
    direction: Vec2,
    speed: f32,
    /// The tick of the server's first state; `None` before that arrives.
    confirmed_at: Option<Tick>,
}

/// The launches that have not shifted back completely, oldest first.
#[derive(Resource, Debug, Default)]
pub(crate) struct Launches {
    /// The earliest tick of the next launch.
    next: Tick,
    flying: Vec<Launch>,
}

/// Launches a missile under the server's conditions: the button is held, a missile is left, and the launcher is
/// ready.
pub(crate) fn launch(
    own: Query<
        (
            &Ship,
            &Magazine,
            &Present<Position>,
            &Present<Heading>,
            Option<&Team>,
        ),
        With<Own>,
    >,
    input: Res<PredictedInput<PilotInput>>,
    content: Res<KnownContent>,
    time: Res<PredictTime>,
    mut launches: ResMut<Launches>,
    mut commands: Commands,
) {
    if !time.is_new || !input.0.holds(PilotInput::LAUNCH) {
        return;
    }
    let Ok((ship, magazine, position, heading, team)) = own.single() else {
        return;
    };
    let class = content.ship(ship.class);
    let kind = class.and_then(|class| Some((class, content.missile_named(&class.missile)?)));
    let Some((class, (index, kind))) = kind else {
        return;
    };
    let cooldown = (kind.cooldown_s.get() / time.length.as_secs_f32())
        .round()
        .max(1.0) as i32;
    // A tick of an earlier session is out of this range.
    let is_cooling = (1..=cooldown).contains(&launches.next.since(time.tick));
    let unconfirmed = launches
        .flying
        .iter()
        .filter(|launch| launch.confirmed_at.is_none());
    if is_cooling || unconfirmed.count() >= usize::from(magazine.0) {
        return;
    }
    launches.next = time.tick + cooldown as u32;
    let direction = Vec2::from_angle(heading.0.0);
    let start = position.0.0 + direction * class.body.radius.get();
    let mut missile = commands.spawn((
        Missile { kind: index },
        PredictedSpawn { tick: time.tick },
        (Position(start), heading.0, Velocity(direction * kind.speed.get())),
        (Shown(Position(start)), Shown(heading.0)),
    ));
    if let Some(team) = team {
        missile.insert(*team);
    }
    launches.flying.push(Launch {
        entity: missile.id(),
        tick: time.tick,
        start,
        direction,
        speed: kind.speed.get(),
        confirmed_at: None,
    });
}

/// Returns whether the server's missile is the launched one: of its kind and team, and on its course.
pub(crate) fn is_same(launched: &EntityRef, server: &EntityRef) -> bool {
    let of = |entity: &EntityRef| Some((entity.get::<Missile>()?.kind, entity.get::<Team>().copied()));
    let (Some(start), Some(position)) = (launched.get::<Position>(), server.get::<Position>()) else {
        return false;
    };
    let Some(heading) = launched.get::<Heading>() else {
        return false;
    };
    let flown = Vec2::from_angle(-heading.0).rotate(position.0 - start.0);
    of(launched) == of(server) && flown.y.abs() < ASIDE_MAX && (-ASIDE_MAX..AHEAD_MAX).contains(&flown.x)
}

type MissileData<'a> = (
    Option<&'a Mirrored>,
    Option<&'a mut Shown<Position>>,
    Option<&'a Shown<Heading>>,
);

/// Draws launched missiles between the present and the time of other entities. Runs after those are drawn.
pub(crate) fn fall_back(
    mut outcomes: MessageReader<SpawnOutcome>,
    clock: Res<ClientClock>,
    mut missiles: Query<MissileData, With<Missile>>,
    mut launches: ResMut<Launches>,
    mut commands: Commands,
) {
    for outcome in outcomes.read() {
        if let SpawnOutcome::Confirmed { predicted, confirmed } = *outcome
            && let Some(launch) = launches
                .flying
                .iter_mut()
                .find(|launch| launch.entity == predicted)
        {
            launch.entity = confirmed;
            launch.confirmed_at = missiles
                .get(confirmed)
                .ok()
                .and_then(|(mirrored, ..)| mirrored.map(|mirrored| mirrored.tick));
        }
    }
    let times = (clock.present(), clock.shown(), clock.tick_length());
    let (Some(present), Some(moment), Some(length)) = times else {
        launches.flying.clear();
        return;
    };
    let seconds = |ticks: f32| ticks * length.as_secs_f32();
    launches.flying.retain(|launch| {
        let Ok((_, shown, heading)) = missiles.get_mut(launch.entity) else {
            return false;
        };
        let lag_s = seconds(present.since(moment)).max(0.0);
        let age_s = seconds(present.since(launch.tick.into()));
        let left = (1.0 - age_s / FALL_BACK_S.max(2.0 * lag_s)).max(0.0);
        let is_due = launch
            .confirmed_at
            .is_some_and(|tick| moment.since(tick.into()) >= 0.0);
        let (past, direction) = match (&shown, heading) {
            (Some(shown), Some(heading)) if is_due => (shown.0.0, Vec2::from_angle(heading.0.0)),
            _ => {
                let flown_s = seconds(moment.since(launch.tick.into()));
                (
                    launch.start + launch.direction * launch.speed * flown_s,
                    launch.direction,
                )
            }
        };
        let position = Shown(Position(past + direction * launch.speed * lag_s * left));
        match shown {
            Some(mut shown) => *shown = position,
            None => {
                let heading = Shown(Heading(launch.direction.to_angle()));
                commands.entity(launch.entity).insert((position, heading));
            }
        }
        left > 0.0 || !is_due
    });
}
