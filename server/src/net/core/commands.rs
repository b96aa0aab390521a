//! Commands of the simulations, in the order in which a worker carries them out.
//!
//! Guarantees that a command is carried out when the frame of its tick is there from every simulation, that the
//! commands of one simulation stay in their order and that, of several simulations, those of an earlier tick come
//! first: a player whose world changes is told what its old world said in a tick before what its new world says
//! in the next. Refuses to wait for anybody: what is not due is carried out with a later frame.

use throng_shared::tick::Tick;

use crate::boundary::link::{ToWorker, WorkerLink};

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    /// The tick that it came of.
    pub(super) tick: Tick,
    /// Place of its simulation's link.
    pub(super) link: usize,
    /// What is to be done.
    pub(super) value: ToWorker,
}

/// What was taken out of the queues and not yet carried out. Simulations are in lockstep, so that is what they
/// say in two ticks at most.
#[derive(Debug, Default)]
pub(super) struct Commands {
    taken: Vec<Command>,
}

impl Commands {
    /// Takes what waits in the queues; answers how many of the commands, from the first on, are due. `complete`
    /// is the newest tick of which every simulation's frame was taken before: a simulation sends its frame last,
    /// so all commands up to then are in the queues.
    pub(super) fn take(&mut self, links: &mut [WorkerLink], complete: Option<Tick>) -> usize {
        for (link, queue) in links.iter_mut().enumerate() {
            for _ in 0..queue.waiting() {
                let Some((tick, value)) = queue.pop() else { break };
                self.taken.push(Command { tick, link, value });
            }
        }
        let Some(complete) = complete else { return 0 };
        self.taken.sort_by_key(|command| command.tick.since(complete));
        self.taken
            .partition_point(|command| !command.tick.is_after(complete))
    }

    /// The commands; those that are due are first.
    pub(super) fn list(&mut self) -> &mut Vec<Command> {
        &mut self.taken
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use throng_shared::netcode::SessionId;
    use throng_shared::protocol::ids::{ChannelId, SimulationId};

    use super::*;
    use crate::boundary::frame::{FrameHistory, FrameWriter, PlayerTable};
    use crate::boundary::link::{LinkConfig, SessionKey, SimulationLink, link};
    use crate::space::CellIndex;

    fn links() -> (Vec<SimulationLink>, Vec<WorkerLink>) {
        // Room for all frames of a test.
        let config = LinkConfig {
            frames: 256,
            ..LinkConfig::default()
        };
        (0..2)
            .map(|simulation| link(SimulationId(simulation), 0, &config, Arc::new(|| {})))
            .unzip()
    }

    fn say(link: &mut SimulationLink, tick: u32, word: u8) {
        let session = SessionId {
            index: 0,
            generation: 1,
        };
        link.begin(Tick(tick));
        assert!(link.send(SessionKey { worker: 0, session }, ChannelId(2), vec![word].into()));
    }

    fn carried_out(commands: &mut Commands, links: &mut [WorkerLink], complete: Option<Tick>) -> Vec<u8> {
        let due = commands.take(links, complete);
        let words = commands.list().drain(..due).map(|command| match command.value {
            ToWorker::Message { bytes, .. } => bytes[0],
            other => panic!("{other:?}"),
        });
        words.collect()
    }

    #[test]
    fn what_an_old_world_said_before_comes_first_however_late_the_worker_is() {
        // The player goes from the second to the first simulation, and back.
        let (mut simulations, mut workers) = links();
        say(&mut simulations[1], 1, 1);
        say(&mut simulations[1], 1, 2);
        say(&mut simulations[0], 2, 3);
        say(&mut simulations[0], 2, 4);
        say(&mut simulations[1], 3, 5);
        let mut commands = Commands::default();
        let complete = Some(Tick(3));
        assert_eq!(
            carried_out(&mut commands, &mut workers, complete),
            [1, 2, 3, 4, 5]
        );
        assert!(carried_out(&mut commands, &mut workers, complete).is_empty());
    }

    #[test]
    fn what_is_said_in_a_tick_waits_for_the_frames_of_that_tick() {
        let (mut simulations, mut workers) = links();
        say(&mut simulations[0], 1, 1);
        say(&mut simulations[0], 2, 2);
        let mut commands = Commands::default();
        assert!(carried_out(&mut commands, &mut workers, None).is_empty());
        assert_eq!(carried_out(&mut commands, &mut workers, Some(Tick(1))), [1]);
        say(&mut simulations[1], 1, 3);
        assert_eq!(carried_out(&mut commands, &mut workers, Some(Tick(2))), [3, 2]);
    }

    #[test]
    fn threads_that_alternate_are_heard_in_turn() {
        let publish = |writer: &mut FrameWriter, link: &mut SimulationLink, tick| {
            let (index, players) = (CellIndex::default(), PlayerTable::default());
            link.publish(&writer.publish(Tick(tick), Duration::ZERO, index, players));
        };
        for _ in 0..20 {
            let (simulations, mut workers) = links();
            let speaker = std::thread::spawn(move || {
                let mut simulations = simulations;
                let mut writers = [0, 1].map(|simulation| FrameWriter::new(SimulationId(simulation)));
                for word in 0..200u8 {
                    let tick = u32::from(word) + 1;
                    say(&mut simulations[usize::from(word % 2)], tick, word);
                    for (writer, link) in writers.iter_mut().zip(&mut simulations) {
                        publish(writer, link, tick);
                    }
                }
            });
            let (mut commands, mut heard) = (Commands::default(), Vec::new());
            let mut histories = [FrameHistory::default(), FrameHistory::default()];
            while heard.len() < 200 {
                for (link, history) in workers.iter_mut().zip(&mut histories) {
                    while let Some(frame) = link.frame() {
                        history.push(frame);
                    }
                }
                let newest = histories.iter().map(|history| Some(history.newest()?.tick));
                let complete = newest.min().flatten();
                heard.extend(carried_out(&mut commands, &mut workers, complete));
            }
            speaker.join().unwrap();
            assert!(heard.iter().copied().eq(0..200), "{heard:?}");
        }
    }
}
