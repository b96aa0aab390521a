//! The own missiles, before the server tells of them.
//!
//! A launch shows in the frame of its input, at the bow of the ship, which is drawn in the present; whatever the
//! missile then meets is drawn a moment ago. So it sets out in the present and falls back to the moment of the others
//! while it flies: it leaves the bow when the player lets it, and it is seen to hit what it hits. It flies straight
//! until the server's is due, for nobody here knows what it homes on. Guarantees that no launch is shown twice, and
//! that one which the server does not confirm goes.

use bevy_ecs::prelude::*;
use glam::Vec2;
use skirmish_shared::components::{Magazine, Missile, Ship};
use skirmish_shared::input::PilotInput;
use throng_client::blend::Shown;
use throng_client::predict::{PredictTime, PredictedInput, Present};
use throng_client::predict::{PredictedSpawn, SpawnOutcome};
use throng_client::world::{ClientClock, Mirrored, Own};
use throng_shared::protocol::ids::TeamId;
use throng_shared::protocol::pose::{Heading, Position, Velocity};
use throng_shared::tick::Tick;

use crate::content::KnownContent;

/// Seconds in which a missile falls back from the present to the moment of the others; longer on long lines.
const FALL_BACK_S: f32 = 1.0;
/// How far the server's missile may be from the course of the one that was launched, in units.
const ASIDE_MAX: f32 = 5.0;
/// How far on its course it may be when it is first told of, in units.
const AHEAD_MAX: f32 = 60.0;

/// A missile as it was launched.
#[derive(Debug, Clone, Copy)]
struct Launch {
    /// What is drawn: an entity of this end, then the server's.
    entity: Entity,
    tick: Tick,
    start: Vec2,
    way: Vec2,
    speed: f32,
    /// The first tick of which the server told; `None` before it did.
    told: Option<Tick>,
}

/// The launches that have not yet fallen back, oldest first.
#[derive(Resource, Debug, Default)]
pub(crate) struct Launches {
    /// Before this tick there is no further one.
    next: Tick,
    flying: Vec<Launch>,
}

/// Launches as the server will: when the button is held, there is a missile, and the launcher is ready.
pub(crate) fn launch(
    own: Query<
        (
            &Ship,
            &Magazine,
            &Present<Position>,
            &Present<Heading>,
            Option<&TeamId>,
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
    let Some((class, (place, kind))) = kind else {
        return;
    };
    let cooldown = (kind.cooldown_s.get() / time.length.as_secs_f32())
        .round()
        .max(1.0) as i32;
    // Ticks of an earlier session say nothing.
    let is_cooling = (1..=cooldown).contains(&launches.next.since(time.tick));
    let unknown = launches.flying.iter().filter(|launch| launch.told.is_none());
    if is_cooling || unknown.count() >= usize::from(magazine.0) {
        return;
    }
    launches.next = time.tick + cooldown as u32;
    let way = Vec2::from_angle(heading.0.0);
    let start = position.0.0 + way * class.body.radius.get();
    let mut missile = commands.spawn((
        Missile { kind: place },
        PredictedSpawn { tick: time.tick },
        (Position(start), heading.0, Velocity(way * kind.speed.get())),
        (Shown(Position(start)), Shown(heading.0)),
    ));
    if let Some(team) = team {
        missile.insert(*team);
    }
    launches.flying.push(Launch {
        entity: missile.id(),
        tick: time.tick,
        start,
        way,
        speed: kind.speed.get(),
        told: None,
    });
}

/// Whether what the server shows is a missile that was launched here: of its kind and team, on its course.
pub(crate) fn is_same(launched: &EntityRef, server: &EntityRef) -> bool {
    let of = |entity: &EntityRef| Some((entity.get::<Missile>()?.kind, entity.get::<TeamId>().copied()));
    let (Some(start), Some(at)) = (launched.get::<Position>(), server.get::<Position>()) else {
        return false;
    };
    let Some(heading) = launched.get::<Heading>() else {
        return false;
    };
    let flown = Vec2::from_angle(-heading.0).rotate(at.0 - start.0);
    of(launched) == of(server) && flown.y.abs() < ASIDE_MAX && (-ASIDE_MAX..AHEAD_MAX).contains(&flown.x)
}

type MissileData<'a> = (
    Option<&'a Mirrored>,
    Option<&'a mut Shown<Position>>,
    Option<&'a Shown<Heading>>,
);

/// Draws what was launched between the present and the moment of the others. Runs after others are drawn.
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
            launch.told = missiles
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
        let is_due = launch.told.is_some_and(|told| moment.since(told.into()) >= 0.0);
        let (past, way) = match (&shown, heading) {
            (Some(shown), Some(heading)) if is_due => (shown.0.0, Vec2::from_angle(heading.0.0)),
            _ => {
                let flown_s = seconds(moment.since(launch.tick.into()));
                (launch.start + launch.way * launch.speed * flown_s, launch.way)
            }
        };
        let place = Shown(Position(past + way * launch.speed * lag_s * left));
        match shown {
            Some(mut shown) => *shown = place,
            None => {
                let heading = Shown(Heading(launch.way.to_angle()));
                commands.entity(launch.entity).insert((place, heading));
            }
        }
        left > 0.0 || !is_due
    });
}
