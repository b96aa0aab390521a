//! Loads the server's TLS identity.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::start_error::HttpError;

/// Loads a certificate chain and its key from PEM files, for TLS 1.2 and 1.3 with the cryptography of ring.
///
/// # Errors
/// Returns [`HttpError::Tls`] with the file, if one cannot be read or the two do not match.
pub(super) fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, HttpError> {
    let refused = |path: &Path, reason: String| HttpError::Tls {
        path: path.to_owned(),
        reason,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| refused(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(refused(cert, "the file contains no certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refused(key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| refused(key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
