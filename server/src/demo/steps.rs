//! The five steps. Each says what will happen, lets it happen, shows it, and looks whether it did.

use std::thread;
use std::time::{Duration, Instant};

use pillarbox_core::node::Event;
use pillarbox_core::ops::QueueRow;
use pillarbox_core::smtp::{Address, Reply};

use super::agent::{Agent, Talk};
use super::device::Device;
use super::dialogue::Dialogue;
use super::ears::{Ears, Heard, patience};
use super::mail::{Mail, Message};
use super::screen::{Screen, Style};
use super::stage::Stage;
use super::verify;
use crate::failure::Failure;

/// Between two looks at what nobody tells of.
const PAUSE: Duration = Duration::from_millis(10);

/// Plays all five.
///
/// # Errors
/// What was not as expected.
pub(super) fn play(stage: &mut Stage, screen: Screen, mail: &Mail) -> Result<(), Failure> {
    let steps: [(&str, Step, &Message); 5] = [
        ("1  To a neighbour", neighbour, &mail.neighbour),
        ("2  To another provider", elsewhere, &mail.elsewhere),
        ("3  To a server that is down", waiting, &mail.waiting),
        ("4  To nobody", nobody, &mail.nobody),
        ("5  On two devices", devices, &mail.neighbour),
    ];
    for (title, step, message) in steps {
        screen.title(title)?;
        stage.ears.forget();
        let scene = Scene { screen, message, until: Instant::now() + patience(message.bytes().len()) };
        step(stage, &scene).map_err(|failure| failure.within(&format!("step {title}")))?;
    }
    Ok(())
}

type Step = fn(&mut Stage, &Scene<'_>) -> Result<(), Failure>;

/// What all steps have.
struct Scene<'a> {
    screen: Screen,
    message: &'a Message,
    /// When it is given up.
    until: Instant,
}

