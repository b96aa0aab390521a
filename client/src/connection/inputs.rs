//! The newest inputs that the client has sent. Every packet repeats the three before its newest one, so that one
//! lost packet loses no input.

use throng_shared::limits::INPUTS_PER_PACKET;
use throng_shared::protocol::input::{InputBytes, InputList};
use throng_shared::tick::Tick;

/// The newest inputs of consecutive ticks.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentInputs {
    newest_tick: Tick,
    /// Newest first.
    inputs: [InputBytes; INPUTS_PER_PACKET],
    count: usize,
}

impl SentInputs {
    /// Records the input for `tick`. After a gap the older ones are discarded: a packet holds consecutive
    /// ticks, and the skipped ticks never had an input.
    pub(crate) fn push(&mut self, tick: Tick, input: InputBytes) {
        if self.count > 0 && tick != self.newest_tick.next() {
            self.count = 0;
        }
        self.inputs.copy_within(0..INPUTS_PER_PACKET - 1, 1);
        self.inputs[0] = input;
        self.newest_tick = tick;
        self.count = (self.count + 1).min(INPUTS_PER_PACKET);
    }

    /// Returns the tick of the newest input.
    pub(crate) fn newest_tick(&self) -> Tick {
        self.newest_tick
    }

    /// Returns the inputs in a packet's order: newest first, of consecutive ticks.
    pub(crate) fn list(&self) -> InputList {
        let mut list = InputList::default();
        for input in &self.inputs[..self.count] {
            list.push_older(*input);
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(byte: u8) -> InputBytes {
        InputBytes::new(&[byte]).unwrap()
    }

    fn bytes(sent: &SentInputs) -> Vec<u8> {
        sent.list()
            .as_slice()
            .iter()
            .map(|input| input.as_slice()[0])
            .collect()
    }

    #[test]
    fn last_four_inputs_are_repeated_newest_first() {
        let mut sent = SentInputs::default();
        assert!(sent.list().as_slice().is_empty());
        for number in 1..=6_u8 {
            sent.push(Tick(u32::MAX - 3) + u32::from(number), input(number));
        }
        assert_eq!(bytes(&sent), [6, 5, 4, 3]);
        assert_eq!(sent.newest_tick(), Tick(2), "across the wrap");
    }

    #[test]
    fn gap_in_input_ticks_discards_earlier_inputs() {
        let mut sent = SentInputs::default();
        for (tick, number) in [(1, 1), (2, 2), (5, 5), (6, 6)] {
            sent.push(Tick(tick), input(number));
        }
        assert_eq!(bytes(&sent), [6, 5]);
    }
}
