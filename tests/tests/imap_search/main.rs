//! SEARCH against the plain way: random trees of keys over random mailboxes, where each message is looked at alone. The
//! machine's answer is the same, however small the pages are in which the store answers, and whatever others do to other
//! messages meanwhile.

mod keys;
mod large;
mod world;

use keys::{Key, Truth, key};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use world::{Client, letter};

/// `RETURN (…)`
#[derive(Clone, Copy, Debug, Default)]
struct Returns {
    min: bool,
    max: bool,
    all: bool,
    count: bool,
    save: bool,
}

/// One search of a session.
#[derive(Clone, Debug)]
struct Search {
    uid: bool,
    returns: Option<Returns>,
    key: Key,
}

fn search() -> impl Strategy<Value = Search> {
    let returns = any::<[bool; 5]>().prop_map(|[min, max, all, count, save]| Returns { min, max, all, count, save });
    (any::<bool>(), proptest::option::of(returns), key()).prop_map(|(uid, returns, key)| Search { uid, returns, key })
}

impl Search {
    fn text(&self, exists: u32) -> String {
        let returns = self.returns.map_or(String::new(), |returns| {
            let options = [
                (returns.save, "SAVE"),
                (returns.max, "MAX"),
                (returns.all, "ALL"),
                (returns.min, "MIN"),
                (returns.count, "COUNT"),
            ];
            let options: Vec<_> = options.iter().filter(|(said, _)| *said).map(|(_, name)| *name).collect();
            format!("RETURN ({}) ", options.join(" "))
        });
        let uid = if self.uid { "UID " } else { "" };
        format!("{uid}SEARCH {returns}{}", self.key.text(exists))
    }

    /// What a server says, and what `$` is then.
    fn told(&self, truth: &Truth) -> (String, Vec<u32>) {
        let found = truth.found(&self.key);
        let number = |uid: u32| if self.uid { uid } else { truth.sequence(uid) };
        let numbers: Vec<_> = found.iter().map(|uid| number(*uid)).collect();
        let modseq = |uids: &[u32]| {
            let highest = uids.iter().map(|uid| truth.modseq(*uid)).max();
            highest.filter(|_| self.key.wants_modseq())
        };
        let Some(mut returns) = self.returns else {
            let numbers: String = numbers.iter().map(|number| format!(" {number}")).collect();
            let modseq = modseq(&found).map_or(String::new(), |modseq| format!(" (MODSEQ {modseq})"));
            return (format!("* SEARCH{numbers}{modseq}\r\n"), truth.saved.clone());
        };
        let Returns { min, max, all, count, save } = returns;
        let named = min || max || all || count;
        if !named && !save {
            returns.all = true;
        }
        let ends_only = (min || max) && !all && !count;
        let first = found.first().filter(|_| min);
        let last = found.last().filter(|_| max);
        let ends: Vec<u32> = first.into_iter().chain(last).copied().collect();
        let meant = if ends_only { ends } else { found.clone() };
        let mut told = format!("* ESEARCH (TAG \"t\"){}", if self.uid { " UID" } else { "" });
        for (name, uid) in [("MIN", first), ("MAX", last)] {
            told += &uid.map_or(String::new(), |uid| format!(" {name} {}", number(*uid)));
        }
        if returns.count {
            told += &format!(" COUNT {}", found.len());
        }
        told += &modseq(&meant).map_or(String::new(), |modseq| format!(" MODSEQ {modseq}"));
        if returns.all && !numbers.is_empty() {
            told += &format!(" ALL {}", runs(&numbers));
        }
        let mut saved = if save { meant } else { truth.saved.clone() };
        saved.dedup();
        let silent = save && !named;
        (if silent { String::new() } else { told + "\r\n" }, saved)
    }
}

/// `1:3,5`
fn runs(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let run = |run: &[u32]| match run {
        [one] => one.to_string(),
        run => format!("{}:{}", run[0], run[run.len() - 1]),
    };
    runs.map(run).collect::<Vec<_>>().join(",")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Searches of one session, one after the other: what is told, and what `$` is.
    #[test]
    fn a_search_is_what_each_message_says(
        letters in vec(letter(), 0..14),
        searches in vec(search(), 1..5),
        (page, room) in (1..6_usize, 1..200_usize),
    ) {
        let mut client = Client::new(&letters, page, room);
        let mut truth = Truth::new(&client);
        for search in &searches {
            let text = search.text(truth.exists());
            let (told, saved) = search.told(&truth);
            truth.saved = saved;
            let name = if search.uid { "UID SEARCH" } else { "SEARCH" };
            // Of mod-sequences the client is told when it has asked for them first.
            let said = client.command(&text);
            let said = said.lines().filter(|line| !line.contains("[HIGHESTMODSEQ ")).map(|line| format!("{line}\r\n"));
            prop_assert_eq!(said.collect::<String>(), format!("{told}t OK {name} completed\r\n"), "{}", text);
            let dollar: String = truth.saved.iter().map(|uid| format!(" {uid}")).collect();
            prop_assert_eq!(client.command("UID SEARCH $"), format!("* SEARCH{dollar}\r\nt OK UID SEARCH completed\r\n"));
        }
    }

    /// Others deliver, expunge and set flags while the search is under way. A message that nobody touches is found if it
    /// matches, and not if it does not; and numbers mean what they meant.
    #[test]
    fn what_others_do_to_others_changes_nothing(
        letters in vec(letter(), 1..14),
        key in key().prop_filter("everything changes it", |key| !key.wants_modseq()),
        others in vec((any::<Index>(), 0..3_usize), 0..6),
        page in 1..4_usize,
    ) {
        let mut client = Client::new(&letters, page, 1000);
        let truth = Truth::new(&client);
        let mut touched = Vec::new();
        for (index, what) in &others {
            let Some(uid) = truth.uids().get(index.index(letters.len())).copied() else { continue };
            touched.extend((*what != 0).then_some(uid));
            client.others.push_back((*what, uid));
        }
        let said = client.command(&format!("SEARCH {}", key.text(truth.exists())));
        let numbers = said.lines().find_map(|line| line.strip_prefix("* SEARCH"));
        let numbers: Vec<u32> = numbers.expect("it is told").split_whitespace().map(|it| it.parse().expect("a number")).collect();
        let untouched = |uid: &u32| !touched.contains(uid);
        let found: Vec<u32> = numbers.iter().map(|number| truth.uids()[*number as usize - 1]).filter(untouched).collect();
        let expected: Vec<u32> = truth.found(&key).into_iter().filter(untouched).collect();
        prop_assert_eq!(found, expected, "{}", key.text(truth.exists()));
    }
}
