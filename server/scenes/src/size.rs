//! The size of a scene's world.

use std::f64::consts::PI;

use crate::protocol::VIEW_RADIUS;

/// Returns the side of the square in which an entity has `visible` of the `entities - 1` others in its view on
/// average, entities near the edges included. Returns [`hotspot_side`] when nearly all are to be visible.
///
/// Two random points of a square of side 1 are within `t <= 1` of each other with the probability
/// `pi t^2 - 8/3 t^3 + t^4 / 2` (Ghosh 1951). This function computes its inverse.
#[must_use]
pub fn crowd_side(entities: u32, visible: u32) -> f32 {
    side_of(entities, visible, |t| {
        t * t * (PI - t * (8.0 / 3.0) + t * t * 0.5)
    })
}

/// Returns the side of the cube in which an entity has `visible` others in its view on average, like [`crowd_side`].
///
/// Two random points of a cube of side 1 are within `t <= 1` of each other with the probability
/// `4/3 pi t^3 - 3/2 pi t^4 + 8/5 t^5 - t^6 / 6` (Philip 2007).
#[must_use]
pub fn crowd_3d_side(entities: u32, visible: u32) -> f32 {
    side_of(entities, visible, |t| {
        t * t * t * (PI * (4.0 / 3.0) - t * (PI * 1.5 - t * (1.6 - t / 6.0)))
    })
}

/// Inverts `within`, the probability that two random points of a world of side 1 are within a distance of 0 to 1.
fn side_of(entities: u32, visible: u32, within: impl Fn(f64) -> f64) -> f32 {
    let others = f64::from(entities.max(2) - 1);
    let share = f64::from(visible.max(1)) / others;
    if share >= within(1.0) {
        return hotspot_side();
    }
    // Bisection of an interval that holds the one solution, to the last bit.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..64 {
        let middle = (low + high) * 0.5;
        if within(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    (f64::from(VIEW_RADIUS) / high) as f32
}

/// Returns the side of the square whose diagonal is the view radius: all entities see each other.
#[must_use]
pub fn hotspot_side() -> f32 {
    VIEW_RADIUS * std::f32::consts::FRAC_1_SQRT_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::{Vec2, Vec3};
    use throng_server::simulation::Seed;
    use throng_shared::protocol::ids::GlobalId;
    use throng_shared::tick::Tick;

    #[test]
    fn crowd_side_gives_the_wanted_mean_number_in_view() {
        for (entities, visible) in [(1_000, 50), (1_000, 60), (10_000, 100), (200, 50), (100, 60)] {
            let edge = crowd_side(entities, visible) * 0.5;
            let mut seen = 0;
            let worlds = 20;
            for world in 0..worlds {
                let point_of = |n| {
                    let mut random = Seed(world).of(GlobalId(n), Tick(0));
                    Vec2::new(random.within(-edge, edge), random.within(-edge, edge))
                };
                let points: Vec<_> = (0..u64::from(entities)).map(point_of).collect();
                for index in (0..points.len()).step_by(points.len() / 100) {
                    seen += points
                        .iter()
                        .filter(|other| other.distance(points[index]) <= VIEW_RADIUS)
                        .count()
                        - 1;
                }
            }
            let mean = seen as f64 / (worlds * 100) as f64;
            assert!(
                (mean / f64::from(visible) - 1.0).abs() < 0.03,
                "{entities} {visible}: {mean}"
            );
        }
    }

    #[test]
    fn crowd_3d_side_gives_the_wanted_mean_number_in_view() {
        for (entities, visible) in [(1_000, 60), (5_000, 60), (300, 50)] {
            let edge = crowd_3d_side(entities, visible) * 0.5;
            let mut seen = 0;
            let worlds = 20;
            for world in 0..worlds {
                let point_of = |n| {
                    let mut random = Seed(world).of(GlobalId(n), Tick(0));
                    Vec3::from_array(std::array::from_fn(|_| random.within(-edge, edge)))
                };
                let points: Vec<_> = (0..u64::from(entities)).map(point_of).collect();
                for index in (0..points.len()).step_by(points.len() / 100) {
                    let within = |other: &&Vec3| other.distance(points[index]) <= VIEW_RADIUS;
                    seen += points.iter().filter(within).count() - 1;
                }
            }
            let mean = seen as f64 / (worlds * 100) as f64;
            assert!(
                (mean / f64::from(visible) - 1.0).abs() < 0.04,
                "{entities} {visible}: {mean}"
            );
        }
    }

    #[test]
    fn few_entities_fit_one_view() {
        assert_eq!(crowd_side(10, 50), hotspot_side());
        assert_eq!(crowd_side(0, 0), crowd_side(2, 1));
        assert!(hotspot_side() * std::f32::consts::SQRT_2 <= VIEW_RADIUS * 1.000_001);
    }
}
