//! The control protocol's server machine: its dialogues, and the laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::ControlServer, "control-server");
