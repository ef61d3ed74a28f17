//! What a message says of itself, read as it passes (RFC 5322, RFC 2045): incremental, and bounded.
//!
//! [`HeaderScanner`] sees what a mail server must know of a header; [`StructureParser`] makes the [`Structure`]: the
//! tree of parts, where each lies in the message, and the fields that IMAP and JMAP tell of.

mod addresses;
mod blob;
mod charset;
mod date;
mod fields;
mod fold;
mod header;
mod header_end;
mod media;
mod needles;
mod parser;
mod search;
mod structure;
mod text;
mod thread;
mod transfer;
mod words;

pub use blob::Broken;
pub(crate) use date::day;
pub use fields::{FieldFilter, Pick};
pub use fold::fold;
pub use header::{HeaderFault, HeaderScanner};
pub use header_end::HeaderEnd;
pub use needles::Needles;
pub use parser::StructureParser;
pub use search::{Matcher, TextKey};
pub use structure::{FieldName, Kind, Part, Structure};
pub use text::{Place, TextReader, Told};
pub use thread::base_subject;
pub use transfer::{Decoder, LineEnds, Undecodable};
