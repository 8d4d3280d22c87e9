//! Ports and networks of a test's own, so that tests run beside each other and beside a real server.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::process::Command;

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
    /// Not empty while a test uses the block, and after one that was killed.
    lock: File,
}

impl Block {
    /// Takes the first free block.
    pub(crate) fn take() -> Self {
        // The machine's, not the checkout's: ports and networks are shared by all of them.
        let folder = std::env::temp_dir().join("convergence-test-blocks");
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        for number in 0..BLOCKS {
            let file = folder.join(number.to_string());
            let lock = File::options().create(true).truncate(false).read(true).write(true).open(file);
            let lock = lock.expect("the temporary folder is writable");
            // A server that a test left behind, or somebody else's, keeps its block.
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST_PORT + number * PORTS)).is_ok();
            if lock.try_lock().is_ok() && free() {
                let block = Self { number, lock };
                block.clean_if_abandoned();
                return block;
            }
        }
        panic!("all {BLOCKS} test blocks are taken");
    }

    /// Removes what a test that was killed left in the engine under this block's names; else every test that takes the block
    /// fails from then on.
    fn clean_if_abandoned(&self) {
        let is_used = self.lock.metadata().expect("the lock can be read").len() > 0;
        self.lock.set_len(1).expect("the temporary folder is writable");
        if !is_used {
            return;
        }
        let prefix = self.name_prefix();
        let (container, network) = (format!("name=^/{prefix}-"), format!("name=^{prefix}-"));
        let image = format!("reference={prefix}/*");
        let lists: [(&str, &[&str], &[&str]); 3] = [
            (&container, &["ps", "--all", "--format", "{{.ID}}"], &["rm", "--force", "--volumes"]),
            (&network, &["network", "ls", "--format", "{{.ID}}"], &["network", "rm"]),
            (&image, &["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], &["image", "rm", "--force"]),
        ];
        for (filter, list, remove) in lists {
            let Ok(listed) = Command::new("docker").args(list).args(["--filter", filter]).output() else { return };
            for id in String::from_utf8_lossy(&listed.stdout).lines() {
                eprintln!("removing what a killed test left: {prefix}: {} {id}", remove[0]);
                Command::new("docker").args(remove).arg(id).output().ok();
            }
        }
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

impl Drop for Block {
    fn drop(&mut self) {
        // The server that used it was stopped and swept; nobody checked that where the test failed.
        if !std::thread::panicking() {
            self.lock.set_len(0).ok();
        }
    }
}
