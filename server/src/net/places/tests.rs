//! Tests of the places: limits, fairness between addresses, and take-overs.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::*;

const NOW: Duration = Duration::from_secs(100);
const EXPIRY: Duration = Duration::from_secs(130);
const LATER: Duration = Duration::from_secs(160);

const LIMITS: PlaceLimits = PlaceLimits {
    places_max: 1_000,
    worker_max: 1_000,
    address_max: 64,
    trusts_loopback: false,
    hello_timeout: Some(Duration::from_secs(5)),
};

fn places(workers: usize, change: impl FnOnce(&mut PlaceLimits)) -> Places {
    let mut limits = LIMITS;
    change(&mut limits);
    Places::new(workers, AssignStrategy::LeastLoaded, limits)
}

fn address(n: u8) -> AddressGroup {
    AddressGroup::of([203, 0, 113, n].into())
}

fn key(worker: u8, index: u32) -> SessionKey {
    SessionKey {
        worker,
        session: SessionId { index, generation: 0 },
    }
}

impl Places {
    fn counts(&self) -> (usize, u32, u32) {
        self.change(|table| table.counts())
    }

    fn issue(&self, client_id: u64, address: AddressGroup) -> Result<u8, PlaceError> {
        self.reserve(client_id, address, NOW, EXPIRY)
    }

    /// Connects a client whose session has its id as index and number.
    fn connect(&self, client_id: u64, address: AddressGroup) -> Result<(), PlaceError> {
        self.claim(client_id, 1, address, key(0, client_id as u32), NOW)
    }

    fn hello(&self, client_id: u64) {
        self.prove(client_id, key(0, client_id as u32));
    }
}

#[test]
fn tokens_that_are_never_used_leave_half_of_the_places_and_keep_no_address_out() {
    let places = places(1, |_| {});
    let issued = (0..1_000).filter(|&id| places.issue(id, address((id % 25) as u8)).is_ok());
    assert_eq!(issued.count(), 500, "20 for each of 25 addresses");
    assert_eq!(places.counts(), (500, 500, 0));
    for id in 2_000..2_010 {
        let player = address(100 + (id % 10) as u8);
        assert_eq!(places.issue(id, player), Ok(0));
        assert_eq!(places.counts().1, 500, "never more than half");
        assert_eq!(places.connect(id, player), Ok(()));
        places.hello(id);
    }
    assert_eq!(places.counts(), (509, 499, 0));
    assert!(places.issue(9_998, address(3)).is_ok());
    assert_eq!(places.issue(9_999, address(4)), Err(PlaceError::Full));
}

#[test]
fn the_address_with_the_most_unused_tokens_loses_its_oldest() {
    let places = places(1, |limits| limits.places_max = 10);
    for id in 0..4 {
        places.issue(id, address(1)).unwrap();
    }
    places.issue(10, address(2)).unwrap();
    // 5 of 10 are unproven. The fourth token of the first address gives way to the second one of the other.
    places.issue(11, address(2)).unwrap();
    assert_eq!(
        places.issue(12, address(2)),
        Err(PlaceError::Full),
        "3 would be as many"
    );
    places.issue(20, address(3)).unwrap();
    assert_eq!(places.counts(), (5, 5, 0));
    // Tokens that lost their place still open a session while there is room, and displace none of their own address.
    assert_eq!(places.connect(0, address(1)), Err(PlaceError::Full));
    places.connect(10, address(2)).unwrap();
    places.hello(10);
    places.connect(0, address(1)).unwrap();
    assert_eq!(places.counts(), (6, 5, 1));
}

#[test]
fn many_addresses_with_one_unused_token_each_displace_the_oldest() {
    let places = places(1, |limits| limits.places_max = 100);
    let of = |n: u32| {
        AddressGroup::of(std::net::Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n) << 64).into())
    };
    for n in 0..10_000 {
        places.issue(n.into(), of(n)).unwrap();
    }
    assert_eq!(places.counts(), (50, 50, 0));
    // A client that uses its token within the next 49 joins has its place.
    places.issue(50_000, address(1)).unwrap();
    for n in 20_000..20_049 {
        places.issue(n.into(), of(n)).unwrap();
    }
    assert_eq!(places.counts(), (50, 50, 0));
    places.connect(50_000, address(1)).unwrap();
    assert_eq!(places.counts(), (50, 50, 1));
}

