//! Letters that can be known again: each is made from its name and size, and nothing else looks the same.

use std::fmt::Write as _;

/// What every one of them begins with.
const FIRST: &str = "From: alice@example.org\r\n";

/// Sizes of letters, in octets: small ones, ones of several chunks, and ones that get a file of their own.
const SIZES: [usize; 8] = [300, 3_000, 400, 90_000, 700, 5_000, 1_500, 300_000];

/// The size of the `n`th letter of somebody.
#[must_use]
pub fn size(n: usize) -> usize {
    SIZES[n % SIZES.len()]
}

/// The letter of this name, of about this many octets. Some of its lines begin with a dot, some are 8-bit.
#[must_use]
pub fn letter(name: &str, size: usize) -> Vec<u8> {
    let mut text = format!("{FIRST}Subject: {name}\r\nX-Name: {name}\r\nX-Size: {size}\r\n\r\n");
    let mut state = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let start = ["", ".", "..", "é", "From ", "-", "", ">"][(state >> 61) as usize];
        // Writing to a string does not fail.
        let _ = write!(text, "{start}{state:016x}{:016x}{:016x}\r\n", state.rotate_left(17), !state);
    }
    text.into_bytes()
}

/// The name of a letter that came back whole and unaltered; what stands before it is the servers'. `None` for a torn one.
#[must_use]
pub fn name_of(stored: &[u8]) -> Option<String> {
    let at = stored.windows(FIRST.len()).position(|window| window == FIRST.as_bytes())?;
    let stored = &stored[at..];
    let head = String::from_utf8_lossy(&stored[..stored.len().min(400)]).into_owned();
    let field = |name| head.lines().find_map(|line| line.strip_prefix(name));
    let (name, size) = (field("X-Name: ")?, field("X-Size: ")?.parse().ok()?);
    (stored == letter(name, size)).then(|| name.to_owned())
}

/// As it crosses the wire, up to the dot that ends it.
#[must_use]
pub fn stuffed(letter: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(letter.len() + 64);
    for line in letter.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_known_again_and_a_torn_one_is_not() {
        let sent = letter("m1", 3_000);
        let mut stored = b"Received: by somebody\r\n".to_vec();
        stored.extend_from_slice(&sent);
        assert_eq!(name_of(&stored).as_deref(), Some("m1"));
        assert_eq!(name_of(&stored[..stored.len() - 1]), None);
        stored[2_000] ^= 1;
        assert_eq!(name_of(&stored), None);
    }
}
