//! The format of a recording.
//!
//! A recording is `THRONGRC`, the version of the format (u32), and then blocks: the length of the value in
//! bytes (u32), the FNV-1a digest of the value (u64), and the value. The first block is the [`RecordingHeader`],
//! then follows one block for each tick, and the last one has the reason why the recording [`End`]ed. All
//! numbers outside the values are little endian. A recording without an end was cut off; the blocks before
//! are complete.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use throng_shared::hash::fnv1a;
use throng_shared::protocol::codec::{self, CodecError};
use throng_shared::protocol::version::ProtocolHash;
use throng_shared::tick::Tick;

use super::digest::TickDigest;
use super::events::Event;
use crate::runner::SKIPPED_MAX;
use crate::simulation::ContentFile;

/// The version of the format that is written, and the only one that is read.
pub const FORMAT_VERSION: u32 = 5;
/// The most bytes of one block. A tick with more ends the recording.
pub(super) const BLOCK_BYTES_MAX: usize = 256 << 20;

const MAGIC: &[u8; 8] = b"THRONGRC";
const BLOCK_HEADER_BYTES: usize = 12;

/// The configuration of a recording: everything on which the simulation depends besides its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingHeader {
    /// The release of the server that wrote the recording.
    pub release: String,
    /// The hash of the protocol with the replicated types.
    pub protocol: ProtocolHash,
    /// The name of the game.
    pub game: String,
    /// The game's own settings, as the pairs of key and text that its settings file would have. Paths are
    /// left out.
    pub settings: Vec<(String, String)>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The tick rate, in ticks a second.
    pub tick_rate: u16,
    /// How long players stay after their sessions were lost.
    pub linger: Duration,
    /// The content at the start, of a game that has content. The recorder fills it in.
    pub content: Option<Vec<ContentFile>>,
}

impl RecordingHeader {
    /// Returns whether a server can be configured like this.
    fn is_usable(&self) -> bool {
        (1..=128).contains(&self.tick_rate)
    }
}

/// The reason why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The server was stopped.
    Stopped,
    /// The disk was too slow. This tick is the first that is missing.
    Lagged(Tick),
    /// This tick was larger than a block may be.
    TooLarge(Tick),
}

/// The block of one tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TickBlock {
    pub(super) tick: Tick,
    /// The tick numbers between the last block's tick and this one, which have no tick.
    pub(super) skipped: u32,
    /// The start of the tick, since the process's origin.
    pub(super) started_at_ns: u64,
    /// How long before its start the tick was due.
    pub(super) late_ns: u64,
    /// The content from this tick on, if it was exchanged in this tick.
    pub(super) content: Option<Vec<ContentFile>>,
    pub(super) events: Vec<Event>,
    pub(super) digest: TickDigest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RecordingBlock {
    Header(RecordingHeader),
    Tick(TickBlock),
    End(End),
}

/// Why a recording cannot be read further, and where.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset}: {error}")]
pub struct RecordingError {
    /// The offset of the block that cannot be read, in bytes.
    pub offset: u64,
    /// Why it cannot be read.
    pub error: ReadError,
}

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file does not begin with the magic bytes of a recording.
    #[error("not a recording: it does not begin with THRONGRC")]
    Magic,
    /// The recording has another version of the format.
    #[error("the recording has format {0}, this server reads format {FORMAT_VERSION}")]
    Version(u32),
    /// The file ends within a block, or without an end block.
    #[error("the recording is cut off")]
    Truncated,
    /// The digest of the block differs, because a byte has changed.
    #[error("the recording is damaged: the digest of its block differs")]
    Digest,
    /// A block claims a larger length than any block has.
    #[error("the recording is damaged: a block of {0} bytes")]
    TooLarge(u32),
    /// The value of the block cannot be decoded.
    #[error("a block cannot be read: {0}")]
    Value(CodecError),
    /// The blocks are in an order in which they are never written.
    #[error("{0}")]
    Order(&'static str),
}

/// Writes a recording, block by block.
pub(super) struct RecordingWriter<W: Write> {
    out: W,
    block: Vec<u8>,
}

