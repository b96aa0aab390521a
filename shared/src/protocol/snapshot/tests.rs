//! Whole packets round trip; truncated, damaged and random ones result in errors.

use proptest::prelude::*;

use super::*;
use crate::limits::COMPONENT_BYTES_MAX;
use crate::protocol::PayloadKind;
use crate::protocol::delta::MotionModel;

const MOTION: MotionModel = MotionModel::new(20);
const BASE: Pose = Pose {
    x: 7_000,
    y: -90_000,
    vx: 70,
    vy: -71,
    yaw: 800,
    flags: 0,
};

#[derive(Clone, Debug, PartialEq)]
struct Parts {
    head: ComponentsHead,
    values: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Update {
    id: ShortId,
    age: u8,
    pose: Pose,
    parts: Option<Parts>,
}

#[derive(Clone, Debug, PartialEq)]
struct Section {
    head: SectionHead,
    leaves: Vec<ShortId>,
    enters: Vec<(Enter, Option<Parts>)>,
    updates: Vec<Update>,
}

#[derive(Clone, Debug, PartialEq)]
struct Packet {
    header: SnapshotHeader,
    owner: Option<OwnerBlock>,
    components: u32,
    sections: Vec<Section>,
}

fn write(packet: &Packet, buffer: &mut [u8]) -> Option<usize> {
    let write_parts = |writer: &mut SnapshotWriter<'_>, head: &SectionHead, parts: &Option<Parts>| match parts
    {
        _ if !head.has_components => {}
        None => writer.no_components(),
        Some(parts) => {
            writer.components(parts.head, packet.components);
            parts.values.iter().for_each(|value| writer.component(value));
        }
    };
    let mut writer = SnapshotWriter::new(buffer, packet.header, packet.owner.as_ref());
    for section in &packet.sections {
        writer.section(section.head);
        section.leaves.iter().for_each(|&id| writer.leave(id));
        writer.end_list();
        for (enter, parts) in &section.enters {
            let before = writer.bits_left();
            writer.enter(enter, &MOTION);
            if writer.bits_left() > 0 {
                assert_eq!(
                    before - writer.bits_left(),
                    enter_bits(enter, &MOTION, packet.header.id_bits)
                );
            }
            write_parts(&mut writer, &section.head, parts);
        }
        writer.end_list();
        let mut presence = Presence::default();
        section
            .updates
            .iter()
            .for_each(|update| presence.insert(update.id));
        writer.presence(&presence);
        for update in &section.updates {
            match update.age {
                0 => writer.absolute(&update.pose, &MOTION),
                age => writer.difference(age, MOTION.encode(&BASE, &update.pose, age.into()).unwrap()),
            }
            let before = writer.bits_left();
            write_parts(&mut writer, &section.head, &update.parts);
            if let (Some(parts), true) = (&update.parts, writer.bits_left() > 0) {
                let bytes = parts.values.iter().map(Vec::len).sum();
                let bound = components_bits_max(parts.values.len(), bytes, packet.components);
                assert!(before - writer.bits_left() <= bound);
            }
        }
    }
    writer.finish()
}

fn read(bytes: &[u8], reference: Tick, components: u32) -> Result<Packet, SnapshotError> {
    let read_parts = |reader: &mut SnapshotReader<'_>| -> Result<Option<Parts>, SnapshotError> {
        let Some(head) = reader.components(components)? else {
            return Ok(None);
        };
        let values = (0..head.included.count_ones())
            .map(|_| Ok(reader.component()?.to_vec()))
            .collect::<Result<_, SnapshotError>>()?;
        Ok(Some(Parts { head, values }))
    };
    let (mut reader, header, owner) = SnapshotReader::new(bytes, reference)?;
    let mut sections = Vec::new();
    while let Some(head) = reader.section()? {
        let (mut leaves, mut enters, mut updates) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(id) = reader.leave()? {
            leaves.push(id);
        }
        while let Some(enter) = reader.enter(&MOTION)? {
            enters.push((enter, read_parts(&mut reader)?));
        }
        for id in reader.presence()?.iter() {
            let age = reader.age()?;
            let pose = if age == 0 {
                reader.absolute(&MOTION)?
            } else {
                reader.difference(&MOTION, &BASE, age)?
            };
            updates.push(Update {
                id,
                age,
                pose,
                parts: read_parts(&mut reader)?,
            });
        }
        sections.push(Section {
            head,
            leaves,
            enters,
            updates,
        });
    }
    Ok(Packet {
        header,
        owner,
        components,
        sections,
    })
}

