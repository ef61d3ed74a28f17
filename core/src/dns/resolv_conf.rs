//! The system's choice of DNS servers: the `nameserver` lines of a resolv.conf, as text that the host has read.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// Servers read at most, as the C library does: it ignores the fourth.
const MOST: usize = 3;

/// The port of DNS.
const PORT: u16 = 53;

/// The servers named in `text`, in order, at most 3. Lines that mean nothing here are skipped, as the C library skips them.
///
/// An address with a zone (`fe80::1%eth0`) is skipped as well, since only the host can say which interface that is; one with
/// a numeric zone (`fe80::1%2`) is taken. Empty when nothing is named: the C library then asks 127.0.0.1.
#[must_use]
pub fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines().filter_map(server).take(MOST).collect()
}

fn server(line: &str) -> Option<SocketAddr> {
    let line = line.split(['#', ';']).next()?;
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "nameserver" {
        return None;
    }
    let word = words.next()?;
    if let Some((address, zone)) = word.split_once('%') {
        let (address, zone) = (address.parse().ok()?, zone.parse().ok()?);
        return Some(core::net::SocketAddrV6::new(address, PORT, 0, zone).into());
    }
    Some(SocketAddr::new(word.parse::<IpAddr>().ok()?, PORT))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn read(text: &str) -> Vec<alloc::string::String> {
        parse(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nameserver_lines_are_read_in_order() {
        let text = "# made by hand\nsearch example.org\nnameserver 192.0.2.1\n\tnameserver\t2001:db8::1 # second\r\n\
                    options edns0\nnameserver not-an-address\nnameserver\nnameservers 192.0.2.9\n";
        assert_eq!(read(text), ["192.0.2.1:53", "[2001:db8::1]:53"]);
    }

    #[test]
    fn three_are_enough_and_none_is_none() {
        assert_eq!(read("nameserver 1.1.1.1\n".repeat(9).as_str()).len(), 3);
        assert!(read("; nameserver 192.0.2.1\n#nameserver 192.0.2.1\n").is_empty());
        assert!(read("").is_empty());
    }

    #[test]
    fn zones_must_be_numbers() {
        assert_eq!(read("nameserver fe80::1%2\nnameserver fe80::1%eth0\nnameserver 1.2.3.4%1"), ["[fe80::1%2]:53"]);
    }
}
