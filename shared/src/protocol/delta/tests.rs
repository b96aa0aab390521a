//! Round trips, sizes and hostile bits of the pose codec.

use super::super::pose::{POSITION_QUANTUM, VELOCITY_QUANTUM};
use super::*;
use proptest::prelude::*;

/// Bits of the longest absolute state.
const ABSOLUTE_BITS_MAX: u32 = 2 + 2 * 32 + 2 + 2 * 16 + YAW_BITS + 1 + 16;

fn pose() -> impl Strategy<Value = Pose> {
    (
        any::<i32>(),
        any::<i32>(),
        any::<i16>(),
        any::<i16>(),
        0..YAW_STEPS,
        prop_oneof![3 => Just(0), 1 => any::<u16>()],
    )
        .prop_map(|(x, y, vx, vy, yaw, flags)| Pose {
            x,
            y,
            vx,
            vy,
            yaw,
            flags,
        })
}

fn near(base: Pose, by: (i32, i32, i16, i16, u16)) -> Pose {
    Pose {
        x: base.x.wrapping_add(by.0),
        y: base.y.wrapping_add(by.1),
        vx: base.vx.wrapping_add(by.2),
        vy: base.vy.wrapping_add(by.3),
        yaw: base.yaw.wrapping_add(by.4) & YAW_MASK,
        flags: base.flags,
    }
}

fn written(delta: DeltaBits) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    let mut writer = BitWriter::new(&mut bytes);
    writer.write(delta.bits, delta.len.into());
    let len = writer.finish();
    bytes.truncate(len);
    bytes
}

#[test]
fn position_and_velocity_quanta_fit_the_step() {
    assert_eq!(
        (VELOCITY_QUANTUM / POSITION_QUANTUM).round() as u32,
        POSITION_PER_VELOCITY
    );
}

#[test]
fn cosines_are_within_half_a_step() {
    for (step, &cosine) in COSINE.iter().enumerate() {
        let exact = (step as f64 * std::f64::consts::TAU / f64::from(YAW_STEPS)).cos() * 16_384.0;
        assert!(
            (f64::from(cosine) - exact).abs() <= 0.500_001,
            "{step}: {cosine} {exact}"
        );
    }
}

#[test]
fn a_steady_pose_takes_10_bits_and_a_turning_one_16() {
    let motion = MotionModel::new(20);
    let base = Pose {
        x: 100,
        y: -100,
        vx: 60,
        vy: -80,
        yaw: 10,
        flags: 0,
    };
    let drifted = Pose {
        x: 115,
        y: -120,
        ..base
    };
    assert_eq!(motion.encode(&base, &drifted, 1).map(|delta| delta.len), Some(10));
    let (vx, vy) = turned(&base, 40);
    let steered = Pose {
        x: 100 + vx / 4,
        y: -100 + vy / 4,
        vx: vx as i16,
        vy: vy as i16,
        yaw: 50,
        flags: 0,
    };
    assert_eq!(motion.encode(&base, &steered, 1).map(|delta| delta.len), Some(16));
}

#[test]
fn a_teleport_and_a_changed_flag_have_no_difference() {
    let motion = MotionModel::new(20);
    let base = Pose::default();
    assert_eq!(motion.encode(&base, &Pose { x: 5_000, ..base }, 1), None);
    assert_eq!(motion.encode(&base, &Pose { vx: 5_000, ..base }, 1), None);
    assert_eq!(motion.encode(&base, &Pose { flags: 1, ..base }, 1), None);
}

proptest! {
    #[test]
    fn differences_round_trip(
        base in pose(),
        by in (-600i32..600, -600i32..600, -150i16..150, -150i16..150, any::<u16>()),
        small in (-2i32..3, -2i32..3, -2i16..3, -2i16..3, -80i16..80),
        age in 1u32..32, rate in 0u16..300, is_small: bool,
    ) {
        let motion = MotionModel::new(rate);
        let by = if is_small { (small.0, small.1, small.2, small.3, small.4 as u16) } else { by };
        // Around the prediction, where differences are written, as well as around the baseline.
        let (vx, vy) = turned(&base, signed_turn(by.4));
        let predicted = motion.predict_position(&base, vx as i16, vy as i16, age);
        let expected = Pose { x: predicted[0], y: predicted[1], vx: vx as i16, vy: vy as i16, ..base };
        for now in [near(base, by), near(expected, by), near(Pose { vx: base.vx, vy: base.vy, ..expected }, by)] {
            let Some(delta) = motion.encode(&base, &now, age) else { continue };
            prop_assert!(delta.len <= 56 && delta.bits >> delta.len == 0);
            let bytes = written(delta);
            let mut reader = BitReader::new(&bytes);
            prop_assert_eq!(motion.decode(&base, age, &mut reader), Ok(now));
            prop_assert_eq!(reader.bits_read(), delta.len as usize);
            for end in 0..bytes.len().saturating_sub(1) {
                prop_assert!(motion.decode(&base, age, &mut BitReader::new(&bytes[..end])).is_err());
            }
        }
    }

    #[test]
    fn small_residuals_always_have_a_difference(
        base in pose(), by in (-250i32..250, -250i32..250, -60i16..60, -60i16..60, -500i16..500), age in 1u32..32,
    ) {
        let base = Pose { vx: base.vx % 500, vy: base.vy % 500, ..base };
        let motion = MotionModel::new(20);
        let (vx, vy) = turned(&base, by.4.into());
        let now = near(Pose { vx: vx as i16, vy: vy as i16, ..base }, (0, 0, by.2, by.3, by.4 as u16));
        let predicted = motion.predict_position(&base, now.vx, now.vy, age);
        let now = Pose { x: predicted[0].wrapping_add(by.0), y: predicted[1].wrapping_add(by.1), ..now };
        prop_assert!(motion.encode(&base, &now, age).is_some());
    }

    #[test]
    fn absolute_states_round_trip(pose in pose(), shift in 0u32..32) {
        let pose = Pose { x: pose.x >> shift, y: pose.y >> shift, vx: pose.vx >> (shift / 2), vy: pose.vy >> (shift / 2), ..pose };
        let mut bytes = [0; 20];
        let mut writer = BitWriter::new(&mut bytes);
        write_absolute(&pose, &mut writer);
        prop_assert_eq!(writer.bits_written(), absolute_bits(&pose) as usize);
        prop_assert!(writer.bits_written() <= ABSOLUTE_BITS_MAX as usize);
        let len = writer.finish();
        prop_assert_eq!(read_absolute(&mut BitReader::new(&bytes[..len])), Ok(pose));
        prop_assert!(read_absolute(&mut BitReader::new(&bytes[..len - 1])).is_err());
    }

    #[test]
    fn random_bits_decode_to_a_pose_or_an_error(
        base in pose(), bytes in prop::collection::vec(any::<u8>(), 0..12), age in 0u32..64, rate: u16,
    ) {
        let motion = MotionModel::new(rate);
        let mut reader = BitReader::new(&bytes);
        if let Ok(now) = motion.decode(&base, age, &mut reader) {
            prop_assert!(now.yaw < YAW_STEPS && reader.bits_read() <= 56);
        }
        let _ = read_absolute(&mut BitReader::new(&bytes));
    }
}
