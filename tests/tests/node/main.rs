//! Whole nodes in virtual time: mail that flows, and mail that meets trouble.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on may panic")]

mod chaos;
mod exchangers;
mod fair;
mod flood;
mod late;
mod mail;
mod pressure;
mod readers;
mod several;
mod slow;
mod smuggling;
mod tap;

use pillarbox_tests::provider;