#[test]
fn places_of_one_address_are_bounded_whatever_they_consist_of() {
    let places = places(2, |_| {});
    let home = AddressGroup::of("2001:db8::1".parse().unwrap());
    let neighbour = AddressGroup::of("2001:db8::2".parse().unwrap());
    for id in 0..40 {
        places.issue(id, home).unwrap();
        places.connect(id, home).unwrap();
        places.hello(id);
    }
    for id in 100..124 {
        places.issue(id, neighbour).unwrap();
    }
    assert_eq!(places.issue(200, home), Err(PlaceError::AddressFull));
    assert_eq!(places.connect(200, home), Err(PlaceError::AddressFull));
    // A client that has a place there may come back, as often as it likes.
    for _ in 0..10 {
        assert!(places.issue(5, home).is_ok() && places.issue(100, home).is_ok());
    }
    assert!(places.issue(200, address(1)).is_ok());
    places.release(0, key(0, 0));
    assert!(
        places.issue(200, home).is_ok(),
        "a client may move to another address"
    );
    assert_eq!(places.issue(201, home), Err(PlaceError::AddressFull));
    assert_eq!(
        places.reserve(201, home, EXPIRY, LATER),
        Ok(1),
        "tokens have expired"
    );
}

#[test]
fn clients_of_this_machine_are_exempt_where_they_are_trusted() {
    let loopback = AddressGroup::of([127, 0, 0, 1].into());
    let trusting = places(1, |limits| limits.trusts_loopback = true);
    for id in 0..1_000 {
        trusting.issue(id, loopback).unwrap();
        assert!(trusting.counts().1 <= 500);
    }
    for id in 0..1_000 {
        trusting.connect(id, loopback).unwrap();
    }
    assert_eq!(trusting.counts(), (1_000, 0, 0));
    assert_eq!(trusting.issue(1_000, loopback), Err(PlaceError::Full));

    let issued = |places: &Places| {
        (0..1_000)
            .filter(|&id| places.issue(id, loopback).is_ok())
            .count()
    };
    assert_eq!(
        issued(&places(1, |_| {})),
        64,
        "behind a proxy it is an address as any other"
    );
}

#[test]
fn the_last_place_belongs_to_the_first_client_that_connects() {
    let places = places(1, |limits| limits.places_max = 2);
    for id in 0..1 {
        places.issue(id, address(1)).unwrap();
        places.connect(id, address(1)).unwrap();
        places.hello(id);
    }
    places.issue(10, address(2)).unwrap();
    places.issue(11, address(3)).unwrap();
    places.connect(10, address(2)).unwrap();
    assert_eq!(places.connect(11, address(3)), Err(PlaceError::Full));
    assert_eq!(
        places.issue(12, address(4)),
        Err(PlaceError::Full),
        "a session is not displaced"
    );
    places.release(10, key(0, 10));
    places.connect(11, address(3)).unwrap();
    assert_eq!(places.counts(), (2, 1, 1));
}

#[test]
fn hellos_are_due_earlier_while_a_quarter_of_the_places_is_silent() {
    let places = places(1, |limits| limits.places_max = 40);
    let timeout = Some(Duration::from_secs(5));
    for id in 0..9 {
        places.issue(id, address(1)).unwrap();
        places.connect(id, address(1)).unwrap();
    }
    assert_eq!(places.hello_timeout(), timeout);
    places.connect(9, address(1)).unwrap();
    assert_eq!(places.hello_timeout(), Some(HELLO_TIMEOUT_CROWDED));
    places.hello(9);
    assert_eq!(places.hello_timeout(), timeout);
    assert_eq!(Places::unlimited(1).hello_timeout(), None);
}

#[test]
fn expired_tokens_release_their_places() {
    let places = places(2, |limits| limits.places_max = 6);
    for id in 0..3 {
        places.issue(id, address(1)).unwrap();
    }
    assert_eq!(places.issue(3, address(1)), Err(PlaceError::Full));
    assert!(places.reserve(3, address(1), EXPIRY, LATER).is_ok());
    assert_eq!(places.counts(), (1, 1, 0));
    // Of a client with a session only the reservation expires.
    places.connect(3, address(1)).unwrap();
    places.reserve(3, address(1), EXPIRY, LATER).unwrap();
    places.reserve(4, address(1), LATER, LATER + NOW).unwrap();
    assert_eq!(places.counts(), (2, 2, 1));
    places.release(3, key(0, 3));
    assert_eq!(places.counts(), (1, 1, 0));
}

