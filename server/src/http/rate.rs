//! The limit on joins from one address: a token bucket for each address.
//!
//! Owns at most [`ADDRESSES_MAX`] buckets. Guarantees constant work per join, except for a sweep of full buckets at
//! most once a second. At the bound a new address is refused, so that a flood of addresses never evicts a known
//! one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Limit on the number of addresses; their buckets take about 3 MiB.
pub(super) const ADDRESSES_MAX: usize = 65_536;

/// Capacity of a bucket, in seconds of its rate: how many joins an idle address may make at once.
const BURST_S: f64 = 10.0;

/// Joins per second, with a burst of ten seconds' worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Joins per second from a remote address.
    pub(super) remote: u32,
    /// Joins per second from a loopback address.
    pub(super) loopback: u32,
}

/// The buckets of all addresses.
#[derive(Debug)]
pub(super) struct JoinLimiter {
    rates: Rates,
    buckets: HashMap<IpAddr, Bucket>,
    swept_at: Option<Duration>,
}

#[derive(Debug)]
struct Bucket {
    joins: f64,
    filled_at: Duration,
}

impl JoinLimiter {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            rates,
            buckets: HashMap::new(),
            swept_at: None,
        }
    }

    /// Takes one join from the bucket of `address`. Returns `false` if none is left. `now` is since a fixed origin.
    pub(super) fn take(&mut self, now: Duration, address: IpAddr) -> bool {
        let address = limited_address(address);
        let per_s = f64::from(if address.is_loopback() {
            self.rates.loopback
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
            joins: per_s * BURST_S,
            filled_at: now,
        };
        let bucket = self.buckets.entry(address).or_insert(full);
        let elapsed_s = now.saturating_sub(bucket.filled_at).as_secs_f64();
        bucket.joins = (bucket.joins + elapsed_s * per_s).min(per_s * BURST_S);
        bucket.filled_at = now;
        if bucket.joins < 1.0 {
            return false;
        }
        bucket.joins -= 1.0;
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

/// Returns the address that shares one bucket: an IPv4 address, or the /64 of one IPv6 customer.
fn limited_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates {
        remote: 2,
        loopback: 1_000,
    };

    fn taken(limiter: &mut JoinLimiter, at_ms: u64, address: &str, attempts: usize) -> usize {
        let address = address.parse().unwrap();
        (0..attempts)
            .filter(|_| limiter.take(Duration::from_millis(at_ms), address))
            .count()
    }

    #[test]
    fn joins_of_one_address_are_limited_to_a_burst_and_then_the_rate() {
        let mut limiter = JoinLimiter::new(RATES);
        assert_eq!(taken(&mut limiter, 0, "203.0.113.7", 100), 20);
        assert_eq!(taken(&mut limiter, 499, "203.0.113.7", 100), 0);
        assert_eq!(taken(&mut limiter, 1_500, "203.0.113.7", 100), 3);
        assert_eq!(taken(&mut limiter, 1_500, "203.0.113.8", 100), 20);
    }

    #[test]
    fn join_limit_of_loopback_allows_a_large_burst() {
        for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(
                taken(&mut JoinLimiter::new(RATES), 0, loopback, 20_000),
                10_000,
                "{loopback}"
            );
        }
    }

    #[test]
    fn join_limit_treats_an_ipv6_64_as_one_address() {
        let mut limiter = JoinLimiter::new(RATES);
        assert_eq!(taken(&mut limiter, 0, "2001:db8::1", 15), 15);
        assert_eq!(taken(&mut limiter, 0, "2001:db8::ffff:2", 15), 5);
        assert_eq!(taken(&mut limiter, 0, "2001:db8:0:1::1", 15), 15);
        assert_eq!(taken(&mut limiter, 0, "::ffff:203.0.113.7", 15), 15);
        assert_eq!(taken(&mut limiter, 0, "203.0.113.7", 15), 5);
    }

    #[test]
    fn join_limit_is_bounded_in_memory_and_never_evicts_a_known_address() {
        let mut limiter = JoinLimiter::new(RATES);
        assert_eq!(taken(&mut limiter, 0, "10.255.255.255", 1), 1);
        for number in 1..ADDRESSES_MAX as u32 {
            assert!(limiter.take(Duration::ZERO, IpAddr::from(number.to_be_bytes())));
        }
        assert_eq!(taken(&mut limiter, 0, "203.0.113.7", 1), 0);
        assert_eq!(taken(&mut limiter, 0, "10.255.255.255", 30), 19);
        assert_eq!(limiter.buckets.len(), ADDRESSES_MAX);
        assert_eq!(taken(&mut limiter, 10_000, "203.0.113.7", 1), 1);
        assert_eq!(limiter.buckets.len(), 1);
    }
}
