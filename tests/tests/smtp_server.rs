//! The SMTP server machine: its dialogues, and the laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::SmtpServer, "smtp-server");
