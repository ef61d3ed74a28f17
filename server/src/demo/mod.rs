//! `demo`: two providers on this machine exchange mail, and one can read what they say to each other.
//!
//! ```text
//!   alice ─┐                                                        ┌─ carol
//!          ├─ submission ──▶ amber.example ──── SMTP ──▶ birch.example ─ POP3 ─┘
//!   bob ───┘◀─ POP3, IMAP ─────┘   └──▶ DNS on loopback
//! ```
//!
//! Everything on the stage is real: two servers as `serve` runs them, with stores on disk, TLS, and an MX lookup between
//! them. Only the name server and the users are ours to direct.

mod agent;
mod connection;
mod device;
mod dialogue;
mod ears;
mod gloss;
mod mail;
mod names;
mod screen;
mod signals;
mod stage;
mod steps;
mod verify;

use std::path::PathBuf;

use clap::Args;

use self::ears::{Ears, remark};
use self::mail::{Mail, Message};
use self::screen::{Screen, Style};
use self::stage::Stage;
use crate::config::RuntimeArgs;
use crate::failure::Failure;

/// What `demo` is asked to play.
#[derive(Args)]
pub(crate) struct Demo {
    /// End after the five steps, with exit code 0 only if each of them was verified
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Send this message in all steps instead of the built-in ones
    #[arg(long, value_name = "FILE.eml")]
    message: Option<PathBuf>,
}

/// Plays it.
///
/// # Errors
/// When something is not as it should be: what was expected, and what was there instead.
pub(crate) fn demo(args: &Demo) -> Result<(), Failure> {
    let mail = match &args.message {
        Some(path) => Mail::all(&Message::read(path)?),
        None => Mail::built_in(),
    };
    let ears = Ears::new();
    signals::listen(ears.mouth())?;
    let mut stage = Stage::build(ears, args.runtime)?;
    let screen = Screen::new();
    play(&mut stage, screen, &mail, args)?;
    let dir = stage.dir().to_owned();
    stage.strike()?;
    screen.gap()?;
    screen.line(&[(Style::Dim, &format!("Both servers have stopped, and {} is removed.", dir.display()))])
}

fn play(stage: &mut Stage, screen: Screen, mail: &Mail, args: &Demo) -> Result<(), Failure> {
    welcome(stage, screen)?;
    if let Some(path) = &args.message {
        screen.say(&format!("Every time the message is yours, {}.", path.display()))?;
    }
    steps::play(stage, screen, mail)?;
    screen.title("All five steps went as they should")?;
    if args.once {
        return Ok(());
    }
    invite(stage, screen)?;
    stage.ears.forget();
    // From here on it is the user's play; what happens is told in a line each.
    while let Some(heard) = stage.ears.next() {
        if let Some(text) = remark(&heard) {
            screen.line(&[(Style::Dim, "· "), (Style::Plain, &text)])?;
        }
    }
    screen.gap()
}

/// Who is who.
fn welcome(stage: &Stage, screen: Screen) -> Result<(), Failure> {
    screen.title("Two mail providers on this machine")?;
    screen.gap()?;
    for (provider, people) in [(&stage.amber, "alice, bob"), (&stage.birch, "carol")] {
        let (name, host) = (format!("  {}.example  ", provider.name), &provider.hostname);
        let [smtp, submission, _, pop3, _, imap, _] = provider.ports;
        let at =
            format!("{host} at {}: smtp {smtp}, submission {submission}, pop3 {pop3}, imap {imap}; ", provider.address);
        screen.line(&[(Style::Strong, &name), (Style::Plain, &at), (Style::Dim, people)])?;
    }
    screen.line(&[(Style::Strong, "  DNS            "), (Style::Plain, &format!("{}, knows both", stage.names))])?;
    screen.say(&format!(
        "Two real servers with their own stores, in {}. They use free ports of this machine, self-signed certificates, and \
         a retry after 1 second instead of 30, so that nobody has to wait. Nothing leaves this machine. What you read is \
         what was said, taken behind TLS: C: is the client who opened the connection, S: the server; passwords are shown \
         as ****.",
        stage.dir().display()
    ))?;
    if stage.amber.address == stage.birch.address {
        screen.say(
            "(This machine's loopback has one address only, so the two providers differ in their ports, and each knows the \
             other's. In the real world all mail servers listen on port 25.)",
        )?;
    }
    Ok(())
}

/// How to go on from here.
fn invite(stage: &Stage, screen: Screen) -> Result<(), Failure> {
    screen.say("Both servers go on until you press Ctrl-C. Connect your own mail program, as any of these:")?;
    screen.gap()?;
    for (agent, provider) in [(&stage.alice, &stage.amber), (&stage.bob, &stage.amber), (&stage.carol, &stage.birch)] {
        let [_, submission, submissions, pop3, pop3s, imap, imaps] = provider.ports;
        let (user, password) = (format!("{:21}", agent.address.to_string()), format!("password {}", agent.password));
        screen.line(&[(Style::Strong, "  "), (Style::Strong, &user), (Style::Plain, &password)])?;
        let host = provider.address;
        let send = format!("      send     SMTP {host} port {submission} (STARTTLS) or {submissions} (TLS)");
        let read = format!("      read     IMAP {host} port {imap} (STARTTLS) or {imaps} (TLS)");
        let receive = format!("      receive  POP3 {host} port {pop3} (STARTTLS) or {pop3s} (TLS)");
        for line in [send, read, receive] {
            screen.line(&[(Style::Plain, &line)])?;
        }
    }
    screen
        .say("The user name is the whole address; the certificates are self-signed, so your program will ask. Or:")?;
    screen.gap()?;
    let (carol, birch, amber) = (&stage.carol, &stage.birch, &stage.amber);
    let fetch = format!(
        "  curl --insecure --user {}:{} pop3s://{}:{}/1",
        carol.address, carol.password, birch.address, birch.ports[4]
    );
    screen.line(&[(Style::Client, &fetch)])?;
    let list = format!("  pillarbox queue list --dir {}", amber.dir().display());
    screen.line(&[(Style::Client, &list)])?;
    screen.gap()
}
