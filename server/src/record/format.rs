//! The bytes of a recording.
//!
//! `THRONGRC`, the version of the format (u32), and then blocks: bytes of the value (u32), digest of the value
//! (u64), the value. The first block is the [`RecordingHeader`], then comes one for each tick, the last says why the
//! recording [`End`]ed. All numbers outside the values are little endian. A recording without an end was cut
//! off; what stands before is whole.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use throng_shared::protocol::codec::{self, CodecError};
use throng_shared::protocol::version::ProtocolHash;
use throng_shared::tick::Tick;

use super::digest::TickDigest;
use super::events::Event;
use crate::persist::digest;
use crate::simulation::ContentFile;

/// Version of the format that is written, and the only one that is read.
pub const FORMAT_VERSION: u32 = 3;
/// Bytes of one block at most. A tick with more ends the recording.
pub(super) const BLOCK_BYTES_MAX: usize = 256 << 20;

const MAGIC: &[u8; 8] = b"THRONGRC";
const BLOCK_HEADER_BYTES: usize = 12;

/// What a recording is of: everything that a world follows from besides what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingHeader {
    /// Release of the server that wrote it.
    pub release: String,
    /// What was replicated.
    pub protocol: ProtocolHash,
    /// Name of the game.
    pub game: String,
    /// The game's own settings, as the pairs of key and text that its file of settings would have. Paths are left out.
    pub settings: Vec<(String, String)>,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Ticks a second.
    pub tick_rate: u16,
    /// The content at the start, of a game that has any. The recorder fills it in.
    pub content: Option<Vec<ContentFile>>,
}

impl RecordingHeader {
    /// Whether a server can be configured so.
    fn is_usable(&self) -> bool {
        (1..=128).contains(&self.tick_rate)
    }
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The server stopped.
    Stopped,
    /// The disk did not keep up: this tick is the first that is missing.
    Lagged(Tick),
    /// A tick was larger than a block can be.
    TooLarge(Tick),
}

/// One tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TickBlock {
    pub(super) tick: Tick,
    /// When it began, since the process's origin.
    pub(super) started_at_ns: u64,
    /// The content that holds from this tick on, if it was exchanged.
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

/// Why a recording cannot be read on, and where.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset}: {error}")]
pub struct RecordingError {
    /// Where the block begins that cannot be read.
    pub offset: u64,
    /// Why.
    pub error: ReadError,
}

/// Why a block cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It begins otherwise.
    #[error("not a recording: it does not begin with THRONGRC")]
    Magic,
    /// Another version of the format.
    #[error("the recording has format {0}, this server reads format {FORMAT_VERSION}")]
    Version(u32),
    /// The file ends within a block, or without saying that it ends.
    #[error("the recording is cut off")]
    Truncated,
    /// A byte has changed.
    #[error("the recording is damaged: the digest of its block is another")]
    Digest,
    /// A block claims more than any has.
    #[error("the recording is damaged: a block of {0} bytes")]
    TooLarge(u32),
    /// The value is not one.
    #[error("a block cannot be read: {0}")]
    Value(CodecError),
    /// The blocks stand in an order in which they are not written.
    #[error("{0}")]
    Order(&'static str),
}

/// Writes blocks.
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

    /// Writes a block. Of an error of kind `InvalidData` nothing has been written: the value is too large.
    pub(super) fn write(&mut self, block: &RecordingBlock) -> io::Result<()> {
        self.block.clear();
        self.block.resize(BLOCK_HEADER_BYTES, 0);
        let bytes = codec::encode_state_into(block, &mut self.block)
            .ok()
            .filter(|&bytes| bytes <= BLOCK_BYTES_MAX)
            .ok_or(io::ErrorKind::InvalidData)?;
        let (header, value) = self.block.split_at_mut(BLOCK_HEADER_BYTES);
        header[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
        header[4..].copy_from_slice(&digest(value).to_le_bytes());
        self.out.write_all(&self.block)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads a recording from front to back.
pub struct RecordingReader<R: Read> {
    from: R,
    offset: u64,
    header: RecordingHeader,
    next: Tick,
    ended: bool,
}

impl<R: Read> RecordingReader<R> {
    /// Reads as far as the header.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn open(mut from: R) -> Result<Self, RecordingError> {
        let at = |error| RecordingError { offset: 0, error };
        let mut start = [0; 12];
        read_whole(&mut from, &mut start).map_err(|error| match error {
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
                "the first block is no header that a server writes",
            ))),
        }
    }

    /// What the recording is of.
    #[must_use]
    pub fn header(&self) -> &RecordingHeader {
        &self.header
    }

    /// The next tick, or how the recording ended.
    pub(super) fn next_tick(&mut self) -> Result<Result<TickBlock, End>, RecordingError> {
        let offset = self.offset;
        let at = |error| RecordingError { offset, error };
        if self.ended {
            return Err(at(ReadError::Order("the recording has ended")));
        }
        let (block, bytes) = read_block(&mut self.from).map_err(at)?;
        self.offset += bytes;
        match block {
            RecordingBlock::Tick(block) if block.tick == self.next => {
                self.next = self.next.next();
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

    /// An error about the block that was read last.
    pub(super) fn blame(&self, reason: &'static str) -> RecordingError {
        RecordingError {
            offset: self.offset,
            error: ReadError::Order(reason),
        }
    }
}

fn read_block(from: &mut impl Read) -> Result<(RecordingBlock, u64), ReadError> {
    let mut header = [0; BLOCK_HEADER_BYTES];
    read_whole(from, &mut header)?;
    let [a, b, c, d, sum @ ..] = header;
    let (bytes, sum) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(sum));
    if bytes as usize > BLOCK_BYTES_MAX {
        return Err(ReadError::TooLarge(bytes));
    }
    // Grows with what is there, not with what is claimed.
    let mut value = Vec::new();
    from.take(u64::from(bytes)).read_to_end(&mut value)?;
    if value.len() < bytes as usize {
        return Err(ReadError::Truncated);
    }
    if digest(&value) != sum {
        return Err(ReadError::Digest);
    }
    let block = codec::decode_state_exact(&value).map_err(ReadError::Value)?;
    Ok((block, (BLOCK_HEADER_BYTES + value.len()) as u64))
}

fn read_whole(from: &mut impl Read, into: &mut [u8]) -> Result<(), ReadError> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Truncated,
        _ => ReadError::Io(error),
    })
}
