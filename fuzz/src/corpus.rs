//! The committed corpora: `corpus/TARGET` holds the inputs of a target, one a line, shortest first.
//!
//! Octets are written as in dialogues: printable ASCII stands for itself, `\r`, `\n`, `\t`, `\0`, `\\`, `\"` and `\xHH` for
//! the rest. A line that begins with `#` says why the input below it is there; such an input stays, whatever a fuzzer
//! finds. The empty input needs no line: every replay begins with it.

use std::fs;
use std::path::{Path, PathBuf};

use pillarbox_tests::dialogue::text::{escape, unescape};

use crate::Target;

/// Octets and inputs that a corpus grows to. Every test run replays all of them.
const OCTETS: usize = 16_000;
const INPUTS: usize = 100;

/// An input, and why it is there if somebody has said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// What stands behind the `#`.
    pub why: Option<String>,
    /// The input itself.
    pub octets: Vec<u8>,
}

/// The folder of all corpora.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs of a target; none where it has no corpus yet.
///
/// # Errors
/// The file cannot be read, or a line of it is none.
pub fn read(target: &Target) -> Result<Vec<Input>, String> {
    let path = folder().join(target.name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Replaces the corpus of a target: `found` is what a fuzzer has kept of it, smaller inputs are preferred. Inputs that have
/// a reason stay.
///
/// # Errors
/// A corpus cannot be read or written.
pub fn replace(target: &Target, mut found: Vec<Vec<u8>>) -> Result<usize, String> {
    let mut inputs: Vec<Input> = read(target)?.into_iter().filter(|input| input.why.is_some()).collect();
    found.sort_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
    found.dedup();
    let mut octets = 0;
    for input in found.into_iter().filter(|input| !input.is_empty()).take(INPUTS) {
        octets += input.len();
        if octets > OCTETS {
            break;
        }
        if inputs.iter().all(|other| other.octets != input) {
            inputs.push(Input { why: None, octets: input });
        }
    }
    write(target, inputs)
}

/// Adds an input for a reason.
///
/// # Errors
/// The corpus cannot be read or written.
pub fn add(target: &Target, why: &str, octets: Vec<u8>) -> Result<usize, String> {
    let mut inputs = read(target)?;
    inputs.retain(|input| input.octets != octets);
    inputs.push(Input { why: Some(why.to_owned()), octets });
    write(target, inputs)
}

fn write(target: &Target, mut inputs: Vec<Input>) -> Result<usize, String> {
    inputs.sort_by(|one, other| (one.octets.len(), &one.octets).cmp(&(other.octets.len(), &other.octets)));
    let path = folder().join(target.name);
    fs::write(&path, shown(&inputs)).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(inputs.len())
}

fn shown(inputs: &[Input]) -> String {
    let mut text = String::new();
    for Input { why, octets } in inputs {
        why.iter().for_each(|why| text += &format!("# {why}\n"));
        // An input that begins like a reason is none.
        match octets.strip_prefix(b"#") {
            Some(rest) => text += &format!("\\x23{}\n", escape(rest)),
            None => text += &format!("{}\n", escape(octets)),
        }
    }
    text
}

fn parse(text: &str) -> Result<Vec<Input>, String> {
    let (mut inputs, mut why) = (Vec::new(), None);
    for (number, line) in (1..).zip(text.lines()) {
        match line.strip_prefix('#') {
            Some(reason) => why = Some(reason.trim().to_owned()),
            None => {
                let octets = unescape(line).map_err(|e| format!("line {number}: {e}"))?;
                inputs.push(Input { why: why.take(), octets });
            }
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_comes_back_as_it_was() {
        let all: Vec<u8> = (0..=255).collect();
        let of = |why: Option<&str>, octets: &[u8]| Input { why: why.map(str::to_owned), octets: octets.to_vec() };
        let inputs = [of(None, b" a \t"), of(Some("it failed"), b"#x\r\n"), of(None, &all), of(None, b"\\x23\"")];
        assert_eq!(parse(&shown(&inputs)).as_deref(), Ok(&inputs[..]));
        assert_eq!(shown(&inputs[1..2]), "# it failed\n\\x23x\\r\\n\n");
        assert!(parse("\\z\n").is_err());
    }
}
