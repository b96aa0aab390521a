//! Past poses from the frames of the last ticks, for lag compensation.

use bevy_ecs::prelude::*;
use glam::{Quat, Vec2, Vec3};
use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot};
use throng_shared::protocol::pose::{Heading, Pose};
use throng_shared::protocol::pose3d::{Position3d, Rotation3d, Velocity3d};
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::publish::Frames;
use super::remote_frames::{Ghost, RemoteFrames, RowLocation};
use super::replicated::{Replicated, Slots};
use crate::boundary::frame::Frame;

/// Returns the pose of an entity at one of the last 64 ticks, exactly as it was sent to clients. Gameplay
/// limits how far back it reads. With several simulations it also has the past poses of
/// [ghosts](super::Ghost), and of entities that have migrated to this simulation since.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use glam::Vec2;
/// # use throng_server::simulation::Rewind;
/// # use throng_shared::tick::Tick;
/// # #[derive(Component)] struct Shot { at: Entity, aim: Vec2, seen: Tick, fraction: f32 }
/// # #[derive(Component)] struct Hull(u16);
/// fn hit(shots: Query<&Shot>, mut hulls: Query<&mut Hull>, rewind: Rewind) {
///     for shot in &shots {
///         let then = rewind.position(shot.at, shot.seen, shot.fraction);
///         if then.is_some_and(|then| then.distance(shot.aim) < 1.0) {
///             if let Ok(mut hull) = hulls.get_mut(shot.at) {
///                 hull.0 = hull.0.saturating_sub(1);
///             }
///         }
///     }
/// }
/// # bevy_ecs::system::assert_is_system::<(), (), _>(hit);
/// ```
#[derive(bevy_ecs::system::SystemParam)]
pub struct Rewind<'w, 's> {
    frames: Res<'w, Frames>,
    slots: Res<'w, Slots>,
    remote_frames: Option<Res<'w, RemoteFrames>>,
    replicated: Query<'w, 's, &'static Replicated>,
    ghosts: Query<'w, 's, (&'static GlobalId, &'static Ghost)>,
    protocol: Res<'w, Protocol>,
}

impl Rewind<'_, '_> {
    /// Returns the entity's pose in the frame of `tick`. `None` if there is no such frame, any more or yet or because
    /// the tick was skipped, or if it does not contain the entity.
    #[must_use]
    pub fn pose(&self, entity: Entity, tick: Tick) -> Option<Pose> {
        let (frame, slot) = self.frame_with(entity, tick)?;
        Some(frame.row(slot)?.pose)
    }

    /// Returns the same as [`Rewind::pose`] in a game in three dimensions, where the pose has a height and a rotation.
    #[must_use]
    pub fn pose_3d(&self, entity: Entity, tick: Tick) -> Option<(Position3d, Velocity3d, Rotation3d)> {
        let (frame, slot) = self.frame_with(entity, tick)?;
        Some(self.protocol.quanta_3d()?.components(frame.pose_3d(slot)?))
    }

    /// Returns the same as [`Rewind::position`] in a game in three dimensions.
    #[must_use]
    pub fn position_3d(&self, entity: Entity, tick: Tick, fraction: f32) -> Option<Vec3> {
        let position = |tick| Some(self.pose_3d(entity, tick)?.0.0);
        self.between(tick, fraction, position, Vec3::lerp)
    }

    /// Returns the entity's rotation at `fraction` (0..=1) of the way from `tick` to the next tick, in a game in three
    /// dimensions: the shorter way from one frame to the next.
    #[must_use]
    pub fn rotation_3d(&self, entity: Entity, tick: Tick, fraction: f32) -> Option<Quat> {
        let rotation = |tick| Some(self.pose_3d(entity, tick)?.2.0);
        self.between(tick, fraction, rotation, Quat::slerp)
    }

