//! Interoperation with stock renet and renetcode: as clients of our server, and as the server of our client.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use renet::{ConnectionConfig, DefaultChannel, RenetClient, RenetServer};
use renetcode::{
    ClientAuthentication, ConnectToken as StockToken, NetcodeClient, NetcodeServer, ServerAuthentication,
    ServerConfig, ServerResult,
};
use throng_client::connection::{ClientConfig, ClientCore, ClientEvent};
use throng_shared::{
    netcode::{ConnectToken, PROTOCOL_ID},
    protocol::{ids::Channel, input::InputBytes},
};
use throng_tests::simulator::{
    Simulator, SimulatorConfig,
    arena::{ArenaProtocol, LinesReceived, TextLine},
    link::LinkConditions,
    server::UNIX_S,
};

const STEP: Duration = Duration::from_millis(50);

/// A stock client on a mailbox of the simulator: renet over renetcode.
struct StockClient {
    address: SocketAddr,
    server: SocketAddr,
    netcode: NetcodeClient,
    renet: RenetClient,
    /// First bytes of all received payloads.
    kinds: Vec<u8>,
}

impl StockClient {
    fn new(simulator: &mut Simulator, client_id: u64) -> Self {
        let address = Simulator::address(50_000 + client_id as usize);
        simulator.open_mailbox(address);
        let now = simulator.now();
        let token = simulator.server().issue_token(now, client_id);
        let server = token.addresses()[0];
        let connect_token = StockToken::read(&mut &token.to_bytes()[..]).unwrap();
        let authentication = ClientAuthentication::Secure { connect_token };
        let unix = Duration::from_secs(UNIX_S) + now;
        Self {
            address,
            server,
            netcode: NetcodeClient::new(unix, authentication).unwrap(),
            renet: RenetClient::new(ConnectionConfig::default()),
            kinds: Vec::new(),
        }
    }

    fn step(&mut self, simulator: &mut Simulator) {
        while let Some(mut datagram) = simulator.take_datagram(self.address) {
            if let Some(payload) = self.netcode.process_packet(&mut datagram) {
                self.kinds.push(payload[0]);
                self.renet.process_packet(payload);
            }
        }
        if let Some((datagram, to)) = self.netcode.update(STEP) {
            simulator.send_raw(self.address, to, datagram);
        }
        if self.netcode.is_connected() {
            self.renet.set_connected();
            self.renet.update(STEP);
            for packet in self.renet.get_packets_to_send() {
                let (to, datagram) = self.netcode.generate_payload_packet(&packet).unwrap();
                simulator.send_raw(self.address, to, datagram);
            }
        }
    }
}

fn line(simulator: &Simulator, text: &str) -> Bytes {
    let mut bytes = Vec::new();
    simulator
        .protocol()
        .encode_message(&TextLine(text.to_owned()), &mut bytes)
        .unwrap();
    bytes.into()
}

#[test]
fn a_stock_client_exchanges_messages_and_receives_no_payload_of_ours() {
    for loss in [0.0, 0.2] {
        let conditions = LinkConditions {
            duplicate: 0.0,
            ..LinkConditions::lossy(loss)
        };
        let mut simulator = Simulator::new(SimulatorConfig {
            conditions,
            ..SimulatorConfig::default()
        });
        simulator.run(2);
        let ours: Vec<_> = (0..2).map(|_| simulator.connect()).collect();
        let mut stock = StockClient::new(&mut simulator, 900);
        assert_ne!(stock.server, stock.address);
        let texts: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
        let mut replies = Vec::new();
        let mut unsent = texts.iter();
        for _ in 0..400 {
            stock.step(&mut simulator);
            if stock.renet.is_connected()
                && let Some(text) = unsent.next()
            {
                let message = line(&simulator, text);
                stock.renet.send_message(DefaultChannel::ReliableOrdered, message);
            }
            while let Some(message) = stock.renet.receive_message(DefaultChannel::ReliableOrdered) {
                let (_, value) = simulator
                    .protocol()
                    .decode_message(Channel::ReliableOrdered, &message)
                    .unwrap();
                replies.push(value.downcast::<TextLine>().unwrap().0);
            }
            simulator.run(1);
        }
        assert_eq!(stock.renet.disconnect_reason(), None);
        assert_eq!(replies, texts, "in order and complete, at {loss} loss");
        assert!(stock.kinds.iter().all(|&kind| kind <= 4), "{:?}", stock.kinds);
        assert_eq!(simulator.server().world().resource::<LinesReceived>().0, 100);
        assert!(ours.iter().all(|&id| simulator.client(id).is_playing()));
        simulator.assert_sound();
    }
}

