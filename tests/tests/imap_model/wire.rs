//! What a server sends, taken apart: as much of the grammar as the client of this test needs, and nothing of the machine's.

use std::collections::BTreeSet;

/// A part of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Atom(String),
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    pub fn atom(&self) -> &str {
        match self {
            Self::Atom(atom) => atom,
            other => panic!("{other:?} is no atom"),
        }
    }

    pub fn number(&self) -> u64 {
        self.atom().parse().unwrap_or_else(|_| panic!("{self:?} is no number"))
    }

    pub fn list(&self) -> &[Value] {
        match self {
            Self::List(list) => list,
            other => panic!("{other:?} is no list"),
        }
    }

    /// A list of flags; `\Recent` is no flag that anybody can set.
    pub fn flags(&self) -> BTreeSet<String> {
        self.list().iter().map(|flag| flag.atom().to_owned()).filter(|flag| flag != "\\Recent").collect()
    }
}

/// The first response in `bytes` and its length; `None` when it is not all there.
pub fn response(bytes: &[u8]) -> Option<(Vec<Value>, usize)> {
    let mut end = 0;
    loop {
        end += bytes[end..].windows(2).position(|two| two == b"\r\n")? + 2;
        let Some(literal) = literal_at(&bytes[..end - 2]) else { break };
        end += literal;
        if end > bytes.len() {
            return None;
        }
    }
    let text = &bytes[..end - 2];
    Some((parse(text), end))
}

fn literal_at(line: &[u8]) -> Option<usize> {
    let open = line.iter().rposition(|byte| *byte == b'{')?;
    let digits = line[open + 1..].strip_suffix(b"}")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn parse(text: &[u8]) -> Vec<Value> {
    // The words of a condition for people are no values.
    if let Some(words) = words(text) {
        return words;
    }
    let mut rest = text;
    let mut stack = vec![Vec::new()];
    while let Some((&byte, behind)) = rest.split_first() {
        match byte {
            b' ' => rest = behind,
            b'(' => {
                stack.push(Vec::new());
                rest = behind;
            }
            b')' => {
                let list = Value::List(stack.pop().expect("a list"));
                stack.last_mut().expect("a list that is open").push(list);
                rest = behind;
            }
            b'"' => {
                let end = behind.iter().position(|byte| *byte == b'"').expect("a quote at the end");
                stack.last_mut().expect("a list").push(Value::Text(behind[..end].to_vec()));
                rest = &behind[end + 1..];
            }
            b'{' => {
                let end = behind.windows(2).position(|two| two == b"\r\n").expect("a line");
                let len = literal_at(&rest[..end + 1]).expect("a literal");
                let octets = &behind[end + 2..];
                stack.last_mut().expect("a list").push(Value::Text(octets[..len].to_vec()));
                rest = &octets[len..];
            }
            _ => {
                let end = rest.iter().position(|byte| b" ()\"{".contains(byte)).unwrap_or(rest.len());
                let atom = String::from_utf8(rest[..end].to_vec()).expect("an atom");
                stack.last_mut().expect("a list").push(Value::Atom(atom));
                rest = &rest[end..];
            }
        }
    }
    assert_eq!(stack.len(), 1, "{:?}", text.escape_ascii().to_string());
    stack.pop().expect("the response")
}

/// `tag OK [CODE …] words`, as tag, condition, and what is between the brackets.
fn words(text: &[u8]) -> Option<Vec<Value>> {
    let line = std::str::from_utf8(text).ok()?;
    let (tag, rest) = line.split_once(' ')?;
    if tag == "+" {
        return Some(vec![Value::Atom(tag.into()), Value::Atom(rest.into())]);
    }
    let (condition, rest) = rest.split_once(' ')?;
    if !matches!(condition, "OK" | "NO" | "BAD" | "BYE" | "PREAUTH") {
        return None;
    }
    let mut values = vec![Value::Atom(tag.into()), Value::Atom(condition.into())];
    if let Some((code, _)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        values.push(Value::List(parse(code.as_bytes())));
    }
    Some(values)
}

/// `1:3,5` as numbers.
pub fn numbers(set: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().expect("a number"), last.parse().expect("a number"));
        first.min(last)..=first.max(last)
    };
    set.split(',').flat_map(range).collect()
}
