//! Updates a session and its world together: datagrams, inputs and messages go in, times and arrivals come out.
//!
//! The driver of a session calls [`receive_datagram`] and [`update_session`], or `sync_session` with its own
//! notes.

use std::time::Duration;

use bevy_ecs::prelude::*;
use throng_shared::protocol::input::InputBytes;
use throng_shared::protocol::registry::Protocol;
use throng_shared::tick::Tick;

use super::arrivals::RecentPackets;
use super::clock::ClientClock;
use super::inputs::{InputHistory, NextInput};
use super::messages::{deliver_held, exchange_messages};
use super::mirror::{Mirrored, WorldMirror};
use super::resources::ResourceReferences;
use crate::connection::{ClientCore, ClientEvent};
use crate::mirror::Applied;

/// The inputs and snapshots of a session since its world was last synchronized.
#[derive(Resource, Debug, Default)]
pub(super) struct SessionNotes {
    /// Whether the world was last synchronized with a session, whose traces it has.
    pub(super) has_session: bool,
    /// Inputs that were requested, with their ticks.
    pub(super) inputs: Vec<(Tick, InputBytes)>,
    /// Snapshot packets that were applied.
    pub(super) snapshots: Vec<Applied>,
}

/// Passes one datagram to the session, and its contents to the world.
pub fn receive_datagram(
    world: &mut World,
    core: &mut ClientCore,
    now: Duration,
    datagram: &mut [u8],
) -> Option<ClientEvent> {
    let event = world.resource_scope(|world, mut mirror: Mut<WorldMirror>| {
        world.resource_scope(|world, protocol: Mut<Protocol>| {
            core.receive_datagram(now, datagram, &mut mirror.observer(world, &protocol))
        })
    });
    if let Some(ClientEvent::Snapshot(applied)) = event {
        world.resource_mut::<SessionNotes>().snapshots.push(applied);
    }
    event
}

/// Updates the session, which sends what is due with the world's input and messages, and then synchronizes the
/// world.
pub fn update_session(
    world: &mut World,
    core: &mut ClientCore,
    now: Duration,
    out: impl FnMut(&[u8]),
) -> Option<ClientEvent> {
    world.resource_scope(|world, protocol: Mut<Protocol>| exchange_messages(world, &protocol, core, now));
    send_view(world, core);
    let next = world.resource::<NextInput>().0;
    let mut notes = std::mem::take(&mut *world.resource_mut::<SessionNotes>());
    let note = |tick| {
        notes.inputs.push((tick, next));
        next
    };
    let event = core.update(now, note, out);
    sync_session(
        world,
        Some(core).filter(|core| core.ended().is_none()),
        now,
        &mut notes,
    );
    *world.resource_mut::<SessionNotes>() = notes;
    event
}

/// Passes the moment that the world shows to the session.
pub(super) fn send_view(world: &World, core: &mut ClientCore) {
    if let Some(shown) = world.resource::<ClientClock>().shown() {
        core.set_view(shown.view());
    }
}

/// Synchronizes the world with a session at `now` and consumes its `notes`. Without a session, removes what the last
/// one left: mirrored entities, replicated resources, times, inputs and arrivals.
pub(super) fn sync_session(
    world: &mut World,
    core: Option<&mut ClientCore>,
    now: Duration,
    notes: &mut SessionNotes,
) {
    world.resource_mut::<ClientClock>().advance(now);
    let Some(core) = core else {
        notes.inputs.clear();
        notes.snapshots.clear();
        if std::mem::take(&mut notes.has_session) {
            end_session(world);
        }
        return;
    };
    notes.has_session = true;
    let mut inputs = world.resource_mut::<InputHistory>();
    if let Some(length) = core.tick_length() {
        inputs.set_tick_length(length);
    }
    for (tick, input) in notes.inputs.drain(..) {
        inputs.push(tick, input);
    }
    world
        .resource_mut::<ClientClock>()
        .follow(core, now, &notes.snapshots);
    let own = world.resource::<WorldMirror>().own();
    let own_tick = own.and_then(|own| world.get::<Mirrored>(own)).map(|own| own.tick);
    let mut arrivals = world.resource_mut::<RecentPackets>();
    arrivals.note(&notes.snapshots);
    arrivals.update_own(own_tick);
    notes.snapshots.clear();
}

/// Removes everything that belongs to a session from the world, after the messages that wait were written into it.
pub(super) fn end_session(world: &mut World) {
    world.resource_scope(|world, protocol: Mut<Protocol>| deliver_held(world, &protocol));
    world.resource_mut::<ResourceReferences>().clear();
    world.resource_mut::<ClientClock>().end_session();
    world.resource_mut::<InputHistory>().clear();
    world.resource_mut::<RecentPackets>().clear();
    world.resource_scope(|world, mut mirror: Mut<WorldMirror>| mirror.clear(world));
    world.resource_scope(|world, protocol: Mut<Protocol>| {
        protocol.resources().iter().for_each(|entry| entry.remove(world));
    });
}
