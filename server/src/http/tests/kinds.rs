//! Requests of every kind: versions of HTTP, ambiguous lengths, long heads, pipelines.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::raw::{HEALTH, RawConnection, exchange};
use super::serving::identity;
use super::*;

/// Returns the status of the first response in `received`.
fn status(received: &str) -> &str {
    received.split(' ').nth(1).unwrap_or_default()
}

/// Returns a TLS client that trusts the server of the tests and offers these protocols.
pub(super) fn tls_client(protocols: &[&[u8]]) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(identity("cert.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    ClientConnection::new(Arc::new(config), name).unwrap()
}

pub(super) fn tls_stream(
    server: &Running,
    client: ClientConnection,
) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(client, stream)
}

#[test]
fn http_2_is_refused_in_words() {
    let server = Running::new(|_| {});
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = "\0\0\0\u{4}\0\0\0\0\0";
    let received = exchange(&server, &format!("{preface}{settings}"));
    assert!(received.starts_with("HTTP/1.1 505 "), "{received}");
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    let error = serde_json::from_str::<ErrorBody>(body).unwrap().error;
    assert_eq!(error.code, "http_version");
    server.wait_for("http_version", 1);

    let upgrade = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let mut connection = RawConnection::open(&server);
    connection.send(upgrade);
    assert!(
        connection.response().0.starts_with("HTTP/1.1 200"),
        "the upgrade is ignored"
    );
}

#[test]
fn tls_offers_http_1_1_only() {
    let tls = Some((identity("cert.pem"), identity("key.pem")));
    let server = Running::new(|config| config.tls = tls);
    let mut stream = tls_stream(&server, tls_client(&[b"h2", b"http/1.1"]));
    stream.write_all(HEALTH.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut stream = tls_stream(&server, tls_client(&[b"h2"]));
    let refused = stream
        .write_all(HEALTH.as_bytes())
        .and_then(|()| stream.read_exact(&mut [0; 1]));
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn other_versions_of_http_are_handled_or_refused() {
    let server = Running::new(|_| {});
    let old = exchange(&server, "GET /v1/health HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200"), "{old}");
    assert_eq!(
        status(&exchange(
            &server,
            "GET /v1/health HTTP/1.0\r\nHost: evil.example\r\n\r\n"
        )),
        "200"
    );
    assert_eq!(
        status(&exchange(
            &server,
            "GET /v1/stats HTTP/1.0\r\nHost: evil.example\r\n\r\n"
        )),
        "421"
    );
    for line in [
        "GET /v1/health HTTP/1.2",
        "GET /v1/health HTTP/2.0",
        "GET /v1/health HTTP/3",
        "GET /v1/health",
        "nonsense",
    ] {
        let refused = exchange(&server, &format!("{line}\r\nHost: localhost\r\n\r\n"));
        assert_eq!(status(&refused), "400", "{line}: {refused}");
    }
}

#[test]
fn ambiguous_length_is_refused_or_ends_the_connection() {
    let server = Running::new(|_| {});
    let head = "POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let hidden = "GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for lengths in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 5\r\n",
        " Content-Length: 5\r\n",
    ] {
        let received = exchange(&server, &format!("{head}{lengths}\r\n0\r\n\r\n{hidden}"));
        assert_eq!(status(&received), "400", "{lengths}: {received}");
        assert_eq!(received.matches("HTTP/1.1 ").count(), 1, "{lengths}: {received}");
    }
    for lengths in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        let received = exchange(&server, &format!("{head}{lengths}\r\n0\r\n\r\n{hidden}"));
        assert_eq!(
            received.matches("HTTP/1.1 ").count(),
            1,
            "nothing is read behind it: {received}"
        );
    }
    let old = "POST /v1/guest HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(status(&exchange(&server, old)), "400");
}

#[test]
fn long_heads_are_refused() {
    let server = Running::new(|_| {});
    let head = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n";
    let many = "X: 1\r\n".repeat(101);
    assert_eq!(status(&exchange(&server, &format!("{head}{many}\r\n"))), "431");
    let long = "x".repeat(17_000);
    assert_eq!(
        status(&exchange(&server, &format!("{head}X: {long}\r\n\r\n"))),
        "431"
    );
    assert_eq!(
        status(&exchange(&server, &format!("{head}X: {long}"))),
        "431",
        "without an end"
    );
    assert_eq!(
        status(&exchange(&server, &format!("GET /{long} HTTP/1.1\r\n"))),
        "431"
    );
    let fits = "x".repeat(15_000);
    let mut connection = RawConnection::open(&server);
    connection.send(&format!("{head}X: {fits}\r\n\r\n"));
    assert!(connection.response().0.starts_with("HTTP/1.1 200"));
}

#[test]
fn pipelined_requests_are_handled_in_order() {
    let server = Running::new(|_| {});
    let mut connection = RawConnection::open(&server);
    let unknown = "GET /v1/none HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.send(&[HEALTH, unknown].concat().repeat(50));
    for _ in 0..50 {
        assert!(connection.response().0.starts_with("HTTP/1.1 200"));
        assert!(connection.response().0.starts_with("HTTP/1.1 404"));
    }
}

#[test]
fn client_that_expects_100_is_told_to_go_on_unless_it_is_refused() {
    let server = Running::new(|_| {});
    let body = guest("Ada");
    let head = |kind: &str| {
        let length = body.len();
        format!(
            "POST /v1/guest HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let mut connection = RawConnection::open(&server);
    connection.send(&head("application/json"));
    assert!(connection.response().0.starts_with("HTTP/1.1 100"));
    connection.send(&body);
    assert!(connection.response().0.starts_with("HTTP/1.1 200"));
    assert_eq!(status(&exchange(&server, &head("text/plain"))), "415");
}

#[test]
fn request_line_may_hold_a_whole_uri_of_this_server() {
    let server = Running::new(|_| {});
    let request = |uri: &str| {
        exchange(
            &server,
            &format!("GET {uri} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
    };
    let port = server.address().port();
    assert_eq!(
        status(&request(&format!("http://localhost:{port}/v1/stats"))),
        "200"
    );
    assert_eq!(status(&request("http://evil.example/v1/stats")), "421");
    let tunnel = exchange(
        &server,
        "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\nConnection: close\r\n\r\n",
    );
    assert!(tunnel.starts_with("HTTP/1.1 4"), "{tunnel}");
}
