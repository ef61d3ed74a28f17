//! Names of things in a store: opaque, 128 bits, never an address, a row number or a place on disk.

use core::fmt;
use core::str::FromStr;

/// 128 bits: the epoch in which the store that gave the id was opened, and a counter within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Which opening of the store gave it.
    pub epoch: u64,
    /// The how-manieth it was.
    pub counter: u64,
}

impl Id {
    /// Big-endian bytes, so that byte order is the order of issue.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.epoch) << 64) | u128::from(self.counter)).to_be_bytes()
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let bits = u128::from_be_bytes(bytes);
        Self { epoch: (bits >> 64) as u64, counter: bits as u64 }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.epoch, self.counter)
    }
}

/// The text is not an id: two hexadecimal numbers with a hyphen between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadId;

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: two hexadecimal numbers with a hyphen between, like 3-1f")
    }
}

impl core::error::Error for BadId {}

impl FromStr for Id {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let number = |digits: &str| {
            // from_str_radix would also take a sign.
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if plain { u64::from_str_radix(digits, 16).map_err(|_| BadId) } else { Err(BadId) }
        };
        let (epoch, counter) = text.split_once('-').ok_or(BadId)?;
        Ok(Self { epoch: number(epoch)?, counter: number(counter)? })
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Id);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    /// An account.
    AccountId;
    /// A mailbox of an account.
    MailboxId;
    /// A message as its account knows it, wherever it is filed.
    EmailId;
    /// A place of an email in a mailbox.
    EntryId;
    /// A conversation of emails.
    ThreadId;
    /// The bytes of a message's body, stored once.
    BlobId;
    /// One recipient of one message in the queue.
    RowId;
    /// A body that is still arriving.
    StageId;
    /// An open maildrop.
    LockId;
    /// Who holds the queue's buckets, and since when; an outcome under an old one is refused.
    LeaseEpoch;
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn text_and_bytes_name_the_same_id() {
        for id in [Id::default(), Id { epoch: 3, counter: 0x1f }, Id { epoch: u64::MAX, counter: u64::MAX }] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(Id::from_bytes(id.to_bytes()), id);
        }
        for bad in ["", "-", "1", "1-", "-1", "+1-1", "1-+1", "1-1-1", "g-1", "1-10000000000000000"] {
            assert_eq!(bad.parse::<Id>(), Err(BadId), "{bad}");
        }
    }
}
