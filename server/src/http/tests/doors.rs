//! Who may do what: names, pages, proxies, the operator, rates.

use super::raw::exchange;
use super::*;

/// Sends a request with these headers beside `Host`, which is among them if it is not to be `localhost`.
fn request(server: &Running, line: &str, headers: &[&str], body: &str) -> (u16, String, String) {
    let host = headers.iter().any(|header| header.starts_with("Host:"));
    let host = if host { "" } else { "Host: localhost\r\n" };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let received = exchange(
        server,
        &format!(
            "{line} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ),
    );
    let (head, body) = received.split_once("\r\n\r\n").unwrap_or((&received, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), head.to_owned(), body.to_owned())
}

/// Returns status and code of a refused request, and checks that it was counted.
fn refused(server: &Running, line: &str, headers: &[&str], body: &str) -> (u16, String) {
    let (status, _, body) = request(server, line, headers, body);
    let error = serde_json::from_str::<ErrorBody>(&body)
        .expect("errors are JSON")
        .error;
    assert!(server.figures()[&error.code] > 0, "{} is not counted", error.code);
    (status, error.code)
}

const JSON: &str = "Content-Type: application/json";

#[test]
fn rebound_name_reaches_only_the_health() {
    let server = Running::new(|_| {});
    let port = server.address().port();
    let (evil, wrong) = (
        format!("Host: evil.example:{port}"),
        (421, "wrong_host".to_owned()),
    );
    assert_eq!(refused(&server, "GET /v1/stats", &[&evil], ""), wrong);
    assert_eq!(refused(&server, "GET /v1/audit?tick=1", &[&evil], ""), wrong);
    assert_eq!(
        refused(&server, "POST /v1/guest", &[&evil, JSON], &guest("Ada")),
        wrong
    );
    assert_eq!(
        refused(&server, "GET /v1/stats", &["Host: localhost:1"], ""),
        wrong
    );
    assert_eq!(request(&server, "GET /v1/health", &[&evil], "").0, 200);
    for own in ["localhost", "127.0.0.1", "[::1]"] {
        let own = format!("Host: {own}:{port}");
        assert_eq!(
            request(&server, "POST /v1/guest", &[&own, JSON], &guest("Ada")).0,
            200,
            "{own}"
        );
    }
    let twice = refused(
        &server,
        "GET /v1/stats",
        &["Host: localhost", "Host: localhost"],
        "",
    );
    assert_eq!(twice, (400, "bad_host".to_owned()));
    let named = Running::new(|config| config.names = vec!["play.example.org".to_owned()]);
    assert_eq!(
        request(&named, "GET /v1/stats", &["Host: Play.example.org:81"], "").0,
        200
    );
}

#[test]
fn page_of_another_origin_cannot_post() {
    let server = Running::new(|_| {});
    let (crossed, body) = ((403, "cross_origin".to_owned()), guest("Ada"));
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
    ] {
        assert_eq!(
            refused(&server, "POST /v1/guest", &[header, JSON], &body),
            crossed,
            "{header}"
        );
        assert_eq!(
            refused(&server, "GET /v1/stats", &[header], ""),
            crossed,
            "{header}"
        );
    }
    // The kinds of bodies that a page can send without asking first.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let kind = format!("Content-Type: {kind}");
        assert_eq!(
            refused(&server, "POST /v1/guest", &[&kind], &body),
            (415, "not_json".to_owned()),
            "{kind}"
        );
    }
    assert_eq!(
        refused(&server, "POST /v1/guest", &[], &body),
        (415, "not_json".to_owned())
    );
    let asks = [
        "Origin: http://evil.example",
        "Access-Control-Request-Method: POST",
    ];
    let (status, head, _) = request(&server, "OPTIONS /v1/guest", &asks, "");
    assert_eq!(status, 403);
    assert!(!head.to_lowercase().contains("access-control-allow"), "{head}");
    assert_eq!(server.figures()["tokens_issued"], 0);
}

/// Starts a server behind a proxy on this machine, with the operator's token.
fn behind_a_proxy(token: &tempfile::NamedTempFile) -> Running {
    Running::with_sessions(1_000, |config| {
        config.proxies = Some(PROXIES_DEFAULT.to_vec());
        config.operator_token = Some(token.path().to_owned());
    })
}

