//! A certificate that nobody vouches for: a beginning.

use std::net::IpAddr;
use std::time::Duration;

use pillarbox_runtime::wall;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// How long it is good: some clients take none that is good for longer.
const DAYS: u32 = 820;

/// A certificate and its key, as PEM.
pub(crate) struct SelfSigned {
    pub(crate) chain: String,
    pub(crate) key: Zeroizing<String>,
}

/// A certificate for this host at these addresses, and for this machine as its own programs call it.
///
/// # Errors
/// When the operating system has no randomness.
pub(crate) fn self_signed(hostname: &str, addresses: &[IpAddr]) -> Result<SelfSigned, Failure> {
    let cannot = |error: rcgen::Error| Failure::new(format!("cannot make a certificate: {error}"));
    let mut names = vec![hostname.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(addresses.iter().map(ToString::to_string));
    let mut params = rcgen::CertificateParams::new(names).map_err(cannot)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, hostname);
    params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    params.use_authority_key_identifier_extension = true;
    let day = Duration::from_secs(24 * 3600);
    let today = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(wall().seconds().unsigned_abs());
    // From yesterday on, for clients whose clock is behind.
    params.not_before = today - day;
    params.not_after = today + day * DAYS;
    let key = rcgen::KeyPair::generate().map_err(cannot)?;
    let certificate = params.self_signed(&key).map_err(cannot)?;
    Ok(SelfSigned { chain: certificate.pem(), key: Zeroizing::new(key.serialize_pem()) })
}
