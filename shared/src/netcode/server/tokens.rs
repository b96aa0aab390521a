//! The connect tokens in use, until they expire.
//!
//! Guarantees that a token belongs to the first address that presents it, and opens one session: a second
//! session would repeat the nonces of the first. Holds valid tokens only, and is bounded by its caller.

use core::cmp::Reverse;
use core::net::SocketAddr;
use std::collections::{BinaryHeap, HashMap};

use crate::netcode::Entropy;
use crate::netcode::address::{AddressKey, KeyedState};
use crate::netcode::challenge::TokenTag;
use crate::netcode::counters::DropReason;

struct TokenUse {
    address: AddressKey,
    spent: bool,
}

/// All valid tokens that a server has received and that have not expired.
pub(super) struct TokenTable {
    uses: HashMap<TokenTag, TokenUse, KeyedState>,
    /// The same tokens by their expiry, seconds since 1970.
    by_expiry: BinaryHeap<Reverse<(u64, TokenTag)>>,
}

impl TokenTable {
    pub(super) fn new(entropy: &mut Entropy) -> Self {
        Self {
            uses: HashMap::with_hasher(KeyedState::new(entropy)),
            by_expiry: BinaryHeap::new(),
        }
    }

    /// Returns an error if `from` may not use the token. The tag need not be authentic yet: a tag that is
    /// refused here belongs to a valid token that is in use.
    pub(super) fn check(&self, token: &TokenTag, from: SocketAddr) -> Result<(), DropReason> {
        match self.uses.get(token) {
            Some(used) if used.address != from.into() => Err(DropReason::TokenElsewhere),
            Some(TokenUse { spent: true, .. }) => Err(DropReason::TokenSpent),
            _ => Ok(()),
        }
    }

    /// Records a valid token that passed [`Self::check`], unless `tokens_max` are recorded already.
    pub(super) fn record(
        &mut self,
        token: TokenTag,
        from: SocketAddr,
        expire_unix_s: u64,
        unix_s: u64,
        tokens_max: u32,
    ) -> Result<(), DropReason> {
        while self
            .by_expiry
            .peek()
            .is_some_and(|Reverse((expiry, _))| *expiry <= unix_s)
        {
            if let Some(Reverse((_, expired))) = self.by_expiry.pop() {
                self.uses.remove(&expired);
            }
        }
        if self.uses.contains_key(&token) {
            return Ok(());
        }
        if self.uses.len() >= tokens_max as usize {
            return Err(DropReason::TokensFull);
        }
        self.uses.insert(
            token,
            TokenUse {
                address: from.into(),
                spent: false,
            },
        );
        self.by_expiry.push(Reverse((expire_unix_s, token)));
        Ok(())
    }

    /// Records that the token has opened its session.
    pub(super) fn spend(&mut self, token: &TokenTag) {
        if let Some(used) = self.uses.get_mut(token) {
            used.spent = true;
        }
    }

    #[cfg(test)]
    pub(super) fn footprint(&self) -> [usize; 2] {
        [self.uses.len(), self.uses.capacity() + self.by_expiry.capacity()]
    }
}
