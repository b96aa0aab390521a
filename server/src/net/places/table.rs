//! The places and their counts, without locks.
//!
//! Every change removes a place with all its counts, changes it and inserts it again, so that the counts always agree
//! with the places.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::limits::{PlaceError, PlaceLimits};
use super::reservations::Reservations;
use crate::boundary::address_group::AddressGroup;
use crate::boundary::link::SessionKey;
use crate::net::assign::{AssignStrategy, Assigner};

/// Expiries that may be out of date in addition to as many as there are places, before they are removed.
const STALE_EXPIRIES_MAX: usize = 1_024;

/// One client's place.
#[derive(Clone, Copy, Debug)]
struct ClientPlace {
    address: AddressGroup,
    session: Option<PlaceSession>,
    reservation: Option<Reservation>,
}

#[derive(Clone, Copy, Debug)]
struct PlaceSession {
    number: u64,
    key: SessionKey,
    is_proven: bool,
}

/// An unused token.
#[derive(Clone, Copy, Debug)]
struct Reservation {
    worker: u8,
    /// Position in the order of issue.
    order: u64,
}

/// The time at which a client's token expires, which may be unused or not.
#[derive(Clone, Copy, Debug)]
struct Expiry {
    expires_at: Duration,
    client_id: u64,
    order: u64,
}

/// Places of one address.
#[derive(Clone, Copy, Debug, Default)]
struct AddressUse {
    places: u32,
    unproven: u32,
}

/// All places.
#[derive(Debug)]
pub(super) struct PlaceTable {
    limits: PlaceLimits,
    assigner: Assigner,
    places: HashMap<u64, ClientPlace>,
    addresses: HashMap<AddressGroup, AddressUse>,
    /// Places of each worker.
    loads: Vec<u32>,
    reservations: Reservations,
    /// Tokens in the order of issue, in which they expire: all are valid equally long.
    expiries: VecDeque<Expiry>,
    next_order: u64,
    unproven: u32,
    /// Sessions that are not proven.
    silent: u32,
}

impl ClientPlace {
    fn worker(&self) -> Option<u8> {
        let of_session = self.session.map(|session| session.key.worker);
        of_session.or(self.reservation.map(|reservation| reservation.worker))
    }

    fn is_proven(&self) -> bool {
        self.session.is_some_and(|session| session.is_proven)
    }
}

impl PlaceTable {
    pub(super) fn new(workers: usize, strategy: AssignStrategy, limits: PlaceLimits) -> Self {
        Self {
            limits,
            assigner: Assigner::new(strategy),
            places: HashMap::new(),
            addresses: HashMap::new(),
            loads: vec![0; workers],
            reservations: Reservations::default(),
            expiries: VecDeque::new(),
            next_order: 0,
            unproven: 0,
            silent: 0,
        }
    }

    /// Releases up to `releases_max` reservations that have expired. Returns the number of expiries that were passed.
    pub(super) fn expire(&mut self, now: Duration, releases_max: usize) -> usize {
        for passed in 0..releases_max {
            let first = self.expiries.front().copied();
            let Some(expiry) = first.filter(|expiry| expiry.expires_at <= now) else {
                return passed;
            };
            self.expiries.pop_front();
            if self.is_unused(expiry)
                && let Some(mut place) = self.remove(expiry.client_id)
            {
                place.reservation = None;
                self.insert(expiry.client_id, place);
            }
        }
        releases_max
    }

    pub(super) fn reserve(
        &mut self,
        client_id: u64,
        address: AddressGroup,
        expires_at: Duration,
    ) -> Result<u8, PlaceError> {
        let old = self.remove(client_id);
        let session = old.and_then(|place| place.session);
        let worker = self.make_room(address, old.is_some()).and_then(|()| {
            let chosen = self
                .assigner
                .choose(client_id, &self.loads, self.limits.worker_max);
            let of_session = session.map(|session| session.key.worker);
            chosen.or(of_session).ok_or(PlaceError::Full)
        });
        let Ok(worker) = worker else {
            if let Some(old) = old {
                self.insert(client_id, old);
            }
            return worker;
        };
        let order = self.next_order;
        self.next_order += 1;
        let reservation = Reservation { worker, order };
        let place = ClientPlace {
            address,
            session,
            reservation: Some(reservation),
        };
        self.insert(client_id, place);
        self.add_expiry(Expiry {
            expires_at,
            client_id,
            order,
        });
        Ok(worker)
    }

    /// Returns the older session that `key` replaces.
    pub(super) fn claim(
        &mut self,
        client_id: u64,
        number: u64,
        address: AddressGroup,
        key: SessionKey,
    ) -> Result<Option<SessionKey>, PlaceError> {
        let present = self.places.get(&client_id).and_then(|place| place.session);
        if present.is_some_and(|session| session.number >= number) {
            return Err(PlaceError::Outdated);
        }
        let old = self.remove(client_id);
        if let Err(error) = self.make_room(address, old.is_some()) {
            if let Some(old) = old {
                self.insert(client_id, old);
            }
            return Err(error);
        }
        let is_proven = self.limits.hello_timeout.is_none()
            || self.is_trusted(address)
            // The client keeps its place while its newer session proves itself; if it does not, it ends.
            || old.is_some_and(|place| place.is_proven());
        let session = PlaceSession {
            number,
            key,
            is_proven,
        };
        let place = ClientPlace {
            address,
            session: Some(session),
            reservation: None,
        };
        self.insert(client_id, place);
        Ok(present.map(|session| session.key))
    }

