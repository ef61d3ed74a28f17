//! What is announced (RFC 9051 §6.1.1): one list, and when each name of it is true.

use alloc::vec::Vec;

use super::Config;
use crate::imap::types::Text;

/// Everything that this server may announce, in the order in which it does.
pub const CAPABILITIES: &[(&str, When)] = &[
    ("IMAP4rev2", When::Always),
    ("IMAP4rev1", When::Always),
    ("STARTTLS", When::Tls),
    ("LOGINDISABLED", When::NoLogin),
    ("AUTH=PLAIN", When::Login),
    ("SASL-IR", When::Login),
    ("LITERAL-", When::Always),
    ("ENABLE", When::Always),
    ("ID", When::Always),
    ("IDLE", When::LoggedIn),
    ("NAMESPACE", When::LoggedIn),
    ("CHILDREN", When::LoggedIn),
    ("LIST-EXTENDED", When::LoggedIn),
    ("LIST-STATUS", When::LoggedIn),
    ("SPECIAL-USE", When::LoggedIn),
    ("CREATE-SPECIAL-USE", When::LoggedIn),
    ("STATUS=SIZE", When::LoggedIn),
    ("ESEARCH", When::LoggedIn),
    ("SEARCHRES", When::LoggedIn),
    ("WITHIN", When::LoggedIn),
    ("UNSELECT", When::LoggedIn),
    ("UIDPLUS", When::LoggedIn),
    ("MOVE", When::LoggedIn),
    ("SAVEDATE", When::LoggedIn),
    ("CONDSTORE", When::LoggedIn),
    ("QRESYNC", When::LoggedIn),
    ("UTF8=ACCEPT", When::LoggedIn),
    ("OBJECTID", When::LoggedIn),
    ("MULTIAPPEND", When::LoggedIn),
    ("BINARY", When::LoggedIn),
    ("APPENDLIMIT", When::LoggedIn),
];

/// When a capability is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At any time.
    Always,
    /// Before the login, while TLS is offered.
    Tls,
    /// Before the login, where a password may cross.
    Login,
    /// Before the login, where none may.
    NoLogin,
    /// Once logged in: what it is about cannot be asked before, and a client asks again then.
    LoggedIn,
}

/// Where a session stands, as far as capabilities depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) logged_in: bool,
    /// STARTTLS would be taken now.
    pub(super) starttls: bool,
    /// A password would be taken now.
    pub(super) login: bool,
}

/// The names to announce.
pub(super) fn announced(config: &Config, standing: Standing) -> Vec<Text> {
    let now = |when| match when {
        When::Always => true,
        When::Tls => !standing.logged_in && standing.starttls,
        When::Login => !standing.logged_in && standing.login,
        When::NoLogin => !standing.logged_in && !standing.login,
        When::LoggedIn => standing.logged_in,
    };
    let names = CAPABILITIES.iter().filter(|(name, when)| now(*when) && offers(config, name));
    names.map(|(name, _)| if *name == "APPENDLIMIT" { limit(config) } else { Text::from(*name) }).collect()
}

/// It is not switched off.
pub(super) fn offers(config: &Config, name: &str) -> bool {
    !config.without.contains(name)
}

fn limit(config: &Config) -> Text {
    Text::from(alloc::format!("APPENDLIMIT={}", config.message_size).as_str())
}
