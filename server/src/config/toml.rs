//! TOML read with the line of everything, so that each problem can be shown where it is, and all of them at once.
//!
//! A table hands out its keys one by one; what nobody asked for is unknown, and that is an error.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;

/// How unlike a known word an unknown one may be to be taken for a slip: edits, with swaps.
const SLIP: usize = 2;

/// A file's text, and what was found wrong in it.
pub(super) struct Source<'a> {
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    /// The file as a tree; `None` when it is not TOML, and the problems say where.
    pub(super) fn tree(&self) -> Option<DeTable<'a>> {
        let (tree, errors) = DeTable::parse_recoverable(self.text);
        let mut last = 0;
        for error in &errors {
            let line = self.line(&error.span().unwrap_or(0..0));
            // What follows on the same line is an echo of the first.
            if line != last {
                let what = error.message().lines().collect::<Vec<_>>().join("; ");
                self.problem(line, format!("this is not TOML: {what}"));
            }
            last = line;
        }
        errors.is_empty().then(|| tree.into_inner())
    }

    pub(super) fn problem(&self, line: usize, what: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { line, what: what.into() });
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }
}

/// A table whose keys are taken one by one.
pub(super) struct Table<'s> {
    source: &'s Source<'s>,
    /// As it is written: `[tls]`, or `the file` for the outermost one.
    name: String,
    pub(super) line: usize,
    entries: Vec<(&'s str, Item<'s>)>,
    known: Vec<&'static str>,
}

impl<'s> Table<'s> {
    pub(super) fn root(source: &'s Source<'s>, tree: &'s DeTable<'s>) -> Self {
        Self::new(source, "the file".to_owned(), 1, tree)
    }

    /// A table that is not there, for its defaults.
    pub(super) fn empty(source: &'s Source<'s>, name: &str) -> Self {
        Self { source, name: name.to_owned(), line: 1, entries: Vec::new(), known: Vec::new() }
    }

    fn new(source: &'s Source<'s>, name: String, line: usize, tree: &'s DeTable<'s>) -> Self {
        let entries = tree.iter().map(|(key, value)| {
            let item = Item { source, name: key.get_ref().to_string(), line: source.line(&key.span()), value };
            (key.get_ref().as_ref(), item)
        });
        Self { source, name, line, entries: entries.collect(), known: Vec::new() }
    }

    /// The value of this key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'s>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| *name == key)?;
        Some(self.entries.swap_remove(at).1)
    }

    /// The value of this key, which must be there.
    pub(super) fn need(&mut self, key: &'static str, example: &str) -> Option<Item<'s>> {
        let item = self.take(key);
        if item.is_none() {
            self.source.problem(self.line, format!("{} has no {key}: add a line like {example}", self.name));
        }
        item
    }

    /// The table `[key]`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        let item = self.take(key)?;
        let line = item.line;
        match item.value.get_ref() {
            DeValue::Table(tree) => Some(Table::new(self.source, format!("[{key}]"), line, tree)),
            other => {
                self.source.problem(line, format!("{key} is a table: write [{key}], not {}", kind(other)));
                None
            }
        }
    }

    /// The tables `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(item) = self.take(key) else { return Vec::new() };
        let DeValue::Array(array) = item.value.get_ref() else {
            let other = kind(item.value.get_ref());
            self.source.problem(item.line, format!("there may be several: write [[{key}]], not {other}"));
            return Vec::new();
        };
        let table = |value: &'s Spanned<DeValue<'s>>| {
            let line = self.source.line(&value.span());
            let DeValue::Table(tree) = value.get_ref() else {
                self.source.problem(line, format!("expected a table [[{key}]], not {}", kind(value.get_ref())));
                return None;
            };
            Some(Table::new(self.source, format!("[[{key}]]"), line, tree))
        };
        array.iter().filter_map(table).collect()
    }

    /// Whatever nobody took is unknown.
    pub(super) fn finish(self) {
        for (key, item) in &self.entries {
            let hint = match nearest(key, self.known.iter().copied()) {
                Some(known) => format!("did you mean {known}?"),
                None => format!("it may have {}", self.known.join(", ")),
            };
            self.source.problem(item.line, format!("{} has an unknown key {key:?}: {hint}", self.name));
        }
    }
}

/// A key's value.
pub(super) struct Item<'s> {
    source: &'s Source<'s>,
    name: String,
    pub(super) line: usize,
    value: &'s Spanned<DeValue<'s>>,
}

impl<'s> Item<'s> {
    /// Says what is wrong with it.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) {
        self.source.problem(self.line, format!("{}: {what}", self.name));
    }

    pub(super) fn text(&self) -> Option<&'s str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong(format_args!("expected a text in quotes, not {}", kind(self.value.get_ref())));
        }
        text
    }

    /// A number from `least` to `most`.
    pub(super) fn truth(&self) -> Option<bool> {
        let DeValue::Boolean(truth) = self.value.get_ref() else {
            self.wrong(format_args!("expected true or false, not {}", kind(self.value.get_ref())));
            return None;
        };
        Some(*truth)
    }

    pub(super) fn number(&self, least: u64, most: u64) -> Option<u64> {
        let Some(integer) = self.value.get_ref().as_integer() else {
            self.wrong(format_args!("expected a number, not {}", kind(self.value.get_ref())));
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(format_args!("must be a number from {least} to {most}"));
        }
        number
    }

    /// What `parse` makes of the text; what it says is wrong otherwise.
    pub(super) fn parsed<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(what) => {
                self.wrong(what);
                None
            }
        }
    }

    /// One of these words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        self.parsed(|text| {
            let found = words.iter().find(|(word, _)| *word == text);
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            found.map(|(_, value)| *value).ok_or_else(|| {
                let hint = nearest(text, names.iter().copied());
                let hint = hint.map_or_else(String::new, |name| format!(": did you mean {name:?}?"));
                format!("{text:?} is not one of {}{hint}", names.join(", "))
            })
        })
    }

    /// The values of an array, each with its own line; `None` when it is not one.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            self.wrong(format_args!("expected a list in brackets, not {}", kind(self.value.get_ref())));
            return None;
        };
        let item = |value: &'s Spanned<DeValue<'s>>| Self {
            source: self.source,
            name: self.name.clone(),
            line: self.source.line(&value.span()),
            value,
        };
        Some(array.iter().map(item).collect())
    }
}

/// What was probably meant.
fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.map(|known| (strsim::osa_distance(written, known), known));
    let near = near.filter(|(distance, known)| *distance <= SLIP && *distance < known.len()).min();
    near.map(|(_, known)| known)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
