//! Updates the frame's rows and the spatial index from the components that gameplay changed.
//!
//! Changed poses are found by reading change ticks column by column, which costs a fraction of a nanosecond
//! for an entity that did not change. Identities and the creation and removal of rows follow the events that
//! hooks recorded.

use bevy_ecs::change_detection::{ContiguousRef, Tick as ChangeTick};
use bevy_ecs::prelude::*;
use throng_shared::protocol::ids::{Slot, Team};
use throng_shared::protocol::pose::{Heading, Pose, Position, Velocity};
use throng_shared::protocol::pose3d::{Position3d, Velocity3d, ground_pose};
use throng_shared::tick::Tick;

use super::mistakes::poses::PoseFaults;
use super::replicated::{Importance, Owner, Replicated, Room, SlotEvent, Slots, identity};
use super::space::Space;
use crate::boundary::frame::FrameWriter;
use crate::runner::TickTime;

/// The rows of the next frame, as they will be published.
#[derive(Resource, Debug)]
pub(crate) struct Rows(pub FrameWriter);

/// Adds and removes rows as entities are spawned and despawned, and updates owner, team, importance and room.
pub(super) fn sync_rows(
    mut slots: ResMut<Slots>,
    mut rows: ResMut<Rows>,
    mut space: ResMut<Space>,
    entities: Query<(
        &Replicated,
        Option<(&Position, &Velocity, &Heading)>,
        Option<(&Position3d, &Velocity3d)>,
        Option<&Owner>,
        Option<&Team>,
        Option<&Importance>,
        Option<&Room>,
    )>,
    time: Res<TickTime>,
) {
    slots.table_mut().wake_rested(time.tick);
    slots.fresh.clear();
    // The vector is taken out and put back, so that its memory is kept.
    let mut events = std::mem::take(&mut slots.events);
    for event in events.drain(..) {
        match event {
            SlotEvent::GivenBack(slot) => {
                if rows.0.row(slot).is_some() {
                    rows.0.remove(slot);
                    space.0.remove(slot);
                }
            }
            SlotEvent::Taken(slot, entity) | SlotEvent::Identified(slot, entity) => {
                // The entity may be despawned again, or have another slot. Then a later event follows.
                let Ok((replicated, pose, pose_3d, owner, team, importance, room)) = entities.get(entity)
                else {
                    continue;
                };
                if replicated.slot() != Some(slot) {
                    continue;
                }
                let identity = identity(replicated, owner, team, importance, room);
                space.0.set_room(slot, identity.room);
                if rows.0.row(slot).is_some() {
                    rows.0.set_identity(slot, identity, time.tick);
                } else {
                    let quantize =
                        |(position, velocity, heading)| Pose::quantize(position, velocity, heading);
                    let pose = match pose_3d.filter(|_| rows.0.is_3d()) {
                        None => pose.map(quantize).unwrap_or_default(),
                        Some((position, velocity)) => ground_pose(position, velocity),
                    };
                    rows.0.insert(slot, identity, pose, time.tick);
                    space.0.insert(slot, pose.x, pose.y);
                    slots.fresh.push(slot);
                }
            }
        }
    }
    slots.events = events;
}

/// Number of rows that are tested for a change together: their ticks are four cache lines of each column.
const BLOCK: usize = 64;

/// Quantizes the poses that changed, and moves the entities whose position changed in the index.
pub(super) fn sync_poses(
    poses: Query<(&Replicated, Ref<Position>, Ref<Velocity>, Ref<Heading>)>,
    mut rows: ResMut<Rows>,
    mut space: ResMut<Space>,
    time: Res<TickTime>,
    mut faults: Local<PoseFaults>,
) -> Result {
    for (replicated, positions, velocities, headings) in poses.contiguous_iter()? {
        let newer = Newer::than(&positions);
        let columns = [
            positions.changed_ticks_slice(),
            velocities.changed_ticks_slice(),
            headings.changed_ticks_slice(),
        ];
        let (positions, velocities, headings) = (
            positions.into_inner(),
            velocities.into_inner(),
            headings.into_inner(),
        );
        for start in (0..replicated.len()).step_by(BLOCK) {
            let block = start..(start + BLOCK).min(replicated.len());
            if !columns.iter().any(|ticks| newer.any(&ticks[block.clone()])) {
                continue;
            }
            for index in block {
                if !columns.iter().any(|ticks| newer.is(ticks[index])) {
                    continue;
                }
                if let Some(slot) = replicated[index].slot() {
                    let (position, velocity, heading) =
                        (&positions[index], &velocities[index], &headings[index]);
                    faults.check(&replicated[index], position, velocity, heading);
                    let pose = Pose::quantize(position, velocity, heading);
                    sync_pose(&mut rows.0, &mut space, slot, pose, time.tick);
                }
            }
        }
    }
    Ok(())
}

#[inline]
fn sync_pose(rows: &mut FrameWriter, space: &mut Space, slot: Slot, pose: Pose, tick: Tick) {
    if rows.set_pose(slot, pose, tick) {
        space.0.place(slot, pose.x, pose.y, tick);
    }
}

/// Splits and merges cells, and puts unmoved entities to rest, once all entities are at their positions.
pub(super) fn update_cells(mut space: ResMut<Space>, time: Res<TickTime>) {
    space.0.rebalance(time.tick);
}

/// Tests whether a column's change ticks are newer than the system's last run, as Bevy does, in a form that
/// compiles to vector instructions.
#[derive(Clone, Copy)]
struct Newer {
    now: u32,
    age: u32,
}

impl Newer {
    fn than<T>(column: &ContiguousRef<'_, T>) -> Self {
        let (now, last) = (column.this_run_tick().get(), column.last_run_tick().get());
        Self {
            now,
            age: now.wrapping_sub(last),
        }
    }

    #[inline]
    fn is(self, tick: ChangeTick) -> bool {
        // Ticks wrap around, so that their ages are compared: a tick is newer than the last run if it is less old.
        self.now.wrapping_sub(tick.get()) < self.age
    }

    #[inline]
    fn any(self, ticks: &[ChangeTick]) -> bool {
        // There is no early exit, so that the loop compiles to vector instructions.
        ticks.iter().fold(false, |any, &tick| any | self.is(tick))
    }
}
