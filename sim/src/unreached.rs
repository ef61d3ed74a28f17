//! Marks that no simulated world reaches, or hardly any, each with its reason. What could be reached should be.

use pillarbox_core::marks::Mark;

/// A mark, and why it is not reached.
pub const UNREACHED: &[(Mark, &str)] = &[
    (Mark::SmtpTlsInjected, BEHIND_CHANNEL),
    (Mark::Pop3TlsInjected, BEHIND_CHANNEL),
    (Mark::ImapTlsInjected, BEHIND_CHANNEL),
    (Mark::ImapTlsNeverCame, BEHIND_CHANNEL),
    (Mark::ClientHandshakeTimeout, BEHIND_CHANNEL),
    (Mark::TlsPlaintextBehind, "Each session refuses its command itself when something stands behind it."),
    (Mark::TlsNoEngine, "A machine that has no engine offers no TLS."),
    (Mark::TlsEndlessHandshake, "The engine of these worlds fails at the second message of a handshake."),
    (Mark::TlsSessionFull, "Each session keeps to its own bounds, which are smaller."),
    (Mark::SmtpTooManyMessages, "It is a million."),
    (Mark::SmtpOverrun, "Fifty megabytes would have to be sent."),
    (Mark::ImapResyncUnavailable, "Nobody removes a mailbox that is being opened."),
    (Mark::ImapMessageUnreadable, "A disk that cannot be read fails the whole command."),
    (Mark::NodeDialBroken, "The world ends a dial by its answer, and in no other way."),
    (Mark::NodeEmptyAlias, "The store says that nobody has such an alias."),
    (Mark::NodeNoPostmaster, "Each machine has an account."),
    (
        Mark::NodeNobodysMessage,
        "A session asks to keep only what has a recipient: it guards against a mistake of ours.",
    ),
    (Mark::NodeStructureTooBig, "The bounds on parts and on fields keep a structure smaller."),
    (Mark::NodeBodyUnstored, "A session whose piece was refused does not ask to keep the rest."),
    (Mark::NodeAppendUnstored, "A session whose piece was refused does not ask to keep the rest."),
    (Mark::NodeNoAddressNow, "The resolver leaves out hosts without an address where another has one."),
    (Mark::NodeBadName, "An address with such a domain is refused when it is given."),
    (Mark::NodeBadRoute, "A configuration with such a route is refused when it is read."),
    (Mark::NodeAliasLoop, "The store sees through all loops but those of an address with two spellings."),
    (Mark::NodeNoLongerOurs, "Domains stay where they are for as long as a world lasts."),
    (
        Mark::QueueHeaderUnreadable,
        "The disks of these worlds can read it: without it nobody could tell which letter is reported.",
    ),
    (Mark::QueueLeaseRefused, ONE_SERVER),
    (Mark::QueueLeaseLost, ONE_SERVER),
    (Mark::QueueLeaseGoneMidway, ONE_SERVER),
    (Mark::QueueSettleTooLate, ONE_SERVER),
    (Mark::QueueOutcomeVoid, ONE_SERVER),
    (Mark::ClientNoTls, NO_SUBMISSION),
    (Mark::ClientPasswordInTheClear, NO_SUBMISSION),
    (Mark::ClientBadCredentials, NO_SUBMISSION),
    (Mark::ClientNoMechanism, NO_SUBMISSION),
    (Mark::ClientLoginRefused, NO_SUBMISSION),
    (Mark::ClientBadMessage, "A message with a bare CR or LF is refused when it comes in."),
    (Mark::ClientNothingToDo, "A node answers at once."),
    (Mark::ClientStopping, "A node that stops lets its deliveries go on."),
    (Mark::ClientShutdown, "A node that stops lets its deliveries go on."),
    (Mark::DnsBadName, "An address with such a domain is refused when it is given."),
    (Mark::DnsNoServer, "Each machine knows two."),
    (Mark::DnsReferral, "The name servers of these worlds resolve for everybody."),
];

const BEHIND_CHANNEL: &str = "The channel under each session sees it first.";
const ONE_SERVER: &str = "No two servers share a disk.";
const NO_SUBMISSION: &str = "Servers deliver to each other without a password, and with TLS where it is offered.";

/// A mark that few worlds reach, so that ten thousand may have none that does, and why.
pub const RARE: &[(Mark, &str)] = &[
    (Mark::Pop3ReadUnanswered, STUCK),
    (Mark::Pop3Unconfirmed, STUCK),
    (Mark::Pop3BrokenOff, STUCK),
    (Mark::ImapBrokenOff, STUCK),
    (Mark::ImapChunkUnanswered, STUCK),
    (Mark::NodeLoginTooLate, STUCK),
    (Mark::NodeRecipientTooLate, STUCK),
    (Mark::NodeLockTooLate, STUCK),
    (Mark::NodeStopsUndone, STOPS),
    (Mark::NodeRowUnanswered, STOPS),
    (Mark::Pop3ShutdownAtLogin, STOPS),
    (Mark::QueuePageForgone, STOPS),
    (Mark::NodeUserGone, OPERATOR),
    (Mark::NodeTooManyTargets, OPERATOR),
    (Mark::QueueForwardUnknown, OPERATOR),
    (Mark::QueueRowGone, OPERATOR),
    (Mark::QueueWantedFull, "An operator must want more destinations tried again than a small server keeps."),
    (Mark::NodeSameCandidate, "Two letters to the odd server must wait at one machine."),
    (Mark::DnsAliasToNowhere, "A garbled answer must be wrong at just the octet that spoils an alias."),
    (Mark::ImapMessageGone, "One device must remove a message just while another fetches it."),
];

const STUCK: &str = "A disk must come to a stand just then.";
const OPERATOR: &str = "An operator must remove something just while it is being worked on.";
const STOPS: &str = "A server must be told to stop just while its disk is slow.";
