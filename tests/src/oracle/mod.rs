//! What others make of the same octets: parsers that we did not write, as judges of ours.

pub mod imap_command;
pub mod imap_form;
pub mod imap_response;
pub mod mail;
pub mod well_made;
