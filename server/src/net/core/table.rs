//! The sessions by netcode's dense index, and the set of sessions that a fan-out serves.
//!
//! A session that has not sent a payload is asleep. A fan-out skips 64 sleeping sessions with one read of a word, so
//! connections that only send keep-alives cost almost nothing per tick.

use throng_shared::netcode::SessionId;

use super::session::WorkerSession;

/// Number of sessions in one word of the set of sessions that are awake.
const WORD: usize = u64::BITS as usize;

#[derive(Default)]
pub(super) struct WorkerSessionTable {
    slots: Vec<Option<Box<WorkerSession>>>,
    /// Bit `i % 64` of word `i / 64` is set when the session with the index `i` has sent a payload.
    awake: Vec<u64>,
    len: usize,
}

impl WorkerSessionTable {
    /// Returns the number of sessions in the table.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a session, which is asleep at first.
    pub(super) fn insert(&mut self, session: WorkerSession) {
        let index = session.id.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
            self.awake.resize(self.slots.len().div_ceil(WORD), 0);
        }
        self.awake[index / WORD] &= !(1 << (index % WORD));
        self.len += usize::from(self.slots[index].replace(Box::new(session)).is_none());
    }

    /// Returns the session, or `None` when it has ended or its index belongs to another session by now.
    #[inline]
    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut WorkerSession> {
        let session = self.slots.get_mut(id.index as usize)?.as_deref_mut()?;
        (session.id == id).then_some(session)
    }

    /// Returns the session with this index for changes.
    #[inline]
    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut WorkerSession> {
        self.slots.get_mut(index)?.as_deref_mut()
    }

    /// Returns the session with this index.
    #[inline]
    pub(super) fn at(&self, index: usize) -> Option<&WorkerSession> {
        self.slots.get(index)?.as_deref()
    }

    /// Marks a session as awake, because it has sent a payload.
    #[inline]
    pub(super) fn wake(&mut self, id: SessionId) {
        if let Some(word) = self.awake.get_mut(id.index as usize / WORD) {
            *word |= 1 << (id.index as usize % WORD);
        }
    }

    /// Returns the lowest index, not below `index`, of a session that is awake.
    #[inline]
    pub(super) fn next_awake(&self, index: usize) -> Option<usize> {
        let mut word_index = index / WORD;
        // The mask clears the bits below `index` in the first word; the lowest set bit is then the next session.
        let mut word = self.awake.get(word_index)? & (u64::MAX << (index % WORD));
        while word == 0 {
            word_index += 1;
            word = *self.awake.get(word_index)?;
        }
        Some(word_index * WORD + word.trailing_zeros() as usize)
    }

    /// Removes a session and returns it.
    pub(super) fn remove(&mut self, id: SessionId) -> Option<Box<WorkerSession>> {
        let index = id.index as usize;
        let session = self.slots.get_mut(index)?.take_if(|session| session.id == id)?;
        self.awake[index / WORD] &= !(1 << (index % WORD));
        self.len -= 1;
        Some(session)
    }

    /// Iterates over the ids of all sessions, in the order of their indices.
    pub(super) fn ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.slots.iter().flatten().map(|session| session.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::claims::{PlayerName, SessionClaims};

    fn id(index: u32, generation: u32) -> SessionId {
        SessionId { index, generation }
    }

    fn insert(table: &mut WorkerSessionTable, id: SessionId) {
        let claims = SessionClaims {
            session_number: 1,
            name: PlayerName::default(),
        };
        table.insert(WorkerSession::new(id, u64::from(id.index), claims));
    }

    #[test]
    fn a_session_is_found_by_its_own_generation_only() {
        let mut table = WorkerSessionTable::default();
        insert(&mut table, id(3, 1));
        assert!(table.get_mut(id(3, 0)).is_none() && table.remove(id(3, 2)).is_none());
        assert!(table.get_mut(id(9, 1)).is_none() && table.remove(id(9, 1)).is_none());
        assert_eq!(
            (table.len(), table.ids().collect::<Vec<_>>()),
            (1, vec![id(3, 1)])
        );
        assert_eq!(table.remove(id(3, 1)).map(|session| session.client_id), Some(3));
        assert_eq!((table.len(), table.ids().count()), (0, 0));
    }

    #[test]
    fn only_sessions_that_are_awake_are_found_in_order() {
        let mut table = WorkerSessionTable::default();
        (0..300).for_each(|index| insert(&mut table, id(index, 0)));
        let awake = [0, 5, 63, 64, 200, 299];
        awake.iter().for_each(|&index| table.wake(id(index, 0)));
        let found = |table: &WorkerSessionTable| {
            let mut next = 0;
            std::iter::from_fn(|| {
                let index = table.next_awake(next)?;
                next = index + 1;
                Some(index as u32)
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(found(&table), awake);
        table.remove(id(64, 0));
        insert(&mut table, id(64, 1));
        assert_eq!(
            found(&table),
            [0, 5, 63, 200, 299],
            "the next session of an index is asleep"
        );
        assert_eq!(table.next_awake(10_000), None);
    }
}