    pub(super) fn prove(&mut self, client_id: u64, key: SessionKey) {
        self.change_session(client_id, key, |session| {
            Some(PlaceSession {
                is_proven: true,
                ..session
            })
        });
    }

    pub(super) fn release(&mut self, client_id: u64, key: SessionKey) {
        self.change_session(client_id, key, |_| None);
    }

    /// Returns whether a quarter of the places belong to sessions that are not proven.
    pub(super) fn is_crowded(&self) -> bool {
        self.silent.saturating_mul(2) >= self.unproven_max()
    }

    fn change_session(
        &mut self,
        client_id: u64,
        key: SessionKey,
        change: impl FnOnce(PlaceSession) -> Option<PlaceSession>,
    ) {
        let current = self.places.get(&client_id).and_then(|place| place.session);
        if let Some(session) = current.filter(|session| session.key == key)
            && let Some(mut place) = self.remove(client_id)
        {
            place.session = change(session);
            // A reservation that is left becomes an unproven place, for which there may be no room. Its token stays
            // valid.
            if place.is_proven() || self.unproven < self.unproven_max() {
                self.insert(client_id, place);
            }
        }
    }

    /// Checks the limits for a place of `address` that is not in the table now, and releases another reservation if
    /// that makes room. A place that was only taken out (`is_present`) has room already.
    fn make_room(&mut self, address: AddressGroup, is_present: bool) -> Result<(), PlaceError> {
        let of_address = self.addresses.get(&address).copied().unwrap_or_default();
        let is_trusted = self.is_trusted(address);
        if !is_trusted && of_address.places >= self.limits.address_max {
            return Err(PlaceError::AddressFull);
        }
        let has_room =
            self.places.len() < self.limits.places_max as usize && self.unproven < self.unproven_max();
        if is_present || has_room {
            return Ok(());
        }
        let (most, client_id) = self.reservations.most().ok_or(PlaceError::Full)?;
        let of_most = self.addresses.get(&most).copied().unwrap_or_default();
        // The address that gains must not end up with more than the other, unless it has none at all.
        let is_fair = of_address.unproven == 0 || of_most.unproven > of_address.unproven + 1;
        if !is_trusted && !is_fair {
            return Err(PlaceError::Full);
        }
        tracing::debug!(?most, ?address, "an unused token lost its place");
        self.remove(client_id);
        Ok(())
    }

    /// Returns the limit of unproven places: half of all, but at least one, without which no client could join.
    fn unproven_max(&self) -> u32 {
        (self.limits.places_max / 2).max(1)
    }

    fn is_trusted(&self, address: AddressGroup) -> bool {
        address == AddressGroup::UNKNOWN || self.limits.trusts_loopback && address.is_loopback()
    }

    /// Returns whether the token is its client's newest and was not used.
    fn is_unused(&self, expiry: Expiry) -> bool {
        let place = self.places.get(&expiry.client_id);
        let reservation = place.and_then(|place| place.reservation);
        reservation.is_some_and(|reservation| reservation.order == expiry.order)
    }

    fn add_expiry(&mut self, expiry: Expiry) {
        if self.expiries.len() >= self.places.len() + STALE_EXPIRIES_MAX {
            let mut expiries = std::mem::take(&mut self.expiries);
            expiries.retain(|&expiry| self.is_unused(expiry));
            self.expiries = expiries;
        }
        self.expiries.push_back(expiry);
    }

    /// Adds a place and its counts. Drops a place without session and reservation.
    fn insert(&mut self, client_id: u64, place: ClientPlace) {
        let Some(worker) = place.worker() else { return };
        self.loads[usize::from(worker)] += 1;
        let of_address = self.addresses.entry(place.address).or_default();
        of_address.places += 1;
        if !place.is_proven() {
            of_address.unproven += 1;
            self.unproven += 1;
            self.silent += u32::from(place.session.is_some());
        }
        if let (None, Some(reservation)) = (place.session, place.reservation) {
            self.reservations
                .insert(place.address, reservation.order, client_id);
        }
        self.places.insert(client_id, place);
    }

    /// Removes a place and its counts.
    fn remove(&mut self, client_id: u64) -> Option<ClientPlace> {
        let place = self.places.remove(&client_id)?;
        if let Some(worker) = place.worker() {
            self.loads[usize::from(worker)] -= 1;
        }
        let of_address = self.addresses.entry(place.address).or_default();
        of_address.places -= 1;
        if !place.is_proven() {
            of_address.unproven -= 1;
            self.unproven -= 1;
            self.silent -= u32::from(place.session.is_some());
        }
        if of_address.places == 0 {
            self.addresses.remove(&place.address);
        }
        if let (None, Some(reservation)) = (place.session, place.reservation) {
            self.reservations.remove(place.address, reservation.order);
        }
        Some(place)
    }

    /// Returns the numbers of places, of unproven places and of sessions that are not proven.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, u32, u32) {
        (self.places.len(), self.unproven, self.silent)
    }
}
