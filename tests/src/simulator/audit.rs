//! Checks every single packet that a client decodes against the frame it is about.
//!
//! Whatever was lost before, a packet that is applied must leave the entities it names exactly as they were
//! in the frame of its tick, must name only what was in the player's view, and must carry only components
//! that this player may see.

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

/// Frames kept for audits: more than a packet can be late and still be applied.
const FRAMES_MAX: usize = 256;

/// Complaints kept; more of the same help nobody.
const COMPLAINTS_MAX: usize = 8;

/// The frames that were published, newest last.
#[derive(Debug, Default)]
pub struct FrameLog {
    frames: VecDeque<Arc<Frame>>,
}

impl FrameLog {
    /// Adds the newest frame.
    pub fn push(&mut self, frame: Arc<Frame>) {
        self.frames.push_back(frame);
        if self.frames.len() > FRAMES_MAX {
            self.frames.pop_front();
        }
    }

    /// The frame of a tick.
    #[must_use]
    pub fn at(&self, tick: Tick) -> Option<&Arc<Frame>> {
        let newest = self.frames.back()?;
        let back = usize::try_from(newest.tick.since(tick)).ok()?;
        let frame = self.frames.get(self.frames.len().checked_sub(back + 1)?)?;
        (frame.tick == tick).then_some(frame)
    }

    /// The newest frame.
    ///
    /// # Panics
    /// Before the first.
    #[must_use]
    pub fn newest(&self) -> &Arc<Frame> {
        self.frames.back().expect("a frame was published")
    }
}

/// Hears one packet and judges it.
#[derive(Debug, Default)]
pub struct Audit {
    touched: Vec<MirrorEntity>,
    components: Vec<(ShortId, ComponentId, Vec<u8>)>,
    left: Vec<GlobalId>,
    tally: AuditTally,
    complaints: Vec<String>,
}

/// What audits have seen so far, so that a test can tell that it tested something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditTally {
    /// Packets.
    pub packets: u64,
    /// Entities that entered or were updated.
    pub states: u64,
    /// Entities that entered.
    pub entered: u64,
    /// Entities that left.
    pub left: u64,
    /// Component values.
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
    /// What was seen.
    #[must_use]
    pub fn tally(&self) -> AuditTally {
        self.tally
    }

    /// What was wrong, the first few.
    #[must_use]
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Judges what was heard since the last call, which came from one packet.
    pub fn judge(
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
            let place = format!("tick {}, {:?} ({:?})", entity.tick, entity.global, entity.id);
            match expected.get(&entity.global) {
                _ if entity.tick != applied.tick => {
                    self.complain(format!("{place}: its packet was about tick {}", applied.tick));
                }
                None => self.complain(format!("{place}: does not exist")),
                Some(candidate) if candidate.distance > row.radius * KEEP_FACTOR + BORDER_SLACK => {
                    self.complain(format!(
                        "{place}: {} units away is out of view",
                        candidate.distance
                    ));
                }
                Some(candidate) if candidate.seen.pose != entity.pose => {
                    self.complain(format!(
                        "{place}: {:?}, not {:?}",
                        entity.pose, candidate.seen.pose
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

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint);
        }
    }
}
