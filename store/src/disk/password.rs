//! Passwords as they are kept: an argon2id hash, and the SCRAM-SHA-256 keys computed at the same moment.

use std::fmt::Write as _;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pillarbox_core::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::options::PasswordCost;

/// What is stored of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verifier {
    /// The argon2id hash with its parameters and salt, as a PHC string.
    pub(super) phc: String,
    pub(super) scram: ScramKeys,
}

/// What a server keeps for SCRAM-SHA-256 (RFC 5802 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScramKeys {
    pub(super) salt: [u8; 16],
    pub(super) iterations: u32,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: [u8; 32],
}

/// Hashes with one block of memory that it keeps, so that one more login needs no more memory than the last one.
pub(super) struct Hasher {
    memory: Vec<Block>,
    cost: PasswordCost,
    /// What an unknown account is compared with.
    nobody: String,
}

impl Hasher {
    pub(super) fn new(cost: PasswordCost) -> Self {
        let nobody = phc(cost.memory_kib, cost.passes, &[0; 16], &[0; 32]);
        // Now, so that the first login moves no memory peak either.
        let memory = vec![Block::new(); cost.memory_kib as usize];
        Self { memory, cost, nobody }
    }

    /// What to store for a new password.
    pub(super) fn verifier(&mut self, password: &Secret) -> Result<Verifier, HashError> {
        let password = prepared(password);
        let (salt, scram_salt) = (random()?, random()?);
        let hash = self.hash(&password, &salt, self.cost.memory_kib, self.cost.passes)?;
        let phc = phc(self.cost.memory_kib, self.cost.passes, &salt, hash.as_ref());
        let scram = scram_keys(&password, scram_salt, self.cost.scram_iterations);
        Ok(Verifier { phc, scram })
    }

    /// Whether this is the password of that hash; `None` is an account nobody has, which takes as long to be wrong.
    pub(super) fn verify(&mut self, password: &Secret, stored: Option<&str>) -> Result<bool, HashError> {
        let password = prepared(password);
        let nobody = self.nobody.clone();
        let parsed = Parsed::from_phc(stored.unwrap_or(&nobody)).ok_or(HashError)?;
        let hash = self.hash(&password, &parsed.salt, parsed.memory_kib, parsed.passes)?;
        let same: bool = hash.ct_eq(parsed.hash.as_slice()).into();
        Ok(same && stored.is_some())
    }

    fn hash(&mut self, password: &[u8], salt: &[u8], kib: u32, passes: u32) -> Result<Zeroizing<[u8; 32]>, HashError> {
        let params = Params::new(kib, passes, 1, Some(32)).map_err(|_| HashError)?;
        let blocks = params.block_count();
        if self.memory.len() < blocks {
            self.memory.resize(blocks, Block::new());
        }
        let mut out = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password, salt, out.as_mut(), &mut self.memory[..blocks])
            .map_err(|_| HashError)?;
        Ok(out)
    }
}

/// A password could not be hashed: no random numbers, or a stored hash that is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashError;

/// SCRAM-SHA-256's keys: what the server stores so that it never needs the password again.
pub(super) fn scram_keys(password: &[u8], salt: [u8; 16], iterations: u32) -> ScramKeys {
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, iterations, salted.as_mut());
    let client_key = Zeroizing::new(hmac(salted.as_ref(), b"Client Key"));
    let stored_key = Sha256::digest(client_key.as_ref()).into();
    ScramKeys { salt, iterations, stored_key, server_key: hmac(salted.as_ref(), b"Server Key") }
}

struct Parsed {
    memory_kib: u32,
    passes: u32,
    salt: Vec<u8>,
    hash: Zeroizing<Vec<u8>>,
}

impl Parsed {
    fn from_phc(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$argon2id$v=19$m=")?;
        let (memory, rest) = rest.split_once(",t=")?;
        let (passes, rest) = rest.split_once(",p=1$")?;
        let (salt, hash) = rest.split_once('$')?;
        Some(Self {
            memory_kib: memory.parse().ok()?,
            passes: passes.parse().ok()?,
            salt: STANDARD_NO_PAD.decode(salt).ok()?,
            hash: Zeroizing::new(STANDARD_NO_PAD.decode(hash).ok()?),
        })
    }
}

fn phc(kib: u32, passes: u32, salt: &[u8], hash: &[u8]) -> String {
    let mut text = String::new();
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    // Writing to a string cannot fail.
    _ = write!(text, "$argon2id$v=19$m={kib},t={passes},p=1${salt}${hash}");
    text
}

/// The password as it is hashed: prepared by SASLprep (RFC 4013), as SCRAM wants it; a password that SASLprep refuses is
/// taken as it is.
fn prepared(password: &Secret) -> Zeroizing<Vec<u8>> {
    let raw = password.expose();
    let text = std::str::from_utf8(raw).ok().filter(|text| !text.is_ascii());
    match text.and_then(|text| stringprep::saslprep(text).ok()) {
        Some(prepared) => Zeroizing::new(prepared.into_owned().into_bytes()),
        None => Zeroizing::new(raw.to_vec()),
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn random() -> Result<[u8; 16], HashError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| HashError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scram_keys_are_those_of_rfc_7677() {
        // RFC 7677 §3: user "user", password "pencil". The server signature of the exchange proves the server key, the
        // client's proof the stored key.
        let salt = base64::engine::general_purpose::STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = scram_keys(b"pencil", salt.try_into().unwrap(), 4096);
        let exchange = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let standard = base64::engine::general_purpose::STANDARD;
        let signature = standard.encode(hmac(&keys.server_key, exchange.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = standard.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let client_signature = hmac(&keys.stored_key, exchange.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(client_signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha256::digest(client_key).as_slice(), keys.stored_key);
    }

    #[test]
    fn passwords_verify_at_any_cost_they_were_given() {
        let mut cheap = Hasher::new(PasswordCost::CHEAP);
        let mut dearer = Hasher::new(PasswordCost { memory_kib: 64, passes: 2, scram_iterations: 2 });
        for hasher in [&mut cheap, &mut dearer] {
            let kept = hasher.verifier(&Secret::from("pencil")).unwrap();
            assert_ne!(kept, hasher.verifier(&Secret::from("pencil")).unwrap(), "salted");
            assert!(kept.phc.starts_with("$argon2id$v=19$m="));
        }
        let kept = dearer.verifier(&Secret::from("päss\u{ad}word")).unwrap();
        assert!(cheap.verify(&Secret::from("päss\u{ad}word"), Some(&kept.phc)).unwrap());
        assert!(cheap.verify(&Secret::from("pa\u{308}ssword"), Some(&kept.phc)).unwrap(), "SASLprep");
        assert!(!cheap.verify(&Secret::from("passwort"), Some(&kept.phc)).unwrap());
        assert!(!cheap.verify(&Secret::from("password"), None).unwrap());
        assert!(cheap.verify(&Secret::from("password"), Some("nonsense")).is_err());
    }
}
