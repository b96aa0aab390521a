//! Reading of files that a user names: settings, keys, content, scripts.
//!
//! Guarantees that reading ends and takes no more memory than the caller allows, whatever the name turns out to be: a
//! pipe that is never written, a device that never ends, or a file of many gigabytes. Every error says in words what is
//! wrong with the file; the caller adds its name.

use std::fs::{self, File, FileType};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Opens a regular file for reading, also by a symbolic link.
///
/// # Errors
/// Returns the system's error, or [`ErrorKind::InvalidInput`] if it is no regular file: opening a pipe would wait for
/// its writer.
pub fn open(path: &Path) -> io::Result<File> {
    refuse_others(fs::metadata(path)?.file_type())?;
    let file = File::open(path)?;
    // The name may stand for something else by now.
    refuse_others(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a regular file of at most `bytes_max` bytes.
///
/// # Errors
/// Returns the errors of [`open`], or [`ErrorKind::FileTooLarge`] without reading more than `bytes_max` bytes.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    if length > bytes_max {
        return Err(too_large(bytes_max));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // The file may grow, and the system reports no length for some.
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(bytes)
}

/// Reads a regular file of at most `bytes_max` bytes as UTF-8 text.
///
/// # Errors
/// Returns the errors of [`read`], or [`ErrorKind::InvalidData`] if the file is no UTF-8 text.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, bytes_max)?).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        io::Error::new(
            ErrorKind::InvalidData,
            format!("it is no UTF-8 text: byte {offset} is invalid"),
        )
    })
}

/// Returns an error for everything but a regular file.
fn refuse_others(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let reason = format!("it is {}, and must be a regular file", name_of(kind));
    Err(io::Error::new(ErrorKind::InvalidInput, reason))
}

fn name_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
        if kind.is_socket() {
            return "a socket";
        }
    }
    if kind.is_dir() { "a folder" } else { "no file" }
}

fn too_large(bytes_max: u64) -> io::Error {
    let limit = match bytes_max {
        mib if mib.is_multiple_of(1 << 20) => format!("{} MiB", mib >> 20),
        kib if kib.is_multiple_of(1 << 10) => format!("{} KiB", kib >> 10),
        bytes => format!("{bytes} bytes"),
    };
    io::Error::new(
        ErrorKind::FileTooLarge,
        format!("it is larger than {limit}, which is the limit"),
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file that is removed when dropped.
    struct TestFile(PathBuf);

    impl TestFile {
        fn new(name: &str, content: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("throng-files-{}-{name}", std::process::id()));
            fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            fs::remove_file(&self.0).unwrap();
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let file = TestFile::new("limit", b"12345678");
        assert_eq!(read(&file.0, 8).unwrap(), b"12345678");
        let error = read(&file.0, 7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is larger than 7 bytes, which is the limit");
        let empty = TestFile::new("empty", b"");
        assert_eq!(read(&empty.0, 0).unwrap(), b"");
    }

    #[test]
    fn a_file_of_ten_gigabytes_is_refused_unread() {
        let file = TestFile::new("sparse", b"");
        File::options()
            .write(true)
            .open(&file.0)
            .unwrap()
            .set_len(10 << 30)
            .unwrap();
        let error = read(&file.0, 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1 MiB, which is the limit");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_with_their_position() {
        let file = TestFile::new("text", b"ab\xff");
        let error = read_text(&file.0, 8).unwrap_err();
        assert_eq!(error.to_string(), "it is no UTF-8 text: byte 2 is invalid");
        assert_eq!(
            read_text(Path::new("/nowhere/at/all"), 8).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn folders_are_refused() {
        let error = read(&std::env::temp_dir(), 8).unwrap_err();
        assert_eq!(error.to_string(), "it is a folder, and must be a regular file");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_without_waiting() {
        let error = read(Path::new("/dev/zero"), 8).unwrap_err();
        assert_eq!(error.to_string(), "it is a device, and must be a regular file");
        let pipe = std::env::temp_dir().join(format!("throng-files-{}-pipe", std::process::id()));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let error = read(&pipe, 8).unwrap_err();
        fs::remove_file(&pipe).unwrap();
        assert_eq!(error.to_string(), "it is a pipe, and must be a regular file");
    }

    /// The system reports no length for this file.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_length_is_bounded() {
        let status = Path::new("/proc/self/status");
        assert_eq!(read(status, 8).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert!(read_text(status, 1 << 20).unwrap().starts_with("Name:"));
    }
}
