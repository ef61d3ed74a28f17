//! The real binary, from outside: its commands, its files, its ports.

mod commands;
mod mail;
mod run;
mod serving;
