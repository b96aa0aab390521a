//! `docs/stats.md` has every field that a running server returns at `GET /v1/stats`, and no other.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::thread;
use std::time::Duration;

use bevy_app::App;
use serde_json::Value;

use super::{Game, NoSettings, Server};

const PAGE: &str = include_str!("../../../docs/stats.md");

/// Requests until the server has to have run two ticks: 20 s.
const REQUESTS_MAX: u32 = 400;

/// Adds the fields of `value`, which is at `path`, by the names that the page has for them.
fn add_fields(path: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if map.contains_key("buckets") => {
            fields.insert(path.to_owned());
            let own = map.keys().map(|key| format!("histogram.{key}"));
            fields.extend(own);
        }
        Value::Object(map) => {
            for (key, value) in map {
                let separator = if path.is_empty() { "" } else { "." };
                add_fields(&format!("{path}{separator}{key}"), value, fields);
            }
        }
        Value::Array(items) if items.first().is_some_and(Value::is_object) => {
            let path = match path {
                // The page has the fields of each simulation once, as those of the sum.
                "simulations" => "simulation".to_owned(),
                _ => format!("{path}[]"),
            };
            items.iter().for_each(|item| add_fields(&path, item, fields));
        }
        _ => {
            fields.insert(path.to_owned());
        }
    }
}

/// Returns the fields in the first column of the page's tables.
fn page_fields() -> Vec<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

/// Starts a server with two simulations and returns its statistics after some ticks.
fn statistics() -> Value {
    let flags = "game --http 127.0.0.1:0 --udp 127.0.0.1:0 --workers 1 --simulations 2";
    let settings = NoSettings::settings_from(flags.split(' ').map(OsString::from), []).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let running = thread::spawn(move || {
        let server = Server::start(&settings, |_: &mut App| {}).unwrap();
        sender.send((server.http(), server.shutdown())).unwrap();
        server.run();
    });
    let (http, shutdown) = receiver.recv().unwrap();
    let request = |_| {
        thread::sleep(Duration::from_millis(50));
        let mut response = ureq::get(format!("http://{http}/v1/stats")).call().ok()?;
        let body = response.body_mut().read_to_string().ok()?;
        let report: Value = serde_json::from_str(&body).ok()?;
        (report["ticks"].as_u64()? >= 2).then_some(report)
    };
    let report = (0..REQUESTS_MAX).find_map(request);
    shutdown.request();
    running.join().unwrap();
    report.expect("the server runs two ticks in 20 s")
}

#[test]
fn stats_page_has_the_fields_of_a_running_server() {
    let report = statistics();
    let mut fields = BTreeSet::new();
    add_fields("", &report, &mut fields);
    let page = page_fields();
    let named: BTreeSet<String> = page.iter().map(|&field| field.to_owned()).collect();
    assert_eq!(named.len(), page.len(), "docs/stats.md has a field twice");
    let missing: Vec<_> = fields.difference(&named).collect();
    let stale: Vec<_> = named.difference(&fields).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/stats.md lacks {missing:?} and has {stale:?}, which the server does not return"
    );
    let sums = report["simulation"].as_object().unwrap();
    for simulation in report["simulations"].as_array().unwrap() {
        let own = simulation.as_object().unwrap();
        assert!(own.keys().eq(sums.keys()), "{own:?} {sums:?}");
    }
}
