//! Tests the mirror with handwritten packets: order of arrival, reused short ids, invalid bytes.

use proptest::prelude::*;
use throng_shared::protocol::codec;
use throng_shared::protocol::ids::{ComponentId, GlobalId, SimulationId};
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::snapshot::{
    ComponentsHead, Enter, Presence, SectionHead, SnapshotHeader, SnapshotWriter,
};
use throng_shared::protocol::steps::{ComponentFormats, SentSteps, Steps};

use super::*;

const MOTION: MotionModel = MotionModel::new(20);

fn mirror() -> Mirror {
    Mirror::new(&MirrorConfig {
        tick_rate: 20,
        components: ComponentFormats::new([0, 0, 0, 2]),
        quanta_3d: None,
        tick: Tick(90),
    })
}

fn pose(x: i32) -> Pose {
    Pose { x, ..Pose::default() }
}

/// The contents of one packet, as these tests describe it.
#[derive(Clone, Default)]
struct Packet {
    sequence: u16,
    tick: u32,
    age: u8,
    leaves: Vec<u16>,
    enters: Vec<(u16, u64, i32)>,
    /// Short id, x at the baseline, x now.
    updates: Vec<(u16, i32, i32)>,
    /// Components of the first enter or update.
    components: Option<(ComponentsHead, Vec<Vec<u8>>)>,
    /// Alternatively: two numbers of component 3, and whether they are differences.
    numbers: Option<([i32; 2], bool)>,
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let mut buffer = vec![0; 1_200];
        let header = SnapshotHeader {
            sequence: self.sequence,
            tick: Tick(self.tick),
            part: 0,
            id_bits: 8,
        };
        let owner = OwnerBlock {
            last_input: None,
            newest_input: None,
            margin_16: self.sequence as i16 & 7,
            own: Some(ShortId(1)),
        };
        let mut writer = SnapshotWriter::new(&mut buffer, header, Some(&owner));
        writer.section(SectionHead {
            simulation: SimulationId(0),
            tick: Tick(self.tick),
            age: self.age,
            has_exceptions: false,
            has_components: self.components.is_some() || self.numbers.is_some(),
        });
        self.leaves.iter().for_each(|&id| writer.leave(ShortId(id)));
        writer.end_list();
        let mut components = self.components.clone();
        let mut numbers = self.numbers;
        let mut write_components = |writer: &mut SnapshotWriter<'_>| match components.take() {
            _ if self.numbers.is_some() => match numbers.take() {
                Some((numbers, is_difference)) => {
                    let (present, included) = (0b1000, 0b1000);
                    writer.components(ComponentsHead { present, included }, 4);
                    let steps = steps(numbers);
                    let sent = SentSteps { steps, is_difference };
                    writer.steps(&sent, self.age > 0);
                }
                None => writer.no_components(),
            },
            Some((head, values)) => {
                writer.components(head, 4);
                values.iter().for_each(|value| writer.component(value));
            }
            None if self.components.is_some() => writer.no_components(),
            None => {}
        };
        for &(id, global, x) in &self.enters {
            writer.enter(
                &Enter {
                    id: ShortId(id),
                    global: GlobalId(global),
                    pose: pose(x),
                },
                &MOTION,
            );
            write_components(&mut writer);
        }
        writer.end_list();
        let mut presence = Presence::default();
        self.updates
            .iter()
            .for_each(|&(id, ..)| presence.insert(ShortId(id)));
        writer.presence(&presence);
        for &(_, base, x) in &self.updates {
            match self.age {
                0 => writer.absolute(&pose(x), &MOTION),
                age => writer.difference(age, MOTION.encode(&pose(base), &pose(x), age.into()).unwrap()),
            }
            write_components(&mut writer);
        }
        let len = writer.finish().unwrap();
        buffer.truncate(len);
        buffer
    }
}

fn steps(numbers: [i32; 2]) -> Steps {
    let bytes = numbers.map(|number| {
        let mut bytes = Vec::new();
        codec::encode_into(&number, &mut bytes).unwrap();
        bytes
    });
    Steps::decode(&bytes.concat(), 2).unwrap()
}

#[derive(Default)]
struct Log(Vec<String>);

impl MirrorObserver for Log {
    fn entered(&mut self, entity: &MirrorEntity) {
        self.0
            .push(format!("{} entered at {}", entity.global, entity.pose.x));
    }
    fn updated(&mut self, entity: &MirrorEntity) {
        self.0
            .push(format!("{} moved to {}", entity.global, entity.pose.x));
    }
    fn component(&mut self, id: ShortId, component: ComponentId, bytes: &[u8]) {
        self.0.push(format!("{} has {} {bytes:?}", id.0, component.0));
    }
    fn component_removed(&mut self, id: ShortId, component: ComponentId) {
        self.0.push(format!("{} lost {}", id.0, component.0));
    }
    fn left(&mut self, _: ShortId, global: GlobalId) {
        self.0.push(format!("{global} left"));
    }
}

