//! Commands as a client means them.

use std::collections::BTreeSet;

/// Names of flags.
pub type Flags = BTreeSet<String>;

/// One end of a range; `None` is `*`.
pub type End = Option<u32>;

/// Numbers or UIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set(pub Vec<(End, End)>);

impl Set {
    pub fn written(&self) -> String {
        let end = |end: &End| end.map_or("*".to_owned(), |number| number.to_string());
        let range = |(a, b): &(End, End)| if a == b { end(a) } else { format!("{}:{}", end(a), end(b)) };
        self.0.iter().map(range).collect::<Vec<_>>().join(",")
    }

    /// The largest number that is written.
    pub fn largest(&self) -> u32 {
        self.0.iter().flat_map(|(a, b)| [*a, *b]).flatten().max().unwrap_or(0)
    }

    /// `number` is in it, when `*` is `last`.
    pub fn holds(&self, number: u32, last: u32) -> bool {
        self.0.iter().any(|(a, b)| {
            let (a, b) = (a.unwrap_or(last), b.unwrap_or(last));
            (a.min(b)..=a.max(b)).contains(&number)
        })
    }

    pub fn has_last(&self) -> bool {
        self.0.iter().any(|(a, b)| a.is_none() || b.is_none())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Add,
    Remove,
    Replace,
}

impl Mode {
    /// What it makes of `old`.
    pub fn change(self, old: &Flags, flags: &Flags) -> Flags {
        match self {
            Self::Add => old | flags,
            Self::Remove => old - flags,
            Self::Replace => flags.clone(),
        }
    }
}

/// What a client that was away knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub uid_validity: u32,
    pub modseq: u64,
    pub uids: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Login,
    Enable(&'static str),
    Noop,
    Check,
    Idle,
    Logout,
    Select {
        name: String,
        read_only: bool,
        condstore: bool,
        known: Option<Known>,
    },
    Close,
    Unselect,
    Store {
        uid: bool,
        set: Set,
        mode: Mode,
        flags: Flags,
        silent: bool,
        unchanged_since: Option<u64>,
    },
    Expunge(Option<Set>),
    Transfer {
        uid: bool,
        set: Set,
        to: String,
        remove: bool,
    },
    /// Each message by its flags and the number of its content.
    Append {
        to: String,
        messages: Vec<(Flags, usize)>,
        waits: bool,
    },
    Fetch {
        uid: bool,
        set: Set,
        items: &'static str,
        since: Option<(u64, bool)>,
    },
    Search {
        uid: bool,
        key: &'static str,
    },
    Create(String),
    Delete(String),
    Rename(String, String),
    Status(String),
}

impl Command {
    /// The set that it is about, and whether of UIDs.
    pub fn set(&self) -> Option<(&Set, bool)> {
        match self {
            Self::Store { uid, set, .. } | Self::Transfer { uid, set, .. } | Self::Fetch { uid, set, .. } => {
                Some((set, *uid))
            }
            Self::Expunge(Some(set)) => Some((set, true)),
            _ => None,
        }
    }

    /// EXPUNGE may not be said while it runs (RFC 9051 §7.5.1).
    pub fn holds_expunges(&self) -> bool {
        match self {
            Self::Store { uid, .. } | Self::Fetch { uid, .. } | Self::Search { uid, .. } => !uid,
            _ => false,
        }
    }

    /// The pieces in which it is written; before each piece but the first the server has to say `+`.
    pub fn written(&self, contents: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let uid = |uid: &bool| if *uid { "UID " } else { "" };
        let list = |flags: &Flags| flags.iter().cloned().collect::<Vec<_>>().join(" ");
        let text = match self {
            Self::Login => "LOGIN alice wonderland".to_owned(),
            Self::Enable(what) => format!("ENABLE {what}"),
            Self::Noop => "NOOP".to_owned(),
            Self::Check => "CHECK".to_owned(),
            Self::Idle => return vec![b"IDLE\r\n".to_vec(), b"DONE\r\n".to_vec()],
            Self::Logout => "LOGOUT".to_owned(),
            Self::Select { name, read_only, condstore, known } => {
                let verb = if *read_only { "EXAMINE" } else { "SELECT" };
                let known = known.as_ref().map(|known| {
                    let uids = known.uids.as_ref().map_or(String::new(), |uids| format!(" {uids}"));
                    format!("QRESYNC ({} {}{uids})", known.uid_validity, known.modseq)
                });
                let parameters: Vec<_> = known.into_iter().chain(condstore.then(|| "CONDSTORE".to_owned())).collect();
                match parameters.is_empty() {
                    true => format!("{verb} {name}"),
                    false => format!("{verb} {name} ({})", parameters.join(" ")),
                }
            }
            Self::Close => "CLOSE".to_owned(),
            Self::Unselect => "UNSELECT".to_owned(),
            Self::Store { uid: by_uid, set, mode, flags, silent, unchanged_since } => {
                let unchanged = unchanged_since.map_or(String::new(), |since| format!("(UNCHANGEDSINCE {since}) "));
                let sign = match mode {
                    Mode::Add => "+",
                    Mode::Remove => "-",
                    Mode::Replace => "",
                };
                let silent = if *silent { ".SILENT" } else { "" };
                format!("{}STORE {} {unchanged}{sign}FLAGS{silent} ({})", uid(by_uid), set.written(), list(flags))
            }
            Self::Expunge(None) => "EXPUNGE".to_owned(),
            Self::Expunge(Some(set)) => format!("UID EXPUNGE {}", set.written()),
            Self::Transfer { uid: by_uid, set, to, remove } => {
                format!("{}{} {} {to}", uid(by_uid), if *remove { "MOVE" } else { "COPY" }, set.written())
            }
            Self::Append { to, messages, waits } => {
                let mut pieces = vec![format!("APPEND {to}").into_bytes()];
                for (flags, content) in messages {
                    let content = &contents[*content];
                    let last = pieces.last_mut().expect("there is one");
                    let plus = if *waits { "" } else { "+" };
                    last.extend_from_slice(format!(" ({}) {{{}{plus}}}\r\n", list(flags), content.len()).as_bytes());
                    match waits {
                        true => pieces.push(content.clone()),
                        false => last.extend_from_slice(content),
                    }
                }
                pieces.last_mut().expect("there is one").extend_from_slice(b"\r\n");
                return pieces;
            }
            Self::Fetch { uid: by_uid, set, items, since } => {
                let since = since.map_or(String::new(), |(since, vanished)| {
                    format!(" (CHANGEDSINCE {since}{})", if vanished { " VANISHED" } else { "" })
                });
                format!("{}FETCH {} ({items}){since}", uid(by_uid), set.written())
            }
            Self::Search { uid: by_uid, key } => format!("{}SEARCH {key}", uid(by_uid)),
            Self::Create(name) => format!("CREATE {name}"),
            Self::Delete(name) => format!("DELETE {name}"),
            Self::Rename(from, to) => format!("RENAME {from} {to}"),
            Self::Status(name) => format!("STATUS {name} (MESSAGES UIDNEXT)"),
        };
        vec![format!("{text}\r\n").into_bytes()]
    }
}
