//! The host that a request is for, and perhaps its port.

use std::net::Ipv6Addr;

/// A host name has at most 253 characters; an address in brackets has fewer.
const HOST_BYTES_MAX: usize = 255;

/// Whether it is `host [ ":" port ]` (RFC 9110, 7.2), narrower than the grammar: no user
/// information, no percent-encoding, no sub-delims, no empty host or port.
pub fn is_valid(authority: &[u8]) -> bool {
    let (is_host, port) = if let Some(rest) = authority.strip_prefix(b"[") {
        let end = rest.iter().position(|&byte| byte == b']');
        let Some((address, [_, after @ ..])) = end.and_then(|end| rest.split_at_checked(end))
        else {
            return false;
        };
        let address = std::str::from_utf8(address);
        let is_address = address.is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok());
        (is_address, after)
    } else {
        let end = authority.iter().position(|&byte| !is_host_byte(byte));
        let end = end.unwrap_or(authority.len());
        let (host, port) = authority.split_at_checked(end).unwrap_or_default();
        ((1..=HOST_BYTES_MAX).contains(&host.len()), port)
    };
    is_host
        && match port {
            [] => true,
            [b':', digits @ ..] => port_number(digits).is_some(),
            _ => false,
        }
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// At most five digits, and no more than a port can be.
pub fn port_number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    u16::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in [
            "a",
            "A.b-c_d~e",
            "a.",
            "127.0.0.1",
            "a:0",
            "a:65535",
            "[::1]",
            "[::1]:8080",
            "[2001:db8::1.2.3.4]",
        ] {
            assert!(is_valid(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":",
            ":80",
            "a:",
            "a:b",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "u:p@a",
            "a\\b",
            "a%41",
            "a\tb",
            "é",
            "[::1",
            "::1",
            "[::1]x",
            "[]",
            "[::1%25eth0]",
            "[v1.x]",
            "[::1]:",
            "http://a",
            "a;b",
            "a'b",
            "$a",
            "*.a",
        ] {
            assert!(!is_valid(host.as_bytes()), "{host}");
        }
        assert!(!is_valid("a".repeat(256).as_bytes()));
    }
}