#[test]
fn a_session_that_ends_leaves_the_place_of_its_clients_next_token() {
    let places = places(2, |limits| limits.places_max = 4);
    for id in 0..4 {
        places.issue(id, address(1)).unwrap();
        places.connect(id, address(1)).unwrap();
        places.hello(id);
    }
    for id in 0..4 {
        places.issue(id, address(1)).unwrap();
        places.release(id, key(0, id as u32));
    }
    assert_eq!(places.counts(), (2, 2, 0), "never more than half are unproven");
}

#[test]
fn tokens_of_one_client_take_one_place_and_little_memory() {
    let places = places(1, |_| {});
    for n in 0..100_000 {
        places.issue(7, address(n as u8)).unwrap();
    }
    assert_eq!(places.counts(), (1, 1, 0));
    let expiries = places.change(|table| table.expire(EXPIRY, usize::MAX));
    assert!(expiries <= 2_000, "{expiries}");
    assert_eq!(places.counts(), (0, 0, 0));
}

#[test]
fn tokens_not_yet_used_count_as_load() {
    let places = places(4, |_| {});
    let mut issued = [0; 4];
    for id in 0..400 {
        issued[usize::from(places.issue(id, address(id as u8)).unwrap())] += 1;
    }
    assert_eq!(issued, [100; 4]);
}

#[test]
fn concurrent_joins_never_exceed_the_limits() {
    let places = places(3, |limits| limits.places_max = 300);
    let granted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (places, granted) = (&places, &granted);
            scope.spawn(move || {
                for n in 0..200 {
                    let (id, address) = (thread * 1_000 + n, address(n as u8));
                    if places.issue(id, address).is_ok() && places.connect(id, address).is_ok() {
                        granted.fetch_add(1, Relaxed);
                        places.hello(id);
                    }
                    let (all, unproven, _) = places.counts();
                    assert!(all <= 300 && unproven <= 150);
                }
            });
        }
    });
    assert_eq!(granted.load(Relaxed), 300);
}

#[test]
fn a_newer_session_ends_the_older_one_on_its_worker_once() {
    let places = Places::unlimited(2);
    let claim = |number, key| places.claim(7, number, AddressGroup::UNKNOWN, key, NOW);
    claim(1, key(0, 4)).unwrap();
    claim(2, key(1, 9)).unwrap();
    assert_eq!(places.take_evicted(0), [key(0, 4).session]);
    assert!(places.take_evicted(0).is_empty() && places.take_evicted(1).is_empty());
}

#[test]
fn the_same_or_an_older_token_does_not_take_over() {
    let places = Places::unlimited(2);
    let claim = |number, key| places.claim(7, number, AddressGroup::UNKNOWN, key, NOW);
    claim(5, key(0, 4)).unwrap();
    assert_eq!(claim(5, key(1, 1)), Err(PlaceError::Outdated));
    assert_eq!(claim(4, key(1, 1)), Err(PlaceError::Outdated));
    assert!(places.take_evicted(0).is_empty());
}

#[test]
fn only_the_current_session_releases_its_client() {
    let places = Places::unlimited(2);
    let claim = |number, key| places.claim(7, number, AddressGroup::UNKNOWN, key, NOW);
    claim(1, key(0, 4)).unwrap();
    claim(2, key(1, 9)).unwrap();
    places.release(7, key(0, 4));
    assert_eq!(claim(2, key(0, 5)), Err(PlaceError::Outdated));
    places.release(7, key(1, 9));
    claim(1, key(0, 5)).unwrap();
}

#[test]
fn a_takeover_on_the_same_worker_is_left_to_netcode() {
    let places = Places::unlimited(1);
    let claim = |number, key| places.claim(7, number, AddressGroup::UNKNOWN, key, NOW);
    claim(1, key(0, 4)).unwrap();
    claim(2, key(0, 5)).unwrap();
    assert!(places.take_evicted(0).is_empty());
}

#[test]
fn a_full_server_lets_a_client_back_in() {
    let places = places(2, |limits| {
        limits.places_max = 2;
        limits.worker_max = 1;
    });
    for (id, worker) in [(0, 0), (1, 1)] {
        places.issue(id, address(1)).unwrap();
        places
            .claim(id, 1, address(1), key(worker, id as u32), NOW)
            .unwrap();
        places.prove(id, key(worker, id as u32));
    }
    assert_eq!(places.issue(2, address(2)), Err(PlaceError::Full));
    assert_eq!(
        places.issue(1, address(9)),
        Ok(1),
        "the only worker with room is its own"
    );
    places.claim(1, 2, address(9), key(1, 9), NOW).unwrap();
    assert_eq!(places.counts(), (2, 0, 0), "it keeps its proven place");
}