#[test]
fn forwarded_address_that_is_none_is_refused_and_costs_the_proxy_nothing() {
    let token = token_file();
    let server = behind_a_proxy(&token);
    let body = guest("Ada");
    for forwarded in ["", "unknown", "1.2.3.4,", "[::1", "1.2.3.4:x", "for=1.2.3.4"] {
        for _ in 0..10 {
            let header = format!("X-Forwarded-For: {forwarded}");
            let refused = refused(&server, "POST /v1/guest", &[&header, JSON], &body);
            assert_eq!(refused, (400, "bad_forwarded_for".to_owned()), "{forwarded}");
        }
    }
    assert_eq!(
        refused(&server, "POST /v1/guest", &[JSON], &body),
        (400, "bad_forwarded_for".to_owned())
    );
    let joins = |headers: &[&str]| {
        let headers: Vec<_> = headers.iter().chain(&[JSON]).copied().collect();
        let tries = (0..25).map(|_| request(&server, "POST /v1/guest", &headers, &body).0);
        tries.filter(|&status| status == 200).count()
    };
    let first = joins(&["X-Forwarded-For: 203.0.113.7:567"]);
    assert!(
        (20..25).contains(&first),
        "a burst of ten seconds' worth, not {first}"
    );
    assert!(
        joins(&["X-Forwarded-For: 203.0.113.7:9999"]) < 10,
        "the same address"
    );
    assert!(joins(&["X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: ::ffff:203.0.113.7"]) < 10);
    assert!(joins(&["X-Forwarded-For: [2001:db8::1]:567"]) >= 20);
    assert!(joins(&["X-Forwarded-For: [2001:db8::2]"]) < 10, "the same /64");
    assert!(
        joins(&["X-Forwarded-For: 127.0.0.1"]) < 25,
        "the machine's own user is not trusted here"
    );
}

#[test]
fn only_configured_proxies_pass_requests_on() {
    let server = Running::new(|config| config.proxies = Some(vec![("192.0.2.1".parse().unwrap(), 32)]));
    let headers = ["X-Forwarded-For: 203.0.113.7", JSON];
    let (status, _, body) = request(&server, "POST /v1/guest", &headers, &guest("Ada"));
    assert_eq!(status, 403);
    assert!(body.contains("not_through_proxy"), "{body}");
    assert_eq!(request(&server, "GET /v1/health", &[], "").0, 200);
}

#[test]
fn full_statistics_are_for_the_trusted_user_and_the_operator() {
    let token = token_file();
    let server = behind_a_proxy(&token);
    server.stats.tick_ended(7, Duration::from_millis(3));
    let client = "X-Forwarded-For: 203.0.113.7";
    let (status, _, body) = request(&server, "GET /v1/stats", &[client], "");
    let short: BTreeMap<String, serde_json::Value> = serde_json::from_str(&body).unwrap();
    let keys: Vec<&str> = short.keys().map(String::as_str).collect();
    assert_eq!(
        (status, keys.as_slice()),
        (
            200,
            &[
                "alive",
                "clients",
                "clients_max",
                "server_version",
                "tick",
                "tick_rate"
            ][..]
        )
    );
    assert_eq!(
        (&short["tick"], &short["clients_max"]),
        (&7.into(), &1_000.into())
    );

    let bearer = format!("Authorization: Bearer {TOKEN}");
    let (status, _, body) = request(&server, "GET /v1/stats", &[client, &bearer], "");
    assert_eq!(
        (status, serde_json::from_str::<StatsReport>(&body).unwrap().ticks),
        (200, 1)
    );
    assert_eq!(
        request(&server, "GET /v1/stats", &[&bearer], "").0,
        200,
        "past the proxy"
    );
    assert_eq!(
        request(&server, "GET /v1/audit?tick=1", &[client, &bearer], "").0,
        404
    );
    assert_eq!(
        request(&server, "POST /v1/guest", &[&bearer, JSON], &guest("Ada")).0,
        400
    );

    let needed = (401, "token_required".to_owned());
    assert_eq!(refused(&server, "GET /v1/audit?tick=1", &[client], ""), needed);
    for wrong in ["Bearer a-token-of-the-test", "Bearer ", "Basic x", TOKEN] {
        let wrong = format!("Authorization: {wrong}");
        assert_eq!(
            refused(&server, "GET /v1/stats", &[client, &wrong], ""),
            needed,
            "{wrong}"
        );
    }
}

#[test]
fn statistics_and_audits_of_one_address_are_limited() {
    let token = token_file();
    let server = behind_a_proxy(&token);
    let get =
        |path: &str, client: &str| request(&server, path, &[&format!("X-Forwarded-For: {client}")], "").0;
    let statuses: Vec<u16> = (0..20).map(|_| get("GET /v1/stats", "203.0.113.7")).collect();
    assert!(statuses[..10].iter().all(|&status| status == 200), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(
        get("GET /v1/audit?tick=1", "203.0.113.7"),
        429,
        "they share the limit"
    );
    assert_eq!(get("GET /v1/stats", "203.0.113.8"), 200);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let operator = ["X-Forwarded-For: 203.0.113.7", &bearer];
    assert!((0..30).all(|_| request(&server, "GET /v1/stats", &operator, "").0 == 200));
}

#[test]
fn requests_of_one_address_are_limited_whatever_they_ask_for() {
    let server = Running::new(|config| {
        config.proxies = Some(PROXIES_DEFAULT.to_vec());
        config.request_rate = 1;
    });
    let client = ["X-Forwarded-For: 203.0.113.7"];
    let statuses: Vec<u16> = (0..15)
        .map(|_| request(&server, "GET /v1/none", &client, "").0)
        .collect();
    assert!(statuses[..10].iter().all(|&status| status == 404), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let mut own = (0..30).map(|_| request(&server, "GET /v1/health", &[], "").0);
    assert!(own.all(|status| status != 429), "the proxy's own checks");
}
