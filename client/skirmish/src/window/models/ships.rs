//! Models of ships and drones.

use super::builder::{HullSection, ModelBuilder, section};
use super::model::{Coat, Model};

/// Returns one model for each ship class of the included content, in its order.
pub(super) fn classes() -> Vec<Model> {
    vec![lancer(), wasp(), bulwark(), mule()]
}

/// Returns one model for each drone breed, in the content's order.
pub(super) fn breeds() -> Vec<Model> {
    vec![gnat(), raider()]
}

/// An engine pod of the fighter.
const POD: [HullSection; 2] = [section(-0.95, 0.12, 0.12, 0.12), section(-0.25, 0.14, 0.12, 0.12)];

/// An all-round fighter: a long nose, swept wings with the team's colour at their tips.
fn lancer() -> Model {
    ModelBuilder::default()
        .hull(
            Coat::Body,
            0.0,
            &[
                section(-0.85, 0.22, 0.16, 0.14),
                section(-0.45, 0.34, 0.26, 0.2),
                section(0.15, 0.27, 0.24, 0.18),
                section(0.75, 0.15, 0.12, 0.1),
                section(1.25, 0.02, 0.02, 0.02),
            ],
        )
        .hull(
            Coat::Glass,
            0.0,
            &[
                section(-0.1, 0.1, 0.28, 0.0),
                section(0.15, 0.15, 0.34, 0.0),
                section(0.55, 0.05, 0.17, 0.0),
            ],
        )
        .wings(
            Coat::Body,
            [
                [0.35, 0.0, 0.2],
                [-0.35, 0.02, 0.85],
                [-0.7, 0.02, 0.85],
                [-0.75, 0.0, 0.2],
            ],
            0.07,
        )
        .wings(
            Coat::Team,
            [
                [-0.3, 0.03, 0.8],
                [-0.55, 0.1, 1.1],
                [-0.95, 0.1, 1.1],
                [-0.78, 0.03, 0.8],
            ],
            0.08,
        )
        .wings(
            Coat::Team,
            [
                [-0.35, 0.2, 0.16],
                [-0.7, 0.55, 0.3],
                [-0.95, 0.55, 0.3],
                [-0.85, 0.14, 0.16],
            ],
            0.04,
        )
        .wings(
            Coat::Light,
            [
                [0.2, 0.05, 0.34],
                [-0.25, 0.06, 0.74],
                [-0.31, 0.06, 0.74],
                [0.12, 0.05, 0.34],
            ],
            0.06,
        )
        .hull(Coat::Dark, 0.4, &POD)
        .hull(Coat::Dark, -0.4, &POD)
        .engine(-0.97, 0.0, 0.4, 0.13)
        .finish()
}

/// A small, quick fighter: forward-swept blades around a needle.
fn wasp() -> Model {
    ModelBuilder::default()
        .hull(
            Coat::Body,
            0.0,
            &[
                section(-0.75, 0.2, 0.2, 0.16),
                section(-0.2, 0.26, 0.24, 0.16),
                section(0.5, 0.12, 0.14, 0.1),
                section(1.3, 0.01, 0.02, 0.02),
            ],
        )
        .hull(
            Coat::Glass,
            0.0,
            &[
                section(-0.25, 0.1, 0.27, 0.0),
                section(0.05, 0.14, 0.31, 0.0),
                section(0.45, 0.04, 0.17, 0.0),
            ],
        )
        .wings(
            Coat::Body,
            [
                [-0.1, 0.0, 0.15],
                [0.35, 0.0, 0.8],
                [0.05, 0.0, 0.8],
                [-0.6, 0.0, 0.15],
            ],
            0.06,
        )
        .wings(
            Coat::Team,
            [
                [0.3, 0.0, 0.74],
                [0.85, -0.02, 0.98],
                [0.45, -0.02, 0.98],
                [0.0, 0.0, 0.74],
            ],
            0.07,
        )
        .wings(
            Coat::Team,
            [
                [-0.4, 0.1, 0.1],
                [-0.75, 0.5, 0.22],
                [-0.95, 0.5, 0.22],
                [-0.75, 0.1, 0.1],
            ],
            0.04,
        )
        .wings(
            Coat::Light,
            [
                [-0.1, 0.04, 0.24],
                [0.24, 0.04, 0.72],
                [0.17, 0.04, 0.72],
                [-0.19, 0.04, 0.24],
            ],
            0.05,
        )
        .engine(-0.78, 0.02, 0.0, 0.19)
        .finish()
}

