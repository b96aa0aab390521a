//! The audit of a bot's mirror: each of its ticks is compared with the server's log of the same tick.
//!
//! An audited bot records its whole mirror after every snapshot ([`AuditLog`]). About once a second one tick of
//! it is compared with `GET /v1/audit` ([`compare`]): the mirrored value of every entity must equal the
//! server's row, field by field. An entity whose row has changed after the tick of the mirrored value is not compared,
//! because the change is still under way.

use std::collections::HashMap;

use throng_client::mirror::{Mirror, MirrorEntity};
use throng_server::internals::{AUDIT_HEADER_BYTES, AUDIT_MAGIC, AUDIT_ROW_3D_BYTES, AUDIT_ROW_BYTES};
use throng_shared::protocol::ids::GlobalId;
use throng_shared::protocol::pose::Pose;
use throng_shared::protocol::pose3d::Pose3d;
use throng_shared::protocol::rotation::Rotation;
use throng_shared::tick::Tick;

/// Number of ticks that a bot keeps.
pub const TICKS_KEPT: usize = 64;

/// One entity as a mirror held it at some tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirroredState {
    /// The entity's global id.
    pub global: GlobalId,
    /// The state in the mirror.
    pub pose: Pose,
    /// The pose in space in the mirror.
    pub pose_3d: Option<Pose3d>,
    /// The tick from which the state is.
    pub value_tick: Tick,
}

impl From<&MirrorEntity> for MirroredState {
    fn from(entity: &MirrorEntity) -> Self {
        Self {
            global: entity.global,
            pose: entity.pose,
            pose_3d: entity.pose_3d,
            value_tick: entity.tick,
        }
    }
}

/// A mirror's states of the last [`TICKS_KEPT`] ticks.
#[derive(Debug)]
pub struct AuditLog {
    ticks: Vec<(Tick, Vec<MirroredState>)>,
    newest: Option<Tick>,
}

impl Default for AuditLog {
    fn default() -> Self {
        Self {
            ticks: vec![(Tick(0), Vec::new()); TICKS_KEPT],
            newest: None,
        }
    }
}

impl AuditLog {
    /// Records the mirror after a snapshot packet of `tick`. A later part of the same tick replaces the record.
    pub fn record(&mut self, tick: Tick, mirror: &Mirror) {
        if self.newest.is_some_and(|newest| newest.is_after(tick)) {
            return;
        }
        self.newest = Some(tick);
        let (kept, mirrored) = &mut self.ticks[tick.0 as usize % TICKS_KEPT];
        *kept = tick;
        mirrored.clear();
        mirrored.extend(mirror.entities().map(|entity| MirroredState::from(&entity)));
    }

    /// Returns the newest recorded tick.
    #[must_use]
    pub fn newest(&self) -> Option<Tick> {
        self.newest
    }

    /// Returns the mirror at `tick`. It is empty if no snapshot of that tick arrived.
    #[must_use]
    pub fn at(&self, tick: Tick) -> &[MirroredState] {
        let (kept, mirrored) = &self.ticks[tick.0 as usize % TICKS_KEPT];
        if *kept == tick { mirrored } else { &[] }
    }
}

/// Why a response to `GET /v1/audit` is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The response begins with other bytes.
    #[error("the response is not an audit")]
    Magic,
    /// The rows have another size, or the response is truncated.
    #[error("the audit's length or layout is not what this swarm reads")]
    Layout,
}

/// One entity's row at the server.
#[derive(Debug, Clone, Copy)]
struct AuditedRow {
    pose: Pose,
    pose_3d: Option<Pose3d>,
    changed: Tick,
}

/// The server's rows of one tick.
#[derive(Debug, Clone, Default)]
pub struct AuditedTick {
    /// The tick that the server logged.
    pub tick: Tick,
    rows: HashMap<u64, AuditedRow>,
}

impl AuditedTick {
    /// Reads the body of `GET /v1/audit`.
    ///
    /// # Errors
    /// [`AuditError`] if the body is not a valid audit.
    pub fn read(body: &[u8]) -> Result<Self, AuditError> {
        if !body.starts_with(&AUDIT_MAGIC) {
            return Err(AuditError::Magic);
        }
        let (header, rows) = body
            .split_at_checked(AUDIT_HEADER_BYTES)
            .ok_or(AuditError::Layout)?;
        let count = field::<4, u32>(header, 8, u32::from_le_bytes) as usize;
        let row_bytes = field::<4, u32>(header, 12, u32::from_le_bytes) as usize;
        let is_3d = row_bytes == AUDIT_ROW_3D_BYTES;
        if !(is_3d || row_bytes == AUDIT_ROW_BYTES) || rows.len() != count * row_bytes {
            return Err(AuditError::Layout);
        }
        let rows = rows.chunks_exact(row_bytes).map(|row| {
            let pose = Pose {
                x: field(row, 8, i32::from_le_bytes),
                y: field(row, 12, i32::from_le_bytes),
                vx: field(row, 16, i16::from_le_bytes),
                vy: field(row, 18, i16::from_le_bytes),
                yaw: field(row, 20, u16::from_le_bytes),
                flags: field(row, 22, u16::from_le_bytes),
            };
            let pose_3d = is_3d.then(|| Pose3d {
                position: std::array::from_fn(|axis| field(row, 28 + axis * 4, i32::from_le_bytes)),
                velocity: std::array::from_fn(|axis| field(row, 40 + axis * 2, i16::from_le_bytes)),
                rotation: Rotation::from_bits(field(row, 48, u64::from_le_bytes)),
            });
            let changed = Tick(field(row, 24, u32::from_le_bytes));
            let row_of = AuditedRow {
                pose,
                pose_3d,
                changed,
            };
            (field(row, 0, u64::from_le_bytes), row_of)
        });
        Ok(Self {
            tick: Tick(field(header, 4, u32::from_le_bytes)),
            rows: rows.collect(),
        })
    }
}

