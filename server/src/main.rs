//! The Pillarbox mail server and its command line.

mod account;
mod admin;
mod alias;
mod certificate;
mod check;
mod cli;
mod config;
mod demo;
mod failure;
mod instance;
mod log;
mod notify;
mod print;
mod queue;
mod quickstart;
mod serve;
mod signals;
mod sim;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::error(&failure);
            failure.code()
        }
    }
}
