//! The file of `--record`: it is never one that holds something.
//!
//! Guarantees that a recording neither replaces another file nor writes into a pipe or a device, which could block the
//! end of the server, and that two servers do not record to one file.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Creates the file to record to. An empty file may exist: a server that was killed before its first tick leaves one.
///
/// # Errors
/// Returns the system's error, or [`ErrorKind::AlreadyExists`] with a reason in words if the name is taken.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let taken = |reason: &str| Err(io::Error::new(ErrorKind::AlreadyExists, reason));
    let file = match File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // A link whose target does not exist is taken, too.
            let is_file = fs::metadata(path).is_ok_and(|existing| existing.is_file());
            if !is_file {
                return taken("it exists and is no regular file: choose another name");
            }
            File::options().append(true).open(path)?
        }
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        // Not every file system has locks. Without them two servers can share a file that is still empty.
        Ok(()) | Err(TryLockError::Error(_)) => {}
        Err(TryLockError::WouldBlock) => return taken("another process records to it: choose another name"),
    }
    // Judged with the lock: the file may have been filled meanwhile.
    if file.metadata()?.len() > 0 {
        return taken("it exists, and a recording replaces no file: choose another name, or remove it");
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_recording_is_a_new_file_or_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("played.throng");
        let file = create(&path).unwrap();
        let error = create(&path).unwrap_err().to_string();
        assert!(error.contains("another process records to it"), "{error}");
        drop(file);
        create(&path).unwrap().write_all(b"ticks").unwrap();

        let error = create(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("replaces no file"), "{error}");
        assert_eq!(
            fs::read(&path).unwrap(),
            b"ticks",
            "the old recording is untouched"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_recording_is_no_device_folder_or_dangling_link() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/nowhere/at/all", &link).unwrap();
        for path in [Path::new("/dev/null"), folder.path(), &link] {
            let error = create(path).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{}: {error}", path.display());
        }
    }
}
