//! Messages that can be known again: each is made from its name, and nothing else looks the same.

use std::fmt::Write as _;

/// What every one of them begins with.
const FIRST: &str = "From: alice@example.org\r\n";

/// The message of this name, of about this many octets. Some of its lines begin with a dot, some are 8-bit.
pub(crate) fn message(name: &str, size: usize) -> Vec<u8> {
    let mut text = format!("{FIRST}Subject: {name}\r\nX-Name: {name}\r\nX-Size: {size}\r\n\r\n");
    let mut state = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let start = ["", ".", "..", "é", "From "][usize::try_from(state >> 60).unwrap() % 5];
        write!(text, "{start}{state:016x}{:016x}{:016x}\r\n", state.rotate_left(17), !state).unwrap();
    }
    text.into_bytes()
}

/// The name of a message that came back, which must be whole and unaltered: what stands before it is the server's.
pub(crate) fn name_of(stored: &[u8]) -> String {
    let text = String::from_utf8_lossy(stored);
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    let (name, size) = (field("X-Name: ").to_owned(), field("X-Size: ").parse().unwrap());
    let at = text.find(FIRST).expect("its first line");
    let expected = message(&name, size);
    assert!(stored[at..] == expected, "{name} is altered: {} octets of {}", stored.len() - at, expected.len());
    name
}

/// As it crosses the wire, without the final dot.
pub(crate) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out
}

/// RFC 4648 §4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, n| word << 8 | u32::from(piece.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let letter = LETTERS[usize::try_from(word >> (18 - 6 * n) & 63).unwrap()];
            text.push(if n <= piece.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
