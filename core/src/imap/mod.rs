//! IMAP: IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051).
//!
//! What comes in goes through three rooms, and what goes out through one:
//!
//! ```text
//!  rx ──> framing ──> grammar ──> types ──> (the session)
//!         lines and   text to               what it answers ──> encode ──> tx
//!         literals    commands
//! ```
//!
//! [`framing`] cuts the stream and knows no command. [`grammar`] reads commands and knows no stream. [`reader`] is the two
//! together, as a session uses them. [`types`] says what commands and responses are about. [`encode`] writes responses, and
//! commands for whoever is a client.
//!
//! # What of which RFC
//!
//! Which commands a session carries out is [its own](server) affair; this is what is read and written here.
//!
//! | RFC | what | here |
//! |---|---|---|
//! | 9051, 3501 | commands of IMAP4rev2 and IMAP4rev1 | all; `CHECK`, `LSUB`, `RECENT`, `NEW`, `OLD`, `RFC822…` are rev1's |
//! | 2971 | `ID` | up to 30 fields of 30 and 1024 octets |
//! | 2177 | `IDLE`, `DONE` | as a line of an [exchange](reader::Exchange) |
//! | 2342 | `NAMESPACE` | one personal namespace is what we can tell |
//! | 3348, 5258, 5819, 6154, 8457 | `LIST`, extended: options, several patterns, `STATUS`, special uses | all; an option that we do not know is BAD, a special use that we do not know is told apart (`USEATTR`) |
//! | 3502 | several messages in one `APPEND` | up to 1000 |
//! | 3516 | `BINARY`, `BINARY.SIZE`, literal8 | in FETCH and APPEND; in any other place a literal8 is BAD |
//! | 3691, 4315, 6851 | `UNSELECT`, `UID EXPUNGE`, `MOVE`, `APPENDUID`, `COPYUID` | all |
//! | 4731, 5182 | `RETURN (…)`, `ESEARCH`, `$` | all |
//! | 4466 | generic parameters | those of the extensions here; others are BAD |
//! | 4959 | the initial response of `AUTHENTICATE` | all |
//! | 5032 | `YOUNGER`, `OLDER` | all |
//! | 5161 | `ENABLE` | CONDSTORE, QRESYNC, UTF8=ACCEPT, IMAP4rev2; other names are passed over |
//! | 5530 | response codes | all |
//! | 6855 | UTF-8 in strings and names, `UTF8 (…)` in APPEND | all; valid UTF-8 is taken before it is enabled, too |
//! | 7162 | CONDSTORE and QRESYNC | all; the entry's name and type in `SEARCH MODSEQ` are read, and not kept |
//! | 7888 | `{n+}` | up to 4096 octets (LITERAL-), or as many as [`Limits`](framing::Limits) say |
//! | 7889, 8438, 8474, 8514 | `APPENDLIMIT`, `SIZE`, object ids, `SAVEDATE` | all |
//! | 3501 §5.1.3 | modified UTF-7 | [`types::utf7`]; only what is written in the one right way is read |
//! | 4314, 4467, 5256, 5257, 5464, 5465 and others | ACL, URLAUTH, SORT and THREAD, ANNOTATE, METADATA, NOTIFY | refused: BAD, unknown command |
//!
//! # Bounds
//!
//! Numbers are 32 bits, or 63 where the grammar says `number64`; one beyond that is BAD, and never wraps around. Lines and
//! literals have [limits](framing::Limits). So have a [tag](types::Tag::MAX), a [name](types::MailboxName::MAX), a
//! [keyword](types::Keyword::MAX), a [set](types::SequenceSet::MAX_RANGES), a [list of flags](types::Flag::MAX_LIST), the
//! [items](types::Fetch::MAX_ITEMS) of a FETCH, the [depth](types::PartPath::MAX_DEPTH) of a section, and the
//! [number](types::SearchKey::MAX_KEYS) and [nesting](types::SearchKey::MAX_DEPTH) of search keys. Whoever meets one gets BAD, with
//! a text that says which.

pub mod encode;
pub mod framing;
pub mod grammar;
pub mod reader;
pub mod server;
pub mod types;