/// (1) alice to bob.
fn neighbour(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Failure> {
    let screen = scene.screen;
    screen.say(
        "alice writes to bob. Both have their mailbox at amber.example, so her mail program hands the message in there, and \
         the server puts it straight into bob's mailbox. First they agree on TLS; then alice logs in; then comes the \
         envelope (MAIL, RCPT), and then the message. A line of it that begins with a dot gets a second one on the way, \
         since a dot alone ends the message; the other side takes it off again.",
    )?;
    scene.submit(&stage.alice, &stage.bob.address, false)?;
    scene.accepted(&stage.ears, "amber", [1, 0])?;
    screen.say("bob's mail program asks for new mail by POP3:")?;
    scene.fetch(&mut stage.bob, &stage.alice.address, 1, false)?;
    screen.check(&format!(
        "bob has the {} octets that alice sent, not one changed. Above them stands what amber.example added: from \
         whom it is, where it came from, and when.",
        scene.message.bytes().len()
    ))
}

/// (2) alice to carol.
fn elsewhere(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Failure> {
    let screen = scene.screen;
    screen.say(
        "alice writes to carol, who is at birch.example. amber.example takes the message (it is safe on its disk when it \
         says 250), asks DNS who takes mail for birch.example, and brings it there.",
    )?;
    scene.submit(&stage.alice, &stage.carol.address, true)?;
    scene.accepted(&stage.ears, "amber", [0, 1])?;
    let reply = scene.attempted(&stage.ears, &stage.carol.address)?;
    verify::expect(reply.is_positive(), "birch.example to take the message", &reply)?;
    scene.relay(stage, false)?;
    scene.accepted(&stage.ears, "birch", [1, 0])?;
    screen.say("carol's mail program asks for new mail:")?;
    scene.fetch(&mut stage.carol, &stage.alice.address, 2, true)?;
    screen.check(&format!(
        "carol has the {} octets that alice sent, and two Received lines above them: one for each server, the latest first.",
        scene.message.bytes().len()
    ))
}

/// (3) alice to carol, while birch is down.
fn waiting(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Failure> {
    let screen = scene.screen;
    stage.birch.stop()?;
    stage.ears.forget();
    screen.say(
        "birch.example is down: we have stopped its server. alice writes to carol all the same. amber.example takes the \
         message, cannot bring it, and keeps it in its queue.",
    )?;
    scene.submit(&stage.alice, &stage.carol.address, true)?;
    scene.accepted(&stage.ears, "amber", [0, 1])?;
    let begun = Instant::now();
    let row = scene.tried(stage)?;
    verify::waits(&row, &stage.alice.address, &stage.carol.address)?;
    screen.say("The row in amber.example's queue, as `pillarbox queue show` has it:")?;
    screen.gap()?;
    for line in crate::queue::full(&row) {
        screen.line(&[(Style::Plain, "      "), (Style::Names, &line)])?;
    }
    stage.birch.begin()?;
    screen.say(
        "birch.example is back, and nobody has to do anything: amber.example tries again. (It does not ask DNS again: an \
         answer holds for as long as its record says, here 300 seconds.)",
    )?;
    loop {
        // Tries that failed before may be heard late.
        if scene.attempted(&stage.ears, &stage.carol.address)?.is_positive() {
            break;
        }
    }
    let waited = begun.elapsed();
    scene.relay(stage, true)?;
    scene.accepted(&stage.ears, "birch", [1, 0])?;
    screen.say("carol's mail program asks for new mail:")?;
    scene.fetch(&mut stage.carol, &stage.alice.address, 2, true)?;
    scene.emptied(stage)?;
    screen.check(&format!(
        "The message waited {:.1} seconds in the queue, arrived as it was sent, and the queue is empty.",
        waited.as_secs_f32()
    ))
}

/// (4) alice to somebody who does not exist.
fn nobody(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Failure> {
    let screen = scene.screen;
    let to = Address::new("nobody", "birch.example").map_err(|error| Failure::new(error.to_string()))?;
    screen.say(
        "alice writes to nobody@birch.example. There is no such mailbox, but only birch.example knows. When amber.example \
         brings the message it is refused, for good (5xx), and so alice must be told: she gets a bounce.",
    )?;
    scene.submit(&stage.alice, &to, true)?;
    scene.accepted(&stage.ears, "amber", [0, 1])?;
    let reply = scene.attempted(&stage.ears, &to)?;
    verify::expect(reply.code() == 550, "birch.example to refuse nobody with 550", &reply)?;
    scene.relay(stage, true)?;
    stage.ears.wait(scene.until, "a bounce to alice", |heard| match heard {
        Heard::Event("amber", Event::Bounced { reported: true, .. }) => Some(()),
        _ => None,
    })?;
    // It is in the queue first, as all mail is that the server itself writes.
    scene.emptied(stage)?;
    screen.say("alice's mail program asks for new mail:")?;
    let bounce = scene.fetched(&mut stage.alice, true, false)?;
    let words = verify::bounce(&bounce, scene.message, &to, &reply)?;
    screen.say("The part of it that is for people:")?;
    screen.gap()?;
    for line in words.lines() {
        screen.line(&[(Style::Dim, "      │ "), (Style::Plain, line)])?;
    }
    screen.check(
        "alice knows that her message did not arrive, and why. The bounce itself has no sender (Return-Path: <>), so that no \
         bounce can ever cause another.",
    )
}

/// (5) bob, with a laptop and a phone.
fn devices(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Failure> {
    let (screen, until) = (scene.screen, scene.until);
    screen.say(
        "POP3 brings mail to one device. IMAP leaves it on the server, and all devices see one and the same mailbox. bob's \
         laptop opens INBOX, asks what is in it, and then waits: under IDLE the server tells it whatever happens.",
    )?;
    let mut laptop = Device::connect("laptop", &stage.bob, until)?;
    laptop.ask("SELECT INBOX", until)?;
    laptop.ask("FETCH 1:* (UID FLAGS ENVELOPE)", until)?;
    laptop.idle(until)?;
    scene.show(&laptop.title(), &laptop.said(), true)?;

    screen.say("Now bob takes his phone. It opens the same mailbox, and there he marks the message as important:")?;
    let mut phone = Device::connect("phone", &stage.bob, until)?;
    phone.ask("SELECT INBOX", until)?;
    phone.ask("STORE 1 +FLAGS (\\Flagged)", until)?;
    let mut said = phone.said();
    said.fold("a2 SELECT", "greeting and login");
    scene.show(&phone.title(), &said, true)?;
    screen.say("At once the laptop, which has asked for nothing, is told:")?;
    let star = |line: &str| line.starts_with("* 1 FETCH") && line.contains("\\Flagged");
    laptop.hear("the mark to appear on the laptop", until, star)?;
    scene.show(&laptop.title(), &laptop.said(), false)?;

    screen.say("Both wait. alice writes to bob once more:")?;
    phone.idle(until)?;
    scene.submit(&stage.alice, &stage.bob.address, true)?;
    scene.accepted(&stage.ears, "amber", [1, 0])?;
    for device in [&mut laptop, &mut phone] {
        device.hear("the new message to be told of", until, |line| line == "* 2 EXISTS")?;
        device.hear("how many are recent", until, |line| line.ends_with("RECENT"))?;
        scene.show(&device.title(), &device.said(), false)?;
    }

    screen.say("On the laptop bob files the first message away. On the phone it leaves the list:")?;
    laptop.done(until)?;
    laptop.ask("CREATE Archive", until)?;
    laptop.ask("MOVE 1 Archive", until)?;
    scene.show(&laptop.title(), &laptop.said(), true)?;
    phone.hear("the message to leave the phone", until, |line| line == "* 1 EXPUNGE")?;
    phone.done(until)?;
    scene.show(&phone.title(), &phone.said(), false)?;

    let seen = [&mut laptop, &mut phone].map(|device| device.ask("UID FETCH 1:* (UID FLAGS)", until));
    let [on_laptop, on_phone] = seen;
    let (on_laptop, on_phone) = (on_laptop?.join(", "), on_phone?.join(", "));
    verify::expect(on_laptop.contains("UID 2"), "the second message to be all that is left", &on_laptop)?;
    verify::expect(without_recent(&on_laptop) == without_recent(&on_phone), &on_laptop, &on_phone)?;
    for mut device in [laptop, phone] {
        device.ask("LOGOUT", until)?;
    }
    screen.check("Both devices show the same mailbox: one message, with the same UID and the same flags.")
}

/// `\Recent` is for the device that was told first, and for no other.
fn without_recent(line: &str) -> String {
    line.replace("\\Recent", "").replace("( ", "(").replace(" )", ")")
}

impl Scene<'_> {
    /// Hands the message in, and shows it.
    fn submit(&self, from: &Agent, to: &Address, folded: bool) -> Result<(), Failure> {
        let Talk { mut dialogue, result } = from.submit(self.message, to, self.until);
        let title = format!("{} → {}, message submission, {}", from.name, from.host, from.submission);
        if folded && result.is_ok() {
            dialogue.fold("MAIL", "greeting, STARTTLS and login");
        }
        self.show(&title, &dialogue, !folded)?;
        let reply = result?;
        verify::expect(reply.is_positive(), &format!("{} to take the message", from.host), &reply)
    }

    /// The house took the message: into so many mailboxes, into so many rows of its queue.
    fn accepted(&self, ears: &Ears, house: &str, expected: [usize; 2]) -> Result<(), Failure> {
        let what = format!("{house}.example to take the message");
        let found = ears.wait(self.until, &what, |heard| match heard {
            Heard::Event(name, Event::Accepted { delivered, queued, .. }) if *name == house => {
                Some([*delivered, *queued])
            }
            _ => None,
        })?;
        let say = |[delivered, queued]: [usize; 2]| format!("{delivered} into mailboxes and {queued} into the queue");
        verify::expect(found == expected, &format!("{what}, {}", say(expected)), &say(found))
    }

    /// What became of the next try to bring it.
    fn attempted(&self, ears: &Ears, to: &Address) -> Result<Reply, Failure> {
        ears.wait(self.until, &format!("amber.example to bring it to {to}"), |heard| match heard {
            Heard::Event("amber", Event::Attempted { recipient, reply, .. }) if recipient == to => Some(reply.clone()),
            _ => None,
        })
    }

    /// Waits until the queue has tried the message once, and returns its row.
    fn tried(&self, stage: &Stage) -> Result<QueueRow, Failure> {
        loop {
            stage.ears.wait(self.until, "amber.example to find birch.example unreachable", |heard| match heard {
                Heard::Event("amber", Event::Unreachable { .. }) => Some(()),
                _ => None,
            })?;
            // It is told when it happens, and the row is on disk a moment later: else the next try will show it.
            let row = stage.amber.queue()?.into_iter().find(|row| row.state.attempts > 0);
            if let Some(row) = row {
                return Ok(row);
            }
        }
    }

    /// Waits until the queue is empty: that is on disk a moment after the message was taken.
    fn emptied(&self, stage: &Stage) -> Result<(), Failure> {
        loop {
            let left = stage.amber.queue()?.len();
            if left == 0 || Instant::now() >= self.until {
                let found = format!("{left} rows");
                return verify::expect(left == 0, "the queue of amber.example to be empty", &found);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Shows how amber brought it, and what it asked DNS before.
    fn relay(&self, stage: &Stage, folded: bool) -> Result<(), Failure> {
        let mut dialogue = stage.ears.wait(self.until, "amber.example to say goodbye", |heard| match heard {
            Heard::Relay("amber", dialogue) => Some(dialogue.clone()),
            _ => None,
        })?;
        let asked = stage.ears.asked();
        if !asked.is_empty() {
            self.screen.gap()?;
            self.screen.line(&[(Style::Strong, "  ── amber → DNS")])?;
        }
        for one in asked {
            let answers = if one.answers.is_empty() { "none".to_owned() } else { one.answers.join(", ") };
            let question = format!("{:22} ", one.question);
            self.screen.line(&[
                (Style::Dim, "  amber  "),
                (Style::Names, "Q: "),
                (Style::Names, &question),
                (Style::Dim, "  DNS  "),
                (Style::Names, "A: "),
                (Style::Names, &answers),
            ])?;
        }
        if folded {
            dialogue.fold("MAIL", "greeting and STARTTLS");
        }
        let birch = &stage.birch;
        let title = format!("amber → {}, SMTP, {}:{}", birch.hostname, birch.address, birch.ports[0]);
        self.show(&title, &dialogue, false)
    }

    /// Fetches the message, shows and verifies it.
    fn fetch(&self, agent: &mut Agent, from: &Address, hops: usize, again: bool) -> Result<(), Failure> {
        let fetched = self.fetched(agent, again, again)?;
        verify::arrived(&fetched, self.message, from, &agent.address, hops)
    }

    /// Fetches the one new message there must be.
    fn fetched(&self, agent: &mut Agent, folded: bool, brief: bool) -> Result<Vec<u8>, Failure> {
        let Talk { mut dialogue, result } = agent.fetch(brief, self.until);
        if folded && result.is_ok() {
            dialogue.fold("STAT", "greeting, STLS and login");
        }
        let title = format!("{} → {}, POP3, {}", agent.name, agent.host, agent.pop3);
        self.show(&title, &dialogue, !folded)?;
        let mut messages = result?;
        let count = messages.len();
        let message = messages.pop().filter(|_| count == 1);
        let expected = format!("one new message for {}", agent.name);
        message.ok_or_else(|| verify::unexpected(&expected, &count))
    }

    fn show(&self, title: &str, dialogue: &Dialogue, glossed: bool) -> Result<(), Failure> {
        self.screen.gap()?;
        self.screen.line(&[(Style::Strong, "  ── "), (Style::Strong, title)])?;
        dialogue.show(self.screen, glossed)
    }
}
