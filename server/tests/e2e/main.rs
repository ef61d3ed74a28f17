//! The real binary, from outside: its commands, its files, its ports. What a server does, it does on every runtime.

#![allow(clippy::unwrap_used)] // a test's unwrap is an assertion

mod common;

mod attack;
mod clients;
mod commands;
mod crash;
mod crowd;
mod demo;
mod devices;
mod flood;
mod imap;
mod imap_attack;
mod imap_crash;
mod mail;
mod serving;
mod workers;
