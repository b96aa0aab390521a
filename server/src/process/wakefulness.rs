//! How deeply the machine's processors may sleep while they have nothing to do.
//!
//! A net worker that waits for datagrams is woken a thousand times a second. Waking takes longer than what is then
//! done: tens of microseconds out of a deep sleep state, and where the machine is a virtual one out of any, for a
//! processor that sleeps is given back to the host. Linux keeps processors out of states that take longer to leave
//! than somebody asked for, as long as the request stands (`Documentation/power/pm_qos_interface.rst`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

/// The file that takes requests.
pub(super) const DEVICE: &str = "/dev/cpu_dma_latency";

/// A request to wake up quickly. It stands until this is dropped or the process ends, for all processors.
#[derive(Debug)]
pub struct Wakefulness {
    /// The request is the open file.
    _request: File,
}

impl Wakefulness {
    /// Asks that no processor takes longer than `within_us` microseconds to wake up. With 0 they do not sleep at
    /// all, which costs as much energy as work does.
    ///
    /// # Errors
    /// When the file is missing, as on other systems than Linux, or may not be written: it belongs to root.
    pub fn request(within_us: u32) -> io::Result<Self> {
        let within_us = i32::try_from(within_us).unwrap_or(i32::MAX);
        let mut file = OpenOptions::new().write(true).open(DEVICE)?;
        file.write_all(&within_us.to_ne_bytes())?;
        Ok(Self { _request: file })
    }
}
