//! Ports and networks of a test's own, so that tests run beside each other and beside a real server.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

/// Blocks there are; more tests than this never run at once.
const BLOCKS: u16 = 64;
/// Ports in a block.
const PORTS: u16 = 50;
/// Above what servers use by default, below what systems hand out for outgoing connections.
const FIRST_PORT: u16 = 20_000;

/// A block, held as long as this lives: a lock on a file that the system releases with the process.
#[derive(Debug)]
pub(crate) struct Block {
    number: u16,
    _lock: File,
}

impl Block {
    /// Takes the first free block.
    pub(crate) fn take() -> Self {
        // The machine's, not the checkout's: ports and networks are shared by all of them.
        let folder = std::env::temp_dir().join("convergence-test-blocks");
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        for number in 0..BLOCKS {
            let lock = File::create(folder.join(number.to_string())).expect("the temporary folder is writable");
            // A server that a test left behind, or somebody else's, keeps its block.
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST_PORT + number * PORTS)).is_ok();
            if lock.try_lock().is_ok() && free() {
                return Self { number, _lock: lock };
            }
        }
        panic!("all {BLOCKS} test blocks are taken");
    }

    /// The server's own port.
    pub(crate) fn api_port(&self) -> u16 {
        FIRST_PORT + self.number * PORTS
    }

    /// Ports for tenants.
    pub(crate) fn tenant_ports(&self) -> RangeInclusive<u16> {
        self.api_port() + 1..=self.api_port() + PORTS - 1
    }

    /// Networks for tenants: a /22, so sixty-four of them, more than there are ports.
    pub(crate) fn subnets(&self) -> String {
        format!("10.203.{}.0/22", self.number * 4)
    }

    /// Before the number in the names of containers.
    pub(crate) fn name_prefix(&self) -> String {
        format!("convergence-test-{}", self.number)
    }
}
