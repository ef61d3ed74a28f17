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
    (Mark::SmtpAuthNeedsTls, CLEARTEXT),
    (Mark::Pop3NeedsTls, CLEARTEXT),
    (Mark::ImapNeedsTls, CLEARTEXT),
    (Mark::SmtpTooManyMessages, "It is a million."),
    (Mark::SmtpOverrun, "Fifty megabytes would have to be sent."),
    (Mark::ImapTooManyMailboxes, "Thousands of them would have to be made."),
    (Mark::ImapCopyTooMany, "Millions of messages would have to be copied."),
    (Mark::ImapHistoryTooShort, "The store keeps more of it than happens in a few hours."),
    (Mark::ImapResyncUnavailable, "Nobody removes a mailbox that is being opened."),
    (Mark::ImapMessageUnreadable, "A disk that cannot be read fails the whole command."),
    (Mark::NodeDialBroken, "The world ends a dial by its answer, and in no other way."),
    (Mark::NodeEmptyAlias, "The store says that nobody has such an alias."),
    (Mark::NodeNoPostmaster, "Each machine has an account."),
    (
        Mark::NodeNobodysMessage,
        "A session asks to keep only what has a recipient: it guards against a mistake of ours.",
    ),
    (Mark::NodeStructureTooBig, "Letters have one part."),
    (Mark::NodeBodyUnstored, "A session whose piece was refused does not ask to keep the rest."),
    (Mark::NodeAppendUnstored, "A session whose piece was refused does not ask to keep the rest."),
    (Mark::NodeNoAddressNow, "The resolver leaves out hosts without an address where another has one."),
    (Mark::NodeBadName, "An address with such a domain is refused when it is given."),
    (Mark::NodeBadRoute, "A configuration with such a route is refused when it is read."),
    (Mark::NodeUserGone, NOBODY_GOES),
    (Mark::NodeAliasLoop, NOBODY_GOES),
    (Mark::NodeTooManyTargets, NOBODY_GOES),
    (Mark::NodeNoLongerOurs, NOBODY_GOES),
    (Mark::QueueNobodyToTell, NOBODY_GOES),
    (Mark::QueueForwardUnknown, NOBODY_GOES),
    (Mark::QueueRowGone, OPERATOR),
    (Mark::QueueWantedFull, OPERATOR),
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
    (Mark::ClientNoSmtputf8, "All addresses in these worlds are ASCII."),
    (Mark::ClientBadMessage, "A message with a bare CR or LF is refused when it comes in."),
    (Mark::ClientNothingToDo, "A node answers at once."),
    (Mark::ClientStopping, "A node that stops lets its deliveries go on."),
    (Mark::ClientShutdown, "A node that stops lets its deliveries go on."),
    (Mark::DnsBadName, "An address with such a domain is refused when it is given."),
    (Mark::DnsNoServer, "Each machine knows two."),
    (Mark::DnsReferral, "The name servers of these worlds resolve for everybody."),
    (Mark::DnsAliasToNowhere, "The name servers of these worlds cannot write such a name."),
];

const BEHIND_CHANNEL: &str = "The channel under each session sees it first.";
const CLEARTEXT: &str = "People in these worlds speak without TLS, and every server lets them.";
const NOBODY_GOES: &str = "Accounts, aliases and domains stay what they are for as long as a world lasts.";
const OPERATOR: &str = "There is no operator.";
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
    (Mark::NodeSameCandidate, "Two letters to the odd server must wait at one machine."),
    (Mark::ImapMessageGone, "One device must remove a message just while another fetches it."),
];

const STUCK: &str = "A disk must come to a stand just then.";
const STOPS: &str = "A server must be told to stop just while its disk is slow.";
