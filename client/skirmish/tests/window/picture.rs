//! A screenshot, and searches for the interface's colours in it.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// A colour, and the tolerance of each of its channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ink(pub(crate) [u8; 3], pub(crate) u8);

/// A named rectangle of the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    name: &'static str,
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Region {
    pub(crate) const fn new(
        name: &'static str,
        left: usize,
        top: usize,
        width: usize,
        height: usize,
    ) -> Self {
        Self {
            name,
            left,
            top,
            width,
            height,
        }
    }
}

pub(crate) struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a PNG file; `None` while it is incomplete.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let file = BufReader::new(File::open(path).ok()?);
        let mut reader = png::Decoder::new(file).read_info().ok()?;
        let mut bytes = vec![0; reader.output_buffer_size()?];
        let info = reader.next_frame(&mut bytes).ok()?;
        assert_eq!(info.color_type, png::ColorType::Rgb, "{}", path.display());
        Some(Self {
            width: info.width as usize,
            pixels: bytes.as_chunks().0.to_vec(),
        })
    }

    fn mask(&self, region: Region, ink: Ink) -> impl Iterator<Item = bool> + '_ {
        let rows = region.top..region.top + region.height;
        rows.flat_map(move |row| {
            let first = row * self.width + region.left;
            let pixels = self.pixels.get(first..first + region.width);
            let pixels = pixels.unwrap_or_else(|| panic!("{} is not in the picture", region.name));
            pixels
                .iter()
                .map(move |pixel| (0..3).all(|part| pixel[part].abs_diff(ink.0[part]) <= ink.1))
        })
    }

    /// Returns how many pixels of a region have this colour.
    pub(crate) fn count(&self, region: Region, ink: Ink) -> usize {
        self.mask(region, ink).filter(|is_there| *is_there).count()
    }

    /// Returns how many pixels of a region have this colour in only one of two pictures.
    pub(crate) fn difference(&self, other: &Self, region: Region, ink: Ink) -> usize {
        let pairs = self.mask(region, ink).zip(other.mask(region, ink));
        pairs.filter(|(here, there)| here != there).count()
    }
}
