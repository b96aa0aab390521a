//! Checks every packet that a client decodes against the frame of its tick.
//!
//! After an applied packet the entities that it names must be exactly as they were in the frame of its tick, whatever
//! was lost before. It must name only entities in the player's view, and contain only components that this player may
//! see.

use std::{collections::VecDeque, sync::Arc};

use throng_client::mirror::{Applied, Mirror, MirrorEntity, MirrorObserver};
use throng_server::boundary::frame::Frame;
use throng_shared::{
    protocol::{
        ids::{ComponentId, GlobalId, PlayerId},
        registry::Protocol,
        snapshot::ShortId,
    },
    tick::Tick,
};

use super::oracle::{BORDER_SLACK, KEEP_FACTOR, candidates, player_row};

/// Frames kept for audits: more ticks than a packet can be late and still be applied.
const FRAMES_MAX: usize = 256;

/// The most complaints that are kept: further ones are mostly the same.
const COMPLAINTS_MAX: usize = 8;

/// The last published frames, newest last.
#[derive(Debug, Default)]
pub struct FrameLog {
    frames: VecDeque<Arc<Frame>>,
}

impl FrameLog {
    /// Adds the newest frame and discards the oldest one.
    pub fn push(&mut self, frame: Arc<Frame>) {
        self.frames.push_back(frame);
        if self.frames.len() > FRAMES_MAX {
            self.frames.pop_front();
        }
    }

    /// Returns the frame of a tick, if it is kept.
    #[must_use]
    pub fn at(&self, tick: Tick) -> Option<&Arc<Frame>> {
        let mut frames = self.frames.iter().rev();
        let frame = frames.find(|frame| !frame.tick.is_after(tick))?;
        (frame.tick == tick).then_some(frame)
    }

    /// Returns the frame that was added last.
    ///
    /// # Panics
    /// If no frame was published yet.
    #[must_use]
    pub fn newest(&self) -> &Arc<Frame> {
        self.frames.back().expect("a frame was published")
    }
}

/// Observes what a packet changes in a mirror, and checks it.
#[derive(Debug, Default)]
pub struct Audit {
    touched: Vec<MirrorEntity>,
    components: Vec<(ShortId, ComponentId, Vec<u8>)>,
    left: Vec<GlobalId>,
    tally: AuditTally,
    complaints: Vec<String>,
}

/// Counters of audits, with which a test can assert that it covered something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditTally {
    /// Checked snapshot packets.
    pub packets: u64,
    /// Entities that entered or were updated.
    pub states: u64,
    /// Entities that entered.
    pub entered: u64,
    /// Entities that left.
    pub left: u64,
    /// Component values of entities.
    pub components: u64,
}

impl MirrorObserver for Audit {
    fn entered(&mut self, entity: &MirrorEntity) {
        self.tally.entered += 1;
        self.touched.push(*entity);
    }

    fn updated(&mut self, entity: &MirrorEntity) {
        self.touched.push(*entity);
    }

    fn component(&mut self, id: ShortId, component: ComponentId, bytes: &[u8]) {
        self.components.push((id, component, bytes.to_vec()));
    }

    fn left(&mut self, _: ShortId, global: GlobalId) {
        self.left.push(global);
    }
}

impl Audit {
    /// Returns the counters so far.
    #[must_use]
    pub fn tally(&self) -> AuditTally {
        self.tally
    }

    /// Returns the first few errors.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Checks the changes since the last call, which one packet caused.
    pub fn check(
        &mut self,
        applied: &Applied,
        mirror: &Mirror,
        player: PlayerId,
        frames: &FrameLog,
        protocol: &Protocol,
    ) {
        self.tally.packets += 1;
        self.tally.states += self.touched.len() as u64;
        self.tally.components += self.components.len() as u64;
        self.tally.left += self.left.len() as u64;
        let touched = std::mem::take(&mut self.touched);
        let components = std::mem::take(&mut self.components);
        self.left.clear();
        let Some(frame) = frames.at(applied.tick) else {
            return self.complain(format!(
                "a packet about tick {}, of which there is no frame",
                applied.tick
            ));
        };
        let Some(row) = player_row(frame, player) else {
            return self.complain(format!(
                "a packet about tick {}, when {player:?} was not there",
                applied.tick
            ));
        };
        let expected = candidates(frame, row, protocol);
        for entity in touched {
            let subject = format!("tick {}, {:?} ({:?})", entity.tick, entity.global, entity.id);
            match expected.get(&entity.global) {
                _ if entity.tick != applied.tick => {
                    self.complain(format!("{subject}: its packet was about tick {}", applied.tick));
                }
                None => self.complain(format!("{subject}: does not exist")),
                Some(candidate) if candidate.distance > row.radius * KEEP_FACTOR + BORDER_SLACK => {
                    self.complain(format!(
                        "{subject}: {} units away is out of view",
                        candidate.distance
                    ));
                }
                Some(candidate)
                    if (candidate.seen.pose, candidate.seen.pose_3d) != (entity.pose, entity.pose_3d) =>
                {
                    self.complain(format!(
                        "{subject}: {:?} {:?}, not {:?} {:?}",
                        entity.pose, entity.pose_3d, candidate.seen.pose, candidate.seen.pose_3d
                    ));
                }
                Some(_) => {}
            }
        }
        for (id, component, bytes) in components {
            let Some(entity) = mirror.get(id) else { continue };
            let candidate = expected.get(&entity.global);
            let value = candidate.and_then(|candidate| candidate.seen.components.get(&component.0));
            if value != Some(&bytes) {
                let global = entity.global;
                self.complain(format!(
                    "tick {}, {component:?} of {global:?}: {bytes:?}, not {value:?}",
                    applied.tick
                ));
            }
        }
    }

    /// Keeps an error, unless there are too many.
    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }
}
