//! What IMAP talks about, as plain data: one concept a file.
//!
//! Everything that is read here has been checked where it was made: a [`Tag`] is a tag, a [`MailboxName`] is UTF-8, a
//! number is in the range of its grammar. Strings are slices of what was received, and cost no copy; whoever keeps one
//! for long takes a copy (`detached`), so that a name does not keep a whole buffer.

pub mod append;
pub mod body_part;
pub mod capability;
pub mod chars;
pub mod code;
pub mod command;
pub mod date;
pub mod envelope;
pub mod fetch;
pub mod flag;
pub mod list;
pub mod mailbox;
pub mod modseq;
pub mod object_id;
pub mod pattern;
pub mod search;
pub mod section;
pub mod select;
pub mod set;
pub mod status;
pub mod store;
pub mod tag;
pub mod text;
pub mod utf7;

pub use append::{AppendMessage, Literal, LiteralMode};
pub use body_part::{BodyKind, BodyPart, Parameter};
pub use capability::{Enabled, SpecialUse};
pub use code::Code;
pub use command::{Command, IdField, Tagged, Transfer};
pub use date::{Date, DateTime};
pub use envelope::{Address, Envelope};
pub use fetch::{Fetch, FetchItem};
pub use flag::{Flag, Keyword};
pub use list::{List, ListReturn, ListSelect};
pub use mailbox::{MailboxName, NameError, Names};
pub use modseq::Modseq;
pub use object_id::ObjectId;
pub use pattern::ListPattern;
pub use search::{AddressField, Charset, DateField, Search, SearchKey, SearchReturn, When};
pub use section::{PartPath, Partial, Section, SectionText};
pub use select::{Qresync, Select};
pub use set::{Bound, NumberSet, SequenceRange, SequenceSet};
pub use status::StatusItem;
pub use store::{FlagChange, Store};
pub use tag::Tag;
pub use text::Text;
