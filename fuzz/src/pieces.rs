//! Ways to cut an input. They depend on the input alone, so that a corpus is made of plain messages, lines and commands.

/// From this length on an input is not cut behind every octet: that would show nothing more, and take its time.
const EACH: usize = 1024;

/// The same octets in several ways: octet by octet (or, of a long one, by seven), and twice at places that depend on what
/// is in them.
pub fn ways(input: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let small = if input.len() > EACH { 7 } else { 1 };
    let seed = hash(input);
    let each = input.chunks(small).collect();
    [each, scattered(input, seed, 3), scattered(input, seed.rotate_left(32), 1 + input.len() / 64)].into_iter()
}

/// Cut at some `cuts` places.
fn scattered(input: &[u8], mut seed: u64, cuts: usize) -> Vec<&[u8]> {
    let mut at: Vec<usize> = (0..cuts)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % (input.len() + 1)
        })
        .collect();
    at.extend([0, input.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
}

/// FNV-1a: a number that depends on every octet.
#[must_use]
pub fn hash(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3))
}

/// The rest of `input` behind its first octet, and that octet: what a target chooses by.
#[must_use]
pub fn choice(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (*first, rest))
}
