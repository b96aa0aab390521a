//! Short ids across all their states, alone and in groups.

use super::*;
use proptest::prelude::*;

fn key(slot: u32) -> SlotKey {
    SlotKey(slot)
}

fn acknowledge(known: &mut Known, id: usize, tick: Tick) {
    known.acknowledge(id / 64, 1 << (id % 64), tick, true, |_| tick);
}

fn is_in(ids: u64, id: usize) -> bool {
    ids >> (id % 64) & 1 == 1
}

fn is_dirty(known: &Known, id: usize, changed: Tick) -> bool {
    changed.is_after(known.sent(id))
}

#[test]
fn an_entity_gets_the_lowest_free_short_id() {
    let mut known = Known::new(70);
    for slot in 0..70 {
        assert_eq!(known.enter(key(slot), Tick(1)), Some(slot as usize));
    }
    assert_eq!(known.enter(key(70), Tick(1)), None);
    known.leave(3, Tick(2));
    assert_eq!((known.enter(key(70), Tick(2)), known.live_len()), (None, 69));
    acknowledge(&mut known, 3, Tick(2));
    assert_eq!(known.enter(key(70), Tick(3)), Some(3));
    assert_eq!(known.groups().len(), 2);
}

#[test]
fn packets_from_before_a_change_do_not_count() {
    let mut known = Known::new(8);
    let id = known.enter(key(1), Tick(10)).unwrap();
    known.leave(id, Tick(12));
    acknowledge(&mut known, id, Tick(11));
    assert!(
        is_in(known.groups()[id / 64].leaving, id),
        "an enter was acknowledged, not the leave"
    );
    acknowledge(&mut known, id, Tick(12));
    assert!(!is_in(known.groups()[id / 64].leaving, id));
    assert_eq!(known.enter(key(2), Tick(20)), Some(id));
    acknowledge(&mut known, id, Tick(13));
    assert!(
        !is_in(known.groups()[id / 64].confirmed, id),
        "that packet was about the previous entity"
    );
    acknowledge(&mut known, id, Tick(21));
    acknowledge(&mut known, id, Tick(20));
    assert!(is_in(known.groups()[id / 64].confirmed, id));
    assert_eq!(known.acked(id), Tick(21));
}

#[test]
fn a_lost_state_is_sent_again_unless_a_later_one_was_sent() {
    let mut known = Known::new(8);
    for start in [100, u32::MAX - 1] {
        let at = |ticks: u32| Tick(start) + ticks;
        let id = known.enter(key(1), at(0)).unwrap();
        assert!(is_dirty(&known, id, at(0)) && is_dirty(&known, id, at(0) - 100_000));
        known.note_sent(id / 64, 1 << (id % 64), at(0));
        known.lose(id, at(0));
        assert!(is_dirty(&known, id, at(0)), "an enter is lost");
        known.note_sent(id / 64, 1 << (id % 64), at(2));
        acknowledge(&mut known, id, at(1));
        known.lose(id, at(1));
        assert!(!is_dirty(&known, id, at(2)));
        known.lose(id, at(2));
        assert!(is_dirty(&known, id, at(2)) && !is_dirty(&known, id, at(1)));
    }
}

/// One id in a model of the known set without groups.
#[derive(Default)]
struct Single {
    state: KnownState,
    is_live: bool,
    is_confirmed: bool,
    is_leaving: bool,
}

impl Single {
    fn acknowledge(&mut self, packet: Tick, state: Tick) {
        if self.state.since.is_after(packet) {
            return;
        }
        self.is_leaving = false;
        if self.is_live {
            self.is_confirmed = true;
            if state.is_after(self.state.acked) {
                self.state.acked = state;
            }
        }
    }

    fn lose(&mut self, state: Tick) {
        if self.state.sent == state {
            self.state.sent = self.state.acked;
        }
    }
}

proptest! {
    #[test]
    fn groups_change_nothing(steps in prop::collection::vec((0u8..12, any::<u64>(), 0u32..6, 0u32..3), 1..300)) {
        let (mut known, mut singles) = (Known::new(64), Vec::<Single>::new());
        for (n, (step, ids, back, older)) in steps.into_iter().enumerate() {
            let tick = Tick(100 + n as u32);
            // Most packets contain most ids.
            let ids = if step % 2 == 0 { ids | ids.rotate_left(7) | ids.rotate_left(23) } else { ids };
            let id = (ids % singles.len().max(1) as u64) as usize;
            match step {
                0 | 1 => {
                    let Some(id) = known.enter(key(n as u32), tick) else { continue };
                    if id == singles.len() {
                        singles.push(Single::default());
                    }
                    let (sent, acked) = (tick - LONG_AGO, tick - LONG_AGO);
                    let state = KnownState { sent, acked, since: tick };
                    singles[id] = Single { state, is_live: true, ..Single::default() };
                }
                2 if singles.get(id).is_some_and(|single| single.is_live) => {
                    known.leave(id, tick);
                    let single = &mut singles[id];
                    (single.is_live, single.is_confirmed, single.is_leaving) = (false, false, true);
                    single.state.since = tick;
                }
                3..=6 => {
                    let live = known.groups().first().map_or(0, |group| group.live);
                    known.note_sent(0, ids & live, tick);
                    each_id(0, ids & live, |id| singles[id].state.sent = tick);
                }
                7..=10 => {
                    let packet = tick - back;
                    known.acknowledge(0, ids, packet, older == 0, |_| packet - older);
                    for (id, single) in singles.iter_mut().enumerate() {
                        if ids >> id & 1 == 1 {
                            single.acknowledge(packet, packet - older);
                        }
                    }
                }
                _ => each_id(0, ids, |id| {
                    known.lose(id, tick - back);
                    if let Some(single) = singles.get_mut(id) {
                        single.lose(tick - back);
                    }
                }),
            }
            for (id, single) in singles.iter().enumerate() {
                let group = known.groups()[0];
                prop_assert_eq!(
                    (is_in(group.live, id), is_in(group.confirmed, id), is_in(group.leaving, id)),
                    (single.is_live, single.is_confirmed, single.is_leaving)
                );
                prop_assert!(!is_in(group.uniform, id) || single.is_confirmed);
                if single.is_live {
                    prop_assert_eq!((known.sent(id), known.acked(id)), (single.state.sent, single.state.acked));
                }
            }
        }
    }
}
