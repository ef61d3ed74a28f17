//! Marks in the code: each limit, each refusal and each way back from trouble has one, so that whoever tests the machines
//! can say which of them were never reached.
//!
//! A mark stands where the decision is made: [`mark!`](crate::mark). In builds with the feature `marks` each counts how
//! often it was passed, for the whole process; in every other build it is nothing at all.
//!
//! ```
//! use pillarbox_core::mark;
//! use pillarbox_core::marks::{self, Mark};
//!
//! mark!(SmtpLineTooLong);
//! let words = mark!(SmtpLineTooLong, "Line too long");
//! assert_eq!(words, "Line too long");
//! assert_eq!(marks::hits(Mark::SmtpLineTooLong), if cfg!(feature = "marks") { 2 } else { 0 });
//! ```

use core::fmt;

macro_rules! marks {
    ($($part:literal { $($name:ident: $sentence:literal,)* })*) => {
        /// A place in the code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark { $($(#[doc = $sentence] $name,)*)* }

        impl Mark {
            /// All of them, part by part.
            pub const ALL: &[Self] = &[$($(Self::$name),*),*];

            /// The part of the code that it stands in.
            #[must_use]
            pub fn part(self) -> &'static str {
                match self { $($(Self::$name)|* => $part,)* }
            }

            /// What happened, in a sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $($(Self::$name => $sentence,)*)* }
            }
        }
    };
}

