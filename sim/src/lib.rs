//! A mail internet in one thread and in virtual time, and a ledger of what was promised in it.
//!
//! The nodes are the real ones: `pillarbox_core::node::Node`, as the runtimes turn its crank. Around them everything is
//! simulated: wires that are slow, cut, reset, or silent for ever; disks that are full, slow, or stop; name servers that
//! fail or lie; clocks that jump; machines that lose their power; and people who write, read, delete, and hang up at the
//! worst moment. Everything follows from a seed: the same seed gives the same history, to the last octet.
//!
//! ```
//! use pillarbox_sim::{Plan, Size, run};
//!
//! let plan = Plan::draw(7, &Size { hosts: 3, letters: 5, visits: 3, faults: 3, ..Size::default() });
//! let outcome = run(&plan, false);
//! assert_eq!(outcome.violations, Vec::<String>::new());
//! assert_eq!(run(&plan, false).trace, outcome.trace);
//! ```
//!
//! | where | what |
//! |---|---|
//! | [`Plan`] | who writes what to whom, who reads, what goes wrong and when: data, drawn from a seed |
//! | `world` | the agenda; machines, wires and people; holds nodes to their contract |
//! | `wire`, `weather`, `names`, `disk` | what is between them, and what is wrong with it |
//! | `people` | devices that speak SMTP, POP3 and IMAP, and know nothing of our machines; strangers, and an odd server |
//! | `ledger` | each promise, and each one that was broken, in words |
//! | `told`, `copies` | what IMAP devices were told of a mailbox, and how often each message must be where at rest |
//! | [`run()`] | a plan carried out: first the faults, then the world heals, and everything must come to its end |
//! | [`shrink()`] | a plan that fails, made smaller until nothing can be left out |
//! | [`Scenario`], `rhythm`, `meter` | days of mail for many users, drawn as they pass, and what it is like over time |
//! | [`Settings`] | what an operator may set |
//! | [`Swarm`] | many seeds, on several threads |
//! | [`UNREACHED`], [`RARE`] | which marks in the machines no world reaches, and why |
//!
//! **Safety**: a letter that was accepted is in the mailbox that it was for, in a queue, or its sender was told that it is
//! not; it is at nobody else's, and not an octet of it is altered; it is there twice only where a crash or a lost reply
//! allows it; no UID is given twice, and no word to an IMAP device is taken back. **Liveness**: when nothing goes wrong any
//! more, every queue drains, every session ends, and nobody holds anything.

mod census;
mod copies;
mod disk;
mod host;
mod ledger;
mod letter;
mod meter;
mod names;
mod operator;
mod overheard;
mod people;
mod plan;
mod rhythm;
mod run;
mod scenario;
mod settings;
mod shrink;
mod story;
mod swarm;
mod timeline;
mod told;
mod town;
mod trace;
mod unreached;
mod weather;
mod wire;
mod world;

pub use host::BEGINNING;
pub use ledger::Counts;
pub use letter::Letter;
pub use meter::{Figures, Latency, Point, Said};
pub use people::{Chore, Habit, Session};
pub use plan::{Fault, FaultKind, HOPELESS, HostPlan, LetterPlan, Means, Plan, Size, StrangerPlan, VisitPlan, domain};
pub use run::{Outcome, run};
pub use scenario::{Faults, Progress, Report, Scenario};
pub use settings::Settings;
pub use shrink::{Effort, Shrunk, kind, shrink, shrink_by};
pub use swarm::{Failure, Swarm, Tally};
pub use timeline::Moment;
pub use unreached::{RARE, UNREACHED};
