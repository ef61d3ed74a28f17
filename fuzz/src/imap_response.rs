//! IMAP's responses: whatever stands in a message, what is told of it stays one response that can be read.

use pillarbox_core::imap::encode::Charset;
use pillarbox_tests::oracle::imap_form::response;
use pillarbox_tests::oracle::imap_response::{fetched, they_read_what_we_write};

use crate::gauge::{Allowance, linear};
use crate::message;

/// The FETCH response of a message: its form, and what `imap-codec` reads in it.
pub(crate) fn of_message(octets: &[u8]) {
    let structure = message::structure_of(octets);
    for charset in [Charset::Ascii, Charset::Utf8] {
        let allowed = Allowance { peak: (600, 1 << 19), total: (4000, 1 << 21), count: (32, 4096) };
        let sent = linear(octets.len(), allowed, || fetched(&structure, charset));
        response(&sent, charset).unwrap_or_else(|what| panic!("{what}: {}", sent.escape_ascii()));
    }
    they_read_what_we_write(&structure).unwrap_or_else(|how| panic!("{how}"));
}