impl<W: Write> RecordingWriter<W> {
    pub(super) fn begin(mut out: W, header: &RecordingHeader) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        out.write_all(&FORMAT_VERSION.to_le_bytes())?;
        let block = Vec::new();
        let mut writer = Self { out, block };
        writer.write(&RecordingBlock::Header(header.clone()))?;
        Ok(writer)
    }

    /// Writes a block at the end of the recording. If the error is of kind `InvalidData`, the value is too large
    /// and nothing was written.
    pub(super) fn write(&mut self, block: &RecordingBlock) -> io::Result<()> {
        self.block.clear();
        self.block.resize(BLOCK_HEADER_BYTES, 0);
        let bytes = codec::encode_state_into(block, &mut self.block)
            .ok()
            .filter(|&bytes| bytes <= BLOCK_BYTES_MAX)
            .ok_or(io::ErrorKind::InvalidData)?;
        let (header, value) = self.block.split_at_mut(BLOCK_HEADER_BYTES);
        header[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
        header[4..].copy_from_slice(&fnv1a(value).to_le_bytes());
        self.out.write_all(&self.block)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a recording from its start to its end.
pub struct RecordingReader<R: Read> {
    from: R,
    offset: u64,
    header: RecordingHeader,
    next: Tick,
    ended: bool,
}

impl<R: Read> RecordingReader<R> {
    /// Opens a recording and reads its header.
    ///
    /// # Errors
    /// [`RecordingError`] if the header cannot be read.
    pub fn open(mut from: R) -> Result<Self, RecordingError> {
        let at = |error| RecordingError { offset: 0, error };
        let mut start = [0; 12];
        read_exactly(&mut from, &mut start).map_err(|error| match error {
            ReadError::Truncated => at(ReadError::Magic),
            error => at(error),
        })?;
        if &start[..8] != MAGIC {
            return Err(at(ReadError::Magic));
        }
        let version = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        if version != FORMAT_VERSION {
            return Err(at(ReadError::Version(version)));
        }
        let offset = start.len() as u64;
        let at = |error| RecordingError { offset, error };
        match read_block(&mut from).map_err(at)? {
            (RecordingBlock::Header(header), bytes) if header.is_usable() => Ok(Self {
                from,
                offset: offset + bytes,
                header,
                next: Tick(1),
                ended: false,
            }),
            _ => Err(at(ReadError::Order(
                "the first block is not a header that a server writes",
            ))),
        }
    }

    /// Returns the header of the recording.
    #[must_use]
    pub fn header(&self) -> &RecordingHeader {
        &self.header
    }

    /// Returns the next tick, or the reason why the recording ended.
    pub(super) fn next_tick(&mut self) -> Result<Result<TickBlock, End>, RecordingError> {
        let offset = self.offset;
        let at = |error| RecordingError { offset, error };
        if self.ended {
            return Err(at(ReadError::Order("the recording has ended")));
        }
        let (block, bytes) = read_block(&mut self.from).map_err(at)?;
        self.offset += bytes;
        match block {
            RecordingBlock::Tick(block)
                if block.skipped <= SKIPPED_MAX && block.tick == self.next + block.skipped =>
            {
                self.next = block.tick.next();
                Ok(Ok(block))
            }
            RecordingBlock::Tick(_) => Err(at(ReadError::Order("a tick is missing"))),
            RecordingBlock::Header(_) => Err(at(ReadError::Order("a second header"))),
            RecordingBlock::End(end) => {
                self.ended = true;
                Ok(Err(end))
            }
        }
    }

    /// Returns an error about the block that was read last.
    pub(super) fn error_in_last_block(&self, reason: &'static str) -> RecordingError {
        RecordingError {
            offset: self.offset,
            error: ReadError::Order(reason),
        }
    }
}

fn read_block(from: &mut impl Read) -> Result<(RecordingBlock, u64), ReadError> {
    let mut header = [0; BLOCK_HEADER_BYTES];
    read_exactly(from, &mut header)?;
    let [a, b, c, d, sum @ ..] = header;
    let (bytes, sum) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(sum));
    if bytes as usize > BLOCK_BYTES_MAX {
        return Err(ReadError::TooLarge(bytes));
    }
    // The buffer grows with the bytes that exist, not with the length that is claimed.
    let mut value = Vec::new();
    from.take(u64::from(bytes)).read_to_end(&mut value)?;
    if value.len() < bytes as usize {
        return Err(ReadError::Truncated);
    }
    if fnv1a(&value) != sum {
        return Err(ReadError::Digest);
    }
    let block = codec::decode_state_exact(&value).map_err(ReadError::Value)?;
    Ok((block, (BLOCK_HEADER_BYTES + value.len()) as u64))
}

fn read_exactly(from: &mut impl Read, into: &mut [u8]) -> Result<(), ReadError> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Truncated,
        _ => ReadError::Io(error),
    })
}
