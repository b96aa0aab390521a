//! The operator's token, which shows full statistics and audits from anywhere.
//!
//! Owns only a digest of the token. Guarantees that a comparison takes the same time wherever a wrong token differs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use axum::http::{HeaderMap, header};
use ring::hmac;

use super::start_error::HttpError;

/// Fewest bytes of a token: 16 random letters and digits have 95 bits.
const TOKEN_BYTES_MIN: usize = 16;
/// Most bytes of a token.
const TOKEN_BYTES_MAX: usize = 256;
/// Most bytes of the token's file.
const FILE_BYTES_MAX: u64 = 4_096;

/// The digest of the operator's token.
pub(super) struct OperatorToken {
    key: hmac::Key,
    digest: hmac::Tag,
}

impl OperatorToken {
    /// Reads the token from the first line of a file.
    ///
    /// # Errors
    /// Returns [`HttpError::OperatorToken`] with the file, if it cannot be read or its first line is no token.
    pub(super) fn load(path: &Path) -> Result<Self, HttpError> {
        let refused = |reason: String| HttpError::OperatorToken {
            path: path.to_owned(),
            reason,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(|error| refused(error.to_string()))?;
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
        let bytes = read.map_err(|error| refused(error.to_string()))?;
        if bytes as u64 > FILE_BYTES_MAX {
            return Err(refused(format!("the file is longer than {FILE_BYTES_MAX} bytes")));
        }
        let token = text.lines().next().unwrap_or_default().trim();
        let is_token = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_token {
            return Err(refused(format!(
                "its first line must be a token of {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} letters, digits and signs"
            )));
        }
        Ok(Self::new(token))
    }

    fn new(token: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"throng operator token");
        let digest = hmac::sign(&key, token.as_bytes());
        Self { key, digest }
    }

    /// Returns whether a request shows this token.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else {
            return false;
        };
        let Some((scheme, token)) = shown.as_bytes().split_at_checked(7) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ")
            && hmac::verify(&self.key, token.trim_ascii(), self.digest.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "correct-horse-battery";

    fn shown(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        OperatorToken::new(TOKEN).is_shown(&headers)
    }

    #[test]
    fn only_the_whole_token_as_a_bearer_is_accepted() {
        assert!(shown(&["Bearer correct-horse-battery"]));
        assert!(shown(&["bearer  correct-horse-battery "]));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "correct-horse-battery",
            "Basic correct-horse-battery",
            "Bearer correct-horse-batter",
            "Bearer correct-horse-battery1",
            "Bearer Correct-horse-battery",
        ] {
            assert!(!shown(&[wrong]), "{wrong}");
        }
        assert!(!shown(&[]));
        assert!(!shown(&["Bearer x", "Bearer correct-horse-battery"]));
    }

    #[test]
    fn unusable_token_file_is_reported_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let reason = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            OperatorToken::load(&path).err().map(|error| error.to_string())
        };
        assert_eq!(reason(b"correct-horse-battery\n"), None);
        assert_eq!(reason(b"  correct-horse-battery\r\nsecond line"), None);
        let named = format!("cannot use {} as the operator's token: ", path.display());
        for bad in [
            &b""[..],
            b"\n",
            b"too short",
            b"with a space in it",
            "väter-und-mütter".as_bytes(),
            &[b'a'; 300],
        ] {
            let reason = reason(bad).unwrap();
            assert!(
                reason.starts_with(&named) && reason.contains("16 to 256"),
                "{reason}"
            );
        }
        assert!(
            reason(&[b'a'; 5_000])
                .unwrap()
                .ends_with("longer than 4096 bytes")
        );
        assert!(reason(&[0xff; 20]).unwrap().starts_with(&named));
        let missing = OperatorToken::load(&folder.path().join("none")).err().unwrap();
        assert!(
            missing.to_string().contains("none as the operator's token"),
            "{missing}"
        );
    }
}