marks! {
    "SMTP server" {
        SmtpTurnedAway: "A connection is greeted with 421: there are too many, or the server is about to stop.",
        SmtpNotSmtp: "The first thing that a peer says is no line of SMTP, and it is sent away.",
        SmtpWrongProtocol: "A peer speaks another protocol, HTTP perhaps, and is sent away.",
        SmtpBadLine: "A command line holds a bare CR, a bare LF or a NUL.",
        SmtpLineTooLong: "A command line is longer than the limit.",
        SmtpUnknownCommand: "A command is unknown, or none that is implemented.",
        SmtpSyntax: "A command is known, and what stands behind it makes no sense.",
        SmtpBadAddress: "An address is none.",
        SmtpUnknownParameter: "A parameter of MAIL or RCPT is not supported.",
        SmtpBadChunkSize: "A BDAT does not say where its octets end, and the session cannot go on.",
        SmtpTooManyBad: "The limit of bad commands is reached.",
        SmtpTlsRefused: "STARTTLS is refused: not offered, too late, or TLS is up.",
        SmtpTlsNotAlone: "Something stands behind STARTTLS before the reply to it.",
        SmtpTlsInjected: "Plaintext comes behind the go-ahead to STARTTLS.",
        SmtpAuthRefused: "AUTH is refused: not offered, or not in this place.",
        SmtpAuthMechanism: "AUTH names a mechanism that is not known.",
        SmtpAuthNeedsTls: "A password is not to cross in the clear.",
        SmtpAuthLineTooLong: "A line of an AUTH exchange is longer than the limit.",
        SmtpAuthCancelled: "A client cancels AUTH.",
        SmtpAuthMalformed: "A response in an AUTH exchange makes no sense.",
        SmtpAuthRequired: "A client that has not logged in wants to submit a message.",
        SmtpBadCredentials: "A name or a password is wrong.",
        SmtpTooManyLogins: "The limit of failed logins is reached.",
        SmtpAuthUnavailable: "Whether a password is right cannot be said now.",
        SmtpOutOfOrder: "A command comes before another that must come first, or twice.",
        SmtpTooManyMessages: "The limit of messages in one session is reached.",
        SmtpSizeDeclaredTooBig: "MAIL announces a message that is larger than the limit.",
        SmtpNotAscii: "An address is not ASCII, and SMTPUTF8 was not asked for.",
        SmtpTooManyRecipients: "The limit of recipients is reached.",
        SmtpNoRecipients: "DATA or BDAT without any recipient that was taken.",
        SmtpRecipientRefused: "The host refuses a recipient.",
        SmtpQuestionsFull: "So many recipients are asked about that the next one waits.",
        SmtpChunkDoomed: "A BDAT is refused before its octets are read.",
        SmtpChunkTooBig: "A BDAT is larger than what is left of the message's limit.",
        SmtpMessageTooBig: "A message grows larger than the limit.",
        SmtpHeaderTooBig: "The header section of a message grows larger than the limit.",
        SmtpLoop: "A message has so many Received fields that it must be in a loop.",
        SmtpBadBody: "A message holds a bare CR, a bare LF or a NUL.",
        SmtpOverrun: "A refused message goes on for so long that its end is not waited for.",
        SmtpWindowFull: "So many chunks of a message are unanswered that no more is read.",
        SmtpChunkRefused: "The host refuses a chunk of a message.",
        SmtpCommitRefused: "The host refuses a message at its end.",
        SmtpRecipientUnanswered: "The host has said nothing about a recipient within its time.",
        SmtpAuthUnanswered: "The host has said nothing about a password within its time.",
        SmtpUnconfirmed: "A change is not confirmed within its time: the session ends without a word.",
        SmtpIdle: "A client says nothing for too long.",
        SmtpUnproductive: "No message has begun for too long, whatever else was said.",
        SmtpDeafClient: "A client does not read what it is told.",
        SmtpDataTooSlow: "A message comes too slowly, or stops.",
        SmtpEofInMessage: "A client is gone in the middle of a message.",
        SmtpShutdown: "A session ends because the server stops.",
        SmtpBroken: "A connection breaks under a session.",
    }
    "POP3 server" {
        Pop3TurnedAway: "A connection is greeted with a refusal: there are too many, or the server is about to stop.",
        Pop3LineTooLong: "A line is longer than the limit.",
        Pop3BadLine: "A line holds a bare CR, a bare LF or a NUL.",
        Pop3Syntax: "A line is no command.",
        Pop3OutOfOrder: "A command comes before the login that it needs, or after.",
        Pop3TooManyBad: "The limit of bad commands is reached.",
        Pop3TlsRefused: "STLS is refused: not offered, or TLS is up.",
        Pop3TlsNotAlone: "Something stands behind STLS before the reply to it.",
        Pop3TlsInjected: "Plaintext comes behind the go-ahead to STLS.",
        Pop3NeedsTls: "A password is not to cross in the clear.",
        Pop3Mechanism: "AUTH names a mechanism that is not known.",
        Pop3BadExchange: "An AUTH exchange comes to nothing.",
        Pop3Rejected: "A name or a password is wrong.",
        Pop3TooManyLogins: "The limit of failed logins is reached.",
        Pop3LoginUnavailable: "Whether a password is right cannot be said now.",
        Pop3LoginUnanswered: "The host has said nothing about a login within its time.",
        Pop3InUse: "Another session has the maildrop.",
        Pop3OpenUnavailable: "The maildrop cannot be opened now.",
        Pop3SlowLogin: "A client has not logged in for too long.",
        Pop3Idle: "A client says nothing for too long.",
        Pop3DeafClient: "A client does not read what it is told.",
        Pop3NoSuchMessage: "There is no message with that number, or it is marked as deleted.",
        Pop3ListingFull: "A listing waits for room.",
        Pop3MessageFull: "A message waits for room.",
        Pop3Unreadable: "A message cannot be read.",
        Pop3ReadUnanswered: "The host has not given out a piece of a message within its time.",
        Pop3BrokenOff: "A message cannot be read on, and the session breaks off, lest it looks whole.",
        Pop3NotRemoved: "What is to be deleted stays: the host could not do it.",
        Pop3Unconfirmed: "A deletion is not confirmed within its time: the session ends without a word.",
        Pop3Released: "A session ends without QUIT, and deletes nothing.",
        Pop3Eof: "A client is gone.",
        Pop3Shutdown: "A session ends because the server stops.",
        Pop3ShutdownAtLogin: "A session ends within a login because the server stops.",
        Pop3Broken: "A connection breaks under a session.",
    }
    "IMAP server" {
        ImapTurnedAway: "A connection is greeted with BYE: there are too many, or the server is about to stop.",
        ImapLineTooLong: "A command is longer than the limit.",
        ImapBadLine: "A command holds a bare CR, a bare LF or a NUL.",
        ImapLiteralTooBig: "A literal is larger than the limit.",
        ImapTooMuch: "Something in a command is longer, or there are more of it, than the limit.",
        ImapNesting: "Search keys nest too deeply.",
        ImapUnknownCommand: "A command is unknown.",
        ImapSyntax: "A command is known, and what stands behind it makes no sense.",
        ImapTooManyBad: "The limit of bad commands is reached.",
        ImapTlsRefused: "STARTTLS is refused: not offered, too late, or TLS is up.",
        ImapTlsNotAlone: "Something stands behind STARTTLS before the response to it.",
        ImapTlsInjected: "Plaintext comes behind the go-ahead to STARTTLS.",
        ImapTlsNeverCame: "TLS is not begun for too long after STARTTLS.",
        ImapOutOfOrder: "A command comes before the login that it needs, or after.",
        ImapNeedsTls: "A password is not to cross in the clear.",
        ImapMechanism: "AUTHENTICATE names a mechanism that is not known.",
        ImapBadExchange: "An AUTHENTICATE exchange comes to nothing.",
        ImapExchangeCancelled: "A client cancels AUTHENTICATE.",
        ImapRejected: "A name or a password is wrong.",
        ImapTooManyLogins: "The limit of failed logins is reached.",
        ImapSlowLogin: "A client has not logged in for too long.",
        ImapIdle: "A client says nothing for too long.",
        ImapDeafClient: "A client does not read what it is told.",
        ImapEof: "A client is gone.",
        ImapEofMidway: "A client is gone in the middle of a command.",
        ImapShutdown: "A session ends because the server stops.",
        ImapShutdownMidway: "A session ends in the middle of a command because the server stops.",
        ImapBroken: "A connection breaks under a session.",
        ImapFull: "What is to be said waits for room.",
        ImapTurnSpent: "A long command lets others have their turn.",
        ImapUnanswered: "The host has not answered within its time.",
        ImapUnconfirmed: "A change is not confirmed within its time: the session ends without a word.",
        ImapUnavailable: "Something cannot be done now.",
        ImapNoRoom: "There is no room for something.",
        ImapNothingSelected: "A command wants a mailbox that is selected.",
        ImapNotEnabled: "An extension is used that was not enabled.",
        ImapReadOnly: "A mailbox that is open for reading only is to be changed.",
        ImapNoSuchNumber: "There is no message with that number.",
        ImapBadName: "A name cannot be a mailbox's.",
        ImapNoMailbox: "There is no such mailbox.",
        ImapTryCreate: "There is no such mailbox to put messages into.",
        ImapMailboxExists: "There is such a mailbox already.",
        ImapHasChildren: "A mailbox with others below it is not deleted.",
        ImapNoSuchUse: "No mailbox can be for that use.",
        ImapUseTaken: "Another mailbox is for that use.",
        ImapForbidden: "Something is not done with this mailbox.",
        ImapTooManyMailboxes: "The limit of mailboxes is reached.",
        ImapKeywordTooLong: "A keyword is longer than the limit.",
        ImapTooManyKeywords: "The limit of keywords in a mailbox is reached.",
        ImapModified: "A message was changed since, and a conditional STORE leaves it alone.",
        ImapExpungeIssued: "Messages are gone of which nothing can be said at this moment.",
        ImapMailboxLost: "The selected mailbox is gone.",
        ImapMissedChanges: "Changes cannot be learnt now, and are asked for later.",
        ImapHistoryTooShort: "What has gone is no longer known, but what is there is.",
        ImapAnotherMailbox: "A client comes back, and UIDVALIDITY has changed.",
        ImapSelectUnavailable: "A mailbox cannot be opened now, and none is.",
        ImapResyncUnavailable: "A client comes back to a mailbox that goes away just then.",
        ImapMessageGone: "A message is gone while it is being fetched.",
        ImapMessageUnreadable: "A message cannot be read.",
        ImapUnknownEncoding: "The encoding of a part is not known.",
        ImapBrokenOff: "What is half said cannot be ended, and the session breaks off.",
        ImapSearchFailed: "A search cannot be done.",
        ImapBadCharset: "The charset of a search is not known.",
        ImapCharsetSaid: "A charset is said after UTF8=ACCEPT.",
        ImapNotInCharset: "A string is not in the charset of its search.",
        ImapTooManyTexts: "A search has more texts than the limit.",
        ImapCopyTooMany: "More messages are to be copied than a mailbox takes.",
        ImapMessageTooBig: "A message is larger than APPENDLIMIT.",
        ImapMessageEmpty: "There is nothing in a message.",
        ImapNul: "There is a NUL in a message.",
        ImapHeaderNotAscii: "A header has octets beyond ASCII, which was not enabled.",
        ImapAppendSyntax: "What stands between the messages of an APPEND makes no sense.",
        ImapAppendTooMany: "An APPEND has more messages or keywords than a mailbox takes.",
        ImapTooManyStages: "An APPEND has more large messages than are taken at once.",
        ImapWindowFull: "So many pieces of a message are unanswered that no more is read.",
        ImapChunkUnanswered: "The host has not taken a piece of a message within its time.",
        ImapAppendGivenUp: "A session ends within an APPEND, which is given up.",
        ImapNotDone: "A client in IDLE says something else than DONE.",
    }
    "Node" {
        NodeTurnSpent: "So many sessions were run in one turn that the host has its own first.",
        NodeSessionSpent: "A session has done so much in one go that others come first.",
        NodeReceiveFull: "What a session has not run yet is so much that no more is read.",
        NodeDialTimeout: "Nobody answers a dial.",
        NodeDialRefused: "A dial is refused.",
        NodeDialBroken: "A connection is over before it was up.",
        NodeBroken: "A connection breaks.",
        NodeLingers: "A peer does not read the last words, and is cut off.",
        NodeCutOff: "The time to stop is up, and a connection is cut off.",
        NodeStopsUndone: "The time to stop is up, and something is not done yet.",
        NodeMissedNotices: "Notices were lost: everything is looked at again.",
        NodeAskedAgain: "A busy store is asked again: what would be lost otherwise.",
        NodeQueueBusy: "The store is too busy for the queue.",
        NodeResolveBusy: "The store is too busy to say whose an address is.",
        NodeReceptionBusy: "The store is too busy for somebody who brings mail.",
        NodeMaildropBusy: "The store is too busy for somebody who fetches mail.",
        NodeReaderBusy: "The store is too busy for somebody who reads mail.",
        NodeDeliveryBusy: "The store is too busy to give out a message that is being sent.",
        NodeActsForAnother: "A client wants to act for somebody else.",
        NodeLoginTooLate: "A login is answered after its session has given it up.",
        NodeNoRelay: "Somebody who is nobody's user wants to send mail through us.",
        NodeEmptyAlias: "A recipient is an alias of nobody.",
        NodeRecipientRefused: "A recipient is refused: he does not exist, or the store does not say.",
        NodeRecipientTooLate: "A recipient is resolved after the next transaction has begun.",
        NodeNoPostmaster: "There is mail to the postmaster, and no account at all.",
        NodePostmaster: "Mail to the postmaster goes to the first account.",
        NodeResolveFailed: "The store cannot say whose an address is.",
        NodeReceptionStoreFailed: "The store fails somebody who brings mail.",
        NodeMaildropStoreFailed: "The store fails somebody who fetches mail.",
        NodeReaderStoreFailed: "The store fails somebody who reads mail.",
        NodeNobodysMessage: "A message has no recipient that is known any more.",
        NodeSpills: "A body is too large to be kept in memory, or there are too many of them.",
        NodeStageTooLate: "A stage comes for a body that is given up.",
        NodeStageRefused: "The store has no stage for a body.",
        NodeChunkRefused: "The store refuses a piece of a body.",
        NodeStructureTooBig: "The structure of a message is too large to be kept.",
        NodeBodyUnstored: "A body whose pieces were refused comes to its end.",
        NodeCommitUnstaged: "A message is refused, and its stage is given back.",
        NodeCommittedForNobody: "A message is on disk, and the session that brought it is gone.",
        NodeLockTooLate: "The lock of a maildrop comes for a session that is over.",
        NodeDeletionFailed: "What is to be deleted stays: the store could not do it.",
        NodeTooManyStages: "An APPEND has more large messages than are staged at a time.",
        NodeAppendUnstored: "An APPEND of which a message could not be stored comes to its end.",
        NodeAppendTakenBack: "An APPEND is refused, and what it brought is given back.",
        NodeNullMx: "Mail to a domain that takes none fails.",
        NodeNoDomain: "Mail to a domain that does not exist fails.",
        NodeNoAddress: "Mail to a domain without a host fails.",
        NodeNoAddressNow: "No exchanger has an address just now.",
        NodeBadName: "Mail to what is no domain name fails.",
        NodeLookupFailed: "The exchangers cannot be found out just now.",
        NodeRouteUnknown: "The host of a configured route does not exist, which is no reason to give up mail.",
        NodeBadRoute: "A configured route is none.",
        NodeOwnExchanger: "We are one of a domain's exchangers ourselves.",
        NodeMxLoop: "We are a domain's best exchanger, and do not serve it.",
        NodeNextCandidate: "A host is of no use, and the next one is tried.",
        NodeSameCandidate: "A host ended the session early, and is tried again.",
        NodeWithoutTls: "What TLS breaks is tried once more without it.",
        NodeCandidatesSpent: "No host is left to be tried.",
        NodeUseless: "A host answers every message with 421.",
        NodeOverloadedServer: "A server answers a message with 421.",
        NodeSilentEnd: "A session ends before mail, and nobody says why.",
        NodeRowUnanswered: "A session ends, and a recipient has no outcome.",
        NodeBodyUnreadable: "The store cannot give out a message that is being sent.",
        NodeAbandoned: "The node stops, and an attempt that waits for a lookup is given up.",
        NodeUserGone: "A recipient here is gone by the time his mail is filed.",
        NodeAliasLoop: "An alias leads to itself.",
        NodeTooManyTargets: "An alias leads on without an end.",
        NodeUnresolved: "The store does not say whose a row is, which is tried again.",
        NodeNoLongerOurs: "A row is for a domain that is no longer ours.",
    }
    "Queue" {
        QueueRetry: "A recipient is tried again later.",
        QueueExpired: "A recipient was tried for long enough, and is given up.",
        QueueRefused: "A recipient was refused for good.",
        QueueNobodyToTell: "A report cannot be delivered, and nobody is told of that.",
        QueueBounceWaits: "A batch has as many reports as it may, and the others wait.",
        QueueForwardWaits: "There is no room to forward a message, which waits.",
        QueueNoRoomForBounces: "There is no room for reports: what needs none is recorded first.",
        QueueForwardUnknown: "A message to be forwarded is not known to the store.",
        QueueStoreFailed: "The store fails the queue, which asks again.",
        QueueBusy: "The store is too busy, and the queue asks again.",
        QueueHeaderUnreadable: "The header of a message that is reported cannot be read.",
        QueueRowGone: "A row that is to be reported is gone.",
        QueueLeaseRefused: "The lease is another's.",
        QueueLeaseLost: "An outcome is not recorded, because the lease is another's.",
        QueueLeaseGoneMidway: "The lease is gone while a batch is being made.",
        QueueSettleTooLate: "The lease is gone when a batch is to be recorded again.",
        QueueOutcomeVoid: "An outcome of an earlier lease is void.",
        QueuePageForgone: "A page of rows comes when it may not be used any more.",
        QueueSuspends: "Nobody is reached at a destination, which is left alone for a while.",
        QueueSharesSuspension: "A row for a destination that is left alone shares its outcome.",
        QueueSuspensionForgotten: "There are so many destinations that one that is left alone is forgotten.",
        QueueAbandoned: "An attempt is given up, and its rows are as they were.",
        QueueRescan: "All destinations are looked at afresh.",
        QueueHintsFull: "There are more hints than are kept: a scan finds the others.",
        QueueWantedFull: "There are more destinations to be retried than are kept: a scan finds the others.",
        QueueLanesFull: "There are more destinations with mail than are worked on.",
        QueueScanHeldUp: "A scan waits for a place.",
        QueueAttemptsFull: "There are as many attempts as there may be, and a destination waits.",
    }
    "SMTP client" {
        ClientGreetedBadly: "A server greets with a refusal.",
        ClientHelo: "A server does not know EHLO, and is told HELO.",
        ClientHelloRefused: "A server refuses the hello.",
        ClientNoTls: "TLS is required, and there is none to be had.",
        ClientTlsRefused: "A server refuses the STARTTLS that it offers, and it goes on without.",
        ClientTlsFailed: "TLS fails before the first message.",
        ClientInjected: "Plaintext stands behind a server's go-ahead to STARTTLS.",
        ClientHandshakeTimeout: "A session waits too long for its layer.",
        ClientPasswordInTheClear: "A password is not to cross in the clear, and there is no TLS.",
        ClientBadCredentials: "A name or a password cannot be said.",
        ClientNoMechanism: "A server offers no mechanism that is known.",
        ClientLoginRefused: "A server refuses the password.",
        ClientSentAway: "A server says 421.",
        ClientTooLarge: "A server says beforehand that a message is too large for it.",
        ClientNoSmtputf8: "A message needs SMTPUTF8, and a server does not offer it.",
        ClientMailRefused: "A server refuses MAIL.",
        ClientRecipientRefused: "A server refuses a recipient.",
        ClientTooManyRecipients: "A server says 552 and means that it has enough recipients.",
        ClientDataRefused: "A server refuses DATA.",
        ClientLoneDot: "A server wants a message though it has refused everybody: it gets an empty one.",
        ClientBodyRefused: "A server refuses a message before it is complete.",
        ClientMessageRefused: "A server refuses a message at its end.",
        ClientBadMessage: "A message holds a bare CR or a bare LF, which must not be sent.",
        ClientUnreadable: "A message cannot be read here, or not in time.",
        ClientAstray: "A reply makes no sense where it comes.",
        ClientNonsense: "What a server says cannot be read.",
        ClientLostPeer: "A connection is lost before its end.",
        ClientTimeout: "A server does not answer in time.",
        ClientInDoubt: "A whole message is out, and its reply never comes.",
        ClientQuitUnanswered: "A server does not answer QUIT.",
        ClientNothingToDo: "A session has waited long enough for its next message.",
        ClientStopping: "The host stops, and the reply to a whole message is still waited for.",
        ClientShutdown: "The host stops in the middle of a message.",
    }
    "Resolver" {
        DnsBadName: "A name cannot be looked up.",
        DnsNoServer: "No name server is configured.",
        DnsWaitingFull: "So many lookups wait that one more fails at once.",
        DnsLookupsFull: "So many lookups are worked on that the next ones wait.",
        DnsSocketsFull: "So many questions are asked that the next one waits.",
        DnsStranger: "A datagram comes from somebody who was not asked.",
        DnsWrongAnswer: "A datagram is no answer to what was asked.",
        DnsGuessed: "So many wrong answers came that it asks over TCP.",
        DnsTruncated: "An answer does not fit into a datagram: it asks over TCP.",
        DnsTruncatedStream: "An answer is cut short over TCP, too.",
        DnsWrongStream: "What comes over TCP is no answer to what was asked.",
        DnsStreamFailed: "An exchange over TCP comes to nothing.",
        DnsStreamTooShort: "A message over TCP is too short to be one.",
        DnsStreamCutShort: "A server closes before its answer is whole.",
        DnsStreamTimeout: "An exchange over TCP takes too long.",
        DnsStreamBroken: "An exchange over TCP breaks.",
        DnsTimeout: "A server does not answer in time, and is asked last for a while.",
        DnsRefused: "A server will not or cannot say, and another is asked.",
        DnsPlainRetry: "A server may dislike EDNS, and is asked without.",
        DnsReferral: "A server does not resolve for us.",
        DnsMalformed: "An answer cannot be read.",
        DnsNobodyAnswers: "All servers were asked, and nobody knows.",
        DnsExpired: "A lookup takes too long, and answers with what it has.",
        DnsAliasLoop: "CNAMEs lead in a circle.",
        DnsAliasToNowhere: "A CNAME leads to what is no host name.",
        DnsTooManyAliases: "There are too many CNAMEs in a row.",
        DnsNullMx: "A domain takes no mail.",
        DnsNoDomain: "A domain does not exist.",
        DnsNoHosts: "A domain has exchangers, and none of them is a host name.",
        DnsImplicitMx: "A domain has no exchangers: it is its own.",
        DnsNoAddress: "No exchanger has an address.",
        DnsMxFailed: "The exchangers cannot be found out.",
        DnsAddressesFailed: "The addresses of the exchangers cannot be found out.",
        DnsTooManyHosts: "A domain has more exchangers than are kept.",
        DnsTooManyAddresses: "A host has more addresses than are kept.",
        DnsCacheFull: "The cache is full, and what expires first goes.",
    }
    "TLS" {
        TlsPlaintextBehind: "Plaintext stands behind the upgrade.",
        TlsPlaintextBefore: "Plaintext comes before the go-ahead is out.",
        TlsGoneBefore: "A peer is gone before the handshake.",
        TlsGoAheadStuck: "The go-ahead cannot be sent in time.",
        TlsNoEngine: "There is no engine to be had.",
        TlsHandshakeFailed: "A handshake fails.",
        TlsGoneWithin: "A peer is gone within the handshake.",
        TlsEndlessHandshake: "A handshake has no end.",
        TlsSlowHandshake: "A handshake takes too long.",
        TlsTruncated: "A connection ends without a close_notify.",
        TlsBroken: "A record cannot be read or written.",
        TlsSessionFull: "A session does not use up what it has been given.",
        TlsTurnSpent: "So many records came that the others have their turn first.",
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// This place was reached: `mark!(Name)`. `mark!(Name, value)` is the value.
#[macro_export]
macro_rules! mark {
    ($name:ident) => {
        $crate::marks::hit($crate::marks::Mark::$name)
    };
    ($name:ident, $value:expr) => {{
        $crate::mark!($name);
        $value
    }};
}

#[cfg(feature = "marks")]
mod counted {
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::Mark;

    /// How often each was reached, in the order of all.
    static HITS: [AtomicU64; Mark::ALL.len()] = [const { AtomicU64::new(0) }; Mark::ALL.len()];

    /// It was reached.
    pub fn hit(mark: Mark) {
        HITS[mark as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was reached, in the whole process.
    #[must_use]
    pub fn hits(mark: Mark) -> u64 {
        HITS[mark as usize].load(Ordering::Relaxed)
    }

    /// As if none had been reached.
    pub fn reset() {
        HITS.iter().for_each(|hits| hits.store(0, Ordering::Relaxed));
    }
}

#[cfg(feature = "marks")]
pub use counted::{hit, hits, reset};

/// Nothing is counted in this build.
#[cfg(not(feature = "marks"))]
#[inline(always)]
pub const fn hit(mark: Mark) {
    let _ = mark;
}

/// Nothing is counted in this build.
#[cfg(not(feature = "marks"))]
#[must_use]
pub const fn hits(mark: Mark) -> u64 {
    let _ = mark;
    0
}

/// Nothing is counted in this build.
#[cfg(not(feature = "marks"))]
pub const fn reset() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_in_its_place() {
        for (place, mark) in Mark::ALL.iter().enumerate() {
            assert_eq!(*mark as usize, place);
            assert!(mark.sentence().ends_with('.') && !mark.part().is_empty(), "{mark}");
        }
    }

    #[test]
    fn they_are_counted_where_they_are_wanted() {
        // The last one, which no other test of this crate reaches.
        let Some(last) = Mark::ALL.last() else { return };
        let before = hits(*last);
        hit(*last);
        assert_eq!(hits(*last) - before, u64::from(cfg!(feature = "marks")));
    }
}