    /// Returns the frame of `tick` that contains the entity, and the entity's slot there.
    fn frame_with(&self, entity: Entity, tick: Tick) -> Option<(&Frame, Slot)> {
        if let Ok(replicated) = self.replicated.get(entity) {
            return self.frame_of(replicated.global(), replicated.slot()?, None, tick);
        }
        let (&global, &Ghost(location)) = self.ghosts.get(entity).ok()?;
        self.frame_of(global, location.slot, Some(location.simulation), tick)
    }

    /// Returns the same as [`Rewind::pose`] without looking the entity up, for gameplay that keeps entities
    /// in a table of its own. `global` is the entity's global id, `slot` its row in the newest frame, and
    /// `ghost_of` the simulation that has it, `None` for this one. The entity itself may be despawned
    /// already.
    #[must_use]
    pub fn pose_of(
        &self,
        global: GlobalId,
        slot: Slot,
        ghost_of: Option<SimulationId>,
        tick: Tick,
    ) -> Option<Pose> {
        let (frame, slot) = self.frame_of(global, slot, ghost_of, tick)?;
        Some(frame.row(slot)?.pose)
    }

    fn frame_of(
        &self,
        global: GlobalId,
        slot: Slot,
        ghost_of: Option<SimulationId>,
        tick: Tick,
    ) -> Option<(&Frame, Slot)> {
        let (frame, slot) = match self.remote_frames.as_deref() {
            Some(remote_frames) => {
                let simulation = ghost_of.unwrap_or_else(|| self.slots.simulation());
                remote_frames.frame_of(global, RowLocation { simulation, slot }, tick)?
            }
            None => (&**self.frames.0.at(tick)?, slot),
        };
        // The slot may have belonged to another entity then.
        (frame.identity(slot).global == global).then_some((frame, slot))
    }

    /// Returns the entity's position at `fraction` (0..=1) of the way from `tick` to the next tick, on the
    /// straight line between the positions in the frames around it, as a client that interpolates shows it. Without a
    /// later frame, it is the position in the earlier one.
    #[must_use]
    pub fn position(&self, entity: Entity, tick: Tick, fraction: f32) -> Option<Vec2> {
        let position = |tick| Some(self.pose(entity, tick)?.position().0);
        self.between(tick, fraction, position, Vec2::lerp)
    }

    /// Returns the value between those of the frames around a moment.
    fn between<T: Copy>(
        &self,
        tick: Tick,
        fraction: f32,
        value: impl Fn(Tick) -> Option<T>,
        blend: impl Fn(T, T, f32) -> T,
    ) -> Option<T> {
        let (before, after) = self.ticks_around(tick)?;
        let from = value(before)?;
        let Some((after, to)) = after.and_then(|after| Some((after, value(after)?))) else {
            return (tick == before).then_some(from);
        };
        let passed = tick.since(before) as f32 + fraction.clamp(0.0, 1.0);
        Some(blend(from, to, passed / after.since(before) as f32))
    }

    /// Returns the last tick at or before `tick` that has a frame, and the first one after it, if there is one yet.
    /// Skipped ticks have no frame. `None` if no frame is as old as `tick`.
    #[must_use]
    pub fn ticks_around(&self, tick: Tick) -> Option<(Tick, Option<Tick>)> {
        self.frames.0.ticks_around(tick)
    }

    /// Returns the entity's heading at `tick`, in radians.
    #[must_use]
    pub fn heading(&self, entity: Entity, tick: Tick) -> Option<Heading> {
        self.pose(entity, tick).map(|pose| pose.heading())
    }

    /// Returns the oldest and the newest tick that can be read; `None` before the first tick.
    #[must_use]
    pub fn ticks(&self) -> Option<(Tick, Tick)> {
        let newest = self.frames.0.newest()?.tick;
        let held = (0..throng_shared::limits::HISTORY_TICKS as u32)
            .rfind(|&age| self.frames.0.at(newest - age).is_some())?;
        Some((newest - held, newest))
    }
}
