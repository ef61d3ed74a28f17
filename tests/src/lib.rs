//! How the machines of Pillarbox are tested: dialogues that people can read, and laws that hold for every machine.
//!
//! A [`dialogue`] is a text file that tells one story: what the peer says, what the machine answers, what it asks of its
//! host. [`mod@laws`] takes the same files and checks over each of them what every machine promises: drain, honest
//! deadlines, split invariance, one question one answer, bounds, purity, totality. Both drive a machine through a
//! [`Subject`]: a small binding that renders a machine's actions as text and reads answers from text. The bindings are
//! in [`bindings`].
//!
//! One line in a file of `tests/tests/` runs all of it for one machine:
//!
//! ```text
//! pillarbox_tests::laws!(pillarbox_tests::bindings::Pop3Server, "pop3-server");
//! ```

pub mod alloc;
pub mod bench;
pub mod bindings;
pub mod dialogue;
pub mod laws;
pub mod oracle;
pub mod provider;
pub mod subject;
pub mod theatre;
pub mod tunnel;
pub mod world;

pub use subject::{Bounds, Event, Kind, NotAnswered, Range, Role, Settings, Subject};

/// The code of the page for hosts, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/bring-your-own-runtime.md")]
struct BringYourOwnRuntime;
