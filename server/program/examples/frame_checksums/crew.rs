//! The players: which are present, and what each does in a tick.

use std::f32::consts::TAU;
use std::sync::Arc;

use glam::Vec2;
use skirmish_shared::chat::{ChatChannel, Say};
use skirmish_shared::components::{Asteroid, Hull, Ship, Station};
use skirmish_shared::input::PilotInput;
use skirmish_shared::messages::StationOrder;
use throng_scenes::protocol::SteerInput;
use throng_server::boundary::frame::{Frame, Row};
use throng_shared::netcode::SessionId;
use throng_shared::protocol::ids::{Slot, TeamId};
use throng_shared::protocol::input::ViewTick;
use throng_shared::protocol::pose::{Pose, YAW_STEPS};
use throng_shared::protocol::registry::Protocol;
use throng_shared::random::Random;
use throng_shared::tick::Tick;

use crate::CheckedGame;
use crate::process::Process;

const PLAYERS: u32 = 60;

/// Small random numbers of the players.
struct CrewRandom(Random);

impl CrewRandom {
    fn below(&mut self, end: u32) -> u32 {
        (self.0.bits() >> 32) as u32 % end
    }

    /// Returns a random number between -1 and 1.
    fn axis(&mut self) -> f32 {
        self.below(201) as f32 / 100.0 - 1.0
    }
}

struct CrewMember {
    session: SessionId,
    is_joined: bool,
    joins_at: Tick,
    /// Where the pilot flies to: the index of a simulation, and a row of its frame.
    target: Option<(usize, Slot)>,
}

/// All players. A third of the pilots fights, a third mines and trades, a third flies about.
pub(crate) struct Crew {
    is_skirmish: bool,
    random: CrewRandom,
    members: Vec<CrewMember>,
    /// Bits of the components by which targets are found: of crafts, of ships with pilots, of rocks and of stations.
    kinds: [u64; 4],
}

impl Crew {
    pub(crate) fn new(game: CheckedGame, protocol: &Protocol) -> Self {
        let member = |index| CrewMember {
            session: SessionId { index, generation: 0 },
            is_joined: false,
            joins_at: Tick(index * 5),
            target: None,
        };
        let kinds = [
            protocol.component_of::<Hull>(),
            protocol.component_of::<Ship>(),
            protocol.component_of::<Asteroid>(),
            protocol.component_of::<Station>(),
        ];
        Self {
            is_skirmish: game.is_skirmish,
            random: CrewRandom(Random::new(game.seed)),
            members: (0..PLAYERS).map(member).collect(),
            kinds: kinds.map(|entry| entry.map_or(0, |entry| entry.id.bit())),
        }
    }

    /// Sends what all players do before the next tick. `frames` are the last tick's frames.
    pub(crate) fn act(&mut self, process: &mut Process, frames: &[Arc<Frame>]) {
        let next = process.tick.next();
        for index in 0..self.members.len() {
            self.join_or_leave(index, process);
            let CrewMember {
                session, is_joined, ..
            } = self.members[index];
            if !is_joined {
                continue;
            }
            if self.is_skirmish {
                self.send_messages(index, process);
            }
            // Some inputs are lost, and some come early: then another follows for the same tick.
            let tick = match self.random.below(20) {
                0 => continue,
                1 => next.next(),
                _ => next,
            };
            if self.is_skirmish {
                let seen = ViewTick::new(Tick(next.0.saturating_sub(4)), self.random.below(256) as u8);
                let input = self.fly(index, next, frames);
                process.input(session, tick, Some(seen).filter(|_| index % 2 == 0), &input);
            } else {
                let (turn, thrust) = (self.random.axis(), self.random.axis());
                process.input(session, tick, None, &SteerInput { turn, thrust });
            }
        }
    }

    /// Joins players that are due. Of the present ones, some leave and join again later.
    fn join_or_leave(&mut self, index: usize, process: &mut Process) {
        let member = &mut self.members[index];
        if member.is_joined && self.random.below(1_500) == 0 {
            process.leave(member.session);
            member.session.generation += 1;
            member.is_joined = false;
            member.joins_at = process.tick + 30;
        } else if !member.is_joined && process.tick.since(member.joins_at) >= 0 {
            process.join(member.session);
            member.is_joined = true;
        }
    }