fn parts(components: u32) -> impl Strategy<Value = Option<Parts>> + Clone {
    let mask = if components == 64 {
        u64::MAX
    } else {
        (1 << components) - 1
    };
    let sparse = (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| a & b & c);
    prop::option::of((any::<u64>(), sparse).prop_flat_map(move |(present, included)| {
        let head = ComponentsHead {
            present: (present | included) & mask,
            included: included & mask,
        };
        let count = head.included.count_ones() as usize;
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), count)
            .prop_map(move |values| Parts { head, values })
    }))
}

fn ids(id_bits: u32, most: usize) -> impl Strategy<Value = Vec<ShortId>> {
    prop::collection::btree_set(0u16..1 << id_bits, 0..most)
        .prop_map(|ids| ids.into_iter().map(ShortId).collect())
}

fn section_head(header: SnapshotHeader) -> impl Strategy<Value = SectionHead> {
    let fields = (
        any::<u8>(),
        0..=SECTION_AGE_MAX,
        0u8..32,
        any::<bool>(),
        any::<bool>(),
    );
    fields.prop_map(
        move |(simulation, older, age, has_exceptions, has_components)| SectionHead {
            simulation: SimulationId(simulation),
            tick: header.tick - older,
            age,
            has_exceptions,
            has_components,
        },
    )
}

fn section(header: SnapshotHeader, components: u32) -> impl Strategy<Value = Section> {
    let enter = (
        0u16..1 << header.id_bits,
        any::<u64>(),
        0u32..64,
        any::<i32>(),
        parts(components),
    );
    let update = (0u8..32, -400i32..400, -99i16..99, 0u16..1_024, parts(components));
    let lists = (
        ids(header.id_bits, 9),
        prop::collection::vec(enter, 0..5),
        ids(header.id_bits, 60).prop_flat_map(move |ids| {
            let count = ids.len();
            (Just(ids), prop::collection::vec(update.clone(), count))
        }),
    );
    (section_head(header), lists).prop_map(|(head, (leaves, enters, (ids, updates)))| {
        let keep = |parts: Option<Parts>| parts.filter(|_| head.has_components);
        let enters = enters.into_iter().map(|(id, global, shift, x, parts)| {
            let pose = Pose {
                x: x >> (shift / 2),
                y: -100,
                ..BASE
            };
            (
                Enter {
                    id: ShortId(id),
                    global: GlobalId(global >> shift),
                    pose,
                },
                keep(parts),
            )
        });
        let updates = ids.into_iter().zip(updates).map(|(id, (age, x, v, yaw, parts))| {
            let age = if head.has_exceptions { age } else { head.age };
            Update {
                id,
                age,
                pose: Pose {
                    x: BASE.x + x,
                    vx: BASE.vx + v,
                    yaw,
                    ..BASE
                },
                parts: keep(parts),
            }
        });
        let (enters, updates) = (enters.collect(), updates.filter(is_encodable).collect());
        Section {
            head,
            leaves,
            enters,
            updates,
        }
    })
}

fn is_encodable(update: &Update) -> bool {
    update.age == 0 || MOTION.encode(&BASE, &update.pose, update.age.into()).is_some()
}

