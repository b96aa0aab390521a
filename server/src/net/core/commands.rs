//! Commands of the simulations, in the order in which a worker executes them.
//!
//! Guarantees that a command is executed only when every simulation's frame of its tick has arrived, that the commands
//! of one simulation keep their order, and that among several simulations the commands of an earlier tick come first.
//! A player that moves to another simulation therefore receives the messages of its old simulation from one tick
//! before the messages of its new simulation from the next tick. Never waits: a command that is not due is executed
//! with a later frame.

use throng_shared::tick::Tick;

use crate::boundary::link::{ToWorker, WorkerLink};

/// One command of a simulation to this worker.
#[derive(Debug)]
pub(super) struct Command {
    /// Tick in which the simulation sent the command.
    pub(super) tick: Tick,
    /// Index of the simulation's link.
    pub(super) link: usize,
    /// What the worker has to do.
    pub(super) value: ToWorker,
}

/// Commands that were taken from the queues and not yet executed. Simulations run in lockstep, so these are the
/// commands of two ticks at most.
#[derive(Debug, Default)]
pub(super) struct Commands {
    taken: Vec<Command>,
}

impl Commands {
    /// Takes the waiting commands from the queues. Returns how many commands, counted from the first, are due.
    /// `complete` is the newest tick whose frames were taken from every simulation. A simulation sends its frame
    /// last, so all commands up to that tick are in the queues.
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

    /// Returns the commands, with the due ones first.
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

    fn send(link: &mut SimulationLink, tick: u32, byte: u8) {
        let session = SessionId {
            index: 0,
            generation: 1,
        };
        link.begin(Tick(tick));
        assert!(link.send(SessionKey { worker: 0, session }, ChannelId(2), vec![byte].into()));
    }

    fn executed(commands: &mut Commands, links: &mut [WorkerLink], complete: Option<Tick>) -> Vec<u8> {
        let due = commands.take(links, complete);
        let bytes_sent = commands.list().drain(..due).map(|command| match command.value {
            ToWorker::Message { bytes, .. } => bytes[0],
            other => panic!("{other:?}"),
        });
        bytes_sent.collect()
    }

    #[test]
    fn commands_are_executed_in_tick_order_across_simulations_even_by_a_late_worker() {
        // The player goes from the second to the first simulation, and back.
        let (mut simulations, mut workers) = links();
        send(&mut simulations[1], 1, 1);
        send(&mut simulations[1], 1, 2);
        send(&mut simulations[0], 2, 3);
        send(&mut simulations[0], 2, 4);
        send(&mut simulations[1], 3, 5);
        let mut commands = Commands::default();
        let complete = Some(Tick(3));
        assert_eq!(executed(&mut commands, &mut workers, complete), [1, 2, 3, 4, 5]);
        assert!(executed(&mut commands, &mut workers, complete).is_empty());
    }

    #[test]
    fn a_command_waits_for_the_frames_of_its_tick() {
        let (mut simulations, mut workers) = links();
        send(&mut simulations[0], 1, 1);
        send(&mut simulations[0], 2, 2);
        let mut commands = Commands::default();
        assert!(executed(&mut commands, &mut workers, None).is_empty());
        assert_eq!(executed(&mut commands, &mut workers, Some(Tick(1))), [1]);
        send(&mut simulations[1], 1, 3);
        assert_eq!(executed(&mut commands, &mut workers, Some(Tick(2))), [3, 2]);
    }

    #[test]
    fn commands_of_alternating_simulations_are_executed_in_order_under_concurrency() {
        let publish = |writer: &mut FrameWriter, link: &mut SimulationLink, tick| {
            let (index, players) = (CellIndex::default(), PlayerTable::default());
            link.publish(&writer.publish(Tick(tick), Duration::ZERO, index, players));
        };
        for _ in 0..20 {
            let (simulations, mut workers) = links();
            let sender = std::thread::spawn(move || {
                let mut simulations = simulations;
                let mut writers = [0, 1].map(|simulation| FrameWriter::new(SimulationId(simulation)));
                for byte in 0..200u8 {
                    let tick = u32::from(byte) + 1;
                    send(&mut simulations[usize::from(byte % 2)], tick, byte);
                    for (writer, link) in writers.iter_mut().zip(&mut simulations) {
                        publish(writer, link, tick);
                    }
                }
            });
            let (mut commands, mut received) = (Commands::default(), Vec::new());
            let mut histories = [FrameHistory::default(), FrameHistory::default()];
            while received.len() < 200 {
                for (link, history) in workers.iter_mut().zip(&mut histories) {
                    while let Some(frame) = link.frame() {
                        history.push(frame);
                    }
                }
                let newest = histories.iter().map(|history| Some(history.newest()?.tick));
                let complete = newest.min().flatten();
                received.extend(executed(&mut commands, &mut workers, complete));
            }
            sender.join().unwrap();
            assert!(received.iter().copied().eq(0..200), "{received:?}");
        }
    }
}