    /// Sends chat now and then. Pilots that trade send orders to stations, near one or not.
    fn send_messages(&mut self, index: usize, process: &mut Process) {
        let (session, random) = (self.members[index].session, &mut self.random);
        if random.below(100) == 0 {
            let channel = match random.below(3) {
                0 => ChatChannel::Nearby,
                1 => ChatChannel::Team,
                _ => ChatChannel::Tell(format!("pilot {}", random.below(PLAYERS))),
            };
            let text = format!("{index} says {}", random.below(1_000));
            process.message(session, &Say { channel, text });
        }
        if index % 3 == 1 && random.below(20) == 0 {
            let order = match random.below(4) {
                0 => StationOrder::BuyMissiles(random.below(4) as u8),
                1 => StationOrder::BuyShip(random.below(4) as u8),
                _ => StationOrder::SellOre(random.below(200)),
            };
            process.message(session, &order);
        }
    }

    /// Returns the input of a pilot, which flies at random, or to a target and stops at some distance from it.
    fn fly(&mut self, index: usize, next: Tick, frames: &[Arc<Frame>]) -> PilotInput {
        let (member, random) = (&mut self.members[index], &mut self.random);
        let mut input = PilotInput {
            turn: (random.axis() * 60.0) as i8,
            thrust: 80,
            aim: random.below(YAW_STEPS.into()) as u16,
            buttons: random.below(16) as u8,
        };
        let is_selling = (next.0 + index as u32 * 61) % 700 > 400;
        let (kind, gap, buttons) = match index % 3 {
            0 => (
                index / 3 % 2,
                20.0,
                PilotInput::FIRE | input.buttons & PilotInput::LAUNCH,
            ),
            1 if is_selling => (3, 17.0, 0),
            1 => (2, 8.0, PilotInput::MINE),
            _ => return input,
        };
        let Some((own, team)) = find_ship(frames, member.session) else {
            return input;
        };
        let is_due = (next.0 + index as u32).is_multiple_of(40);
        if is_due || member.target.and_then(|target| row(frames, target)).is_none() {
            member.target = find_nearest(frames, own.position().0, team, self.kinds[kind]);
        }
        let Some(target) = member.target.and_then(|target| row(frames, target)) else {
            return input;
        };
        let (to, bow) = (
            target.pose.position().0 - own.position().0,
            Vec2::from_angle(own.heading().0),
        );
        let wanted = to.normalize_or_zero() * ((to.length() - gap) * 0.8).clamp(-6.0, 40.0);
        let push = wanted - own.velocity().0;
        let course = if to.length() > gap + 10.0 { push } else { to };
        input.turn = (bow.angle_to(course) * 100.0).clamp(-100.0, 100.0) as i8;
        input.thrust = (bow.dot(push) * 10.0).clamp(-100.0, 100.0) as i8;
        input.aim = (to.to_angle().rem_euclid(TAU) / TAU * f32::from(YAW_STEPS)) as u16 % YAW_STEPS;
        input.buttons = buttons | input.buttons & PilotInput::BOOST;
        input
    }
}

fn row(frames: &[Arc<Frame>], (simulation, slot): (usize, Slot)) -> Option<&Row> {
    frames[simulation].row(slot)
}

/// Returns the pose of a player's ship, and its team.
fn find_ship(frames: &[Arc<Frame>], session: SessionId) -> Option<(Pose, TeamId)> {
    frames.iter().find_map(|frame| {
        let player = frame.players.get(0, session).filter(|player| player.is_local)?;
        Some((frame.row(player.entity?)?.pose, player.team))
    })
}

/// Returns the nearest entity of another team that has the component with this bit.
fn find_nearest(frames: &[Arc<Frame>], from: Vec2, team: TeamId, kind: u64) -> Option<(usize, Slot)> {
    let mut nearest = (f32::INFINITY, None);
    for (simulation, frame) in frames.iter().enumerate() {
        for (slot, row) in frame.rows() {
            let is_kind = frame.cold(slot).is_some_and(|cold| cold.mask & kind != 0);
            let distance = row.pose.position().0.distance_squared(from);
            if is_kind && distance < nearest.0 && frame.identity(slot).team != team {
                nearest = (distance, Some((simulation, slot)));
            }
        }
    }
    nearest.1
}
