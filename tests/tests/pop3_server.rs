//! The POP3 server machine: its dialogues, and the laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::Pop3Server, "pop3-server");
