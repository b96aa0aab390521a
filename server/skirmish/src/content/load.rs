//! Loads content from RON files. Every error names the file, the line and the reason.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use skirmish_shared::content::{Content, SpaceContent};
use throng_server::prelude::ContentFile;
use throng_shared::files;
use throng_shared::limits::MESSAGE_BYTES_MAX;
use throng_shared::protocol::codec;

/// Names of the content's files.
pub const FILES: [&str; 4] = ["space.ron", "ships.ron", "weapons.ron", "drones.ron"];
/// Limit on the bytes of one file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Limit on the rows of one table: a row's index is a byte.
const ROWS_MAX: usize = 64;

/// The reason why content was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// A file is larger than 1 MiB, so it cannot be content.
    #[error("{}: larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
    },
    /// A recording lacks a file.
    #[error("{file}: not among the recorded files")]
    Missing {
        /// Name of the file.
        file: &'static str,
    },
    /// A file has invalid content.
    #[error("{file}:{line}: {reason}")]
    Invalid {
        /// Name of the file.
        file: &'static str,
        /// Number of the line, from 1.
        line: usize,
        /// The reason, for people.
        reason: String,
    },
}

/// The texts of the content's files, in the order of [`FILES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(pub [String; FILES.len()]);

impl Sources {
    /// Returns the files that are built into the binary.
    #[must_use]
    pub fn built_in() -> Self {
        Self([
            include_str!("../../../../assets/skirmish/space.ron").to_owned(),
            include_str!("../../../../assets/skirmish/ships.ron").to_owned(),
            include_str!("../../../../assets/skirmish/weapons.ron").to_owned(),
            include_str!("../../../../assets/skirmish/drones.ron").to_owned(),
        ])
    }

    /// Reads the content's files from a folder.
    ///
    /// # Errors
    /// Returns [`ContentError::Read`] or [`ContentError::TooLarge`].
    pub fn read(folder: &Path) -> Result<Self, ContentError> {
        let read = |name: &str| {
            let path = folder.join(name);
            files::read_text(&path, FILE_BYTES_MAX).map_err(|source| match source.kind() {
                ErrorKind::FileTooLarge => ContentError::TooLarge { path },
                _ => ContentError::Read { path, source },
            })
        };
        let [space, ships, weapons, drones] = FILES;
        Ok(Self([read(space)?, read(ships)?, read(weapons)?, read(drones)?]))
    }

    /// Selects the texts of [`FILES`] from `files`.
    ///
    /// # Errors
    /// Returns [`ContentError::Missing`].
    pub fn from_files(files: &[ContentFile]) -> Result<Self, ContentError> {
        let text = |file: &'static str| {
            let found = files.iter().find(|found| found.name == file);
            let found = found.ok_or(ContentError::Missing { file })?;
            Ok(found.text.clone())
        };
        let [space, ships, weapons, drones] = FILES;
        Ok(Self([text(space)?, text(ships)?, text(weapons)?, text(drones)?]))
    }

    /// Returns the texts with their names.
    #[must_use]
    pub fn files(&self) -> Vec<ContentFile> {
        let named = FILES.iter().zip(&self.0);
        named
            .map(|(&name, text)| ContentFile {
                name: name.to_owned(),
                text: text.clone(),
            })
            .collect()
    }

    /// Returns an error about the first line of `file` that contains `word` in quotes, or about its first line.
    pub(super) fn complain(&self, file: &'static str, word: &str, reason: String) -> ContentError {
        let quoted = format!("\"{word}\"");
        let line = self.text(file).lines().position(|line| line.contains(&quoted));
        ContentError::Invalid {
            file,
            line: line.map_or(1, |line| line + 1),
            reason,
        }
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, file: &'static str) -> Result<T, ContentError> {
        ron::from_str(self.text(file)).map_err(|error| ContentError::Invalid {
            file,
            line: error.span.start.line,
            reason: error.code.to_string(),
        })
    }

    fn text(&self, file: &str) -> &str {
        let index = FILES.iter().position(|name| *name == file);
        index.map_or("", |index| &self.0[index])
    }
}

/// Checks what the types of single numbers do not: sizes of tables, unique names, and that rows fit their messages.
pub(super) fn check(content: &Content, sources: &Sources) -> Result<(), ContentError> {
    let Content {
        space,
        ships,
        lasers,
        missiles,
        drones,
    } = content;
    for (file, what, rows) in [
        ("ships.ron", "ship classes", ships.len()),
        ("weapons.ron", "lasers", lasers.len()),
        ("weapons.ron", "missiles", missiles.len()),
        ("drones.ron", "drones", drones.len()),
        ("space.ron", "regions", space.regions.len()),
    ] {
        if rows == 0 || rows > ROWS_MAX {
            let reason = format!("{rows} {what}; must be 1 to {ROWS_MAX}");
            return Err(sources.complain(file, "", reason));
        }
    }
    let names = [
        ("ships.ron", ships.iter().map(|row| &row.name).collect::<Vec<_>>()),
        ("weapons.ron", lasers.iter().map(|row| &row.name).collect()),
        ("weapons.ron", missiles.iter().map(|row| &row.name).collect()),
        ("drones.ron", drones.iter().map(|row| &row.name).collect()),
        ("space.ron", space.regions.iter().map(|row| &row.name).collect()),
    ];
    for (file, names) in names {
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(sources.complain(file, name, format!("\"{name}\" is there twice")));
            }
        }
    }
    check_space(space, sources)?;
    let total_weight = drones.iter().map(|breed| u32::from(breed.weight)).sum::<u32>();
    if total_weight == 0 {
        return Err(sources.complain("drones.ron", "", "no breed has a weight above 0".to_owned()));
    }
    let rows = ships.iter().map(|row| ("ships.ron", &row.name, codec_bytes(row)));
    let rows = rows.chain(
        drones
            .iter()
            .map(|row| ("drones.ron", &row.name, codec_bytes(row))),
    );
    for (file, name, bytes) in rows {
        // 8 bytes cover what the message adds to the row.
        if bytes + 8 > MESSAGE_BYTES_MAX {
            let reason = format!("{bytes} bytes do not fit the message that sends it to clients");
            return Err(sources.complain(file, name, reason));
        }
    }
    Ok(())
}

fn check_space(space: &SpaceContent, sources: &Sources) -> Result<(), ContentError> {
    let (small, large) = space.asteroid_radius;
    if small > large {
        let reason = "the smallest asteroid is larger than the largest".to_owned();
        return Err(sources.complain("space.ron", "", reason));
    }
    if codec_bytes(space) + 8 > MESSAGE_BYTES_MAX {
        let reason = "more regions than fit the message that sends them to clients".to_owned();
        return Err(sources.complain("space.ron", "", reason));
    }
    for region in &space.regions {
        let reach = region.at.0.abs().max(region.at.1.abs()) + region.radius.get();
        if reach.is_nan() || reach > space.half.get() {
            let reason = format!("\"{}\" reaches to {reach}, beyond the bounds", region.name);
            return Err(sources.complain("space.ron", &region.name, reason));
        }
    }
    Ok(())
}

fn codec_bytes<T: serde::Serialize>(row: &T) -> usize {
    codec::encode_into(row, &mut Vec::new()).unwrap_or(usize::MAX / 2)
}
