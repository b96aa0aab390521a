//! Commands of the simulations, in the order in which a worker carries them out.
//!
//! Guarantees that the commands of one simulation stay in their order and that, of several simulations, those of
//! an earlier tick come first: a player whose world changes is told what its old world said in a tick before
//! what its new world says in the next. Refuses to wait for anybody.
//!
//! That holds because simulations are in lockstep: one begins a tick when all have sent everything of the tick
//! before. So when a command of a tick has been seen, all of earlier ticks are in the queues, and a second look
//! finds them.

use throng_shared::tick::Tick;

use crate::net::link::{ToWorker, WorkerLink};

/// Commands that one look takes out of one queue at most; the rest waits for the next.
const COMMANDS_MAX: usize = 65_536;

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    /// The tick that it came of.
    tick: Tick,
    /// Place of its simulation's link.
    pub(super) link: usize,
    /// What is to be done.
    pub(super) value: ToWorker,
}

/// What was taken out of the queues and not yet carried out.
#[derive(Debug, Default)]
pub(super) struct Commands {
    taken: Vec<Command>,
}

impl Commands {
    /// Takes what waits in the queues; answers how many of the commands, from the first on, are due.
    pub(super) fn take(&mut self, links: &mut [WorkerLink]) -> usize {
        let first = self.look(links);
        if links.len() == 1 {
            return self.taken.len();
        }
        let Some(newest) = self.taken.iter().map(|command| command.tick).reduce(later) else {
            return 0;
        };
        let complete = earlier(first, self.look(links));
        let due = earlier(Some(newest), complete).unwrap_or(newest);
        self.taken.sort_by_key(|command| command.tick.since(due));
        self.taken.partition_point(|command| !command.tick.is_after(due))
    }

    /// The commands; those that are due are first.
    pub(super) fn list(&mut self) -> &mut Vec<Command> {
        &mut self.taken
    }

    /// One look into every queue. Where not all was taken: the tick up to which it was.
    fn look(&mut self, links: &mut [WorkerLink]) -> Option<Tick> {
        let mut complete = None;
        for (link, queue) in links.iter_mut().enumerate() {
            for taken in 1..=COMMANDS_MAX {
                let Some((tick, value)) = queue.pop() else { break };
                self.taken.push(Command { tick, link, value });
                if taken == COMMANDS_MAX {
                    complete = earlier(complete, Some(tick));
                }
            }
        }
        complete
    }
}

fn later(one: Tick, other: Tick) -> Tick {
    if other.is_after(one) { other } else { one }
}

/// The earlier of two ticks, of which either may be missing.
fn earlier(one: Option<Tick>, other: Option<Tick>) -> Option<Tick> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.is_after(other) { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use throng_shared::netcode::SessionId;
    use throng_shared::protocol::ids::{ChannelId, SourceId};

    use super::*;
    use crate::net::link::{LinkConfig, SessionKey, SimulationLink, link};

    fn links() -> (Vec<SimulationLink>, Vec<WorkerLink>) {
        (0..2)
            .map(|source| link(SourceId(source), 0, &LinkConfig::default(), Arc::new(|| {})))
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

    fn carried_out(commands: &mut Commands, links: &mut [WorkerLink]) -> Vec<u8> {
        let due = commands.take(links);
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
        assert_eq!(carried_out(&mut commands, &mut workers), [1, 2, 3, 4, 5]);
        assert!(carried_out(&mut commands, &mut workers).is_empty());
    }

    #[test]
    fn of_one_simulation_all_is_due_at_once() {
        let (mut simulations, mut workers) = links();
        (1..=9).for_each(|word| say(&mut simulations[0], u32::from(word), word));
        workers.truncate(1);
        let mut commands = Commands::default();
        assert_eq!(
            carried_out(&mut commands, &mut workers),
            (1..=9).collect::<Vec<u8>>()
        );
    }

    #[test]
    fn threads_that_alternate_are_heard_in_turn() {
        for _ in 0..20 {
            let (simulations, mut workers) = links();
            let speaker = std::thread::spawn(move || {
                let mut simulations = simulations;
                for word in 0..200 {
                    say(&mut simulations[usize::from(word % 2)], u32::from(word) + 1, word);
                }
            });
            let (mut commands, mut heard) = (Commands::default(), Vec::new());
            while heard.len() < 200 {
                heard.extend(carried_out(&mut commands, &mut workers));
            }
            speaker.join().unwrap();
            assert!(heard.iter().copied().eq(0..200), "{heard:?}");
        }
    }
}
