//! Issues connect tokens: the client's identity, the worker that serves it, and the keys of the session.
//!
//! Owns the source of randomness and the proof by which a client resumes its identity; [`Places`] assigns the worker.
//! Guarantees that client ids are unguessable and below 2^53 (JSON numbers), that session numbers of this process
//! only grow, and that a client can resume an identity only with the proof that was issued for it. Keeps no list of
//! clients, because the proof contains all that is needed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use throng_shared::netcode::{
    ConnectToken, Entropy, EntropyError, KEY_BYTES, PROTOCOL_ID, TokenError, TokenRequest,
};

use crate::boundary::address_group::AddressGroup;
use crate::boundary::claims::{PlayerName, SessionClaims};
use crate::net::places::{PlaceError, Places};

/// Seconds within which a client has to start its session.
const TOKEN_EXPIRE_S: u64 = 30;
/// Seconds without a packet after which either side ends a session.
const SESSION_TIMEOUT_S: i32 = 20;
/// Bound of client ids, so that every JSON reader represents them exactly.
const CLIENT_IDS: u64 = 1 << 53;
/// Bytes of a proof: the client id and an HMAC-SHA-256 of it.
const PROOF_BYTES: usize = 8 + 32;

/// The addresses of the workers, and the secret that they share with the issuer.
pub(crate) struct IssuerConfig {
    /// Addresses that clients of each worker are given, in the workers' order.
    pub addresses: Vec<SocketAddr>,
    /// Key with which tokens are sealed, and opened by the workers.
    pub private_key: [u8; KEY_BYTES],
    /// Reserves a place and chooses the worker for a client.
    pub places: Arc<Places>,
}

/// Issues connect tokens and resume proofs.
pub(crate) struct TokenIssuer {
    config: IssuerConfig,
    entropy: Entropy,
    proof_key: hmac::Key,
    session_number: u64,
}

/// A token with the data that the client receives beside it.
pub(super) struct Issued {
    pub(super) client_id: u64,
    pub(super) token: String,
    pub(super) address: SocketAddr,
    pub(super) resume: String,
}

