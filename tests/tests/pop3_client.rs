//! The POP3 client machine: its dialogues, and the laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::Pop3Client, "pop3-client");
