//! Addresses that this machine already sends somewhere. An engine does not look at them where it is given addresses: a network of an
//! engine that was killed while it made one, or of another program, would take every answer of ours, and no tenant there would be
//! reached.

use std::fs;
use std::net::Ipv4Addr;

use convergence_model::workload::Subnet;

/// The routes of the kernel: a line each, with destination and mask as hexadecimal numbers in the byte order of the machine.
const ROUTES: &str = "/proc/net/route";

/// Whether this machine has a route to exactly these addresses, or to some of them. Wider routes are fine: the one of a network of
/// ours is stronger. Where routes cannot be read nothing is said.
pub(super) fn is_routed(subnet: Subnet) -> bool {
    fs::read_to_string(ROUTES).is_ok_and(|table| leads_into(&table, subnet))
}

fn leads_into(table: &str, subnet: Subnet) -> bool {
    let size = Subnet::SIZE;
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (destination, mask) = (fields.next().and_then(number), fields.nth(5).and_then(number));
        let (Some(destination), Some(mask)) = (destination, mask) else { return false };
        u32::from(mask) >= !(size - 1) && Subnet::containing(destination) == subnet
    })
}

fn number(text: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(text, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TABLE: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        vpn0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n\
        br-a\t1000CB0A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0\n\
        wg0\t2500CB0A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";

    #[test]
    fn a_route_to_these_addresses_or_some_of_them_is_in_the_way_and_a_wider_one_is_not() {
        for (subnet, taken) in [
            ("10.203.0.0/28", false),
            ("10.203.0.16/28", true),
            ("10.203.0.32/28", true),
            ("10.203.0.48/28", false),
            ("192.0.2.0/28", false),
        ] {
            assert_eq!(leads_into(TABLE, Subnet::parse(subnet).unwrap()), taken, "{subnet}");
        }
        assert!(!leads_into("", Subnet::parse("10.203.0.16/28").unwrap()));
    }
}
