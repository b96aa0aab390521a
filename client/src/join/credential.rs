//! The file that keeps a client's credential, so that a program that starts again comes back as the same client.
//!
//! The file is text of three lines: `throng credential 1`, the server's address, and the proof that the server issued.
//! Guarantees that the file is complete at any time, that only its owner may read it (on Unix), and that a proof is
//! sent only to the server of its file. Never replaces a file that it did not write. Every failure is a
//! [`CredentialError`], after which the client joins as a new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use throng_shared::files;

/// The first line of a credential file.
const FIRST_LINE: &str = "throng credential 1";
/// Bytes of the longest credential file.
const FILE_BYTES_MAX: u64 = 4_096;

/// Why a credential file was not read or written. The client then joins as a new one, or is not remembered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("cannot read the credential in {}: {error}; joining as a new client", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The file is a credential that is damaged, and is replaced.
    #[error("the credential in {} is damaged; joining as a new client", path.display())]
    Damaged {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file is something else, and is left as it is.
    #[error(
        "{} is not a credential file and is left as it is; joining as a new client, which will not be remembered",
        path.display()
    )]
    Foreign {
        /// The path of the file.
        path: PathBuf,
    },
    /// The credential is for another server, and is replaced.
    #[error("the credential in {} is for {server}, another server; joining as a new client", path.display())]
    OtherServer {
        /// The path of the file.
        path: PathBuf,
        /// The server of the credential.
        server: String,
    },
    /// The server does not know the credential, for example because it was restarted.
    #[error("the server does not know the credential in {} any more; joined as a new client", path.display())]
    Unknown {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write the credential to {}, so this client will not be remembered: {error}", path.display())]
    Write {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// Reads the proof for `server`; `None` if there is no file.
pub(super) fn load(path: &Path, server: &str) -> Result<Option<String>, CredentialError> {
    let path_buf = || path.to_owned();
    let text = match files::read_text(path, FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(error) => {
            let path = path_buf();
            return match error.kind() {
                ErrorKind::NotFound => Ok(None),
                // It is no regular file, too large or no text.
                ErrorKind::InvalidInput | ErrorKind::FileTooLarge | ErrorKind::InvalidData => {
                    Err(CredentialError::Foreign { path })
                }
                _ => Err(CredentialError::Read { path, error }),
            };
        }
    };
    // A write that a crash cut off leaves a beginning of the file, or nothing.
    let mut lines = text.split_terminator('\n');
    if !text.starts_with(FIRST_LINE) {
        let path = path_buf();
        return Err(match FIRST_LINE.starts_with(text.trim_end()) {
            true => CredentialError::Damaged { path },
            false => CredentialError::Foreign { path },
        });
    }
    let fields = (lines.next(), lines.next(), lines.next(), lines.next());
    let is_whole = text.ends_with('\n');
    match fields {
        (Some(FIRST_LINE), Some(of), Some(proof), None) if is_whole && is_proof(proof) => {
            if of != server {
                let server = of.chars().filter(|letter| !letter.is_control()).collect();
                let path = path_buf();
                return Err(CredentialError::OtherServer { path, server });
            }
            Ok(Some(proof.to_owned()))
        }
        _ => Err(CredentialError::Damaged { path: path_buf() }),
    }
}

/// Returns whether a text can be a proof: base64 of some length.
fn is_proof(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    !text.is_empty() && text.bytes().all(is_base64)
}

/// Writes the proof for `server`, and the folder of the file if there is none.
pub(super) fn save(path: &Path, server: &str, proof: &str) -> Result<(), CredentialError> {
    let text = format!("{FIRST_LINE}\n{server}\n{proof}\n");
    write(path, &text).map_err(|error| CredentialError::Write {
        path: path.to_owned(),
        error,
    })
}

/// Replaces a file as a whole: the text is written to another file, which then takes its name.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not the name of a file"));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        create_folder(folder)?;
    }
    let mut partial_name = std::ffi::OsString::from(".");
    partial_name.push(name);
    partial_name.push(format!(".{}.part", std::process::id()));
    let partial = path.with_file_name(partial_name);
    let written = create_private(&partial)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // What is left of the attempt is of no use. A failure to remove it changes nothing.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Creates a file that only its owner may read. One that an earlier process with this id left behind is replaced.
fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a folder and those above it. Only its owner may look into it.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "http://127.0.0.1:8080";

    fn written(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_credential_is_read_back_for_its_server_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/credential");
        assert!(matches!(load(&path, SERVER), Ok(None)));
        for proof in ["AAAA", "BBB="] {
            save(&path, SERVER, proof).unwrap();
            assert_eq!(load(&path, SERVER).unwrap().as_deref(), Some(proof));
        }
        let other = load(&path, "http://example.org:9").unwrap_err();
        assert!(
            matches!(&other, CredentialError::OtherServer { server, .. } if server == SERVER),
            "{other}"
        );
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        }
    }

    #[test]
    fn a_damaged_credential_is_recognized_at_every_length() {
        let whole = format!("{FIRST_LINE}\n{SERVER}\nAAAA\n");
        for length in 0..whole.len() {
            let (_folder, path) = written(&whole.as_bytes()[..length]);
            let error = load(&path, SERVER).unwrap_err();
            assert!(
                matches!(error, CredentialError::Damaged { .. }),
                "{length}: {error}"
            );
        }
        for text in [
            format!("{whole}more\n"),
            whole.replace("AAAA", "A\u{1b}[2J"),
            whole.replace("AAAA", ""),
        ] {
            let (_folder, path) = written(text.as_bytes());
            let error = load(&path, SERVER).unwrap_err();
            assert!(
                matches!(error, CredentialError::Damaged { .. }),
                "{text:?}: {error}"
            );
        }
    }

    #[test]
    fn a_file_that_is_no_credential_is_refused() {
        let large = [b'x'; FILE_BYTES_MAX as usize + 1];
        for bytes in [&b"root:x:0:0\n"[..], b"\xff\xfe", &large] {
            let (_folder, path) = written(bytes);
            let error = load(&path, SERVER).unwrap_err();
            assert!(matches!(error, CredentialError::Foreign { .. }), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = load(folder.path(), SERVER).unwrap_err();
        assert!(matches!(error, CredentialError::Foreign { .. }), "{error}");
    }

    #[test]
    fn a_credential_that_cannot_be_written_is_an_error_with_its_path() {
        let (_folder, path) = written(b"");
        let below = path.join("credential");
        let error = save(&below, SERVER, "AAAA").unwrap_err();
        assert!(
            error.to_string().contains(&below.display().to_string()),
            "{error}"
        );
    }
}
