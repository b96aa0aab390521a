//! Network statistics with a short history, for a net graph and for reports.

use std::collections::VecDeque;
use std::time::Duration;

use bevy_app::{App, Plugin, PreUpdate};
use bevy_ecs::prelude::*;
use throng_shared::tick::Tick;

use crate::link::Traffic;
use crate::predict::PredictionErrors;
use crate::schedule::{self, ClientSystems};
use crate::world::{ClientClock, RecentPackets, WorldMirror};

/// Time between two values of a [`Series`].
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
/// Values that a [`Series`] keeps: twelve seconds.
const SERIES_VALUES: usize = 120;
/// Newest packets over which loss is computed.
const LOSS_PACKETS: usize = 120;

/// The last values of a statistic: ten a second, of twelve seconds at most.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series(VecDeque<f32>);

impl Series {
    /// Returns the newest value; 0 before there is one.
    #[must_use]
    pub fn newest(&self) -> f32 {
        self.0.back().copied().unwrap_or_default()
    }

    /// Returns the values, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.0.iter().copied()
    }

    /// Returns the greatest value; 0 if the series is empty.
    #[must_use]
    pub fn max(&self) -> f32 {
        self.iter().fold(0.0, f32::max)
    }

    /// Returns the mean of the values; 0 if the series is empty.
    #[must_use]
    pub fn mean(&self) -> f32 {
        self.iter().sum::<f32>() / self.0.len().max(1) as f32
    }

    fn push(&mut self, value: f32) {
        if self.0.len() == SERIES_VALUES {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }
}

/// Statistics of the session's network, with their history.
#[derive(Resource, Debug, Clone, Default, PartialEq)]
pub struct NetStats {
    /// The newest tick whose snapshot arrived.
    pub tick: Option<Tick>,
    /// The smoothed round trip, in milliseconds.
    pub ping_ms: Series,
    /// Share of the newest snapshot packets that are missing, 0 to 1.
    pub loss: Series,
    /// Mean deviation of the arrival times of snapshots, in milliseconds.
    pub jitter_ms: Series,
    /// Time since the newest snapshot arrived, in milliseconds.
    pub snapshot_age_ms: Series,
    /// How far interpolated entities are shown behind the server's tick that should have arrived, in
    /// milliseconds.
    pub interpolation_delay_ms: Series,
    /// How long before their ticks inputs arrive on the server, in milliseconds; negative when too late.
    pub input_margin_ms: Series,
    /// Greatest distance between the own entity and its prediction since the previous sample, in units.
    pub prediction_error: Series,
    /// Bytes received per second.
    pub bytes_in_s: Series,
    /// Bytes sent per second.
    pub bytes_out_s: Series,
    /// Datagrams received per second.
    pub datagrams_in_s: Series,
    /// Datagrams sent per second.
    pub datagrams_out_s: Series,
    /// Number of entities in view.
    pub entities: Series,
    sampled_at: Duration,
    /// The traffic at the last sample, and `PredictionErrors::compared` then.
    traffic: Traffic,
    compared: u64,
}

/// Samples [`NetStats`] once a frame, in [`ClientSystems::Measure`].
pub struct NetStatsPlugin;

impl Plugin for NetStatsPlugin {
    fn build(&self, app: &mut App) {
        schedule::configure(app);
        app.init_resource::<NetStats>()
            .add_systems(PreUpdate, measure.in_set(ClientSystems::Measure));
    }
}

fn measure(
    mut stats: ResMut<NetStats>,
    clock: Res<ClientClock>,
    arrivals: Res<RecentPackets>,
    mirror: Res<WorldMirror>,
    traffic: Res<Traffic>,
    errors: Option<Res<PredictionErrors>>,
) {
    let elapsed = clock.now().saturating_sub(stats.sampled_at);
    if elapsed < SAMPLE_EVERY {
        return;
    }
    let stats = &mut *stats;
    stats.sampled_at = clock.now();
    let ms = |duration: Option<Duration>| duration.unwrap_or_default().as_secs_f32() * 1e3;
    let newest = clock.newest();
    stats.tick = newest.map(|(tick, _)| tick);
    stats.ping_ms.push(ms(clock.round_trip()));
    stats.jitter_ms.push(ms(clock.jitter()));
    stats.snapshot_age_ms.push(ms(newest.map(|(_, age)| age)));
    stats.interpolation_delay_ms.push(ms(clock.interpolation_delay()));
    let margin = clock.input_margin().unwrap_or_default();
    stats.input_margin_ms.push(margin * ms(clock.tick_length()));
    let (missing, sent) = arrivals.missing(LOSS_PACKETS);
    stats.loss.push(missing as f32 / sent.max(1) as f32);
    stats.entities.push(mirror.len() as f32);

    let per_second = |now: u64, before: u64| now.saturating_sub(before) as f32 / elapsed.as_secs_f32();
    let before = std::mem::replace(&mut stats.traffic, *traffic);
    stats
        .bytes_in_s
        .push(per_second(traffic.bytes_in, before.bytes_in));
    stats
        .bytes_out_s
        .push(per_second(traffic.bytes_out, before.bytes_out));
    stats
        .datagrams_in_s
        .push(per_second(traffic.datagrams_in, before.datagrams_in));
    stats
        .datagrams_out_s
        .push(per_second(traffic.datagrams_out, before.datagrams_out));

    let Some(errors) = errors else { return };
    let fresh = errors.compared() - std::mem::replace(&mut stats.compared, errors.compared());
    let all = errors.errors().count();
    let fresh = errors.errors().skip(all.saturating_sub(fresh as usize));
    stats.prediction_error.push(fresh.fold(0.0, f32::max));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_the_last_values() {
        let mut series = Series::default();
        assert_eq!((series.newest(), series.max(), series.mean()), (0.0, 0.0, 0.0));
        (0..SERIES_VALUES + 5).for_each(|value| series.push(value as f32));
        assert_eq!(series.iter().len(), SERIES_VALUES);
        assert_eq!((series.iter().next(), series.newest()), (Some(5.0), 124.0));
        assert_eq!((series.max(), series.mean()), (124.0, 64.5));
    }
}