fn log(mirror: &mut Mirror, packet: &Packet) -> Vec<String> {
    let mut log = Log::default();
    let received = mirror.receive_snapshot(&packet.bytes(), &mut log).unwrap();
    assert!(matches!(received, Received::Applied(_)), "{received:?}");
    log.0
}

fn enter(sequence: u16, tick: u32, id: u16, global: u64, x: i32) -> Packet {
    Packet {
        sequence,
        tick,
        enters: vec![(id, global, x)],
        ..Packet::default()
    }
}

fn update(sequence: u16, tick: u32, age: u8, id: u16, base: i32, x: i32) -> Packet {
    Packet {
        sequence,
        tick,
        age,
        updates: vec![(id, base, x)],
        ..Packet::default()
    }
}

fn leave(sequence: u16, tick: u32, id: u16) -> Packet {
    Packet {
        sequence,
        tick,
        leaves: vec![id],
        ..Packet::default()
    }
}

#[test]
fn observer_receives_enters_updates_and_leaves_in_order() {
    let mut mirror = mirror();
    assert_eq!(log(&mut mirror, &enter(1, 100, 1, 7, 50)), ["#7 entered at 50"]);
    assert!(mirror.own().unwrap().is_own);
    assert_eq!(
        log(&mut mirror, &update(2, 101, 1, 1, 50, 60)),
        ["#7 moved to 60"]
    );
    assert_eq!(mirror.get(ShortId(1)).unwrap().tick, Tick(101));
    assert_eq!(mirror.owner().margin_16, 2);
    assert_eq!(log(&mut mirror, &leave(3, 102, 1)), ["#7 left"]);
    assert!(mirror.is_empty() && mirror.own().is_none());
    assert_eq!(mirror.newest_tick(), Tick(102));
}

#[test]
fn older_packet_serves_as_baseline_but_does_not_move_entity_back() {
    let mut mirror = mirror();
    log(&mut mirror, &enter(1, 100, 1, 7, 50));
    log(&mut mirror, &update(3, 102, 2, 1, 50, 70));
    assert!(log(&mut mirror, &update(2, 101, 1, 1, 50, 60)).is_empty());
    assert_eq!(mirror.get(ShortId(1)).unwrap().pose.x, 70);
    assert_eq!(
        log(&mut mirror, &update(4, 103, 2, 1, 60, 80)),
        ["#7 moved to 80"]
    );
    assert_eq!(
        mirror.ack(),
        Some(SnapshotAck {
            newest: 4,
            bits: 0b111
        })
    );
}

#[test]
fn packets_for_the_former_entity_of_a_short_id_are_ignored() {
    let mut mirror = mirror();
    log(&mut mirror, &enter(1, 100, 1, 7, 50));
    log(&mut mirror, &leave(3, 102, 1));
    assert!(log(&mut mirror, &update(2, 101, 1, 1, 50, 60)).is_empty());
    assert_eq!(log(&mut mirror, &enter(6, 105, 1, 8, 10)), ["#8 entered at 10"]);
    assert!(
        log(&mut mirror, &leave(4, 103, 1)).is_empty(),
        "a repeated leave of #7"
    );
    assert!(log(&mut mirror, &enter(5, 104, 1, 7, 50)).is_empty());
    assert_eq!(mirror.get(ShortId(1)).unwrap().global, GlobalId(8));
    assert_eq!(
        log(&mut mirror, &enter(7, 106, 1, 9, 0)),
        ["#8 left", "#9 entered at 0"]
    );
    assert_eq!(mirror.len(), 1);
}

#[test]
fn components_are_added_changed_and_removed() {
    let mut mirror = mirror();
    let with = |packet: Packet, present, included, values: &[&[u8]]| Packet {
        components: Some((
            ComponentsHead { present, included },
            values.iter().map(|v| v.to_vec()).collect(),
        )),
        ..packet
    };
    let packet = with(enter(1, 100, 1, 7, 0), 0b101, 0b101, &[&[1, 2], &[]]);
    assert_eq!(
        log(&mut mirror, &packet),
        ["#7 entered at 0", "1 has 0 [1, 2]", "1 has 2 []"]
    );
    let packet = with(update(3, 102, 2, 1, 0, 0), 0b110, 0b010, &[&[9]]);
    assert_eq!(
        log(&mut mirror, &packet),
        ["#7 moved to 0", "1 lost 0", "1 has 1 [9]"]
    );
    let older = with(update(2, 101, 1, 1, 0, 0), 0b001, 0b001, &[&[5]]);
    assert!(log(&mut mirror, &older).is_empty());
    let again = with(update(4, 103, 3, 1, 0, 0), 0b110, 0b110, &[&[9], &[8]]);
    assert_eq!(
        log(&mut mirror, &again),
        ["#7 moved to 0", "1 has 2 [8]"],
        "1 is as it was"
    );
    let ids: Vec<u8> = mirror
        .components(ShortId(1))
        .iter()
        .map(|component| component.id.0)
        .collect();
    assert_eq!(ids, [2, 1]);
    log(&mut mirror, &leave(5, 104, 1));
    assert!(mirror.components(ShortId(1)).is_empty());
}