/// The reason why no token was issued.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl TokenIssuer {
    /// Creates an issuer for the workers of `config`.
    ///
    /// # Errors
    /// Returns an [`EntropyError`] if the operating system provides no random bytes.
    pub(crate) fn new(config: IssuerConfig) -> Result<Self, EntropyError> {
        let mut entropy = Entropy::from_os()?;
        let proof_key = hmac::Key::new(hmac::HMAC_SHA256, &entropy.bytes::<32>());
        Ok(Self {
            config,
            entropy,
            proof_key,
            session_number: 0,
        })
    }

    /// Returns the client that `resume` proves to be; `None` if this process did not issue the proof.
    pub(super) fn resumed(&self, resume: &str) -> Option<u64> {
        let proof: [u8; PROOF_BYTES] = BASE64.decode(resume).ok()?.try_into().ok()?;
        let (id, tag) = proof.split_first_chunk::<8>()?;
        hmac::verify(&self.proof_key, id, tag).ok()?;
        Some(u64::from_le_bytes(*id))
    }

    /// Issues a token for `name` to a client at `issued_to`, as client `resumed` or as a new one. `now` is the time since
    /// the process's origin, `unix` the same time since 1970.
    pub(super) fn issue(
        &mut self,
        name: PlayerName,
        resumed: Option<u64>,
        issued_to: AddressGroup,
        now: Duration,
        unix: Duration,
    ) -> Result<Issued, IssueError> {
        let client_id = resumed.unwrap_or_else(|| u64::from_le_bytes(self.entropy.bytes()) % CLIENT_IDS);
        let expires_at = now + Duration::from_secs(TOKEN_EXPIRE_S);
        let worker = self
            .config
            .places
            .reserve(client_id, issued_to, now, expires_at)?;
        let address = self.config.addresses[usize::from(worker)];
        // Grows within this process, and across restarts unless the clock is set back.
        let unix_us = u64::try_from(unix.as_micros()).unwrap_or(u64::MAX);
        self.session_number = unix_us.max(self.session_number + 1);
        let claims = SessionClaims {
            session_number: self.session_number,
            name,
        };
        let mut user_data = claims.to_user_data();
        issued_to.write(&mut user_data);
        let request = TokenRequest {
            protocol_id: PROTOCOL_ID,
            client_id,
            addresses: &[address],
            expire_s: TOKEN_EXPIRE_S,
            timeout_s: SESSION_TIMEOUT_S,
            user_data: &user_data,
            private_key: &self.config.private_key,
        };
        let token = ConnectToken::generate(unix.as_secs(), &request, &mut self.entropy)?;
        Ok(Issued {
            client_id,
            token: BASE64.encode(token.to_bytes().as_slice()),
            address,
            resume: self.proof_of(client_id),
        })
    }

    fn proof_of(&self, client_id: u64) -> String {
        let id = client_id.to_le_bytes();
        let tag = hmac::sign(&self.proof_key, &id);
        BASE64.encode([&id[..], tag.as_ref()].concat())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use throng_shared::netcode::{ClientNetcode, Reply, ServerNetcode, ServerNetcodeConfig, ServerReceived};

    use super::*;
    use crate::net::assign::AssignStrategy;
    use crate::net::places::PlaceLimits;

    fn address() -> AddressGroup {
        AddressGroup::of([198, 51, 100, 9].into())
    }

    fn issuer(workers: u16, places_max: u32) -> TokenIssuer {
        let limits = PlaceLimits {
            places_max,
            worker_max: places_max,
            address_max: places_max,
            trusts_loopback: false,
            hello_timeout: None,
        };
        TokenIssuer::new(IssuerConfig {
            addresses: (0..workers)
                .map(|worker| SocketAddr::from(([203, 0, 113, 7], 5_000 + worker)))
                .collect(),
            private_key: [7; KEY_BYTES],
            places: Arc::new(Places::new(workers.into(), AssignStrategy::RoundRobin, limits)),
        })
        .unwrap()
    }

    fn issue(issuer: &mut TokenIssuer, resumed: Option<u64>) -> Result<Issued, IssueError> {
        issuer.issue(
            PlayerName::new("Ada").unwrap(),
            resumed,
            address(),
            Duration::ZERO,
            Duration::from_secs(1_700_000_000),
        )
    }

    #[test]
    fn connect_token_contains_only_the_assigned_worker() {
        let mut issuer = issuer(2, 10);
        for port in [5_000, 5_001, 5_000] {
            let issued = issue(&mut issuer, None).unwrap();
            let token = ConnectToken::from_bytes(&BASE64.decode(&issued.token).unwrap()).unwrap();
            assert_eq!(token.addresses(), [issued.address]);
            assert_eq!(token.client_id(), issued.client_id);
            assert_eq!(token.expire_unix_s(), 1_700_000_030);
            assert_eq!(issued.address.port(), port);
        }
    }

    #[test]
    fn connect_token_contains_the_address_to_which_it_was_issued() {
        let mut issuer = issuer(1, 10);
        let token = BASE64.decode(issue(&mut issuer, None).unwrap().token).unwrap();
        let token = ConnectToken::from_bytes(&token).unwrap();
        let config = ServerNetcodeConfig::new([7; KEY_BYTES], token.addresses().to_vec());
        let (mut server, mut client) = (
            ServerNetcode::new(config, &mut Entropy::from_seed([1; 32])),
            ClientNetcode::new(Duration::ZERO, &token),
        );
        let mut connected = None;
        for _ in 0..2 {
            let mut sent = Vec::new();
            client.update(Duration::ZERO, &mut |_, datagram| sent.push(datagram.to_vec()));
            let mut reply = Reply::new();
            let from = SocketAddr::from(([198, 51, 100, 9], 9));
            let received = server.receive(Duration::ZERO, 1_700_000_000, from, &mut sent[0], &mut reply);
            if let ServerReceived::Connected { user_data, .. } = received {
                connected = Some(AddressGroup::read(user_data));
            }
            client.receive(Duration::ZERO, &mut reply.as_slice().to_vec());
        }
        assert_eq!(connected, Some(address()));
    }

    #[test]
    fn client_ids_are_unique_and_fit_a_json_number() {
        let mut issuer = issuer(1, 1_000);
        // Half of the places may be reserved.
        let ids: BTreeSet<u64> = (0..500)
            .map(|_| issue(&mut issuer, None).unwrap().client_id)
            .collect();
        assert_eq!(ids.len(), 500);
        assert!(ids.iter().all(|&id| id < CLIENT_IDS));
    }

    #[test]
    fn identity_is_resumed_only_with_its_own_proof() {
        let mut first = issuer(1, 10);
        let issued = issue(&mut first, None).unwrap();
        assert_eq!(first.resumed(&issued.resume), Some(issued.client_id));
        assert_eq!(
            issue(&mut first, Some(issued.client_id)).unwrap().client_id,
            issued.client_id
        );
        assert_eq!(issuer(1, 10).resumed(&issued.resume), None, "another process");

        let proof = BASE64.decode(&issued.resume).unwrap();
        for bit in 0..proof.len() * 8 {
            let mut forged = proof.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(first.resumed(&BASE64.encode(&forged)), None);
        }
        for garbage in ["", "AAAA", "!", &BASE64.encode([0; 64])] {
            assert_eq!(first.resumed(garbage), None);
        }
    }

    #[test]
    fn session_numbers_grow_even_if_the_clock_does_not() {
        let mut issuer = issuer(1, 10);
        issue(&mut issuer, None).unwrap();
        let first = issuer.session_number;
        issue(&mut issuer, None).unwrap();
        assert!(issuer.session_number > first);
    }

    #[test]
    fn full_server_issues_no_tokens() {
        let mut issuer = issuer(2, 4);
        assert!(issue(&mut issuer, None).is_ok());
        assert!(issue(&mut issuer, None).is_ok());
        assert!(matches!(
            issue(&mut issuer, None),
            Err(IssueError::Place(PlaceError::Full))
        ));
    }
}
