//! Drawing into images with the processor: discs, circles, lines and triangles with smooth edges.

use bevy::prelude::*;

/// An image of four bytes per pixel, row by row. Pixels outside it are not drawn.
pub(crate) struct Raster<'a> {
    data: &'a mut [u8],
    width: i32,
    height: i32,
}

impl<'a> Raster<'a> {
    /// Wraps an image of this size. If `data` holds fewer pixels, drawing stops where it ends.
    pub(crate) fn new(data: &'a mut [u8], width: i32, height: i32) -> Self {
        Self { data, width, height }
    }

    /// Makes all pixels transparent.
    pub(crate) fn clear(&mut self) {
        self.data.fill(0);
    }

    /// Blends a colour over a pixel, with a coverage `cover` of 0..=1.
    fn blend(&mut self, x: i32, y: i32, color: [u8; 4], cover: f32) {
        if x < 0 || y < 0 || x >= self.width || y >= self.height {
            return;
        }
        let first = ((y * self.width + x) * 4) as usize;
        let Some(pixel) = self.data.get_mut(first..first + 4) else {
            return;
        };
        let over = f32::from(color[3]) / 255.0 * cover.clamp(0.0, 1.0);
        let under = f32::from(pixel[3]) / 255.0 * (1.0 - over);
        let alpha = over + under;
        if alpha <= 0.0 {
            return;
        }
        for channel in 0..3 {
            let mixed = f32::from(color[channel]) * over + f32::from(pixel[channel]) * under;
            pixel[channel] = (mixed / alpha).round() as u8;
        }
        pixel[3] = (alpha * 255.0).round() as u8;
    }

    /// Draws the shape with signed distance `distance` (in pixels, negative inside), within a box.
    fn shape(&mut self, low: Vec2, high: Vec2, color: [u8; 4], distance: impl Fn(Vec2) -> f32) {
        let (low, high) = (low.floor().max(Vec2::ZERO), high.ceil());
        for y in low.y as i32..=(high.y as i32).min(self.height - 1) {
            for x in low.x as i32..=(high.x as i32).min(self.width - 1) {
                let outside = distance(Vec2::new(x as f32 + 0.5, y as f32 + 0.5));
                if outside < 0.5 {
                    self.blend(x, y, color, 0.5 - outside);
                }
            }
        }
    }

    /// Draws a filled circle.
    pub(crate) fn disc(&mut self, at: Vec2, radius: f32, color: [u8; 4]) {
        let reach = Vec2::splat(radius + 1.0);
        self.shape(at - reach, at + reach, color, |place| place.distance(at) - radius);
    }

    pub(crate) fn circle(&mut self, at: Vec2, radius: f32, wide: f32, color: [u8; 4]) {
        let reach = Vec2::splat(radius + wide + 1.0);
        self.shape(at - reach, at + reach, color, |place| {
            (place.distance(at) - radius).abs() - wide / 2.0
        });
    }

    pub(crate) fn line(&mut self, from: Vec2, to: Vec2, wide: f32, color: [u8; 4]) {
        let along = to - from;
        let squared = along.length_squared().max(1e-6);
        let reach = Vec2::splat(wide + 1.0);
        self.shape(from.min(to) - reach, from.max(to) + reach, color, |place| {
            let part = ((place - from).dot(along) / squared).clamp(0.0, 1.0);
            place.distance(from + along * part) - wide / 2.0
        });
    }

    /// Draws a filled triangle, with its corners in either order.
    pub(crate) fn triangle(&mut self, corners: [Vec2; 3], color: [u8; 4]) {
        let [a, b, c] = corners;
        let turn = (b - a).perp_dot(c - a).signum();
        let low = a.min(b).min(c);
        let high = a.max(b).max(c);
        self.shape(low, high, color, |place| {
            let edge = |from: Vec2, to: Vec2| -turn * (to - from).normalize_or_zero().perp_dot(place - from);
            edge(a, b).max(edge(b, c)).max(edge(c, a))
        });
    }

    /// Draws a filled rectangle.
    pub(crate) fn fill(&mut self, low: IVec2, high: IVec2, color: [u8; 4]) {
        for y in low.y..high.y {
            for x in low.x..high.x {
                self.blend(x, y, color, 1.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_cover_their_own_area_only() {
        let mut data = vec![0; 16 * 16 * 4];
        let mut raster = Raster::new(&mut data, 16, 16);
        raster.disc(Vec2::splat(8.0), 3.0, [255, 0, 0, 255]);
        raster.triangle(
            [Vec2::new(-40.0, -40.0), Vec2::new(2.0, 0.0), Vec2::new(0.0, 2.0)],
            [0, 255, 0, 255],
        );
        raster.line(
            Vec2::new(15.5, -9.0),
            Vec2::new(15.5, 99.0),
            1.0,
            [0, 0, 255, 255],
        );
        let pixel = |x: usize, y: usize| &data[(y * 16 + x) * 4..][..4];
        assert_eq!(pixel(8, 8), [255, 0, 0, 255]);
        assert_eq!(pixel(8, 12), [0; 4]);
        assert_eq!(pixel(0, 0), [0, 255, 0, 255]);
        assert_eq!(pixel(15, 7), [0, 0, 255, 255]);
    }
}
