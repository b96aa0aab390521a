//! Limits on what one address may do in a time: a token bucket for each address.
//!
//! Owns at most [`ADDRESSES_MAX`] buckets. Guarantees constant work per request, except for a sweep of full buckets at
//! most once a second. At the bound a new address is refused, so that a flood of addresses never evicts a known
//! one.

use std::collections::HashMap;
use std::time::Duration;

use super::caller::HttpCaller;
use crate::boundary::address_group::AddressGroup;

/// Limit on the number of addresses; their buckets take about 3 MiB.
pub(super) const ADDRESSES_MAX: usize = 65_536;

/// Capacity of a bucket, in seconds of its rate: how much an idle address may do at once.
const BURST_S: f64 = 10.0;

/// A rate per second, with a burst of ten seconds' worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressRates {
    /// Rate of a remote address.
    pub(crate) remote: u32,
    /// Rate of a trusted caller.
    pub(crate) local: u32,
}

/// The buckets of all addresses for one kind of request.
#[derive(Debug)]
pub(super) struct RateLimiter {
    rates: AddressRates,
    buckets: HashMap<AddressGroup, Bucket>,
    swept_at: Option<Duration>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled_at: Duration,
}

impl RateLimiter {
    pub(super) fn new(rates: AddressRates) -> Self {
        Self {
            rates,
            buckets: HashMap::new(),
            swept_at: None,
        }
    }

    /// Takes one from the bucket of the caller's address. Returns `false` if none is left. `now` is since a fixed
    /// origin.
    pub(super) fn take(&mut self, now: Duration, caller: HttpCaller) -> bool {
        let address = caller.address;
        let per_s = f64::from(if caller.is_local {
            self.rates.local
        } else {
            self.rates.remote
        });
        if self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&address) {
            self.sweep(now);
            if self.buckets.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let full = Bucket {
            left: per_s * BURST_S,
            filled_at: now,
        };
        let bucket = self.buckets.entry(address).or_insert(full);
        let elapsed_s = now.saturating_sub(bucket.filled_at).as_secs_f64();
        bucket.left = (bucket.left + elapsed_s * per_s).min(per_s * BURST_S);
        bucket.filled_at = now;
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }

    /// Removes the buckets that have filled up again.
    fn sweep(&mut self, now: Duration) {
        if self
            .swept_at
            .is_some_and(|swept_at| now.saturating_sub(swept_at) < Duration::from_secs(1))
        {
            return;
        }
        self.swept_at = Some(now);
        // An idle bucket is full after ten seconds, whatever its rate.
        self.buckets
            .retain(|_, bucket| now.saturating_sub(bucket.filled_at).as_secs_f64() < BURST_S);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const RATES: AddressRates = AddressRates {
        remote: 2,
        local: 1_000,
    };

    fn remote(address: impl Into<IpAddr>) -> HttpCaller {
        HttpCaller {
            address: AddressGroup::of(address.into()),
            is_local: false,
        }
    }

    fn taken(limiter: &mut RateLimiter, at_ms: u64, address: &str, attempts: usize) -> usize {
        let address: IpAddr = address.parse().unwrap();
        (0..attempts)
            .filter(|_| limiter.take(Duration::from_millis(at_ms), remote(address)))
            .count()
    }

    #[test]
    fn requests_of_one_address_are_limited_to_a_burst_and_then_the_rate() {
        let mut limiter = RateLimiter::new(RATES);
        assert_eq!(taken(&mut limiter, 0, "203.0.113.7", 100), 20);
        assert_eq!(taken(&mut limiter, 499, "203.0.113.7", 100), 0);
        assert_eq!(taken(&mut limiter, 1_500, "203.0.113.7", 100), 3);
        assert_eq!(taken(&mut limiter, 1_500, "203.0.113.8", 100), 20);
    }

    #[test]
    fn rate_limit_of_a_trusted_caller_allows_a_large_burst() {
        let mut limiter = RateLimiter::new(RATES);
        let local = HttpCaller {
            address: AddressGroup::of("127.0.0.1".parse().unwrap()),
            is_local: true,
        };
        let taken = (0..20_000)
            .filter(|_| limiter.take(Duration::ZERO, local))
            .count();
        assert_eq!(taken, 10_000);
    }

    #[test]
    fn rate_limit_is_bounded_in_memory_and_never_evicts_a_known_address() {
        let mut limiter = RateLimiter::new(RATES);
        assert_eq!(taken(&mut limiter, 0, "10.255.255.255", 1), 1);
        for number in 1..ADDRESSES_MAX as u32 {
            assert!(limiter.take(Duration::ZERO, remote(number.to_be_bytes())));
        }
        assert_eq!(taken(&mut limiter, 0, "203.0.113.7", 1), 0);
        assert_eq!(taken(&mut limiter, 0, "10.255.255.255", 30), 19);
        assert_eq!(limiter.buckets.len(), ADDRESSES_MAX);
        assert_eq!(taken(&mut limiter, 10_000, "203.0.113.7", 1), 1);
        assert_eq!(limiter.buckets.len(), 1);
    }
}
