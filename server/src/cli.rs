//! The command line: what can be asked for, and by which words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use pillarbox_core::ops::RowId;

use crate::account::Password;
use crate::config::RuntimeArgs;
use crate::failure::Failure;
use crate::{account, alias, check, demo, queue, quickstart, serve, sim};

/// Runs what the command line asks for. A command line that makes no sense ends the process with exit code 2.
///
/// # Errors
/// When it could not be done.
pub(crate) fn run() -> Result<(), Failure> {
    match Cli::parse().command {
        Command::Demo(args) => demo::demo(&args),
        Command::Quickstart(args) => quickstart::quickstart(&args),
        Command::Serve { dir, runtime } => serve::serve(&dir.dir, runtime),
        Command::Check { dir } => check::check(&dir.dir),
        Command::Sim(args) => sim::sim(&args),
        Command::Account(command) => match command {
            AccountCommand::Add { address, dir, password } => account::add(&dir.dir, &address, password.source()),
            AccountCommand::Passwd { address, dir, password } => account::passwd(&dir.dir, &address, password.source()),
            AccountCommand::Remove { address, dir } => account::remove(&dir.dir, &address),
            AccountCommand::List { dir } => account::list(&dir.dir),
        },
        Command::Alias(command) => match command {
            AliasCommand::Add { alias, targets, dir } => alias::add(&dir.dir, &alias, &targets),
            AliasCommand::Remove { alias, dir } => alias::remove(&dir.dir, &alias),
            AliasCommand::List { dir } => alias::list(&dir.dir),
        },
        Command::Queue(command) => match command {
            QueueCommand::List { dir, json } => queue::list(&dir.dir, json),
            QueueCommand::Show { ids, dir, json } => queue::show(&dir.dir, &ids, json),
            QueueCommand::Retry { ids, dir, json } => queue::retry(&dir.dir, &ids, json),
            QueueCommand::Remove { ids, dir, json } => queue::remove(&dir.dir, &ids, json),
        },
    }
}

/// A complete mail server: SMTP in and out, a durable queue, mailboxes, POP3 and IMAP.
#[derive(Parser)]
#[command(
    name = "pillarbox",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  pillarbox quickstart --dir mail --domain example.org --account alice --loopback
  pillarbox serve --dir mail
  pillarbox account add bob --dir mail

Everything lives in one folder, given by --dir: pillarbox.toml, keys, mail. account, alias and queue work whether or not \
the server runs; a running one obeys at once.

Exit codes: 0 done, 1 it could not be done (standard error says why), 2 the command line makes no sense."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch two providers exchange mail on this machine
    ///
    /// Two servers are set up in a temporary directory, with a small DNS, and mail goes between them: to a neighbour, to
    /// another provider, to one that is down, to nobody. Everything they say is shown. Then both keep running, for your
    /// own mail program, until Ctrl-C. Nothing leaves this machine, and nothing is left behind.
    Demo(demo::Demo),
    /// Make a new server: configuration, keys, certificate, accounts
    Quickstart(quickstart::Quickstart),
    /// Run the server until SIGINT or SIGTERM
    ///
    /// Once all listeners are bound one line is printed on standard output, like
    /// `ready smtp=127.0.0.1:2525 pop3=127.0.0.1:2110`. The log goes to standard error; RUST_LOG=debug shows more of it,
    /// RUST_LOG=warn less. SIGINT and SIGTERM let sessions finish for up to 10 seconds, a second one stops at once.
    /// SIGHUP reads the configuration and certificate again.
    Serve {
        #[command(flatten)]
        dir: Dir,
        #[command(flatten)]
        runtime: RuntimeArgs,
    },
    /// Say what is wrong in the configuration, with file and line
    Check {
        #[command(flatten)]
        dir: Dir,
    },
    /// Simulate whole mail internets, with everything that can go wrong, and see whether all promises are kept
    ///
    /// Real nodes run in one thread and in virtual time, over simulated wires, disks, name servers and people. All that
    /// happens follows from a seed: the same seed gives the same history on any machine, and its last line says so.
    Sim(sim::Sim),
    /// Who has a mailbox here
    #[command(subcommand)]
    Account(AccountCommand),
    /// Addresses that stand for others
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Mail that waits to go out
    #[command(subcommand)]
    Queue(QueueCommand),
}

#[derive(Args)]
struct Dir {
    /// The server's folder, with pillarbox.toml in it
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Args)]
struct PasswordArgs {
    /// Read the password from standard input, one line, instead of printing a fresh one
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArgs {
    fn source(&self) -> Password {
        if self.password_stdin { Password::Stdin } else { Password::Fresh }
    }
}

#[derive(Subcommand)]
enum AccountCommand {
    /// Make an account; its fresh password is printed once, alone on standard output
    Add {
        /// Its address; the domain may be left out where there is one only
        address: String,
        #[command(flatten)]
        dir: Dir,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give an account another password; it is printed once, alone on standard output
    Passwd {
        /// Its address; the domain may be left out where there is one only
        address: String,
        #[command(flatten)]
        dir: Dir,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Remove an account with all its mail
    Remove {
        /// Its address; the domain may be left out where there is one only
        address: String,
        #[command(flatten)]
        dir: Dir,
    },
    /// List the accounts, one address a line
    List {
        #[command(flatten)]
        dir: Dir,
    },
}

#[derive(Subcommand)]
enum AliasCommand {
    /// Make an alias, or give it other targets
    Add {
        /// The alias, in a domain of this server; the domain may be left out where there is one only
        alias: String,
        /// Where its mail goes: accounts, other aliases, addresses anywhere
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<String>,
        #[command(flatten)]
        dir: Dir,
    },
    /// Remove an alias
    Remove {
        /// The alias
        alias: String,
        #[command(flatten)]
        dir: Dir,
    },
    /// List the aliases: one a line, then its targets
    List {
        #[command(flatten)]
        dir: Dir,
    },
}

#[derive(Subcommand)]
enum QueueCommand {
    /// List the queue, one recipient of one message a line
    List {
        #[command(flatten)]
        dir: Dir,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of these
    Show {
        /// As `queue list` has them, like 3-1f
        #[arg(required = true, value_name = "ID")]
        ids: Vec<RowId>,
        #[command(flatten)]
        dir: Dir,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Try these now
    Retry {
        /// As `queue list` has them, like 3-1f
        #[arg(required = true, value_name = "ID")]
        ids: Vec<RowId>,
        #[command(flatten)]
        dir: Dir,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove these; their senders are not told
    Remove {
        /// As `queue list` has them, like 3-1f
        #[arg(required = true, value_name = "ID")]
        ids: Vec<RowId>,
        #[command(flatten)]
        dir: Dir,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
