//! The byte budget of one client: a rate that is reduced by packet loss, and an account that the rate fills.

use throng_shared::limits::DATAGRAM_BYTES_MAX;

/// Percentage of a second's packets lost above which the rate is halved.
const LOSS_PERCENT_MAX: u32 = 10;
/// With fewer packets in a second, loss is not judged.
const PACKETS_MIN: u32 = 8;
/// Part of the configured rate that is regained in a second without such loss: 5 %.
const RECOVERY_DIVISOR: u32 = 20;
/// The rate never falls below this part of the configured one.
const FLOOR_DIVISOR: u32 = 4;
/// Part of a second's bytes that may be saved up: a quarter.
const BURST_DIVISOR: i64 = 4;

/// The account of one client.
#[derive(Debug)]
pub(super) struct Budget {
    /// Current rate, in bytes a second.
    rate: u32,
    /// Bytes that may be spent now, times the tick rate; negative after reliable messages took more.
    account: i64,
    ticks_to_review: u32,
    acked: u32,
    lost: u32,
}

impl Budget {
    pub(super) fn new(bytes_per_second: u32, tick_rate: u16) -> Self {
        Self {
            rate: bytes_per_second,
            account: burst(bytes_per_second, tick_rate),
            ticks_to_review: u32::from(tick_rate),
            acked: 0,
            lost: 0,
        }
    }

    /// Returns the current rate, in bytes a second.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Adds the bytes of `ticks` ticks, and adapts the rate to loss once a second.
    pub(super) fn refill(&mut self, ticks: u32, bytes_per_second: u32, tick_rate: u16) {
        self.account =
            (self.account + i64::from(self.rate) * i64::from(ticks)).min(burst(self.rate, tick_rate));
        self.ticks_to_review = self.ticks_to_review.saturating_sub(ticks);
        if self.ticks_to_review == 0 {
            self.ticks_to_review = u32::from(tick_rate);
            self.review(bytes_per_second);
        }
    }

    /// Subtracts bytes from the account, which may become negative.
    pub(super) fn spend(&mut self, bytes: usize, tick_rate: u16) {
        self.account -= bytes as i64 * i64::from(tick_rate);
    }

    /// Returns the bytes that may be spent now.
    pub(super) fn bytes(&self, tick_rate: u16) -> usize {
        (self.account / i64::from(tick_rate)).max(0) as usize
    }

    pub(super) fn count_acked(&mut self, packets: u32) {
        self.acked += packets;
    }

    pub(super) fn count_lost(&mut self, packets: u32) {
        self.lost += packets;
    }

    fn review(&mut self, bytes_per_second: u32) {
        let packets = self.acked + self.lost;
        let is_lossy = packets >= PACKETS_MIN && self.lost * 100 > packets * LOSS_PERCENT_MAX;
        self.rate = if is_lossy {
            (self.rate / 2).max(bytes_per_second / FLOOR_DIVISOR)
        } else {
            (self.rate + bytes_per_second / RECOVERY_DIVISOR).min(bytes_per_second)
        };
        (self.acked, self.lost) = (0, 0);
    }
}

/// Returns the most that can be saved up: a quarter of a second's bytes, at least two datagrams.
fn burst(rate: u32, tick_rate: u16) -> i64 {
    let bytes = (i64::from(rate) / BURST_DIVISOR).max(2 * DATAGRAM_BYTES_MAX as i64);
    bytes * i64::from(tick_rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 24_000;

    fn second(budget: &mut Budget, acked: u32, lost: u32) -> usize {
        budget.spend(budget.bytes(20), 20);
        budget.count_acked(acked);
        budget.count_lost(lost);
        let mut spent = 0;
        for _ in 0..20 {
            budget.refill(1, RATE, 20);
            spent += budget.bytes(20);
            budget.spend(budget.bytes(20), 20);
        }
        spent
    }

    #[test]
    fn the_budget_grows_by_the_rate_and_saves_at_most_a_burst() {
        let mut budget = Budget::new(RATE, 20);
        assert_eq!(budget.bytes(20), 6_000);
        assert_eq!(second(&mut budget, 20, 0), 24_000);
        budget.refill(1_000, RATE, 20);
        assert_eq!(budget.bytes(20), 6_000);
    }

    #[test]
    fn a_budget_at_an_odd_rate_loses_nothing_to_rounding() {
        let mut budget = Budget::new(2_048, 60);
        budget.spend(budget.bytes(60), 60);
        let spent: usize = (0..600)
            .map(|_| {
                budget.refill(1, 2_048, 60);
                let bytes = budget.bytes(60);
                budget.spend(bytes, 60);
                bytes
            })
            .sum();
        assert_eq!(spent, 20_480);
    }

    #[test]
    fn loss_halves_the_budgets_rate_and_a_twentieth_returns_each_second() {
        let mut budget = Budget::new(RATE, 20);
        second(&mut budget, 18, 2);
        assert_eq!(budget.rate, RATE, "ten percent of loss is tolerated");
        second(&mut budget, 17, 3);
        assert_eq!(budget.rate, 12_000);
        for _ in 0..9 {
            second(&mut budget, 0, 20);
        }
        assert_eq!(budget.rate, 6_000);
        second(&mut budget, 0, 7);
        assert_eq!(budget.rate, 7_200, "seven packets are too few to judge");
        for _ in 0..17 {
            second(&mut budget, 20, 0);
        }
        assert_eq!(budget.rate, RATE);
    }

    #[test]
    fn an_overspent_budget_is_paid_back() {
        let mut budget = Budget::new(RATE, 20);
        budget.spend(6_000 + 1_200, 20);
        budget.refill(1, RATE, 20);
        assert_eq!(budget.bytes(20), 0);
        budget.refill(1, RATE, 20);
        assert_eq!(budget.bytes(20), 1_200);
    }
}
