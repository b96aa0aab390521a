//! Which entities a client is to know: those in reach, ranked by distance, joined with those it knows.
//!
//! The cells in view are walked from near to far until enough entities for the ranking are gathered, so a
//! crowd costs no more than its nearest part. Everything within 1.1 times the view radius is a candidate: a
//! known entity leaves beyond that, a new one enters only within the radius. Where there are more
//! candidates than a client may know, rank decides, with a margin as well: an entity that is known stays
//! until it is beyond 1.25 times the number; a new one takes a place that is free if its rank is within
//! the number, and takes the place of one ranked beyond it if its rank is within three quarters.

use throng_shared::protocol::ids::{SlotKey, SourceId};
use throng_shared::tick::Tick;

use super::SOURCES_MAX;
use super::known::{Known, each_id};
use crate::frame::{Frame, PlayerRow};
use crate::space::REACH_FACTOR;

/// In a mark: the short id is leaving.
const LEAVING: u16 = 1 << 15;

/// The squared distance of a known entity that is not among the candidates.
const UNSEEN: f32 = -1.0;

/// A simulation's newest frame and the client's player in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    /// Place among the histories.
    pub(super) source: usize,
    pub(super) frame: &'a Frame,
    pub(super) player: &'a PlayerRow,
}

impl Sight<'_> {
    fn own(&self) -> Option<SlotKey> {
        let slot = self.player.entity?;
        self.frame.row(slot)?;
        Some(SlotKey::new(SourceId(self.source as u8), slot))
    }
}

/// Buffers of a worker's interest management.
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// By simulation and slot: short id + 1 in the client at hand; 0 elsewhere, and between clients.
    marks: [Vec<u16>; SOURCES_MAX],
    keys: Vec<SlotKey>,
    distances2: Vec<f32>,
    count: usize,
    /// Candidates by weighted distance: its bits above, the candidate below.
    order: Vec<u64>,
    newcomers: Vec<u64>,
    /// Known entities ranked beyond the number that may be known, likewise.
    band: Vec<u64>,
    /// By short id: squared distance of the entities in view, [`UNSEEN`] of others.
    pub(super) known_distances2: Vec<f32>,
    pub(super) examined: u64,
}

