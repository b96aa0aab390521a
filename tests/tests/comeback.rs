//! Players on real sockets come back: from a server that was killed, that stood still, and from another address.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bevy_app::App;
use throng_client::{
    connection::{ClientCore, ClientEvent},
    player::{Client, ClientSettings, ConnectionStatus, PlayerEvent},
};
use throng_scenes::protocol::{BenchProtocol, SteerInput};
use throng_shared::protocol::registry::Protocol;
use throng_tests::process::{ServerProcess, free_ports};

/// The most time that each wait may take.
const PATIENCE: Duration = Duration::from_secs(30);
const FLAGS: [&str; 6] = ["--scene", "crowd", "--entities", "50", "--workers", "1"];

/// Players that a test runs, and the names of their events.
struct Party {
    clients: Vec<Client>,
    events: Vec<Vec<&'static str>>,
    protocol: Protocol,
}

impl Party {
    fn new(http: SocketAddr, players: usize) -> Self {
        let mut app = App::empty();
        app.add_plugins(BenchProtocol);
        let protocol = app.world().resource::<Protocol>().clone();
        let client = |number| {
            let settings = ClientSettings::new(&http.to_string(), &format!("player {number}"));
            Client::new(settings, &protocol)
        };
        Self {
            clients: (0..players).map(client).collect(),
            events: vec![Vec::new(); players],
            protocol,
        }
    }

    fn poll(&mut self) {
        let steer = SteerInput {
            turn: 0.5,
            thrust: 1.0,
        };
        let input = self.protocol.encode_input(&steer).unwrap();
        for (client, names) in self.clients.iter_mut().zip(&mut self.events) {
            let mut events = Vec::new();
            client.poll(|_| input, &mut (), &mut events);
            names.extend(events.iter().filter_map(name));
        }
    }

    /// Polls all players until `done` is true of every one of them.
    #[expect(clippy::disallowed_methods, reason = "real processes need real time")]
    fn poll_until(&mut self, what: &str, done: impl Fn(&Client, &[&str]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self
            .clients
            .iter()
            .zip(&self.events)
            .all(|(client, names)| done(client, names))
        {
            let states: Vec<_> = self.clients.iter().map(Client::status).collect();
            assert!(
                Instant::now() < deadline,
                "not {what}: {states:?}, {:?}",
                self.events
            );
            self.poll();
            thread::sleep(Duration::from_millis(4));
        }
    }
}

/// Returns the name of an event that the tests look at.
fn name(event: &PlayerEvent) -> Option<&'static str> {
    match event {
        PlayerEvent::Session(ClientEvent::Silent) => Some("silent"),
        PlayerEvent::Session(ClientEvent::Recovered) => Some("recovered"),
        PlayerEvent::Session(ClientEvent::Welcomed(_)) => Some("welcomed"),
        PlayerEvent::Session(ClientEvent::Ended(_)) => Some("ended"),
        PlayerEvent::GivenUp => Some("given up"),
        _ => None,
    }
}

/// Returns whether the server applies the player's inputs.
fn acts(client: &Client, _: &[&str]) -> bool {
    let applied = client.core().and_then(ClientCore::owner);
    matches!(client.status(), ConnectionStatus::Playing { .. })
        && applied.is_some_and(|owner| owner.last_input.is_some())
}

fn is_silent(client: &Client, _: &[&str]) -> bool {
    matches!(client.status(), ConnectionStatus::Silent { .. })
}

#[test]
fn players_of_a_killed_server_play_on_the_next_one_without_waiting_for_the_old_session_to_time_out() {
    let (http, udp) = free_ports().unwrap();
    let mut server = ServerProcess::spawn(http, udp, &FLAGS).unwrap();
    let mut party = Party::new(http, 5);
    party.poll_until("playing", acts);
    server.signal("KILL").unwrap();
    server.wait().unwrap();
    party.poll_until("silent", is_silent);
    for client in &party.clients {
        let status = client.status().to_string();
        assert!(status.contains("no reply from the server for"), "{status}");
        assert!(status.contains("reconnecting"), "{status}");
    }
    let _server = ServerProcess::spawn(http, udp, &FLAGS).unwrap();
    party.poll_until("playing again", |client, names| {
        client.sessions() == 2 && acts(client, names)
    });
    for names in &party.events {
        assert_eq!(names[..], ["welcomed", "silent", "welcomed"]);
    }
}

