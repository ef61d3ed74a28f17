//! Flags and keywords of a request, as bits of the mailbox that they are for.

use pillarbox_core::mailbox::{FlagChange, FlagMode, FlagSet, Keywords, ModSeq};

/// The bits that a change names, and the mailbox's keywords with those that are new; `None` when there is no room for
/// them. To take away a keyword that the mailbox does not have is nothing.
pub(crate) fn resolve(change: &FlagChange, known: &Keywords) -> Option<(FlagSet, Keywords)> {
    let (mut flags, mut keywords) = (change.flags & FlagSet::SYSTEM, known.clone());
    for keyword in &change.keywords {
        if change.mode == FlagMode::Remove {
            flags = flags | known.flag(keyword).unwrap_or_default();
            continue;
        }
        let flag;
        (keywords, flag) = keywords.with(keyword)?;
        flags = flags | flag;
    }
    Some((flags, keywords))
}

/// What a change makes of the flags of one message.
pub(crate) fn change(mode: FlagMode, old: FlagSet, flags: FlagSet) -> FlagSet {
    match mode {
        FlagMode::Add => old | flags,
        FlagMode::Remove => old & !flags,
        FlagMode::Replace => flags,
    }
}

/// When flags of a message have changed: all of them by `before` at the latest, and those that were `touched` at `modseq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latest {
    pub(crate) modseq: ModSeq,
    pub(crate) before: ModSeq,
    pub(crate) touched: FlagSet,
}

impl Latest {
    /// With its coming, all of a message is new.
    pub(crate) fn coming(modseq: ModSeq) -> Self {
        Self { modseq, before: modseq, touched: FlagSet::default() }
    }

    /// They have changed once more.
    pub(crate) fn change(self, modseq: ModSeq, old: FlagSet, new: FlagSet) -> Self {
        Self { modseq, before: self.modseq, touched: (old | new) & !(old & new) }
    }

    /// The flags that are `named` have not changed after `since`, so that they may be changed on that condition (RFC 7162
    /// §3.1.3). Whether others have does not matter as long as it is known that it was others: if there was one change
    /// only. After 0 each system flag has changed, and each keyword that is set.
    pub(crate) fn allows(self, mode: FlagMode, old: FlagSet, named: FlagSet, since: ModSeq) -> bool {
        match mode {
            _ if self.modseq <= since => true,
            FlagMode::Replace => false,
            FlagMode::Add | FlagMode::Remove if since == 0 => (named & (FlagSet::SYSTEM | old)).is_empty(),
            FlagMode::Add | FlagMode::Remove => self.before <= since && (named & self.touched).is_empty(),
        }
    }
}

/// How flags of one mailbox are written in another.
pub(crate) struct Translation {
    /// The other mailbox's keywords, with those that are new.
    pub(crate) keywords: Keywords,
    bits: Vec<(FlagSet, FlagSet)>,
}

impl Translation {
    /// For these flags of a mailbox with the keywords `from`; `None` when there is no room for their keywords in `to`.
    pub(crate) fn new(flags: FlagSet, from: &Keywords, to: &Keywords) -> Option<Self> {
        let (mut keywords, mut bits) = (to.clone(), Vec::new());
        for keyword in from.of(flags) {
            let flag;
            (keywords, flag) = keywords.with(keyword)?;
            bits.push((from.flag(keyword)?, flag));
        }
        Some(Self { keywords, bits })
    }

    pub(crate) fn translate(&self, flags: FlagSet) -> FlagSet {
        let set = self.bits.iter().filter(|(from, _)| flags.contains(*from));
        set.fold(flags & FlagSet::SYSTEM, |flags, (_, to)| flags | *to)
    }
}

#[cfg(test)]
mod tests {
    use pillarbox_core::mailbox::Keyword;

    use super::*;

    fn keywords(names: impl IntoIterator<Item = &'static str>) -> Keywords {
        Keywords::new(names.into_iter().filter_map(|name| Keyword::new(name).ok()).collect())
    }

    #[test]
    fn keywords_are_found_by_name() {
        let (from, to) = (keywords(["a", "b", "c"]), keywords(["C", "d"]));
        let bit = |index| FlagSet::keyword(index).unwrap_or_default();
        let all = FlagSet::SEEN | bit(0) | bit(2);
        let translation = Translation::new(all, &from, &to).expect("there is room");
        assert_eq!(translation.keywords, keywords(["C", "d", "a"]));
        assert_eq!(translation.translate(all), FlagSet::SEEN | bit(2) | bit(0));
        assert_eq!(translation.translate(bit(0) | bit(1)), bit(2), "it is not for b");
    }

    #[test]
    fn only_what_is_set_needs_room() {
        let mut full = keywords(["a"]);
        for number in 1..Keywords::MOST {
            let keyword = Keyword::new(&format!("k{number}")).expect("an atom");
            (full, _) = full.with(&keyword).expect("there is room");
        }
        let change =
            |mode, name| FlagChange { mode, flags: FlagSet(u64::MAX), keywords: keywords([name]).list().into() };
        assert!(resolve(&change(FlagMode::Add, "more"), &full).is_none());
        let (flags, same) = resolve(&change(FlagMode::Remove, "more"), &full).expect("nothing is added");
        assert_eq!((flags, same == full), (FlagSet::SYSTEM, true));
        assert!(Translation::new(FlagSet::SEEN, &keywords(["more"]), &full).is_some());
        assert!(Translation::new(FlagSet::keyword(0).unwrap_or_default(), &keywords(["more"]), &full).is_none());
    }
}
