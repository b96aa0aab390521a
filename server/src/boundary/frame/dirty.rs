//! The chunks that have to be published anew.

/// The chunks that differ from the last frame, one bit for each.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    bits: Vec<u64>,
    any: bool,
}

impl Dirty {
    #[inline]
    pub(super) fn mark(&mut self, chunk: usize) {
        let word = chunk / 64;
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (chunk % 64);
        self.any = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    /// Yields the marked chunks in order and unmarks them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = usize> + use<'_> {
        self.any = false;
        self.bits.iter_mut().enumerate().flat_map(|(word, bits)| {
            std::iter::from_fn(move || {
                let bit = bits.trailing_zeros() as usize;
                (*bits != 0).then(|| {
                    // Clears the lowest set bit, which is `bit`. `*bits` is not 0, so the subtraction cannot wrap.
                    *bits &= *bits - 1;
                    word * 64 + bit
                })
            })
        })
    }
}