#[test]
fn players_of_a_server_that_stood_still_play_on() {
    let server = ServerProcess::start(&FLAGS).unwrap();
    let mut party = Party::new(server.http(), 5);
    party.poll_until("playing", acts);
    server.signal("STOP").unwrap();
    party.poll_until("silent", is_silent);
    server.signal("CONT").unwrap();
    party.poll_until("playing again", acts);
    for names in &party.events {
        assert!(
            !names.contains(&"ended") && !names.contains(&"given up"),
            "{names:?}"
        );
    }
}

#[test]
fn players_whose_address_changes_play_on_from_the_new_one() {
    // Some routers deliver to the old port for a while: the players then receive snapshots, and none of their inputs
    // arrives.
    for still_delivers in [false, true] {
        let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (http, udp) = free_ports().unwrap();
        let advertised = relay.local_addr().unwrap().to_string();
        let flags = [&FLAGS[..], &["--advertise", &advertised]].concat();
        let server = ServerProcess::spawn(http, udp, &flags).unwrap();
        let router = Router::start(relay, udp, still_delivers);
        let mut party = Party::new(http, 3);
        party.poll_until("playing", acts);
        router.change_addresses();
        party.poll_until("silent", |_, names| names.contains(&"silent"));
        party.poll_until("playing again", |client, names| {
            client.sessions() == 2 && acts(client, names)
        });
        for names in &party.events {
            assert_eq!(
                names[..],
                ["welcomed", "silent", "welcomed"],
                "the replaced session is no end; delivers still: {still_delivers}"
            );
        }
        assert_eq!(server.stats().unwrap().clients, 3, "no session is left behind");
    }
}

/// A router that gives each client an address of its own towards the server, and can change them.
struct Router {
    epoch: Arc<AtomicU32>,
    is_done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// One client's address, and the epoch in which it got it.
struct Mapping {
    client: SocketAddr,
    towards_server: UdpSocket,
    epoch: u32,
}

impl Router {
    /// Relays datagrams between `clients` and `server` until it is dropped. With `still_delivers` the server's datagrams to
    /// an earlier address of a client reach it, too.
    fn start(clients: UdpSocket, server: SocketAddr, still_delivers: bool) -> Self {
        let (epoch, is_done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (current, stop) = (Arc::clone(&epoch), Arc::clone(&is_done));
        clients.set_nonblocking(true).unwrap();
        let thread = thread::spawn(move || {
            let mut mappings: Vec<Mapping> = Vec::new();
            let mut buffer = [0; 2_048];
            while !stop.load(Relaxed) {
                let epoch = current.load(Relaxed);
                mappings.retain(|mapping| still_delivers || mapping.epoch == epoch);
                while let Ok((length, client)) = clients.recv_from(&mut buffer) {
                    let is_current = |mapping: &&Mapping| mapping.client == client && mapping.epoch == epoch;
                    if !mappings.iter().any(|mapping| is_current(&mapping)) {
                        let towards_server = UdpSocket::bind("127.0.0.1:0").unwrap();
                        towards_server.connect(server).unwrap();
                        towards_server.set_nonblocking(true).unwrap();
                        mappings.push(Mapping {
                            client,
                            towards_server,
                            epoch,
                        });
                    }
                    let mapping = mappings.iter().find(is_current).unwrap();
                    // A datagram that is refused is lost.
                    let _ = mapping.towards_server.send(&buffer[..length]);
                }
                for mapping in &mappings {
                    while let Ok(length) = mapping.towards_server.recv(&mut buffer) {
                        let _ = clients.send_to(&buffer[..length], mapping.client);
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            epoch,
            is_done,
            thread: Some(thread),
        }
    }

    /// Gives every client another address with its next datagram.
    fn change_addresses(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.is_done.store(true, Relaxed);
        // A panic of the thread has failed the test already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