/// Reads a number of `N` bytes at `offset`. The caller has checked the length.
fn field<const N: usize, T>(bytes: &[u8], offset: usize, read: impl Fn([u8; N]) -> T) -> T {
    read(std::array::from_fn(|index| bytes[offset + index]))
}

/// The result of one or more comparisons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    /// Entities in the server's log of the tick. Of several ticks, the most.
    pub logged: u64,
    /// Entities whose values were compared.
    pub compared: u64,
    /// Fields that differ, and current entities that the server does not know.
    pub wrong: u64,
}

impl Findings {
    /// Adds another comparison's findings to these.
    pub fn add(&mut self, other: Self) {
        self.logged = self.logged.max(other.logged);
        self.compared += other.compared;
        self.wrong += other.wrong;
    }
}

/// Compares a mirror at the audited tick with the server's rows.
#[must_use]
pub fn compare(audited: &AuditedTick, mirrored: &[MirroredState]) -> Findings {
    let mut findings = Findings {
        logged: audited.rows.len() as u64,
        ..Findings::default()
    };
    for entity in mirrored {
        let Some(row) = audited.rows.get(&entity.global.0) else {
            // An entity that is gone may remain until its removal arrives, but must not be updated at this tick.
            findings.wrong += u64::from(entity.value_tick == audited.tick);
            continue;
        };
        if row.changed.is_after(entity.value_tick) {
            continue;
        }
        findings.compared += 1;
        if let Some((at_server, here)) = row.pose_3d.zip(entity.pose_3d) {
            findings.wrong += different_fields(&at_server, &here);
            continue;
        }
        let pose = row.pose;
        let fields = [
            pose.x == entity.pose.x,
            pose.y == entity.pose.y,
            pose.vx == entity.pose.vx,
            pose.vy == entity.pose.vy,
            pose.yaw == entity.pose.yaw,
            pose.flags == entity.pose.flags,
        ];
        findings.wrong += fields.iter().filter(|same| !**same).count() as u64;
    }
    findings
}

fn different_fields(one: &Pose3d, other: &Pose3d) -> u64 {
    let positions = one
        .position
        .iter()
        .zip(&other.position)
        .filter(|(one, other)| one != other);
    let velocities = one
        .velocity
        .iter()
        .zip(&other.velocity)
        .filter(|(one, other)| one != other);
    (positions.count() + velocities.count() + usize::from(one.rotation != other.rotation)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(tick: u32, rows: &[(u64, Pose, u32)]) -> Vec<u8> {
        let mut body = AUDIT_MAGIC.to_vec();
        body.extend(tick.to_le_bytes());
        body.extend((rows.len() as u32).to_le_bytes());
        body.extend((AUDIT_ROW_BYTES as u32).to_le_bytes());
        for (global, pose, changed) in rows {
            body.extend(global.to_le_bytes());
            body.extend([pose.x, pose.y].map(i32::to_le_bytes).concat());
            body.extend([pose.vx, pose.vy].map(i16::to_le_bytes).concat());
            body.extend([pose.yaw, pose.flags].map(u16::to_le_bytes).concat());
            body.extend(changed.to_le_bytes());
        }
        body
    }

    fn pose(x: i32) -> Pose {
        Pose {
            x,
            y: -x,
            vx: 3,
            vy: -4,
            yaw: 1_000,
            flags: 0,
        }
    }

    fn mirrored(global: u64, x: i32, value_tick: u32) -> MirroredState {
        MirroredState {
            global: GlobalId(global),
            pose: pose(x),
            pose_3d: None,
            value_tick: Tick(value_tick),
        }
    }

    #[test]
    fn audited_values_must_equal_rows_that_did_not_change_later() {
        let audited = AuditedTick::read(&body(
            100,
            &[(1, pose(10), 100), (2, pose(20), 90), (3, pose(30), 95)],
        ));
        let audited = audited.unwrap();
        let right = [
            mirrored(1, 10, 100),
            mirrored(2, 20, 97),
            mirrored(3, 7, 94),
            mirrored(9, 0, 99),
        ];
        assert_eq!(
            compare(&audited, &right),
            Findings {
                logged: 3,
                compared: 2,
                wrong: 0
            }
        );
        let at_rest_and_wrong = [mirrored(2, 21, 97)];
        assert_eq!(
            compare(&audited, &at_rest_and_wrong),
            Findings {
                logged: 3,
                compared: 1,
                wrong: 2
            },
            "x and y"
        );
        let updated_and_unknown = [mirrored(9, 0, 100)];
        assert_eq!(compare(&audited, &updated_and_unknown).wrong, 1);
        let turned = MirroredState {
            pose: Pose { yaw: 1, ..pose(10) },
            ..mirrored(1, 10, 100)
        };
        assert_eq!(compare(&audited, &[turned]).wrong, 1);
    }

    #[test]
    fn invalid_audit_responses_are_refused() {
        let good = body(1, &[(1, pose(1), 1)]);
        assert!(AuditedTick::read(&good).is_ok());
        assert_eq!(AuditedTick::read(b"nothing").unwrap_err(), AuditError::Magic);
        assert_eq!(
            AuditedTick::read(&good[..good.len() - 1]).unwrap_err(),
            AuditError::Layout
        );
        let mut wider = good;
        wider[12] += 1;
        assert_eq!(AuditedTick::read(&wider).unwrap_err(), AuditError::Layout);
        assert_eq!(AuditedTick::read(&AUDIT_MAGIC).unwrap_err(), AuditError::Layout);
    }
}
