//! The connect tokens in use, until they expire, and the numbers of handshake packets.
//!
//! All servers with one private key share one [`UsedTokens`], whichever of them a token reaches: workers on one port
//! receive the same client's datagrams by the kernel's choice. Guarantees for all of them together:
//! - a token belongs to the first address that presents it, and opens one session: a second session would repeat the
//!   nonces of the first;
//! - a token that was removed passes no more, even if a server's clock runs back;
//! - no two challenges or denials have the same number, so that two servers never seal different packets under one key
//!   and number.
//!
//! Holds valid tokens only, at most as many as it was created for. At the bound the token that expires first is removed,
//! and all that expire no later are refused from then on, as if they had expired. So a flood of tokens shortens the time in
//! which a token must be used, and keeps no new token out. Only handshakes lock the table, each for a look-up.

use core::cmp::Reverse;
use core::net::SocketAddr;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::netcode::Entropy;
use crate::netcode::address::{AddressKey, KeyedState};
use crate::netcode::challenge::TokenTag;
use crate::netcode::counters::DropReason;

/// Number of the first challenge or denial. It is above all numbers of payloads, since both are sealed under the same
/// keys.
const FIRST_HANDSHAKE_NUMBER: u64 = 1 << 63;
/// The most expired tokens that one request removes. It is more than one, so that the table shrinks under any load, and
/// few, so that no request holds the lock for long.
const REMOVALS_PER_REQUEST: usize = 16;

/// The valid connect tokens that were presented to any of the servers of one private key.
pub struct UsedTokens {
    table: Mutex<TokenTable>,
    next_number: AtomicU64,
    tokens_max: usize,
}

struct TokenUse {
    address: AddressKey,
    spent: bool,
}

struct TokenTable {
    uses: HashMap<TokenTag, TokenUse, KeyedState>,
    /// The same tokens by their expiry, seconds since 1970.
    by_expiry: BinaryHeap<Reverse<(u64, TokenTag)>>,
    /// The latest expiry of a token that was removed.
    removed_until_unix_s: u64,
}

impl UsedTokens {
    /// Creates a table for up to `tokens_max` unexpired tokens. `entropy` gives the keys of its hash table.
    pub fn new(tokens_max: u32, entropy: &mut Entropy) -> Self {
        Self {
            table: Mutex::new(TokenTable {
                uses: HashMap::with_hasher(KeyedState::new(entropy)),
                by_expiry: BinaryHeap::new(),
                removed_until_unix_s: 0,
            }),
            next_number: AtomicU64::new(FIRST_HANDSHAKE_NUMBER),
            tokens_max: tokens_max as usize,
        }
    }

    /// Returns the number of the next challenge or denial. Each number is returned once.
    pub(super) fn next_handshake_number(&self) -> u64 {
        self.next_number.fetch_add(1, Relaxed)
    }

    /// Returns an error if `from` may not use the token. The tag need not be authentic yet: a tag that is
    /// refused here belongs to a valid token that is in use.
    pub(super) fn check(
        &self,
        token: &TokenTag,
        from: SocketAddr,
        expire_unix_s: u64,
    ) -> Result<(), DropReason> {
        self.lock().check(token, from, expire_unix_s).map(drop)
    }

    /// Records that `from` presented a valid token. A token that was recorded meanwhile is checked again, since another
    /// server may have recorded it.
    pub(super) fn record(
        &self,
        token: TokenTag,
        from: SocketAddr,
        expire_unix_s: u64,
        unix_s: u64,
    ) -> Result<(), DropReason> {
        let mut table = self.lock();
        table.remove_expired(unix_s);
        if table.check(&token, from, expire_unix_s)? {
            return Ok(());
        }
        if table.uses.len() >= self.tokens_max {
            table.make_room(expire_unix_s)?;
        }
        let used = TokenUse {
            address: from.into(),
            spent: false,
        };
        table.uses.insert(token, used);
        table.by_expiry.push(Reverse((expire_unix_s, token)));
        Ok(())
    }

    /// Records that the token opens its session. Returns an error if it has opened one already, on any server, or if it
    /// has expired and was removed.
    pub(super) fn spend(&self, token: &TokenTag) -> Result<(), DropReason> {
        match self.lock().uses.get_mut(token) {
            None => Err(DropReason::TokenExpired),
            Some(TokenUse { spent: true, .. }) => Err(DropReason::TokenSpent),
            Some(used) => {
                used.spent = true;
                Ok(())
            }
        }
    }

    /// Locks the table even when the lock is poisoned: no code under it can panic midway.
    fn lock(&self) -> MutexGuard<'_, TokenTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn footprint(&self) -> [usize; 2] {
        let table = self.lock();
        [
            table.uses.len(),
            table.uses.capacity() + table.by_expiry.capacity(),
        ]
    }
}

impl TokenTable {
    /// Returns whether the token is recorded, or an error if `from` may not use it.
    fn check(&self, token: &TokenTag, from: SocketAddr, expire_unix_s: u64) -> Result<bool, DropReason> {
        if expire_unix_s <= self.removed_until_unix_s {
            return Err(DropReason::TokenExpired);
        }
        match self.uses.get(token) {
            Some(used) if used.address != from.into() => Err(DropReason::TokenElsewhere),
            Some(TokenUse { spent: true, .. }) => Err(DropReason::TokenSpent),
            used => Ok(used.is_some()),
        }
    }

    fn remove_expired(&mut self, unix_s: u64) {
        for _ in 0..REMOVALS_PER_REQUEST {
            let first = self.by_expiry.peek();
            if first.is_none_or(|&Reverse((expiry, _))| expiry > unix_s) {
                return;
            }
            self.remove_first();
        }
    }

    /// Removes the token that expires first, unless a new one would expire no later.
    fn make_room(&mut self, new_expire_unix_s: u64) -> Result<(), DropReason> {
        let first = self.by_expiry.peek();
        if first.is_none_or(|&Reverse((expiry, _))| expiry >= new_expire_unix_s) {
            return Err(DropReason::TokensFull);
        }
        self.remove_first();
        Ok(())
    }

    /// Removes the token that expires first. Tokens that expire no later than it are refused from now on.
    fn remove_first(&mut self) {
        if let Some(Reverse((expiry, token))) = self.by_expiry.pop() {
            self.uses.remove(&token);
            self.removed_until_unix_s = self.removed_until_unix_s.max(expiry);
        }
    }
}