/// A heavy fighter: broad shoulders, armour, four engines.
fn bulwark() -> Model {
    ModelBuilder::default()
        .hull(
            Coat::Body,
            0.0,
            &[
                section(-0.9, 0.5, 0.26, 0.26),
                section(-0.4, 0.62, 0.36, 0.3),
                section(0.3, 0.5, 0.32, 0.26),
                section(0.75, 0.36, 0.2, 0.18),
                section(0.95, 0.2, 0.1, 0.1),
            ],
        )
        .hull(
            Coat::Dark,
            0.72,
            &[
                section(-0.8, 0.2, 0.22, 0.22),
                section(0.0, 0.26, 0.26, 0.22),
                section(0.85, 0.1, 0.1, 0.1),
            ],
        )
        .hull(
            Coat::Dark,
            -0.72,
            &[
                section(-0.8, 0.2, 0.22, 0.22),
                section(0.0, 0.26, 0.26, 0.22),
                section(0.85, 0.1, 0.1, 0.1),
            ],
        )
        .wings(
            Coat::Team,
            [
                [0.5, 0.2, 0.55],
                [-0.1, 0.3, 0.95],
                [-0.6, 0.3, 0.95],
                [-0.7, 0.3, 0.55],
            ],
            0.08,
        )
        .hull(
            Coat::Glass,
            0.0,
            &[
                section(0.05, 0.16, 0.4, 0.0),
                section(0.25, 0.2, 0.42, 0.0),
                section(0.6, 0.12, 0.26, 0.0),
            ],
        )
        .wings(
            Coat::Light,
            [
                [0.55, 0.27, 0.1],
                [0.0, 0.4, 0.42],
                [-0.12, 0.4, 0.42],
                [0.4, 0.31, 0.1],
            ],
            0.03,
        )
        .engine(-0.92, 0.0, 0.26, 0.2)
        .engine(-0.82, 0.0, 0.72, 0.17)
        .finish()
}

/// A freighter: a cabin in front of containers.
fn mule() -> Model {
    use bevy::math::Vec3;
    let mut builder = ModelBuilder::default()
        .hull(
            Coat::Body,
            0.0,
            &[
                section(0.45, 0.3, 0.3, 0.24),
                section(0.75, 0.34, 0.34, 0.24),
                section(1.1, 0.16, 0.14, 0.12),
            ],
        )
        .hull(
            Coat::Glass,
            0.0,
            &[section(0.72, 0.26, 0.38, 0.0), section(1.05, 0.12, 0.2, 0.0)],
        )
        .hull(
            Coat::Dark,
            0.0,
            &[section(-0.95, 0.16, 0.16, 0.16), section(0.5, 0.18, 0.18, 0.16)],
        );
    for (x, coat) in [(0.12, Coat::Team), (-0.36, Coat::Body), (-0.84, Coat::Team)] {
        builder = builder
            .block(coat, Vec3::new(x, 0.02, 0.42), Vec3::new(0.2, 0.24, 0.24))
            .block(coat, Vec3::new(x, 0.02, -0.42), Vec3::new(0.2, 0.24, 0.24));
    }
    builder
        .wings(
            Coat::Light,
            [
                [0.3, 0.28, 0.4],
                [0.3, 0.28, 0.46],
                [-1.0, 0.28, 0.46],
                [-1.0, 0.28, 0.4],
            ],
            0.03,
        )
        .engine(-1.06, 0.02, 0.42, 0.22)
        .engine(-0.98, 0.0, 0.0, 0.14)
        .finish()
}

/// A drone of the swarm: three spikes around an eye.
fn gnat() -> Model {
    ModelBuilder::default()
        .hull(
            Coat::Dark,
            0.0,
            &[
                section(-0.5, 0.2, 0.2, 0.2),
                section(0.0, 0.42, 0.34, 0.26),
                section(0.5, 0.24, 0.18, 0.16),
            ],
        )
        .hull(
            Coat::Light,
            0.0,
            &[section(0.4, 0.17, 0.13, 0.1), section(0.62, 0.08, 0.07, 0.06)],
        )
        .wings(
            Coat::Team,
            [
                [0.1, 0.05, 0.3],
                [1.0, 0.0, 0.62],
                [-0.1, 0.02, 0.85],
                [-0.4, 0.05, 0.3],
            ],
            0.08,
        )
        .engine(-0.52, 0.0, 0.0, 0.17)
        .finish()
}

/// A hunter: a crescent with claws.
fn raider() -> Model {
    ModelBuilder::default()
        .hull(
            Coat::Dark,
            0.0,
            &[
                section(-0.75, 0.3, 0.2, 0.18),
                section(-0.1, 0.36, 0.3, 0.22),
                section(0.55, 0.1, 0.1, 0.1),
            ],
        )
        .wings(
            Coat::Body,
            [
                [0.25, 0.04, 0.2],
                [0.2, 0.1, 0.9],
                [-0.35, 0.1, 0.95],
                [-0.7, 0.04, 0.2],
            ],
            0.12,
        )
        .wings(
            Coat::Team,
            [
                [1.15, -0.04, 0.55],
                [0.3, 0.08, 1.05],
                [-0.35, 0.1, 1.05],
                [0.2, 0.08, 0.75],
            ],
            0.1,
        )
        .wings(
            Coat::Light,
            [
                [0.12, 0.18, 0.3],
                [0.1, 0.2, 0.7],
                [0.0, 0.2, 0.7],
                [0.0, 0.18, 0.3],
            ],
            0.04,
        )
        .engine(-0.78, 0.0, 0.16, 0.14)
        .finish()
}
