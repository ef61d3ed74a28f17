//! The SMTP client machine: its dialogues, and the laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::SmtpClient, "smtp-client");
