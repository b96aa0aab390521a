//! The floor program: the crowd's workload on a server with only the work that no server can omit.
//!
//! It has batched datagrams, a key for each client, a grid that is rebuilt every tick, and sealed 12-byte records of the
//! entities in view. It has no acknowledgements, deltas, priorities, enters and leaves, reliability or joining. Throng's
//! cost on a machine is compared with the floor's cost on the same machine, because absolute figures of two machines
//! cannot be compared.

mod load;
mod server;
mod world;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use ring::aead::{CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};
use throng_server::internals::open_socket;

use super::machine;
use load::Load;
use server::FloorServer;

/// Time between two ticks of the server.
const PERIOD: Duration = Duration::from_millis(50);
/// Bytes that a client sends every tick, without the tag. It is the average of a Throng client.
const INPUT_BYTES: usize = 36;
/// Bytes of the cipher's authentication tag.
const TAG_BYTES: usize = 16;

/// Measures the floor: datagrams in, a grid, records of the entities in view, a cipher, datagrams out.
///
/// The server's thread and its load each run on a processor of their own if there are two.
#[derive(Debug, Clone, Parser)]
#[command(name = "floor", version)]
pub struct FloorFlags {
    /// Number of clients, each with a socket of its own.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub clients: u32,

    /// Average number of entities that a client sees.
    #[arg(long, value_name = "K", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=80))]
    pub visible: u32,

    /// Measured seconds.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,

    /// Print JSON instead of a line.
    #[arg(long)]
    pub json: bool,
}

/// The figures that the floor program measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FloorReport {
    /// Number of clients.
    pub clients: u32,
    /// CPU time of the server's thread divided by ticks and clients, in microseconds.
    pub cpu_us_per_client_tick: f64,
    /// Ticks per second, at most 20.
    pub tick_hz: f64,
    /// UDP payload to a client in a second, in bytes.
    pub bytes_per_client_s: f64,
    /// Average number of records in a datagram.
    pub visible_mean: f64,
    /// Share of the datagrams that reached the clients.
    pub arrived: f64,
}

/// Measures the floor and prints the report.
///
/// # Errors
/// If a socket or a thread cannot be created.
pub fn run(flags: &FloorFlags) -> Result<()> {
    let report = measure(flags)?;
    let mut out = io::stdout();
    if flags.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "{} clients: {:.2} us per client-tick, {:.2} Hz, {:.0} B per client and second, {:.1} visible, {:.1} % arrived",
            report.clients,
            report.cpu_us_per_client_tick,
            report.tick_hz,
            report.bytes_per_client_s,
            report.visible_mean,
            report.arrived * 100.0,
        )?;
    }
    Ok(())
}

/// Runs the server and its load, each on a thread of its own.
///
/// # Errors
/// If a socket or a thread cannot be created.
pub fn measure(flags: &FloorFlags) -> Result<FloorReport> {
    let socket = open_socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false)?;
    let address = socket.local_addr().context("cannot read the server's address")?;
    let mut load = Load::open(flags.clients, address).context("cannot open a socket for every client")?;
    let clients = load.addresses().context("cannot read the clients' addresses")?;
    let mut server = FloorServer::new(socket, &clients, flags.visible);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            pin(machine::cores().checked_sub(1));
            load.run(&done)
        });
        let served = scope.spawn(|| {
            pin(Some(0));
            let served = server.run(flags.seconds * 20);
            done.store(true, std::sync::atomic::Ordering::Release);
            served
        });
        let served = served
            .join()
            .map_err(|_| anyhow!("the server's thread panicked"))??;
        let received = load.join().map_err(|_| anyhow!("the load's thread panicked"))??;
        let client_ticks = f64::from(served.ticks) * f64::from(flags.clients);
        Ok(FloorReport {
            clients: flags.clients,
            cpu_us_per_client_tick: served.cpu.as_secs_f64() * 1e6 / client_ticks,
            tick_hz: f64::from(served.ticks) / served.elapsed.as_secs_f64(),
            bytes_per_client_s: served.bytes as f64 * 20.0 / client_ticks,
            visible_mean: served.records as f64 / client_ticks,
            arrived: received as f64 / served.datagrams_in_all as f64,
        })
    })
}

/// Restricts this thread to a processor if there are several. If the system refuses it, only the spread of the results
/// grows.
fn pin(processor: Option<usize>) {
    let mut set = CpuSet::new();
    if let Some(processor) = processor.filter(|_| machine::cores() > 1) {
        set.set(processor);
        let _ = sched_setaffinity(None, &set);
    }
}

/// Returns the key of a client.
fn key(client: usize) -> LessSafeKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&(client as u64).to_le_bytes());
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &bytes).expect("the key has the cipher's length"))
}

/// Returns a nonce. The two directions have disjoint nonces, so that a key never uses one twice.
fn nonce(number: u64, is_up: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8] = u8::from(is_up);
    Nonce::assume_unique_for_key(bytes)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a load generator and its server run in real time"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_receive_the_entities_in_view() {
        let flags = FloorFlags::parse_from(["floor", "--clients", "50", "--visible", "20", "--seconds", "1"]);
        let report = measure(&flags).unwrap();
        assert!(report.arrived > 0.0 && report.cpu_us_per_client_tick > 0.0);
        // With 50 entities a fifth of them is nearer to the edge than the view radius.
        assert!((5.0..=40.0).contains(&report.visible_mean), "{report:?}");
    }
}
