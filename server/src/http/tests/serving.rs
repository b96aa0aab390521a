//! Statistics, health, audits, TLS, limits, start and end of the HTTP server.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use throng_shared::protocol::guest::{ErrorBody, GuestResponse};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::*;

#[test]
fn unknown_paths_and_methods_return_json_errors() {
    let server = Running::new(|_| {});
    for (path, status, code) in [
        ("/", 404, "not_found"),
        ("/v1/guests", 404, "not_found"),
        ("/v1/guest", 405, "method_not_allowed"),
    ] {
        let (got, body) = server.get(path);
        let error = serde_json::from_slice::<ErrorBody>(&body).unwrap().error;
        assert_eq!((got, error.code.as_str()), (status, code), "{path}");
    }
    assert_eq!(server.figures()["not_found"], 2);
    assert_eq!(server.figures()["method_not_allowed"], 1);
}

#[test]
fn stats_endpoint_returns_the_servers_statistics() {
    let server = Running::new(|_| {});
    server.stats.tick_ended(7, Duration::from_millis(3));
    let (status, body) = server.get("/v1/stats");
    assert_eq!(status, 200);
    let report: StatsReport = serde_json::from_slice(&body).unwrap();
    assert_eq!((report.tick, report.tick_rate, report.ticks), (7, 20, 1));
    assert_eq!(report.tick_time.max(), Duration::from_millis(3));
}

#[test]
fn health_endpoint_reports_ticks_and_status() {
    let server = Running::new(|_| {});
    server.stats.tick_ended(7, Duration::from_millis(3));
    let (status, body) = server.get("/v1/health");
    assert_eq!(
        (status, String::from_utf8(body).unwrap().as_str()),
        (200, r#"{"status":"running","alive":true,"tick":7}"#)
    );
    advance_status(&server.status, ServerStatus::Stopping);
    let (status, body) = server.get("/v1/health");
    assert_eq!(
        (status, String::from_utf8(body).unwrap().as_str()),
        (503, r#"{"status":"stopping","alive":false,"tick":7}"#)
    );
}

#[test]
fn audit_of_an_unknown_tick_returns_the_range_of_kept_ticks() {
    let mut server = Running::new(|_| {});
    let message = |(status, body): (u16, Vec<u8>)| {
        (
            status,
            serde_json::from_slice::<ErrorBody>(&body).unwrap().error.message,
        )
    };
    assert_eq!(
        message(server.get("/v1/audit?tick=7")),
        (404, "tick 7 is not kept: no ticks are kept yet".to_owned())
    );
    for bad in [
        "/v1/audit",
        "/v1/audit?tick=",
        "/v1/audit?tick=-1",
        "/v1/audit?tock=7",
    ] {
        assert_eq!(message(server.get(bad)).0, 400, "{bad}");
    }
    let frame = audit::tests::frame_of(100);
    server.sink.offer(&frame);
    let (status, body) = server.get("/v1/audit?tick=100");
    assert_eq!((status, &body[..4]), (200, &audit::AUDIT_MAGIC[..]));
    assert_eq!(
        message(server.get("/v1/audit?tick=99")).1,
        "tick 99 is not kept: 100 to 100 are"
    );
}

#[test]
fn http_port_in_use_is_reported() {
    let server = Running::new(|_| {});
    let error = serve::listen(server.address()).unwrap_err();
    assert!(matches!(error, HttpError::PortInUse { .. }));
    let expected = format!(
        "HTTP port {} at 127.0.0.1 is in use: stop the other program or choose another --http",
        server.address().port()
    );
    assert_eq!(error.to_string(), expected);
    let error = serve::listen("203.0.113.7:8080".parse().unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot listen for HTTP on 203.0.113.7:8080: "),
        "{error}"
    );
}

#[test]
fn http_works_over_ipv6() {
    // The test needs a machine with IPv6.
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server = Running::new(|config| config.http = "[::1]:0".parse().unwrap());
    assert_eq!(server.post(&guest("Ada")).0, 200);
}

pub(super) fn identity(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/http/test_identity")
        .join(file)
}

#[test]
fn guests_join_over_tls() {
    let tls = Some((identity("cert.pem"), identity("key.pem")));
    let server = Running::new(|config| config.tls = tls);
    let certificate = Certificate::from_pem(&std::fs::read(identity("cert.pem")).unwrap()).unwrap();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate]))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let mut response = agent
        .post(format!("https://{}/v1/guest", server.address()))
        .header("Content-Type", "application/json")
        .send(guest("Ada"))
        .unwrap();
    let guest: GuestResponse = response.body_mut().read_json().unwrap();
    assert_eq!(parsed_token(&guest).addresses().len(), 1);

    // Plain HTTP on a TLS port, and a client that does not trust the certificate, fail.
    assert!(ureq::get(server.url("/v1/health")).call().is_err());
    assert!(
        ureq::get(format!("https://{}/v1/health", server.address()))
            .call()
            .is_err()
    );
}

#[test]
fn unusable_tls_identity_is_reported_with_the_file() {
    let missing = PathBuf::from("/nowhere/cert.pem");
    let error = tls::load(&missing, &identity("key.pem")).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot use /nowhere/cert.pem for TLS: "),
        "{error}"
    );
    let error = tls::load(&identity("key.pem"), &identity("key.pem"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("the file contains no certificate"), "{error}");
    let error = tls::load(&identity("cert.pem"), &identity("cert.pem"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("cert.pem for TLS: "), "{error}");
}

#[test]
fn http_api_ends_when_the_server_has_stopped() {
    let mut server = Running::new(|_| {});
    let _idle = TcpStream::connect(server.address()).unwrap();
    let address = server.address();
    advance_status(&server.status, ServerStatus::Stopped);
    let http_server = server.http_server.take().unwrap();
    http_server.join();
    assert!(TcpStream::connect(address).is_err());
    server.http_server = Some(HttpServer {
        address,
        thread: std::thread::spawn(|| {}),
    });
}
