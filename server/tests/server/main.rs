//! The real binary, from outside: its commands, its files, its ports.

#![allow(clippy::unwrap_used)]

mod commands;
mod crowd;
mod mail;
mod run;
mod serving;
