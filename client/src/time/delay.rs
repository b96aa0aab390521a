//! How far behind the newest snapshots others are shown, so that the next state is there when it is needed.
//!
//! Every state's lateness is measured: how long after its regular time it, or a later one in its place, was
//! here. That covers jitter and loss alike, and not what the server left out because there was nothing to say: its
//! packets are numbered. The delay follows the second worst of the last few seconds, grows
//! quickly and shrinks slowly, by running the shown time a little slower or faster; that never runs backward.

use throng_shared::tick::Tick;

/// Bounds of an [`InterpolationDelay`], in ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DelayConfig {
    /// Added to what is measured.
    pub(crate) margin: f32,
    /// The shortest delay; one tick is what a perfect line needs.
    pub(crate) min: f32,
    /// The longest delay.
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
/// How much faster the delay grows than time passes.
const GROWTH: f64 = 0.15;
/// How much it shrinks at least, and at most, and by which part of what it is too long.
const SHRINKING: (f64, f64) = (0.02, 0.08);
const SHRINKING_PART: f64 = 1.0 / 64.0;

/// Measures arrivals and follows them.
#[derive(Debug, Clone)]
pub(crate) struct InterpolationDelay {
    config: DelayConfig,
    lateness: [f32; ARRIVALS],
    count: usize,
    /// The newest tick, and the highest number of a packet.
    newest: Option<(Tick, u64)>,
    current: f64,
    /// Server position at the last call.
    position: Option<f64>,
    shown: f64,
}

impl InterpolationDelay {
    /// A delay of which nothing is known yet: two ticks.
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

    /// The packet of number `sequence` arrived, of `tick`, while the server clock said `position`, both counted in
    /// ticks from the same origin, of which `tick` is `ticks` away. Older ticks than the newest say nothing.
    pub(crate) fn observe(&mut self, tick: Tick, sequence: u64, ticks: f64, position: f64) {
        let (newest, last) = self.newest.unwrap_or((tick - 1, sequence.saturating_sub(1)));
        let passed = tick.since(newest);
        let newest = if passed > 0 { tick } else { newest };
        self.newest = Some((newest, last.max(sequence)));
        if passed <= 0 {
            return;
        }
        // No more ticks than packets are missing: of the others there was nothing to say.
        let missed = passed.min(sequence.saturating_sub(last).clamp(1, 1_000) as i32);
        // After a gap, the state that was waited for longest counts; a gap of seconds is no jitter.
        let oldest = ticks - f64::from(missed.min(self.config.max as i32) - 1);
        self.lateness[self.count % ARRIVALS] = (position - oldest) as f32;
        self.count += 1;
    }

    /// Follows the server clock to `position`; answers the position to show, which never decreases.
    pub(crate) fn advance(&mut self, position: f64) -> f64 {
        let elapsed = (position - self.position.unwrap_or(position)).max(0.0);
        self.position = Some(position);
        let missing = f64::from(self.goal()) - self.current;
        let shrinking = (-missing * SHRINKING_PART).clamp(SHRINKING.0, SHRINKING.1);
        self.current += missing.clamp(-shrinking * elapsed, GROWTH * elapsed);
        self.shown = self.shown.max(position - self.current);
        self.shown
    }

    /// The present delay, in ticks.
    #[must_use]
    pub(crate) fn ticks(&self) -> f32 {
        self.current as f32
    }

    /// Mean distance of the measured lateness from its mean, in ticks.
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
    use crate::seeded::Seeded;

    /// Lets snapshots of every tick arrive up to `jitter` ticks late, loses some, and answers the delay at the end
    /// and how often in the second half the moment shown had not arrived.
    fn run(seed: u64, jitter: f64, loss: f64) -> (f32, u32) {
        let mut dice = Seeded::new(seed);
        let mut delay = InterpolationDelay::new(DelayConfig::default());
        let mut arriving: Vec<(f64, u32)> = Vec::new();
        let (mut newest, mut shown, mut starved) = (0, 0.0, 0);
        for frame in 0..12_000 {
            let position = f64::from(frame) / 6.0;
            if frame % 6 == 0 && dice.unit() >= loss {
                arriving.push((position + jitter * dice.unit(), frame / 6));
            }
            arriving.retain(|&(at, tick)| {
                if at <= position {
                    delay.observe(Tick(tick), u64::from(tick), f64::from(tick), position);
                    newest = newest.max(tick);
                }
                at > position
            });
            let before = std::mem::replace(&mut shown, delay.advance(position));
            assert!(shown >= before || frame == 0, "seed {seed}: it went back");
            starved += u32::from(frame > 6_000 && shown > f64::from(newest));
        }
        (delay.ticks(), starved)
    }

    #[test]
    fn it_is_as_long_as_the_line_needs() {
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
    fn a_server_that_had_nothing_to_say_is_not_waited_for() {
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
    fn a_better_line_is_noticed_slowly() {
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
