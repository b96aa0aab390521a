//! The interpolation delay: how far behind the newest snapshots entities are shown, so that the next state has
//! arrived when it is needed.
//!
//! The lateness of every state is measured: the time between its regular time and the arrival of that state or
//! of a later one in its place. That covers jitter and loss alike. It does not count ticks in which the server
//! had nothing to send; these are known because packets are numbered. The delay follows the second largest
//! lateness of the last few seconds. It grows quickly and shrinks slowly, by running the shown time a little
//! slower or faster; the shown time never runs backward.

use throng_shared::tick::Tick;

/// Bounds of an [`InterpolationDelay`], in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DelayConfig {
    /// Added to the measured lateness.
    pub(crate) margin: f32,
    /// The shortest delay; one tick is what a perfect network needs.
    pub(crate) min: f32,
    /// The longest delay, whatever is measured.
    pub(crate) max: f32,
}

impl Default for DelayConfig {
    fn default() -> Self {
        Self {
            margin: 0.15,
            min: 1.0,
            max: 10.0,
        }
    }
}

/// Arrivals that are remembered: three seconds at 20 Hz.
const ARRIVALS: usize = 64;
/// Ticks by which the delay grows at most, per tick of time.
const GROWTH: f64 = 0.15;
/// Ticks by which the delay shrinks at least and at most, per tick of time.
const SHRINKING: (f64, f64) = (0.02, 0.08);
/// Share of the excess by which the delay shrinks, per tick of time.
const SHRINKING_PART: f64 = 1.0 / 64.0;

/// Measures the lateness of arrivals and adapts the delay to it.
#[derive(Debug, Clone)]
pub(crate) struct InterpolationDelay {
    config: DelayConfig,
    lateness: [f32; ARRIVALS],
    count: usize,
    /// The newest tick, and the highest packet number.
    newest: Option<(Tick, u64)>,
    current: f64,
    /// Server position at the last call, in ticks.
    position: Option<f64>,
    shown: f64,
}

impl InterpolationDelay {
    /// Creates a delay without measurements: two ticks.
    #[must_use]
    pub(crate) fn new(config: DelayConfig) -> Self {
        Self {
            current: f64::from(2.0_f32.clamp(config.min, config.max)),
            config,
            lateness: [0.0; ARRIVALS],
            count: 0,
            newest: None,
            position: None,
            shown: f64::NEG_INFINITY,
        }
    }

    /// Records the arrival of packet `sequence` of `tick` at server position `position`. `ticks` is the
    /// position of `tick`; both positions are counted in ticks from the same origin. A tick older than the
    /// newest is ignored.
    pub(crate) fn observe(&mut self, tick: Tick, sequence: u64, ticks: f64, position: f64) {
        let (newest, last) = self.newest.unwrap_or((tick - 1, sequence.saturating_sub(1)));
        let passed = tick.since(newest);
        let newest = if passed > 0 { tick } else { newest };
        self.newest = Some((newest, last.max(sequence)));
        if passed <= 0 {
            return;
        }
        // At most as many ticks are late as packets are missing: in the others the server had nothing to send.
        let missed = passed.min(sequence.saturating_sub(last).clamp(1, 1_000) as i32);
        // After a gap, the state that was due first counts; a gap of seconds is not jitter.
        let oldest = ticks - f64::from(missed.min(self.config.max as i32) - 1);
        self.lateness[self.count % ARRIVALS] = (position - oldest) as f32;
        self.count += 1;
    }

    /// Advances to the server position `position`. Returns the position to show, which never decreases.
    pub(crate) fn advance(&mut self, position: f64) -> f64 {
        let elapsed = (position - self.position.unwrap_or(position)).max(0.0);
        self.position = Some(position);
        let missing = f64::from(self.goal()) - self.current;
        let shrinking = (-missing * SHRINKING_PART).clamp(SHRINKING.0, SHRINKING.1);
        self.current += missing.clamp(-shrinking * elapsed, GROWTH * elapsed);
        self.shown = self.shown.max(position - self.current);
        self.shown
    }

    /// Returns the present delay, in ticks.
    #[must_use]
    pub(crate) fn ticks(&self) -> f32 {
        self.current as f32
    }

    /// Returns the mean distance of the measured lateness from its mean, in ticks.
    #[must_use]
    pub(crate) fn jitter(&self) -> f32 {
        let measured = self.measured();
        let count = measured.len().max(1) as f32;
        let mean = measured.iter().sum::<f32>() / count;
        measured.iter().map(|late| (late - mean).abs()).sum::<f32>() / count
    }

