//! The IMAP server machine: its dialogues, and the laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::ImapServer, "imap-server");
