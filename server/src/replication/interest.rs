//! Interest management: selects the entities that a client is to know, those in reach ranked by distance, and
//! compares them with those it knows.
//!
//! The cells in view are visited from near to far until enough entities for the ranking are gathered, so a
//! crowd costs no more than its nearest part. Everything within 1.1 times the view radius is a candidate: a
//! known entity leaves beyond that, a new one enters only within the radius. Where there are more candidates
//! than a client may know, rank decides, also with a margin. A known entity stays until its rank exceeds 1.25
//! times the number. A new one takes a free place if its rank is within the number, and replaces one ranked
//! beyond the number if its own rank is within three quarters of it.

use throng_shared::limits::CHUNK_SLOTS;
use throng_shared::protocol::ids::{SimulationId, SlotKey};
use throng_shared::tick::Tick;

use super::SIMULATIONS_MAX;
use super::known::{Known, each_id};
use super::marks::{Mark, Marks};
use super::ranks::{NO_BUCKET, Ranks};
use super::reach::{BLOCKS, Distances2};
use super::simulation_view::{Newcomer, SimulationView};
use super::verlet_list::VerletList;
use crate::space::{BLOCK, REACH_FACTOR};

/// Factor on the squared distance of the last entity that may be known. Entities up to the resulting distance are
/// examined, because a known entity may stay a little beyond the last rank.
const KEPT_FACTOR2: f32 = 1.5;
/// Squared distance that stands for a known entity that is not among the candidates.
const UNSEEN: f32 = -1.0;

/// An entity within reach of a player.
#[derive(Clone, Copy, Debug, Default)]
struct Candidate {
    key: SlotKey,
    distance2: f32,
}

/// Buffers of a worker's interest management.
#[derive(Debug, Default)]
pub(super) struct Interest {
    marks: Marks,
    /// Entities in reach, one simulation after the other.
    candidates: Vec<Candidate>,
    /// Distances of the entities of the current cell.
    distances2: Distances2,
    /// Number of known entities that are among the candidates.
    met: usize,
    /// By candidate: its bucket in the ranking.
    buckets: Vec<u16>,
    /// Squared distance below which all entities in reach are among the candidates.
    bound2: f32,
    newcomers: Vec<Newcomer>,
    /// Entities that are not known and do not enter, but might enter soon.
    near: Vec<Newcomer>,
    /// Known entities ranked at or beyond the last that may be known: the bucket in the high bits, the short
    /// id in the low 16.
    band: Vec<u32>,
    /// By short id: squared distance of the entities in view, [`UNSEEN`] of others.
    known_distances2: Vec<f32>,
    /// Whether these distances are of the current client.
    are_measured: bool,
    /// Entities that were examined, with the empty indices of their blocks.
    pub(super) examined: u64,
    /// Number of times that all entities in reach of a client were examined.
    pub(super) full_scans: u64,
}