fn packet() -> impl Strategy<Value = Packet> {
    let header =
        (any::<u16>(), any::<u32>(), 0u8..32, 8u32..=11).prop_map(|(sequence, tick, part, id_bits)| {
            SnapshotHeader {
                sequence,
                tick: Tick(tick),
                part,
                id_bits,
            }
        });
    (header, 0u32..=64).prop_flat_map(|(header, components)| {
        let owner = (
            prop::option::of(0u32..255),
            prop::option::of(-127i32..128),
            -2_047i16..=2_047,
            prop::option::of(0u16..1 << header.id_bits),
        )
            .prop_map(move |(age, ahead, margin_16, own)| OwnerBlock {
                last_input: age.map(|age| header.tick - age),
                newest_input: ahead.map(|ahead| Tick(header.tick.0.wrapping_add_signed(ahead))),
                margin_16,
                own: own.map(ShortId),
            });
        let sections = prop::collection::vec(section(header, components), 0..3);
        (prop::option::of(owner), sections).prop_map(move |(owner, sections)| Packet {
            header,
            owner,
            components,
            sections,
        })
    })
}

#[test]
fn fields_of_the_owner_block_saturate() {
    let header = SnapshotHeader {
        sequence: 0,
        tick: Tick(70_000),
        part: 31,
        id_bits: 8,
    };
    let owner = OwnerBlock {
        last_input: Some(Tick(70_000 - 255)),
        newest_input: Some(Tick(70_000 + 128)),
        margin_16: i16::MIN,
        own: None,
    };
    let packet = Packet {
        header,
        owner: Some(owner),
        components: 0,
        sections: Vec::new(),
    };
    let mut buffer = [0; 16];
    let len = write(&packet, &mut buffer).unwrap();
    let read = read(&buffer[..len], Tick(65_000), 0).unwrap();
    assert_eq!(
        read.owner,
        Some(OwnerBlock {
            last_input: None,
            newest_input: None,
            margin_16: -2_047,
            own: None
        })
    );
    assert_eq!(read.header, header);
}

#[test]
fn short_ids_have_8_to_11_bits() {
    let widths = [1, 256, 257, 512, 1_024, 1_025, 2_048, 2_049].map(short_id_bits);
    assert_eq!(
        widths,
        [
            Some(8),
            Some(8),
            Some(9),
            Some(9),
            Some(10),
            Some(11),
            Some(11),
            None
        ]
    );
}

#[test]
fn a_component_that_is_too_long_is_refused() {
    let header = SnapshotHeader {
        sequence: 0,
        tick: Tick(0),
        part: 0,
        id_bits: 8,
    };
    let mut buffer = vec![0; 2_000];
    for (bytes, is_taken) in [(COMPONENT_BYTES_MAX, true), (COMPONENT_BYTES_MAX + 1, false)] {
        let mut writer = SnapshotWriter::new(&mut buffer, header, None);
        writer.component(&vec![1; bytes]);
        let len = writer.finish().unwrap();
        let (mut reader, ..) = SnapshotReader::new(&buffer[..len], Tick(0)).unwrap();
        assert_eq!(reader.component().is_ok(), is_taken);
    }
}

proptest! {
    #[test]
    fn packets_round_trip(packet in packet(), ahead in -30_000i32..30_000) {
        let mut buffer = vec![0xa5; 60_000];
        let len = write(&packet, &mut buffer).unwrap();
        let reference = Tick(packet.header.tick.0.wrapping_add_signed(ahead));
        prop_assert_eq!(read(&buffer[..len], reference, packet.components), Ok(packet.clone()));
        // A truncated packet is never read as a whole one.
        for end in [0, 1, len / 3, len / 2, len - 1] {
            prop_assert!(read(&buffer[..end.min(len - 1)], reference, packet.components).is_err());
        }
        prop_assert!(write(&packet, &mut vec![0; len - 1]).is_none());
    }

    #[test]
    fn random_bytes_read_as_a_packet_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..300), components in 0u32..=64) {
        let _ = read(&bytes, Tick(5), components);
        if let Some(kind) = bytes.first_mut() {
            *kind = PayloadKind::SNAPSHOT;
        }
        let _ = read(&bytes, Tick(5), components);
    }

    #[test]
    fn damaged_packets_read_as_a_packet_or_an_error(packet in packet(), index: prop::sample::Index, flip in 1u8..) {
        let mut buffer = vec![0; 60_000];
        let len = write(&packet, &mut buffer).unwrap();
        buffer[index.index(len)] ^= flip;
        let _ = read(&buffer[..len], packet.header.tick, packet.components);
    }
}
