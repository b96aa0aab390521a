//! Loads the server's TLS identity.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use throng_shared::files;

use super::start_error::HttpError;

/// Limit on the bytes of each PEM file: hundreds of certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Loads a certificate chain and its key from PEM files, for TLS 1.2 and 1.3 with the cryptography of ring. Warns if
/// other users can read the key.
///
/// # Errors
/// Returns [`HttpError::Tls`] with the file, if one cannot be read or the two do not match.
pub(super) fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, HttpError> {
    let refused = |path: &Path, reason: String| HttpError::Tls {
        path: path.to_owned(),
        reason,
    };
    let read =
        |path: &Path| files::read(path, FILE_BYTES_MAX).map_err(|error| refused(path, error.to_string()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(refused(cert, "the file contains no certificate".to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| refused(key, error.to_string()))?;
    if let Some(warning) = exposure(key) {
        tracing::warn!("{warning}");
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| refused(key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Returns a warning if other users than the owner of a private key can read or replace its content: the file, its mode
/// and the command that mends it.
fn exposure(key: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(key).ok()?.permissions().mode() & 0o7777;
        let name = key.display();
        (mode & 0o077 != 0).then(|| {
            let others = if mode & 0o007 != 0 { "every user" } else { "its group" };
            format!("the private key {name} is open to {others} of this machine (mode {mode:04o}): chmod 600 {name}")
        })
    }
    #[cfg(not(unix))]
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_key_that_others_can_read_is_named_with_its_mode_and_the_remedy() {
        let key = tempfile::NamedTempFile::new().unwrap();
        let path = key.path();
        let warning = |mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            exposure(path)
        };
        for mode in [0o600, 0o400, 0o700] {
            assert_eq!(warning(mode), None, "{mode:o}");
        }
        let name = path.display();
        let expected = |others: &str, mode: &str| {
            format!(
                "the private key {name} is open to {others} of this machine (mode {mode}): chmod 600 {name}"
            )
        };
        assert_eq!(warning(0o644), Some(expected("every user", "0644")));
        assert_eq!(warning(0o602), Some(expected("every user", "0602")));
        assert_eq!(warning(0o640), Some(expected("its group", "0640")));
    }

    #[test]
    fn pem_files_are_bounded_and_must_be_regular() {
        let large = tempfile::NamedTempFile::new().unwrap();
        large.as_file().set_len(10 << 30).unwrap();
        let message = load(large.path(), large.path()).unwrap_err().to_string();
        assert!(message.contains("larger than 1 MiB"), "{message}");
        let message = load(Path::new("/dev/zero"), large.path())
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "cannot use /dev/zero for TLS: it is a device, and must be a regular file"
        );
    }
}
