//! Interoperation with stock `renetcode`, in both directions and in memory.

use renetcode::{
    ClientAuthentication, ConnectToken as StockToken, NetcodeClient, NetcodeServer, ServerAuthentication,
    ServerConfig, ServerResult,
};

use super::*;

fn stock_token(host: &Host, client_id: u64, user_data: &[u8; USER_DATA_BYTES]) -> StockToken {
    let servers = vec![SERVER.parse().unwrap()];
    let unix = Duration::from_secs(host.unix_s());
    StockToken::generate(
        unix,
        PROTOCOL_ID,
        60,
        client_id,
        20,
        servers,
        Some(user_data),
        &KEY,
    )
    .unwrap()
}

fn stock_client(host: &Host, token: StockToken) -> NetcodeClient {
    let authentication = ClientAuthentication::Secure { connect_token: token };
    NetcodeClient::new(Duration::from_secs(host.unix_s()), authentication).unwrap()
}

fn stock_server() -> NetcodeServer {
    NetcodeServer::new(ServerConfig {
        current_time: Duration::from_secs(EPOCH_UNIX_S + 100),
        max_clients: 16,
        protocol_id: PROTOCOL_ID,
        public_addresses: vec![SERVER.parse().unwrap()],
        authentication: ServerAuthentication::Secure { private_key: KEY },
    })
}

/// Advances by 50 ms: the stock client sends what is due and receives what our server sends. Returns
/// what our server received.
fn stock_step(host: &mut Host, client: &mut NetcodeClient, from: SocketAddr) -> Vec<Seen> {
    let (sent, _) = host.pass(Duration::from_millis(50));
    for (_, mut datagram) in sent {
        client.process_packet(&mut datagram);
    }
    let datagram = client
        .update(Duration::from_millis(50))
        .map(|(datagram, _)| datagram.to_vec());
    let mut seen = Vec::new();
    if let Some(datagram) = datagram {
        let (what, mut reply) = host.give(from, &datagram);
        seen.push(what);
        if !reply.is_empty() {
            client.process_packet(&mut reply);
        }
    }
    seen
}

fn connect_stock(host: &mut Host, client: &mut NetcodeClient, from: SocketAddr) -> SessionId {
    for _ in 0..10 {
        for seen in stock_step(host, client, from) {
            if let Seen::Connected { session, .. } = seen {
                assert!(client.is_connected());
                return session;
            }
        }
    }
    panic!(
        "the stock client did not connect: {:?}",
        client.disconnect_reason()
    );
}

#[test]
fn a_stock_client_with_a_stock_token_plays_on_our_server() {
    let mut host = Host::new();
    let token = stock_token(&host, 7, &[3; USER_DATA_BYTES]);
    let mut client = stock_client(&host, token);
    let session = connect_stock(&mut host, &mut client, address(1));
    for n in 0..600u32 {
        let (_, up) = client.generate_payload_packet(&n.to_le_bytes()).unwrap();
        let up = up.to_vec();
        assert!(
            matches!(host.give(address(1), &up).0, Seen::Payload(id, _, payload)
            if id == session && payload == n.to_le_bytes())
        );
        let mut down = host.seal(session, &n.to_be_bytes()).unwrap();
        assert_eq!(client.process_packet(&mut down), Some(&n.to_be_bytes()[..]));
        assert_eq!(client.process_packet(&mut down), None, "a copy");
    }
    let (_, goodbye) = client.disconnect().unwrap();
    let goodbye = goodbye.to_vec();
    assert_eq!(host.give(address(1), &goodbye).0, Seen::Disconnected(session));
}

#[test]
fn an_idle_stock_client_stays_connected_by_its_own_keep_alives_and_ours() {
    let mut host = Host::new();
    let token = stock_token(&host, 7, &[0; USER_DATA_BYTES]);
    let mut client = stock_client(&host, token);
    connect_stock(&mut host, &mut client, address(1));
    let mut keep_alives = 0;
    for _ in 0..1_200 {
        let seen = stock_step(&mut host, &mut client, address(1));
        keep_alives += seen.iter().filter(|what| **what == Seen::KeepAlive).count();
        assert!(client.is_connected() && host.server.connected() == 1);
    }
    assert_eq!(keep_alives, 240, "4 Hz over a minute");
    assert!(host.server.counters().keep_alives <= 13);
}

#[test]
fn a_stock_client_reads_our_disconnect_packet() {
    let mut host = Host::new();
    let token = stock_token(&host, 7, &[0; USER_DATA_BYTES]);
    let mut client = stock_client(&host, token);
    let session = connect_stock(&mut host, &mut client, address(1));
    let mut sent = Vec::new();
    host.server
        .disconnect(session, &mut |_, datagram| sent.push(datagram.to_vec()));
    client.process_packet(&mut sent[3]);
    assert_eq!(
        client.disconnect_reason(),
        Some(renetcode::DisconnectReason::DisconnectedByServer)
    );
}

#[test]
fn a_stock_client_reads_our_denial() {
    let mut host = Host::with(|config| config.sessions_max = 0);
    let token = stock_token(&host, 7, &[0; USER_DATA_BYTES]);
    let mut client = stock_client(&host, token);
    assert_eq!(
        stock_step(&mut host, &mut client, address(1)),
        [Seen::Dropped(DropReason::ServerFull)]
    );
    assert_eq!(
        client.disconnect_reason(),
        Some(renetcode::DisconnectReason::ConnectionDenied)
    );
}

