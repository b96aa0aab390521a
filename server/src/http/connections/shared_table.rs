//! The table of open connections as its tasks share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::super::caller::PeerStanding;
use super::table::{ConnectionLimits, ConnectionTable};
use crate::boundary::address_group::AddressGroup;

/// The table of open connections. Its lock is taken on the HTTP server's thread only, and never held across an await.
#[derive(Clone)]
pub(super) struct SharedTable(Arc<Mutex<ConnectionTable<oneshot::Sender<()>>>>);

/// A connection's entry in the table, which is removed when dropped.
pub(super) struct TableEntry {
    table: SharedTable,
    number: u64,
}

impl SharedTable {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Mutex::new(ConnectionTable::new(limits))))
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionTable<oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection, which closes once `handle` is dropped. Returns `None` if it has no place.
    pub(super) fn add(
        &self,
        address: AddressGroup,
        standing: PeerStanding,
        handle: oneshot::Sender<()>,
    ) -> Option<TableEntry> {
        let number = self.lock().add(address, standing, handle).ok()?;
        let table = self.clone();
        Some(TableEntry { table, number })
    }

    /// Closes one connection; see [`ConnectionTable::close_one`].
    pub(super) fn close_one(&self) -> bool {
        self.lock().close_one()
    }
}

impl TableEntry {
    /// Records that the connection sent a complete request.
    pub(super) fn used(&self) {
        self.table.lock().used(self.number);
    }
}

impl Drop for TableEntry {
    fn drop(&mut self) {
        self.table.lock().remove(self.number);
    }
}
