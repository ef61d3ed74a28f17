//! What an IMAP server says, taken apart: as much of the grammar as a device needs.

use std::collections::BTreeSet;

/// A part of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Atom(String),
    Text(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    /// The atom, or nothing.
    pub(crate) fn atom(&self) -> &str {
        match self {
            Self::Atom(atom) => atom,
            Self::Text(_) | Self::List(_) => "",
        }
    }

    pub(crate) fn list(&self) -> &[Value] {
        match self {
            Self::List(list) => list,
            Self::Atom(_) | Self::Text(_) => &[],
        }
    }

    pub(crate) fn number(&self) -> Option<u64> {
        self.atom().parse().ok()
    }

    /// A list of flags; `\Recent` is no flag that anybody can set.
    pub(crate) fn flags(&self) -> BTreeSet<String> {
        self.list().iter().map(|flag| flag.atom().to_owned()).filter(|flag| flag != "\\Recent").collect()
    }
}

/// Responses, as they come.
#[derive(Default)]
pub(crate) struct Responses {
    bytes: Vec<u8>,
    /// The response that is coming is longer than this.
    least: usize,
}

impl Responses {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next response, if all of it is there; with `Err`, what cannot be understood.
    pub(crate) fn next(&mut self) -> Option<Result<Vec<Value>, String>> {
        if self.bytes.len() < self.least {
            return None;
        }
        let mut end = 0;
        loop {
            end += self.bytes[end..].windows(2).position(|two| two == b"\r\n")? + 2;
            let Some(literal) = literal(&self.bytes[..end - 2]) else { break };
            end += literal;
            if end > self.bytes.len() {
                self.least = end;
                return None;
            }
        }
        self.least = 0;
        let response: Vec<u8> = self.bytes.drain(..end).take(end - 2).collect();
        let values = condition(&response).or_else(|| parse(&response));
        Some(values.ok_or_else(|| response.escape_ascii().to_string()))
    }
}

/// Octets of the literal that this line announces.
fn literal(line: &[u8]) -> Option<usize> {
    let open = line.iter().rposition(|octet| *octet == b'{')?;
    std::str::from_utf8(line[open + 1..].strip_suffix(b"}")?).ok()?.parse().ok()
}

/// `tag OK [CODE …] words` as tag, condition, and the code as a list; the words are for people.
fn condition(response: &[u8]) -> Option<Vec<Value>> {
    let line = std::str::from_utf8(response).ok()?;
    let atom = |word: &str| Value::Atom(word.to_owned());
    let (tag, rest) = line.split_once(' ')?;
    if tag == "+" {
        return Some(vec![atom("+")]);
    }
    let (condition, rest) = rest.split_once(' ')?;
    if !matches!(condition, "OK" | "NO" | "BAD" | "BYE" | "PREAUTH") {
        return None;
    }
    let code = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((code, _)) => parse(code.as_bytes())?,
        None => Vec::new(),
    };
    Some(vec![atom(tag), atom(condition), Value::List(code)])
}

fn parse(text: &[u8]) -> Option<Vec<Value>> {
    let mut rest = text;
    let mut open = vec![Vec::new()];
    while let Some((&octet, behind)) = rest.split_first() {
        match octet {
            b' ' => rest = behind,
            b'(' => {
                open.push(Vec::new());
                rest = behind;
            }
            b')' => {
                let list = Value::List(open.pop()?);
                open.last_mut()?.push(list);
                rest = behind;
            }
            b'"' => {
                let end = behind.iter().position(|octet| *octet == b'"')?;
                open.last_mut()?.push(Value::Text(behind[..end].to_vec()));
                rest = &behind[end + 1..];
            }
            b'{' => {
                let end = rest.windows(2).position(|two| two == b"\r\n")?;
                let octets = rest.get(end + 2..end + 2 + literal(&rest[..end])?)?;
                open.last_mut()?.push(Value::Text(octets.to_vec()));
                rest = &rest[end + 2 + octets.len()..];
            }
            _ => {
                let end = rest.iter().position(|octet| b" ()\"{".contains(octet)).unwrap_or(rest.len());
                open.last_mut()?.push(Value::Atom(String::from_utf8(rest[..end].to_vec()).ok()?));
                rest = &rest[end..];
            }
        }
    }
    (open.len() == 1).then(|| open.pop())?
}

/// `1:3,5` as numbers; none, if it is no set.
pub(crate) fn numbers(set: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some(first.min(last)..=first.max(last))
    };
    set.split(',').filter_map(range).flatten().collect()
}

/// Numbers as a set.
pub(crate) fn set(numbers: &[u32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_taken_apart_when_all_of_it_is_there() {
        let said =
            b"* 1 FETCH (UID 7 FLAGS (\\Seen \\Recent) BODY[] {4}\r\nab\r\n)\r\na1 OK [COPYUID 1 2 3:4] Done.\r\n";
        for cut in 0..said.len() {
            let mut responses = Responses::default();
            responses.push(&said[..cut]);
            let early: Vec<_> = std::iter::from_fn(|| responses.next()).collect();
            responses.push(&said[cut..]);
            let all: Vec<_> = early.into_iter().chain(std::iter::from_fn(|| responses.next())).flatten().collect();
            assert_eq!(all.len(), 2, "cut at {cut}");
            let items = all[0][3].list();
            assert_eq!((items[1].number(), items[3].flags().len()), (Some(7), 1));
            assert_eq!(items[5], Value::Text(b"ab\r\n".to_vec()));
            assert_eq!((all[1][1].atom(), numbers(all[1][2].list()[3].atom())), ("OK", vec![3, 4]));
        }
    }

    #[test]
    fn what_is_no_response_is_told_as_it_came() {
        for garbage in ["* 1 FETCH (FLAGS (\\Seen)\r\n", "* 1 FETCH UID 7)\r\n", "* LIST () \"/ INBOX\r\n"] {
            let mut responses = Responses::default();
            responses.push(garbage.as_bytes());
            assert!(responses.next().is_some_and(|response| response.is_err()), "{garbage}");
        }
    }

    #[test]
    fn a_condition_has_a_code_and_words_that_are_for_people() {
        let mut responses = Responses::default();
        responses.push(b"* OK [PERMANENTFLAGS (\\Seen \\*)] (not: a list\r\n+ go on\r\na7 NO No [code] here\r\n");
        let all: Vec<_> = std::iter::from_fn(|| responses.next()).flatten().collect();
        assert_eq!(all[0][2].list()[1].list().len(), 2);
        assert_eq!(all[1], [Value::Atom("+".to_owned())]);
        assert_eq!((all[2][1].atom(), all[2][2].list()), ("NO", &[][..]));
        assert_eq!((numbers("1:3,9"), set(&[1, 2, 9])), (vec![1, 2, 3, 9], "1,2,9".to_owned()));
    }
}