#[test]
fn number_differences_are_added_to_the_baseline_of_the_referenced_tick() {
    let mut mirror = mirror();
    let with = |packet: Packet, numbers, is_difference| Packet {
        numbers: Some((numbers, is_difference)),
        ..packet
    };
    let packet = with(enter(1, 100, 1, 7, 0), [5, 6], false);
    assert_eq!(log(&mut mirror, &packet)[1..], ["1 has 3 [10, 12]"]);
    let packet = with(update(3, 102, 2, 1, 0, 0), [1, 0], true);
    assert_eq!(log(&mut mirror, &packet)[1..], ["1 has 3 [12, 12]"]);
    let older = with(update(2, 101, 1, 1, 0, 0), [10, 0], true);
    assert!(log(&mut mirror, &older).is_empty());
    let packet = with(update(4, 103, 2, 1, 0, 0), [1, 0], true);
    assert_eq!(
        log(&mut mirror, &packet)[1..],
        ["1 has 3 [32, 12]"],
        "from that of 101"
    );
    log(&mut mirror, &update(5, 104, 1, 1, 0, 0));
    let packet = with(update(6, 105, 1, 1, 0, 0), [0, -6], true);
    assert_eq!(
        log(&mut mirror, &packet)[1..],
        ["1 has 3 [32, 0]"],
        "unchanged at 104"
    );

    log(&mut mirror, &enter(7, 106, 2, 8, 0));
    let unfounded = with(update(8, 107, 1, 2, 0, 0), [1, 1], true);
    assert_eq!(
        mirror.receive_snapshot(&unfounded.bytes(), &mut ()),
        Err(SnapshotError::Baseline)
    );
    log(&mut mirror, &leave(9, 108, 1));
    log(&mut mirror, &enter(10, 109, 1, 9, 0));
    let former = with(update(11, 110, 1, 1, 0, 0), [1, 1], true);
    assert_eq!(
        mirror.receive_snapshot(&former.bytes(), &mut ()),
        Err(SnapshotError::Baseline),
        "those of the id's former entity are discarded"
    );
}

#[test]
fn duplicate_and_stale_packets_are_distinguished() {
    let mut mirror = mirror();
    let first = enter(1, 100, 1, 7, 50).bytes();
    assert!(matches!(
        mirror.receive_snapshot(&first, &mut ()),
        Ok(Received::Applied(_))
    ));
    assert_eq!(mirror.receive_snapshot(&first, &mut ()), Ok(Received::Duplicate));
    log(&mut mirror, &update(3, 131, 31, 1, 50, 51));
    log(&mut mirror, &update(4, 132, 1, 1, 51, 52));
    log(&mut mirror, &update(5, 140, 8, 1, 52, 52));
    // Its baseline, 100, was discarded when 132 arrived.
    let late = update(2, 131, 31, 1, 0, 10);
    assert_eq!(
        mirror.receive_snapshot(&late.bytes(), &mut ()),
        Ok(Received::Stale)
    );
    assert_eq!(
        mirror.receive_snapshot(&update(0, 100, 0, 1, 0, 1).bytes(), &mut ()),
        Ok(Received::Stale)
    );
    assert_eq!(
        mirror.ack(),
        Some(SnapshotAck {
            newest: 5,
            bits: 0b1011
        })
    );
}

#[test]
fn invalid_packet_is_an_error_and_changes_nothing() {
    let mut mirror = mirror();
    log(&mut mirror, &enter(1, 100, 1, 7, 50));
    let unknown = Packet {
        leaves: vec![1],
        ..update(2, 101, 0, 5, 0, 0)
    };
    assert_eq!(
        mirror.receive_snapshot(&unknown.bytes(), &mut ()),
        Err(SnapshotError::Entity)
    );
    let unfounded = Packet {
        leaves: vec![1],
        ..update(2, 101, 2, 1, 0, 0)
    };
    assert_eq!(
        mirror.receive_snapshot(&unfounded.bytes(), &mut ()),
        Err(SnapshotError::Baseline)
    );
    assert_eq!((mirror.len(), mirror.ack().unwrap().newest), (1, 1));
}

proptest! {
    #[test]
    fn random_packets_neither_panic_nor_grow_the_mirror(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..60),
    ) {
        let mut mirror = mirror();
        let mut entered = 0;
        for mut packet in packets {
            if let Some(kind) = packet.first_mut() {
                *kind = 0x80;
            }
            if let Ok(Received::Applied(applied)) = mirror.receive_snapshot(&packet, &mut ()) {
                entered += applied.entered as usize;
                entered -= applied.left as usize;
            }
            prop_assert_eq!(mirror.len(), entered);
            prop_assert!(mirror.entities().count() == entered && entered <= 2_048);
        }
    }
}
