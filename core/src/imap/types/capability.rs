//! Capabilities: what can be enabled (RFC 5161), and the names of uses (RFC 6154).

/// What is switched on by ENABLE, in one command or in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    /// `CONDSTORE` (RFC 7162)
    pub condstore: bool,
    /// `QRESYNC` (RFC 7162); whoever has it has CONDSTORE too.
    pub qresync: bool,
    /// `UTF8=ACCEPT` (RFC 6855)
    pub utf8_accept: bool,
    /// `IMAP4rev2` (RFC 9051)
    pub imap4rev2: bool,
}

impl Enabled {
    /// Switches on the capability called `name`, in any case. False when ENABLE means nothing for it; then the client is
    /// told nothing of it either.
    pub fn switch_on(&mut self, name: &[u8]) -> bool {
        let switch = match name {
            _ if name.eq_ignore_ascii_case(b"CONDSTORE") => &mut self.condstore,
            _ if name.eq_ignore_ascii_case(b"QRESYNC") => &mut self.qresync,
            _ if name.eq_ignore_ascii_case(b"UTF8=ACCEPT") => &mut self.utf8_accept,
            _ if name.eq_ignore_ascii_case(b"IMAP4rev2") => &mut self.imap4rev2,
            _ => return false,
        };
        *switch = true;
        true
    }

    /// The names of what is on.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.condstore, "CONDSTORE"),
            (self.qresync, "QRESYNC"),
            (self.utf8_accept, "UTF8=ACCEPT"),
            (self.imap4rev2, "IMAP4rev2"),
        ];
        all.into_iter().filter_map(|(on, name)| on.then_some(name))
    }
}

/// What a mailbox is for (RFC 6154, RFC 8457).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Important`
    Important,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// All of them, once each.
    pub const ALL: [Self; 8] =
        [Self::All, Self::Archive, Self::Drafts, Self::Flagged, Self::Important, Self::Junk, Self::Sent, Self::Trash];

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Important => "\\Important",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// The use of that name, in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|special| special.name().as_bytes().eq_ignore_ascii_case(name))
    }
}
