//! Where it was: the frames of the last ticks, for lag compensation.

use bevy_ecs::prelude::*;
use glam::Vec2;
use throng_shared::protocol::ids::{GlobalId, SimulationId, Slot};
use throng_shared::protocol::pose::{Heading, Pose};
use throng_shared::tick::Tick;

use super::publish::Frames;
use super::remote_frames::{Ghost, RemoteFrames, RowLocation};
use super::replicated::{Replicated, Slots};

/// Answers where an entity was at a tick of the last 64, exactly as clients were told. How far back gameplay
/// goes is for gameplay to limit. With several simulations it also knows where [ghosts](super::Ghost)
/// were, and where somebody was who has come since.
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
}

impl Rewind<'_, '_> {
    /// The entity's pose in the frame of `tick`. `None` when that frame is gone or still to come, or when the
    /// entity was not there yet.
    #[must_use]
    pub fn pose(&self, entity: Entity, tick: Tick) -> Option<Pose> {
        if let Ok(replicated) = self.replicated.get(entity) {
            return self.pose_of(replicated.global(), replicated.slot()?, None, tick);
        }
        let (&global, &Ghost(location)) = self.ghosts.get(entity).ok()?;
        self.pose_of(global, location.slot, Some(location.simulation), tick)
    }

    /// Likewise for gameplay that keeps entities in a table of its own and saves the look-up: the entity is called
    /// `global` everywhere, `slot` is its row in the newest frame, and `ghost_of` is the simulation that has it,
    /// `None` for this one. The entity need not live any more.
    #[must_use]
    pub fn pose_of(
        &self,
        global: GlobalId,
        slot: Slot,
        ghost_of: Option<SimulationId>,
        tick: Tick,
    ) -> Option<Pose> {
        if let Some(remote_frames) = self.remote_frames.as_deref() {
            let simulation = ghost_of.unwrap_or_else(|| self.slots.simulation());
            return remote_frames.pose(global, RowLocation { simulation, slot }, tick);
        }
        let frame = self.frames.0.at(tick)?;
        let row = frame.row(slot)?;
        // A slot may have had another tenant then.
        (frame.identity(slot).global == global).then_some(row.pose)
    }

    /// Where the entity was at `fraction` (0..=1) of the way from `tick` to the next one, on the straight line
    /// between the two, which is what a client that interpolates shows. Where there is no next one, it is where
    /// it was at `tick`.
    #[must_use]
    pub fn position(&self, entity: Entity, tick: Tick, fraction: f32) -> Option<Vec2> {
        let from = self.pose(entity, tick)?.position().0;
        let to = self
            .pose(entity, tick.next())
            .map_or(from, |pose| pose.position().0);
        Some(from.lerp(to, fraction.clamp(0.0, 1.0)))
    }

    /// Where the entity looked at `tick`, in radians.
    #[must_use]
    pub fn heading(&self, entity: Entity, tick: Tick) -> Option<Heading> {
        self.pose(entity, tick).map(|pose| pose.heading())
    }

    /// The oldest and the newest tick that can be asked about; `None` before the first.
    #[must_use]
    pub fn ticks(&self) -> Option<(Tick, Tick)> {
        let newest = self.frames.0.newest()?.tick;
        let held = (0..throng_shared::limits::HISTORY_TICKS as u32)
            .take_while(|&age| self.frames.0.at(newest - age).is_some())
            .last()?;
        Some((newest - held, newest))
    }
}
