//! What a message says of itself, read as it passes (RFC 5322): incremental, and bounded.

mod header;

pub use header::{HeaderFault, HeaderScanner};
