//! What a workload listens on: it explains why one that runs is not ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::runtime::Runtime;

/// How long the look may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of the answer. A line has 150.
const MOST_BYTES: usize = 256 * 1024;
/// `TCP_LISTEN` of the kernel's `include/net/tcp_states.h`.
const LISTEN: &str = "0A";
/// Where an engine's own name server listens in a container.
const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// The TCP sockets on which a running workload accepts connections, as the kernel has them; none where nobody can tell: the
/// image has no `cat`, or nothing runs.
pub(crate) async fn listeners(runtime: &dyn Runtime, name: &str) -> Option<Vec<SocketAddr>> {
    let command = ["cat", "/proc/net/tcp", "/proc/net/tcp6"].map(str::to_owned);
    let mut printed = Vec::new();
    let mut keep = |_, piece: &[u8]| {
        if printed.len() + piece.len() <= MOST_BYTES {
            printed.extend_from_slice(piece);
        }
    };
    // Without IPv6 there is no second file, and the first one is printed all the same.
    runtime.exec(name, &command, LIMIT, &mut keep).await.ok()?;
    let text = String::from_utf8_lossy(&printed);
    text.contains("local_address").then(|| read(&text))
}

/// Reads `/proc/net/tcp` and `/proc/net/tcp6` (proc_net_tcp in the kernel's documentation).
fn read(text: &str) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = text.lines().filter_map(listener).collect();
    found.retain(|address| address.ip() != NAME_SERVER);
    found.sort_unstable();
    found.dedup();
    found
}

fn listener(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(SocketAddr::new(address_of(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// An address as words of 32 bits, each in the machine's order, which is little-endian wherever this runs.
fn address_of(hex: &str) -> Option<IpAddr> {
    let bytes = data_encoding::HEXUPPER.decode(hex.as_bytes()).ok()?;
    let turned: Vec<u8> = bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    if let Ok(four) = <[u8; 4]>::try_from(turned.as_slice()) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(turned.as_slice()).ok()?;
    Some(Ipv6Addr::from(sixteen).to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 1 1 0 100 0 0 10 0
   1: 0B00007F:9C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0200E60A:0BB8 0100E60A:D5A2 01 00000000:00000000 00:00000000 00000000 10001        0 3 1 0 20 4 0 10 -1
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
";

    #[test]
    fn the_kernels_table_is_read() {
        let expected = ["127.0.0.1:3000", "[::]:8080", "[::1]:80"].map(|text| text.parse::<SocketAddr>().unwrap());
        let mut found = read(TCP);
        found.sort_unstable_by_key(|address| expected.iter().position(|expected| expected == address));
        assert_eq!(found, expected);
        assert_eq!(read("cat: can't open '/proc/net/tcp'\n   0: zz:zz x 0A"), []);
    }
}
