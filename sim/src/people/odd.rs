//! A mail server that nobody should have written: it takes connections from servers with mail for `odd.example`, answers
//! each in some way that is wrong, or rude, and never takes a message.

use bytes::Bytes;
use pillarbox_core::Mono;

use super::{Deed, Lines, News, Person};
use crate::ledger::Ledger;

/// What it says to what: the first entry that fits. Where there are several answers they come in their order, and the
/// last one stays. `""` is silence, `"!"` hangs up.
type Manners = &'static [(&'static str, &'static [&'static str])];

/// What an ordinary server says, except that it takes no message.
const ORDINARY: Manners = &[
    ("greeting", &["220 odd.example"]),
    ("EHLO", &["250-odd.example\r\n250-PIPELINING\r\n250 STARTTLS"]),
    ("HELO", &["250 odd.example"]),
    ("STARTTLS", &["454 4.7.0 no TLS today"]),
    ("DATA", &["354 go on"]),
    (".", &["550 5.7.1 not this one"]),
    ("QUIT", &["221 bye"]),
    ("", &["250 ok"]),
];

/// How it may be.
const ALL: &[Manners] = &[
    &[("greeting", &["554 go away"])],
    &[("greeting", &["421 4.3.2 too busy"])],
    &[("greeting", &["hello, what can I do for you?"])],
    &[("greeting", &[""])],
    &[("greeting", &["354 go on"])],
    &[("EHLO", &["502 what?"])],
    &[("EHLO", &["502 what?"]), ("HELO", &["550 no"])],
    &[("EHLO", &["451 not now"])],
    &[("EHLO", &["!"])],
    &[("EHLO", &["250 odd.example"])],
    &[("EHLO", &["250-odd.example\r\n250 SIZE 100"])],
    &[("STARTTLS", &["220 go on\r\n250 injected"])],
    &[("STARTTLS", &["220 go on"]), ("under TLS", &["this is no TLS"])],
    &[("STARTTLS", &["220 go on"]), ("under TLS", &["!"])],
    &[("STARTTLS", &["220 go on"]), ("under TLS", &[""])],
    &[("STARTTLS", &["354 go on"])],
    &[("MAIL", &["550 5.7.1 not from you"])],
    &[("MAIL", &["451 4.3.0 not now"])],
    &[("MAIL", &["421 4.3.2 too busy"])],
    &[("MAIL", &["354 go on"])],
    &[("MAIL", &[""])],
    &[("MAIL", &["250 ok", "!"])],
    &[("MAIL", &["250 ok", "421 4.3.2 that was enough"])],
    &[("RCPT", &["552 5.5.3 too many"])],
    &[("RCPT", &["550 5.1.1 who?"])],
    &[("RCPT", &["450 4.2.0 later"])],
    &[("RCPT", &["550 5.1.1 who?"]), (".", &["250 ok, nobody has it"])],
    &[("DATA", &["451 4.3.0 not now"])],
    &[("DATA", &["354 go on\r\n552 5.3.4 too much"])],
    &[("DATA", &["250 ok"])],
    &[("DATA", &["!"])],
    &[(".", &["!"])],
    &[(".", &[""])],
    &[(".", &["421 4.3.2 that was enough"])],
    &[(".", &["354 go on"])],
    &[(".", &["\0\0\0"])],
    &[("QUIT", &[""])],
    &[],
];

/// How many ways there are.
pub(crate) const WAYS: usize = ALL.len();

/// One conversation.
pub(crate) struct Odd {
    manners: Manners,
    /// How often it has said each of its things.
    said: Vec<usize>,
    lines: Lines,
    in_message: bool,
    /// What comes is no SMTP any more.
    under_tls: bool,
}

impl Odd {
    /// It answers in this way.
    pub(crate) fn new(way: usize) -> Self {
        let manners = ALL[way % WAYS];
        Self { manners, said: vec![0; manners.len()], lines: Lines::default(), in_message: false, under_tls: false }
    }

    fn answer(&mut self, to: &str, deeds: &mut Vec<Deed>) {
        let fits = |(what, _): &(&str, &[&str])| to.get(..what.len()).is_some_and(|it| it.eq_ignore_ascii_case(what));
        let own = self.manners.iter().position(fits);
        let reply = match own {
            Some(at) => {
                let replies = self.manners[at].1;
                let reply = replies[self.said[at].min(replies.len() - 1)];
                self.said[at] += 1;
                reply
            }
            None => ORDINARY.iter().find(|entry| fits(entry)).map_or("500 what?", |(_, replies)| replies[0]),
        };
        self.in_message |= reply.starts_with("354") && to.eq_ignore_ascii_case("DATA");
        self.under_tls |= reply == "220 go on";
        match reply {
            "" => {}
            "!" => deeds.extend([Deed::BreakOff, Deed::Leave]),
            reply => deeds.push(Deed::Say(Bytes::from(format!("{reply}\r\n")))),
        }
        if to.eq_ignore_ascii_case("QUIT") && reply != "!" && !reply.is_empty() {
            deeds.push(Deed::Leave);
        }
    }
}

impl Person for Odd {
    fn hear(&mut self, _: Mono, news: News<'_>, _: &mut Ledger, deeds: &mut Vec<Deed>) {
        match news {
            News::Begin => self.answer("greeting", deeds),
            News::Heard(_) if self.under_tls => self.answer("under TLS", deeds),
            News::Heard(bytes) => {
                self.lines.push(bytes);
                while let Some(line) = self.lines.line() {
                    match line.as_str() {
                        "." if self.in_message => {
                            self.in_message = false;
                            self.answer(".", deeds);
                        }
                        _ if self.in_message => {}
                        line => self.answer(line, deeds),
                    }
                    if matches!(deeds.last(), Some(Deed::Leave)) {
                        return;
                    }
                }
            }
            News::Time => {}
            News::Over => deeds.push(Deed::Leave),
        }
    }
}