    fn measured(&self) -> &[f32] {
        &self.lateness[..self.count.min(ARRIVALS)]
    }

    fn goal(&self) -> f32 {
        let mut worst = [f32::NEG_INFINITY; 2];
        for &late in self.measured() {
            if late > worst[0] {
                worst = [late, worst[0]];
            } else if late > worst[1] {
                worst[1] = late;
            }
        }
        if worst[1] == f32::NEG_INFINITY {
            return self.current as f32;
        }
        let needed = 1.0 + worst[1].max(0.0) + self.config.margin;
        needed.clamp(self.config.min, self.config.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use throng_shared::random::Random;

    /// Simulates snapshots of every tick that arrive up to `jitter` ticks late and are lost with probability
    /// `loss`. Returns the delay at the end, and how often in the second half the shown moment had not arrived.
    fn run(seed: u64, jitter: f64, loss: f64) -> (f32, u32) {
        let mut random = Random::new(seed);
        let mut delay = InterpolationDelay::new(DelayConfig::default());
        let mut arriving: Vec<(f64, u32)> = Vec::new();
        let (mut newest, mut shown, mut starved) = (0, 0.0, 0);
        for frame in 0..12_000 {
            let position = f64::from(frame) / 6.0;
            if frame % 6 == 0 && random.unit() >= loss {
                arriving.push((position + jitter * random.unit(), frame / 6));
            }
            arriving.retain(|&(time, tick)| {
                if time <= position {
                    delay.observe(Tick(tick), u64::from(tick), f64::from(tick), position);
                    newest = newest.max(tick);
                }
                time > position
            });
            let before = std::mem::replace(&mut shown, delay.advance(position));
            assert!(shown >= before || frame == 0, "seed {seed}: it went back");
            starved += u32::from(frame > 6_000 && shown > f64::from(newest));
        }
        (delay.ticks(), starved)
    }

    #[test]
    fn interpolation_delay_follows_jitter_and_loss() {
        for seed in 1..=5 {
            let (perfect, starved) = run(seed, 0.0, 0.0);
            assert!((1.0..1.3).contains(&perfect), "seed {seed}: {perfect}");
            assert_eq!(starved, 0, "seed {seed}");
            let (jittery, starved) = run(seed, 2.0, 0.0);
            assert!((2.0..3.5).contains(&jittery), "seed {seed}: {jittery}");
            assert!(starved < 120, "seed {seed}: {starved} of 6,000 frames");
            let (lossy, starved) = run(seed, 0.5, 0.05);
            assert!((1.5..3.8).contains(&lossy), "seed {seed}: {lossy}");
            assert!(starved < 120, "seed {seed}: {starved} of 6,000 frames");
        }
    }

    #[test]
    fn interpolation_delay_ignores_ticks_without_packets() {
        let (mut silent, mut lossy) = [(); 2]
            .map(|()| InterpolationDelay::new(DelayConfig::default()))
            .into();
        for second in 1..30_u32 {
            let tick = second * 20;
            silent.observe(Tick(tick), u64::from(second), f64::from(tick), f64::from(tick));
            lossy.observe(Tick(tick), u64::from(tick), f64::from(tick), f64::from(tick));
            silent.advance(f64::from(tick));
            lossy.advance(f64::from(tick));
        }
        assert!(silent.ticks() < 1.3, "{}", silent.ticks());
        assert!(lossy.ticks() > 9.0, "{}", lossy.ticks());
    }

    #[test]
    fn interpolation_delay_shrinks_slowly_after_an_improvement() {
        let mut delay = InterpolationDelay::new(DelayConfig::default());
        for tick in 0..100_u32 {
            let late = if tick < 20 { 3.0 } else { 0.0 };
            delay.observe(
                Tick(tick),
                u64::from(tick),
                f64::from(tick),
                f64::from(tick) + late,
            );
            delay.advance(f64::from(tick) + late);
        }
        let worst = delay.ticks();
        assert!(worst > 2.0, "{worst}");
        (100..400_u32).for_each(|tick| {
            delay.observe(Tick(tick), u64::from(tick), f64::from(tick), f64::from(tick));
            delay.advance(f64::from(tick));
        });
        assert!(delay.ticks() < 1.3, "{}", delay.ticks());
    }
}
