//! DNS over TCP: its dialogues, and all laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::DnsStream, "dns-stream");