#[test]
fn a_second_stock_client_of_one_id_is_refused() {
    let mut host = Host::new();
    let token = stock_token(&host, 7, &[0; USER_DATA_BYTES]);
    let mut first = stock_client(&host, token);
    let session = connect_stock(&mut host, &mut first, address(1));
    let token = stock_token(&host, 7, &[0; USER_DATA_BYTES]);
    let mut second = stock_client(&host, token);
    let seen = stock_step(&mut host, &mut second, address(2));
    assert_eq!(seen, [Seen::Dropped(DropReason::ClientConnected)]);
    assert_eq!(host.server.sessions().collect::<Vec<_>>(), [session]);
}

#[test]
fn a_stock_client_reads_our_token() {
    let mut host = Host::new();
    let ours = host.token(7, 1);
    let token = StockToken::read(&mut &ours.to_bytes()[..]).unwrap();
    assert_eq!(
        (token.client_id, token.expire_timestamp),
        (7, ours.expire_unix_s())
    );
    let mut client = stock_client(&host, token);
    connect_stock(&mut host, &mut client, address(1));
}

/// Lets our client send what is due and the stock server reply. Returns the payloads that were received.
fn our_step(server: &mut NetcodeServer, client: &mut ClientNetcode, now: Duration) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    for mut datagram in due(client, now) {
        match server.process_packet(address(1), &mut datagram) {
            ServerResult::PacketToSend { payload, .. } | ServerResult::ClientConnected { payload, .. } => {
                client.receive(now, payload);
            }
            ServerResult::Payload { payload, .. } => received.push(payload.to_vec()),
            ServerResult::None | ServerResult::ClientDisconnected { .. } => {}
        }
    }
    for id in server.clients_id() {
        if let ServerResult::PacketToSend { payload, .. } = server.update_client(id) {
            client.receive(now, payload);
        }
    }
    received
}

#[test]
fn our_client_plays_on_a_stock_server() {
    let mut host = Host::new();
    let token = ConnectToken::from_bytes(&host.token(7, 1).to_bytes()[..]).unwrap();
    let (mut server, mut now) = (stock_server(), host.now);
    let mut client = ClientNetcode::new(now, &token);
    our_step(&mut server, &mut client, now);
    our_step(&mut server, &mut client, now);
    assert!(client.is_connected() && server.is_client_connected(7));
    for n in 0..600u32 {
        let mut up = seal(&mut client, now, &n.to_le_bytes());
        match server.process_packet(address(1), &mut up) {
            ServerResult::Payload {
                client_id: 7,
                payload,
            } => assert_eq!(payload, n.to_le_bytes()),
            other => panic!("{other:?}"),
        }
        let (to, down) = server.generate_payload_packet(7, &n.to_be_bytes()).unwrap();
        assert_eq!(to, address(1));
        let received = client.receive(now, down);
        assert!(matches!(received, ClientReceived::Payload { payload, .. } if payload == n.to_be_bytes()));
    }
    for _ in 0..600 {
        now += Duration::from_millis(100);
        server.update(Duration::from_millis(100));
        our_step(&mut server, &mut client, now);
    }
    assert!(
        client.is_connected() && server.is_client_connected(7),
        "both idle for a minute"
    );
    let mut sent = Vec::new();
    client.disconnect(&mut |_, datagram| sent.push(datagram.to_vec()));
    let result = server.process_packet(address(1), &mut sent[0]);
    assert!(matches!(
        result,
        ServerResult::ClientDisconnected { client_id: 7, .. }
    ));
}

#[test]
fn our_client_reads_a_stock_token_and_a_stock_disconnect_packet() {
    let host = Host::new();
    let mut bytes = Vec::new();
    stock_token(&host, 7, &[1; USER_DATA_BYTES])
        .write(&mut bytes)
        .unwrap();
    let token = ConnectToken::from_bytes(&bytes).unwrap();
    assert_eq!(token.client_id(), 7);
    assert_eq!(token.addresses(), [SERVER.parse().unwrap()]);
    let (mut server, now) = (stock_server(), host.now);
    let mut client = ClientNetcode::new(now, &token);
    our_step(&mut server, &mut client, now);
    our_step(&mut server, &mut client, now);
    assert!(client.is_connected());
    match server.disconnect(7) {
        ServerResult::ClientDisconnected {
            payload: Some(datagram),
            ..
        } => {
            let received = client.receive(now, datagram);
            assert_eq!(received, ClientReceived::Disconnected(DisconnectReason::ByServer));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn our_client_reads_a_stock_denial() {
    let host = Host::new();
    let mut server = stock_server();
    server.set_max_clients(0);
    let mut bytes = Vec::new();
    stock_token(&host, 7, &[1; USER_DATA_BYTES])
        .write(&mut bytes)
        .unwrap();
    let mut client = ClientNetcode::new(host.now, &ConnectToken::from_bytes(&bytes).unwrap());
    our_step(&mut server, &mut client, host.now);
    // The stock denial has its number 0 in no bytes, so it is 17 bytes long.
    assert_eq!(
        client.state(),
        ClientState::Disconnected(DisconnectReason::Denied)
    );
}
