//! The control protocol's client machine: its dialogues, and the laws over them.

pillarbox_tests::laws!(pillarbox_tests::bindings::ControlClient, "control-client");