#[test]
fn our_clients_exchange_messages_with_our_server_on_bad_links() {
    for seed in 0..6 {
        let conditions = LinkConditions::lossy(0.3);
        let mut simulator = Simulator::new(SimulatorConfig {
            seed,
            conditions,
            ..SimulatorConfig::default()
        });
        simulator.run(2);
        let ids: Vec<_> = (0..3).map(|_| simulator.connect()).collect();
        assert!(simulator.run_until_playing(300));
        let texts: Vec<String> = (0..60)
            .map(|number| format!("{number}: {}", "x".repeat(number * 13)))
            .collect();
        let mut replies = vec![Vec::new(); ids.len()];
        for tick in 0..500 {
            for (replies, &id) in replies.iter_mut().zip(&ids) {
                if let Some(text) = texts.get(tick) {
                    let message = line(&simulator, text);
                    simulator
                        .client_mut(id)
                        .send_message(Channel::ReliableOrdered, message);
                }
                while let Some((channel, message)) = simulator.client_mut(id).core_mut().next_message() {
                    let (_, value) = simulator.protocol().decode_message(channel, &message).unwrap();
                    replies.push(value.downcast::<TextLine>().unwrap().0);
                }
            }
            simulator.run(1);
        }
        assert!(replies.iter().all(|replies| *replies == texts), "seed {seed}");
        simulator.assert_sound();
    }
}

/// A stock server in the memory of the test: renet over renetcode.
struct StockServer {
    netcode: NetcodeServer,
    renet: RenetServer,
    outgoing: Vec<Vec<u8>>,
    refused: usize,
}

const STOCK_KEY: [u8; 32] = [3; 32];

impl StockServer {
    fn new(address: SocketAddr) -> Self {
        let config = ServerConfig {
            current_time: Duration::from_secs(UNIX_S),
            max_clients: 8,
            protocol_id: PROTOCOL_ID,
            public_addresses: vec![address],
            authentication: ServerAuthentication::Secure {
                private_key: STOCK_KEY,
            },
        };
        let renet = RenetServer::new(ConnectionConfig::default());
        Self {
            netcode: NetcodeServer::new(config),
            renet,
            outgoing: Vec::new(),
            refused: 0,
        }
    }

    fn receive(&mut self, from: SocketAddr, mut datagram: Vec<u8>) {
        match self.netcode.process_packet(from, &mut datagram) {
            ServerResult::ClientConnected {
                client_id, payload, ..
            } => {
                self.outgoing.push(payload.to_vec());
                self.renet.add_connection(client_id);
            }
            ServerResult::PacketToSend { payload, .. } => self.outgoing.push(payload.to_vec()),
            // A stock server cannot read our hello. Its operator must filter payloads that renet does not know.
            ServerResult::Payload { client_id, payload } if payload[0] <= 4 => {
                self.renet.process_packet_from(payload, client_id).unwrap();
            }
            ServerResult::Payload { .. } => self.refused += 1,
            _ => {}
        }
    }

    fn update(&mut self) {
        self.netcode.update(STEP);
        self.renet.update(STEP);
        for client_id in self.renet.clients_id() {
            while let Some(message) = self
                .renet
                .receive_message(client_id, DefaultChannel::ReliableOrdered)
            {
                self.renet
                    .send_message(client_id, DefaultChannel::ReliableOrdered, message);
            }
            for packet in self.renet.get_packets_to_send(client_id).unwrap() {
                let (_, datagram) = self.netcode.generate_payload_packet(client_id, &packet).unwrap();
                self.outgoing.push(datagram.to_vec());
            }
        }
    }
}

#[test]
fn our_client_exchanges_messages_with_a_stock_server() {
    let server_address = SocketAddr::from(([127, 0, 0, 1], 5_000));
    let client_address = SocketAddr::from(([127, 0, 0, 1], 6_000));
    let unix = Duration::from_secs(UNIX_S);
    let token = StockToken::generate(
        unix,
        PROTOCOL_ID,
        30,
        77,
        15,
        vec![server_address],
        None,
        &STOCK_KEY,
    )
    .unwrap();
    let mut bytes = Vec::new();
    token.write(&mut bytes).unwrap();
    let token = ConnectToken::from_bytes(&bytes).unwrap();
    let config = ClientConfig::new(&ArenaProtocol::registry());
    let mut client = ClientCore::new(Duration::ZERO, &token, config);
    let mut server = StockServer::new(server_address);
    let (mut connected, mut sent, mut replies) = (false, 0_u32, Vec::new());
    for step in 0..300_u32 {
        let now = STEP * step;
        let mut up = Vec::new();
        if connected && sent < 50 {
            client
                .send_message(Channel::ReliableOrdered, Bytes::from(format!("{sent}")))
                .unwrap();
            sent += 1;
        }
        client.update(
            now,
            |_| InputBytes::default(),
            |datagram| up.push(datagram.to_vec()),
        );
        up.into_iter()
            .for_each(|datagram| server.receive(client_address, datagram));
        server.update();
        for mut datagram in std::mem::take(&mut server.outgoing) {
            connected |= client.receive_datagram(now, &mut datagram, &mut ()) == Some(ClientEvent::Connected);
        }
        while let Some((_, message)) = client.next_message() {
            replies.push(String::from_utf8(message.to_vec()).unwrap());
        }
    }
    assert_eq!(client.ended(), None);
    assert_eq!(
        replies,
        (0..50).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    assert!(
        server.refused > 0,
        "the client sends a hello, which a stock server does not know"
    );
}