impl Interest {
    /// Lets entities leave and enter `known` so that it is what the client is to know, at most `most`.
    /// Answers how many candidates there were, and the short id of the player's own entity.
    pub(super) fn update(
        &mut self,
        known: &mut Known,
        sights: &[Sight<'_>],
        most: usize,
        tick: Tick,
    ) -> (usize, Option<usize>) {
        self.count = 0;
        for sight in sights {
            self.gather(sight, most);
        }
        let own = sights.iter().find_map(Sight::own);
        if let Some(own) = own {
            self.put_first(own);
        }
        self.mark(known);
        self.newcomers.clear();
        self.band.clear();
        if self.count <= most {
            self.join_all(sights);
        } else {
            self.join_ranked(sights, most);
        }
        self.let_leave(known, tick);
        self.let_enter(known, most, tick);
        let own = own.map(|own| usize::from(self.mark_of(own) & !LEAVING));
        self.unmark(known);
        (self.count, own.and_then(|mark| mark.checked_sub(1)))
    }

    /// Adds the entities of one simulation within reach.
    fn gather(&mut self, sight: &Sight<'_>, most: usize) {
        let (eye, player) = (sight.player.eye, sight.player);
        let reach = player.radius * REACH_FACTOR;
        let source = SourceId(sight.source as u8);
        let (start, enough) = (self.count, most + most / 2 + 1);
        let mut bound = reach;
        let mut is_bounded = false;
        for (&leaf, &nearest) in player.area.leaves.iter().zip(&player.area.nearest) {
            if nearest > bound {
                break;
            }
            for rows in sight.frame.index.leaf(leaf) {
                let room = self.count + rows.slots.len();
                if self.keys.len() < room {
                    self.keys.resize(room, SlotKey(0));
                    self.distances2.resize(room, 0.0);
                }
                let (keys, distances2) = (&mut self.keys[..room], &mut self.distances2[..room]);
                let mut count = self.count;
                for ((&slot, &x), &y) in rows.slots.iter().zip(rows.xs).zip(rows.ys) {
                    let (dx, dy) = (x - eye.x, y - eye.y);
                    let distance2 = dx * dx + dy * dy;
                    keys[count] = SlotKey::new(source, slot);
                    distances2[count] = distance2;
                    count += usize::from(distance2 <= reach * reach);
                }
                self.count = count;
                self.examined += rows.slots.len() as u64;
            }
            if self.count - start >= enough && !is_bounded {
                // Nothing beyond the last of the nearest can be among the nearest.
                is_bounded = true;
                self.order.clear();
                let gathered = self.distances2[start..self.count].iter();
                self.order
                    .extend(gathered.map(|distance2| u64::from(distance2.to_bits())));
                let (_, last, _) = self.order.select_nth_unstable(most);
                bound = f32::from_bits(*last as u32).sqrt();
            }
        }
    }

    /// Makes the player's own entity the nearest, wherever it is.
    fn put_first(&mut self, own: SlotKey) {
        let at = self.keys[..self.count].iter().position(|&key| key == own);
        let at = at.unwrap_or_else(|| {
            let at = self.count;
            self.count += 1;
            if self.keys.len() < self.count {
                self.keys.resize(self.count, own);
                self.distances2.resize(self.count, 0.0);
            }
            self.keys[at] = own;
            at
        });
        self.distances2[at] = 0.0;
    }

    /// Notes the short ids of the client at the slots of its entities.
    fn mark(&mut self, known: &Known) {
        if self.known_distances2.len() < known.entries.len() {
            self.known_distances2.resize(known.entries.len(), 0.0);
        }
        for (set, flag) in [(&known.live, 0), (&known.leaving, LEAVING)] {
            for (at, &word) in set.words().iter().enumerate() {
                each_id(at, word, |id| {
                    let key = known.entries[id].key;
                    let marks = &mut self.marks[usize::from(key.source().0)];
                    let slot = key.slot().index();
                    if slot >= marks.len() {
                        marks.resize((slot + 1).next_multiple_of(256), 0);
                    }
                    marks[slot] = (id + 1) as u16 | flag;
                    self.known_distances2[id] = UNSEEN;
                });
            }
        }
    }

    fn unmark(&mut self, known: &Known) {
        for set in [&known.live, &known.leaving] {
            for (at, &word) in set.words().iter().enumerate() {
                each_id(at, word, |id| {
                    let key = known.entries[id].key;
                    if let Some(mark) = self.marks[usize::from(key.source().0)].get_mut(key.slot().index()) {
                        *mark = 0;
                    }
                });
            }
        }
    }

    #[inline(always)]
    fn mark_of(&self, key: SlotKey) -> u16 {
        let marks = &self.marks[usize::from(key.source().0) % SOURCES_MAX];
        marks.get(key.slot().index()).copied().unwrap_or(0)
    }

    /// Joins candidates with known entities where all candidates may be known.
    fn join_all(&mut self, sights: &[Sight<'_>]) {
        let radii2 = radii2(sights);
        for candidate in 0..self.count {
            self.join(candidate, self.distances2[candidate], &radii2);
        }
    }

    /// Likewise where not all may be known.
    fn join_ranked(&mut self, sights: &[Sight<'_>], most: usize) {
        let radii2 = radii2(sights);
        let frames = frames(sights);
        self.order.clear();
        for candidate in 0..self.count {
            let (key, distance2) = (self.keys[candidate], self.distances2[candidate]);
            let source = usize::from(key.source().0) % SOURCES_MAX;
            // Who is neither known nor near enough to enter takes nobody's rank.
            let mark = self.mark_of(key);
            if distance2 > radii2[source] && (mark == 0 || mark & LEAVING != 0) {
                continue;
            }
            let importance = frames[source].map_or(1, |frame| frame.identity(key.slot()).importance);
            let weighted = distance2 * nearness2(importance);
            self.order
                .push(u64::from(weighted.to_bits()) << 32 | candidate as u64);
        }
        let keep = (most + most / 4).min(self.order.len());
        if keep < self.order.len() {
            self.order.select_nth_unstable(keep);
        }
        let most = most.min(keep);
        if most < keep {
            self.order[..keep].select_nth_unstable(most);
        }
        let core = most - most / 4;
        if core < most {
            self.order[..most].select_nth_unstable(core);
        }
        // The sort is of the few that decide: newcomers come nearest first.
        self.order[..core].sort_unstable();
        self.order[core..most].sort_unstable();
        for rank in 0..keep {
            let entry = self.order[rank];
            let candidate = entry as u32 as usize;
            let before = self.newcomers.len();
            if rank < most {
                self.join(candidate, self.distances2[candidate], &radii2);
                if rank >= core && self.newcomers.len() > before {
                    self.newcomers[before] |= OUTER;
                }
                continue;
            }
            let mark = self.mark_of(self.keys[candidate]);
            if mark != 0 && mark & LEAVING == 0 {
                self.join(candidate, self.distances2[candidate], &radii2);
                self.band.push(entry & !u64::from(u32::MAX) | u64::from(mark - 1));
            }
        }
        self.band.sort_unstable();
    }

    /// Notes a candidate as seen if it is known, as a newcomer if it is not and near enough.
    #[inline(always)]
    fn join(&mut self, candidate: usize, distance2: f32, radii2: &[f32; SOURCES_MAX]) {
        let key = self.keys[candidate];
        let mark = self.mark_of(key);
        if mark != 0 && mark & LEAVING == 0 {
            self.known_distances2[usize::from(mark - 1)] = distance2;
        } else if distance2 <= radii2[usize::from(key.source().0) % SOURCES_MAX] {
            self.newcomers.push(candidate as u64);
        }
    }

    /// Lets go of those that were not seen.
    fn let_leave(&mut self, known: &mut Known, tick: Tick) {
        for at in 0..known.live.words().len() {
            each_id(at, known.live.word(at), |id| {
                if self.known_distances2[id] == UNSEEN {
                    known.leave(id, tick);
                }
            });
        }
    }

    /// Lets newcomers in, for as long as there is room for them.
    fn let_enter(&mut self, known: &mut Known, most: usize, tick: Tick) {
        for at in 0..self.newcomers.len() {
            let newcomer = self.newcomers[at];
            let candidate = newcomer as u32 as usize;
            let key = self.keys[candidate];
            if known.live.len() >= most {
                let farthest = if newcomer & OUTER == 0 {
                    self.band.pop()
                } else {
                    None
                };
                let Some(farthest) = farthest else {
                    continue;
                };
                known.leave(farthest as u32 as usize, tick);
            }
            let mark = self.mark_of(key);
            let id = if mark == 0 {
                known.enter(key, tick)
            } else {
                let id = usize::from(mark & !LEAVING) - 1;
                known.enter_as(id, key, tick);
                Some(id)
            };
            let Some(id) = id else {
                // All short ids are taken until the client has confirmed some leaves.
                return;
            };
            self.note(id, key, self.distances2[candidate], known.entries.len());
        }
    }

    /// Keeps the marks and distances in step with an entity that entered.
    fn note(&mut self, id: usize, key: SlotKey, distance2: f32, ids: usize) {
        let marks = &mut self.marks[usize::from(key.source().0) % SOURCES_MAX];
        let slot = key.slot().index();
        if slot >= marks.len() {
            marks.resize((slot + 1).next_multiple_of(256), 0);
        }
        marks[slot] = (id + 1) as u16;
        if self.known_distances2.len() < ids {
            self.known_distances2.resize(ids, 0.0);
        }
        self.known_distances2[id] = distance2;
    }
}

/// In a newcomer: its rank does not suffice to take another's place.
const OUTER: u64 = 1 << 32;

/// By simulation: squared view radius.
fn radii2(sights: &[Sight<'_>]) -> [f32; SOURCES_MAX] {
    let mut radii2 = [0.0; SOURCES_MAX];
    for sight in sights {
        radii2[sight.source] = sight.player.radius * sight.player.radius;
    }
    radii2
}

/// By simulation: its frame.
fn frames<'a>(sights: &[Sight<'a>]) -> [Option<&'a Frame>; SOURCES_MAX] {
    let mut frames = [None; SOURCES_MAX];
    for sight in sights {
        frames[sight.source] = Some(sight.frame);
    }
    frames
}

/// Factor on the squared distance in ranking: an entity of importance `n` counts as `n` times as near, one
/// of importance 0 as twice as far.
fn nearness2(importance: u8) -> f32 {
    match importance {
        0 => 4.0,
        1 => 1.0,
        _ => 1.0 / (f32::from(importance) * f32::from(importance)),
    }
}
