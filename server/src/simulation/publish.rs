//! Publishes the tick's frame and hands it to the net workers.

use std::sync::Arc;

use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;
use throng_shared::prefetch::prefetch;
use throng_shared::protocol::ids::Team;

use super::away::Away;
use super::inputs::InputBuffer;
use super::interest::room_seen;
use super::links::WorkerLinks;
use super::players::{AreaOfInterest, Avatar, Eye, Player, Viewer};
use super::poses_3d::{EyeHeight, ViewHeight};
use super::replicated::{Replicated, Room};
use super::rows::Rows;
use super::space::{Areas, Space};
use super::tell::Outbox;
use super::watchers::Watcher;
use crate::boundary::frame::{FrameHistory, PlayerRow, Upright};
use crate::runner::{Clock, TickTime};

/// The history of the simulation's own frames.
#[derive(Resource, Debug, Default)]
pub struct Frames(pub FrameHistory);

type Published = (
    &'static Player,
    &'static Team,
    &'static Eye,
    Option<&'static Room>,
    Option<&'static Viewer>,
    &'static AreaOfInterest,
    &'static InputBuffer,
    Option<&'static Avatar>,
    ViewInSpace,
);

/// What the view of a player is in space; nothing on the plane.
type ViewInSpace = (Option<&'static EyeHeight>, Option<&'static ViewHeight>);

type Watching = (
    &'static Watcher,
    &'static Team,
    &'static Room,
    &'static Eye,
    &'static Viewer,
    &'static AreaOfInterest,
    ViewInSpace,
);

/// Builds the frame of this tick from rows, cells and the players that have a session.
pub(super) fn publish_frame(
    mut rows: ResMut<Rows>,
    mut space: ResMut<Space>,
    mut frames: ResMut<Frames>,
    areas: Res<Areas>,
    players: Query<Published, (Without<Away>, Allow<Disabled>)>,
    watchers: Query<Watching>,
    avatars: Query<&Replicated>,
    rooms: Query<&Room, Allow<Disabled>>,
    time: Res<TickTime>,
    clock: Res<Clock>,
) {
    let mut index = rows.0.spare_index();
    space.0.freeze(&mut index);
    let mut table = rows.0.spare_players();
    // Each area is shared by a reference count in its own memory. All areas are prefetched together.
    let seen = players
        .iter()
        .map(|(_, _, _, _, _, interest, ..)| areas.0.get(interest.hold));
    let seen: Vec<_> = seen.inspect(|area| prefetch(&***area)).collect();
    for ((player, team, eye, room, viewer, _, input, avatar, view), area) in players.iter().zip(seen) {
        let radius = viewer.map_or(0.0, |viewer| viewer.radius);
        let row = PlayerRow {
            generation: player.session.session.generation,
            player: player.id,
            is_local: true,
            entity: avatar
                .and_then(|avatar| avatars.get(avatar.0).ok())
                .and_then(Replicated::slot),
            eye: eye.0,
            radius,
            upright: upright(radius, view),
            team: team.0,
            room: room_seen(room, avatar, &rooms),
            last_input: input.last_applied(),
            newest_ahead: input.newest_ahead(time.tick),
            margin_16: input.margin_16(),
            area: Arc::clone(area),
        };
        table.insert(player.session.worker, player.session.session, row);
    }
    for (watcher, team, room, eye, viewer, interest, view) in &watchers {
        let area = Arc::clone(areas.0.get(interest.hold));
        let mut row = watcher.row(team.0, room.0, eye.0, viewer.radius, area);
        row.upright = upright(viewer.radius, view);
        table.insert(watcher.session.worker, watcher.session.session, row);
    }
    let frame = rows.0.publish(time.tick, clock.now(), index, table);
    if let Some(old) = frames.0.push(frame) {
        rows.0.retire(old);
    }
}

fn upright(radius: f32, (eye, height): (Option<&EyeHeight>, Option<&ViewHeight>)) -> Upright {
    Upright {
        eye: eye.map_or(0.0, |eye| eye.0),
        stretch: height.map(|height| radius / (height.0 / 2.0).max(f32::MIN_POSITIVE)),
    }
}

/// Sends the tick's messages and its frame to the workers, and wakes them.
pub(super) fn hand_over(mut links: ResMut<WorkerLinks>, mut outbox: ResMut<Outbox>, frames: Res<Frames>) {
    let links = links.links();
    if let Some(frame) = frames.0.newest() {
        links.iter_mut().for_each(|link| link.begin(frame.tick));
    }
    outbox.send(links);
    if let Some(frame) = frames.0.newest() {
        for link in links {
            link.publish(frame);
        }
    }
}
