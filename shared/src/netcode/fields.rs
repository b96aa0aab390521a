//! Reading and writing the fields of fixed layouts, little endian.
//!
//! Guarantees that reading past the end returns `None`. Writing past the end is a mistake in this
//! module's own layouts, and panics.

/// Reads values from the front of a byte slice; returns `None` where the slice is too short.
pub(crate) struct FieldReader<'a> {
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|&[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// Writes values to the front of a byte slice that is known to be long enough.
pub(crate) struct FieldWriter<'a> {
    rest: &'a mut [u8],
}

impl<'a> FieldWriter<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Writes `bytes` without a length. Panics if they do not fit: every layout here has a fixed bound.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let (head, rest) = core::mem::take(&mut self.rest).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        self.rest = rest;
    }
}