impl Interest {
    /// Makes entities leave and enter `known` so that it holds those that the client is to know, at most
    /// `most`. Returns the number of candidates, 0 if no search was needed, and the short id of the player's
    /// own entity.
    pub(super) fn update(
        &mut self,
        known: &mut Known,
        verlet_list: &mut VerletList,
        simulation_views: &[SimulationView<'_>],
        most: usize,
        tick: Tick,
    ) -> (usize, Option<usize>) {
        if let [simulation_view] = simulation_views {
            self.newcomers.clear();
            if verlet_list.update(known, simulation_view, tick, &mut self.newcomers) {
                self.are_measured = false;
                if !self.newcomers.is_empty() {
                    self.band.clear();
                    self.mark(known, simulation_views);
                    if !self.let_enter(known, most, tick) {
                        verlet_list.forget();
                    }
                }
                return (0, verlet_list.own_id());
            }
        }
        self.full_scan(known, verlet_list, simulation_views, most, tick)
    }

    /// Does what [`Self::update`] does, by examining all entities in reach.
    fn full_scan(
        &mut self,
        known: &mut Known,
        verlet_list: &mut VerletList,
        simulation_views: &[SimulationView<'_>],
        most: usize,
        tick: Tick,
    ) -> (usize, Option<usize>) {
        self.full_scans += 1;
        self.mark(known, simulation_views);
        let own = simulation_views.iter().find_map(SimulationView::own);
        // A client that knows as many entities as it may is most likely still in a crowd.
        let all = if known.live_len() < most {
            self.begin(known);
            self.join_all(simulation_views, own, most)
        } else {
            None
        };
        let gathered = all.unwrap_or_else(|| {
            self.begin(known);
            simulation_views
                .iter()
                .for_each(|simulation_view| self.gather(simulation_view, most));
            self.join_ranked(simulation_views, most, own);
            self.candidates.len()
        });
        if self.met < known.live_len() {
            known.leave_where(tick, |id, _| self.known_distances2[id] == UNSEEN);
        }
        let have_entered = self.let_enter(known, most, tick);
        let own = own.and_then(|own| match self.marks.get(own) {
            Mark::Live(id) => Some(id),
            Mark::Unknown | Mark::Leaving(_) => None,
        });
        match simulation_views {
            [simulation_view] if all.is_some() && have_entered => {
                verlet_list.rebuild(simulation_view, &self.near, known, &self.known_distances2, own);
            }
            _ => verlet_list.forget(),
        }
        (gathered, own)
    }

    /// Compares all entities in reach with the known ones, if fewer than `most` are in reach; returns how
    /// many.
    fn join_all(
        &mut self,
        simulation_views: &[SimulationView<'_>],
        own: Option<SlotKey>,
        most: usize,
    ) -> Option<usize> {
        let mut gathered = 0;
        for simulation_view in simulation_views {
            gathered += self.join_near(simulation_view);
            if gathered >= most {
                return None;
            }
        }
        if let Some(own) = own {
            self.join_own(own);
        }
        Some(gathered)
    }

    /// Compares the entities of one simulation in reach with the known ones; returns how many there are.
    fn join_near(&mut self, simulation_view: &SimulationView<'_>) -> usize {
        let (eye, radius) = (simulation_view.player.eye, simulation_view.player.radius);
        let reach = radius * REACH_FACTOR;
        let (radius2, reach2, near2) = (radius * radius, reach * reach, VerletList::near2(radius));
        let is_3d = simulation_view.height_quantum.is_some();
        let Self {
            marks,
            distances2,
            known_distances2,
            newcomers,
            near,
            ..
        } = self;
        let marks = marks.simulation(simulation_view.simulation);
        // Counts the unknown entities and not the known ones, because nearly all are known.
        let (mut examined, mut gathered, mut unmet) = (0, 0, 0);
        for (&leaf, &nearest) in simulation_view
            .player
            .area
            .leaves
            .iter()
            .zip(&simulation_view.player.area.nearest)
        {
            if nearest > reach {
                break;
            }
            let [resting, moving] = simulation_view.frame.index.leaf(leaf);
            for blocks in resting.chunks(BLOCKS).chain(moving.chunks(BLOCKS)) {
                examined += blocks.len() * BLOCK;
                let mut within = distances2.measure(blocks, eye, reach2);
                gathered += within.count_ones();
                while within != 0 {
                    // Takes the lowest bit, which is the next entity within reach, and clears it.
                    let place = within.trailing_zeros() as usize;
                    within &= within - 1;
                    let slot = blocks[place / BLOCK].slots[place % BLOCK];
                    let distance2 = simulation_view.distance2_in_space(slot, distances2.get(place));
                    if is_3d && distance2 > reach2 {
                        gathered -= 1;
                        continue;
                    }
                    if let Some(id) = marks.live(slot.index()) {
                        known_distances2[id] = distance2;
                        continue;
                    }
                    unmet += 1;
                    if distance2 <= radius2 {
                        newcomers.push(Newcomer::new(simulation_view.key(slot), distance2));
                    } else if distance2 <= near2 {
                        near.push(Newcomer::new(simulation_view.key(slot), distance2));
                    }
                }
            }
        }
        self.examined += examined as u64;
        self.met += gathered as usize - unmet;
        gathered as usize
    }

    /// Makes the player's own entity the nearest of those in view, wherever it is.
    fn join_own(&mut self, own: SlotKey) {
        match self.marks.get(own) {
            Mark::Live(id) => {
                self.met += usize::from(self.known_distances2[id] == UNSEEN);
                self.known_distances2[id] = 0.0;
            }
            Mark::Unknown | Mark::Leaving(_) => {
                if self.newcomers.iter().all(|newcomer| newcomer.key != own) {
                    self.newcomers.push(Newcomer::new(own, 0.0));
                }
            }
        }
    }

    /// Resets the buffers: no entity is a candidate or new, and all known ones are unseen.
    fn begin(&mut self, known: &Known) {
        (self.met, self.bound2) = (0, 0.0);
        self.candidates.clear();
        self.newcomers.clear();
        self.near.clear();
        self.band.clear();
        self.are_measured = true;
        let ids = known.id_end();
        if self.known_distances2.len() < ids {
            self.known_distances2.resize(ids, UNSEEN);
        }
        self.known_distances2[..ids].fill(UNSEEN);
    }

    /// Adds the entities of one simulation within reach.
    fn gather(&mut self, simulation_view: &SimulationView<'_>, most: usize) {
        let (eye, player) = (simulation_view.player.eye, simulation_view.player);
        let reach = player.radius * REACH_FACTOR;
        let simulation = SimulationId(simulation_view.simulation as u8);
        let (start, enough) = (self.candidates.len(), most + most / 2 + 1);
        let (mut bound, mut reach2) = (reach, reach * reach);
        let mut is_bounded = false;
        let is_3d = simulation_view.height_quantum.is_some();
        for (&leaf, &nearest) in player.area.leaves.iter().zip(&player.area.nearest) {
            if nearest > bound {
                break;
            }
            for blocks in simulation_view.frame.index.leaf(leaf) {
                self.examined += (blocks.len() * BLOCK) as u64;
                for blocks in blocks.chunks(BLOCKS) {
                    let mut within = self.distances2.measure(blocks, eye, reach2);
                    while within != 0 {
                        let place = within.trailing_zeros() as usize;
                        within &= within - 1;
                        let slot = blocks[place / BLOCK].slots[place % BLOCK];
                        let on_plane = self.distances2.get(place);
                        let distance2 = simulation_view.distance2_in_space(slot, on_plane);
                        if is_3d && distance2 > reach2 {
                            continue;
                        }
                        self.candidates.push(Candidate {
                            key: SlotKey::new(simulation, slot),
                            distance2,
                        });
                    }
                }
            }
            if self.candidates.len() - start >= enough && !is_bounded {
                // An entity farther than the `most` nearest of these cannot be among the nearest.
                is_bounded = true;
                let gathered = &self.candidates[start..];
                let mut ranks = Ranks::new(reach * reach);
                gathered
                    .iter()
                    .for_each(|candidate| ranks.count(ranks.bucket(candidate.distance2)));
                bound = ranks.upper_edge(ranks.bucket_of_rank(most)).sqrt().min(reach);
                reach2 = reach2.min(bound * bound * KEPT_FACTOR2);
            }
        }
        self.bound2 = self.bound2.max(bound * bound);
    }

    /// Marks the slots of the client's entities with their short ids.
    fn mark(&mut self, known: &Known, simulation_views: &[SimulationView<'_>]) {
        self.marks.begin();
        for simulation_view in simulation_views {
            let slots = simulation_view.frame.chunks().len() * CHUNK_SLOTS;
            let mut marks = self.marks.simulation_mut(simulation_view.simulation, slots);
            for (at, group) in known.groups().iter().enumerate() {
                each_id(at, group.live, |id| marks.set(known.key(id), id, false));
                each_id(at, group.leaving, |id| marks.set(known.key(id), id, true));
            }
        }
    }

    /// Makes the player's own entity the nearest candidate, wherever it is.
    fn put_first(&mut self, own: SlotKey) {
        let mut candidates = self.candidates.iter_mut();
        let first = Candidate {
            key: own,
            distance2: 0.0,
        };
        if let Some(candidate) = candidates.find(|candidate| candidate.key == own) {
            *candidate = first;
            return;
        }
        self.candidates.push(first);
    }

    /// Compares the candidates with the known entities where there are more candidates than a client may know.
    /// Ranks are only as exact as their buckets. That is enough: each entity in the bucket of the last rank may be
    /// known, and may be replaced.
    fn join_ranked(&mut self, simulation_views: &[SimulationView<'_>], most: usize, own: Option<SlotKey>) {
        if let Some(own) = own {
            self.put_first(own);
        }
        let mut by_simulation = [None; SIMULATIONS_MAX];
        for simulation_view in simulation_views {
            by_simulation[simulation_view.simulation] = Some(simulation_view);
        }
        // The entity with the last rank is in the middle bucket, unless importance shifts it.
        let mut ranks = Ranks::new(2.0 * self.bound2);
        self.buckets.clear();
        for candidate in &self.candidates {
            let Some(simulation_view) =
                by_simulation[usize::from(candidate.key.simulation().0) % SIMULATIONS_MAX]
            else {
                self.buckets.push(NO_BUCKET);
                continue;
            };
            let radius2 = simulation_view.player.radius * simulation_view.player.radius;
            // An entity that is not known and not near enough to enter takes no rank.
            if candidate.distance2 > radius2 && !matches!(self.marks.get(candidate.key), Mark::Live(_)) {
                self.buckets.push(NO_BUCKET);
                continue;
            }
            let importance = simulation_view.frame.identity(candidate.key.slot()).importance;
            let bucket = ranks.bucket(candidate.distance2 * nearness2(importance));
            ranks.count(bucket);
            self.buckets.push(bucket);
        }
        let (core, last) = (ranks.bucket_of_rank(most - most / 4), ranks.bucket_of_rank(most));
        let keep = ranks.bucket_of_rank(most + most / 4);
        for (candidate, &bucket) in self.candidates.iter().zip(&self.buckets) {
            if bucket > keep {
                continue;
            }
            if let Mark::Live(id) = self.marks.get(candidate.key) {
                self.known_distances2[id] = candidate.distance2;
                self.met += 1;
                if bucket >= last {
                    self.band.push(u32::from(bucket) << 16 | id as u32);
                }
            } else if bucket <= last {
                self.newcomers.push(Newcomer {
                    is_core: bucket < core,
                    ..Newcomer::new(candidate.key, candidate.distance2)
                });
            }
        }
        self.newcomers
            .sort_unstable_by(|a, b| (b.is_core.cmp(&a.is_core)).then(a.distance2.total_cmp(&b.distance2)));
        if !self.newcomers.is_empty() {
            self.band.sort_unstable();
        }
    }

    /// Makes newcomers enter for as long as there is room; returns whether all of them have entered.
    fn let_enter(&mut self, known: &mut Known, most: usize, tick: Tick) -> bool {
        let mut have_entered = true;
        for at in 0..self.newcomers.len() {
            let Newcomer {
                key,
                distance2,
                is_core,
            } = self.newcomers[at];
            if known.live_len() >= most {
                let farthest = if is_core { self.band.pop() } else { None };
                let Some(farthest) = farthest else {
                    have_entered = false;
                    continue;
                };
                known.leave((farthest & 0xffff) as usize, tick);
            }
            let id = match self.marks.get(key) {
                Mark::Unknown => known.enter(key, tick),
                Mark::Live(id) | Mark::Leaving(id) => {
                    known.enter_as(id, key, tick);
                    Some(id)
                }
            };
            let Some(id) = id else {
                // All short ids are in use until the client has acknowledged some leaves.
                return false;
            };
            if self.known_distances2.len() <= id {
                self.known_distances2.resize(known.id_end(), UNSEEN);
            }
            self.known_distances2[id] = distance2;
            self.marks.set(key, id);
        }
        have_entered
    }

    /// Returns, by short id, the squared distances of the live entities of `known`, which was updated last.
    pub(super) fn distances2(
        &mut self,
        known: &Known,
        simulation_views: &[SimulationView<'_>],
        own: Option<usize>,
    ) -> &[f32] {
        if !std::mem::replace(&mut self.are_measured, true) {
            self.measure(known, simulation_views, own);
        }
        &self.known_distances2
    }

    fn measure(&mut self, known: &Known, simulation_views: &[SimulationView<'_>], own: Option<usize>) {
        self.known_distances2
            .resize(known.id_end().max(self.known_distances2.len()), UNSEEN);
        for (at, group) in known.groups().iter().enumerate() {
            each_id(at, group.live, |id| {
                let key = known.key(id);
                let simulation_view = simulation_views
                    .iter()
                    .find(|simulation_view| simulation_view.simulation == usize::from(key.simulation().0));
                let distance2 =
                    simulation_view.and_then(|simulation_view| simulation_view.distance2(key.slot()));
                self.known_distances2[id] = distance2.unwrap_or(UNSEEN);
            });
        }
        if let Some(own) = own {
            self.known_distances2[own] = 0.0;
        }
    }
}

/// Returns the factor on the squared distance in the ranking: an entity of importance `n` counts as `n` times
/// as near, one of importance 0 as twice as far.
fn nearness2(importance: u8) -> f32 {
    match importance {
        0 => 4.0,
        1 => 1.0,
        _ => 1.0 / (f32::from(importance) * f32::from(importance)),
    }
}
