//! TLS 1.2 and 1.3 by rustls with ring: the engine for the world.
//!
//! This file is the crate's one std island: rustls's buffered connection reads and writes through `std::io`. No type of
//! rustls stands in a public signature. rustls asks a clock for the time; here it gets the [`Wall`] of the call.
//!
//! | what | here | why |
//! |---|---|---|
//! | versions | TLS 1.2, TLS 1.3 | RFC 8996: nothing older |
//! | resumption, tickets, early data | off | an idle connection stays small; early data can be replayed |
//! | client certificates | not asked for | nobody would check them yet |
//! | a client's check of the server | signatures yes, name and issuer no | RFC 7435: opportunistic; MX hosts have no name one could trust |
//!
//! An idle connection holds rustls's own state and its 4 KiB read buffer; a larger one, grown for a large record, is
//! given back as soon as the record is through.

extern crate std;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicI64, Ordering};
use core::time::Duration;
use std::io::{self, BufRead as _, Write as _};

use ::rustls::client::Resumption;
use ::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use ::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use ::rustls::pki_types::pem::{self, PemObject as _};
use ::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use ::rustls::server::NoServerSessionStorage;
use ::rustls::time_provider::TimeProvider;
use ::rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error, InconsistentKeys, ProtocolVersion,
    ServerConfig, ServerConnection, SignatureScheme,
};
use bytes::{Buf as _, Bytes, BytesMut};

use super::{TlsEngine, TlsError, TlsErrorKind, TlsFactory, TlsState};
use crate::outbox::Outbox;
use crate::session::TlsInfo;
use crate::time::Wall;

/// Makes the server's ends: one certificate chain for all of them.
#[derive(Clone)]
pub struct RustlsServer {
    config: Arc<ServerConfig>,
    clock: Arc<Clock>,
}

impl RustlsServer {
    /// A server with the certificate chain in `cert` (PEM, the server's own first) and the private key in `key` (PEM;
    /// PKCS#8, PKCS#1 or SEC1, not encrypted).
    ///
    /// # Errors
    /// [`TlsErrorKind::Configuration`] when either cannot be read, or they do not belong together.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| configuration(&format!("the certificate cannot be read: {}", pem_reason(&error))))?;
        if chain.is_empty() {
            return Err(configuration("no certificate found: expected a block BEGIN CERTIFICATE"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| configuration(&key_reason(key, &error)))?;
        let clock = Arc::new(Clock::default());
        let mut config = ServerConfig::builder_with_details(Arc::new(ring::default_provider()), clock.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| configuration(&error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| configuration(&pair_reason(&error)))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), clock })
    }
}

impl TlsFactory for RustlsServer {
    fn engine(&self, _server_name: Option<&str>) -> Result<Box<dyn TlsEngine>, TlsError> {
        let connection = ServerConnection::new(self.config.clone()).map_err(|error| failed(&error))?;
        Ok(Box::new(Engine::new(Connection::Server(connection), self.clock.clone())))
    }
}

impl fmt::Debug for RustlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RustlsServer(..)")
    }
}

/// Makes clients' ends that encrypt to whoever answers.
#[derive(Clone)]
pub struct RustlsClient {
    config: Arc<ClientConfig>,
    clock: Arc<Clock>,
}

impl RustlsClient {
    /// Accepts every certificate, as mail between servers must (RFC 7435): this keeps out who listens, not who
    /// answers in another's place. The server must still prove that it holds the certificate's key. A name that
    /// cannot stand in a handshake, and no name at all, mean a handshake without SNI.
    #[must_use]
    #[allow(clippy::missing_panics_doc)]
    pub fn opportunistic() -> Self {
        let clock = Arc::new(Clock::default());
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(AnyCertificate(provider.clone()));
        let mut config = ClientConfig::builder_with_details(provider, clock.clone())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both TLS 1.2 and TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config), clock }
    }
}

impl TlsFactory for RustlsClient {
    fn engine(&self, server_name: Option<&str>) -> Result<Box<dyn TlsEngine>, TlsError> {
        // rustls sends no SNI for an address, so one that nobody has stands for "no name".
        let nobody = ServerName::IpAddress(core::net::Ipv4Addr::UNSPECIFIED.into());
        let name = server_name.map(|name| name.strip_suffix('.').unwrap_or(name).to_string());
        let name = name.and_then(|name| ServerName::try_from(name).ok()).unwrap_or(nobody);
        let connection = ClientConnection::new(self.config.clone(), name).map_err(|error| failed(&error))?;
        Ok(Box::new(Engine::new(Connection::Client(connection), self.clock.clone())))
    }
}

impl fmt::Debug for RustlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RustlsClient(..)")
    }
}

/// Bytes of plaintext in one record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;
/// Bytes in the header of a record: type, version, length.
const HEADER: usize = 5;
/// Pieces gathered into one record: more than a coalescing outbox ever holds within 16 KiB.
const PIECES: usize = 8;
/// The size to which rustls shrinks its read buffer when it is empty.
const READ_BUFFER: usize = 4096;

struct Engine {
    connection: Connection,
    clock: Arc<Clock>,
    /// The header of the record under way, as far as it came.
    header: [u8; HEADER],
    header_len: usize,
    /// Bytes of that record still to come behind its header.
    left: usize,
    /// A record larger than the smallest read buffer went through since the buffer was last shrunk.
    grown: bool,
    was_up: bool,
    failed: Option<TlsError>,
    closed: bool,
}

impl Engine {
    fn new(connection: Connection, clock: Arc<Clock>) -> Self {
        Self {
            connection,
            clock,
            header: [0; HEADER],
            header_len: 0,
            left: 0,
            grown: false,
            was_up: false,
            failed: None,
            closed: false,
        }
    }

    /// How many bytes at the front of `rx` belong to the record under way; notes that they are taken.
    fn of_this_record(&mut self, rx: &[u8]) -> usize {
        let head = (HEADER - self.header_len).min(rx.len());
        if head > 0 {
            self.header[self.header_len..self.header_len + head].copy_from_slice(&rx[..head]);
            self.header_len += head;
            if self.header_len < HEADER {
                return head;
            }
            self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            self.grown |= self.left > READ_BUFFER - HEADER;
        }
        let body = self.left.min(rx.len() - head);
        self.left -= body;
        if self.left == 0 {
            self.header_len = 0;
        }
        head + body
    }

    /// Takes the rest of one record out of `rx`, as far as it is there. True when something came of it that the caller
    /// should see before the next record: plaintext, or another state.
    fn record(&mut self, rx: &mut BytesMut, plain: &mut BytesMut) -> Result<bool, Error> {
        let mut take = self.of_this_record(rx);
        let before = plain.len();
        let mut closed = false;
        while take > 0 {
            let read = self
                .connection
                .read_tls(&mut &rx[..take])
                .map_err(|_| Error::General("the handshake message is too long".into()))?;
            rx.advance(read);
            // rustls reads nothing behind a close_notify, and more than nothing otherwise.
            take = if read == 0 { 0 } else { take - read };
            closed = self.connection.process_new_packets()?.peer_has_closed();
            self.drain(plain);
        }
        let up = !self.connection.is_handshaking();
        let news = closed || plain.len() > before || up != self.was_up;
        self.was_up = up;
        self.closed |= closed;
        Ok(news)
    }

    /// Moves what was decrypted behind `plain`.
    fn drain(&mut self, plain: &mut BytesMut) {
        let mut reader = self.connection.reader();
        while let Ok(piece) = reader.fill_buf() {
            let n = piece.len();
            if n == 0 {
                break;
            }
            plain.extend_from_slice(piece);
            reader.consume(n);
        }
    }

    /// Moves the records that rustls has ready behind `tx`.
    fn flush(&mut self, tx: &mut Outbox) {
        // Writing to an outbox cannot fail.
        while self.connection.wants_write() && self.connection.write_tls(&mut Into(tx)).is_ok() {}
    }

    /// Gives a grown read buffer back: rustls shrinks it when it is about to read, and here nothing comes.
    fn shrink(&mut self) {
        if self.grown && self.header_len == 0 {
            self.grown = false;
            let _ = self.connection.read_tls(&mut Nothing);
        }
    }

    fn state(&self) -> TlsState {
        if self.closed {
            return TlsState::Closed;
        }
        let (Some(version), Some(suite), false) = (
            self.connection.protocol_version(),
            self.connection.negotiated_cipher_suite(),
            self.connection.is_handshaking(),
        ) else {
            return TlsState::Handshaking;
        };
        let version = if version == ProtocolVersion::TLSv1_3 { "TLS1.3" } else { "TLS1.2" };
        TlsState::Up(TlsInfo { version, cipher: suite.suite().as_str().unwrap_or("unknown"), verified: false })
    }
}

impl TlsEngine for Engine {
    fn decrypt(
        &mut self,
        now: Wall,
        rx: &mut BytesMut,
        plain: &mut BytesMut,
        plain_limit: usize,
        tx: &mut Outbox,
    ) -> Result<TlsState, TlsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.clock.set(now);
        let mut outcome = Ok(false);
        while !self.closed && outcome == Ok(false) && !rx.is_empty() && plain.len() < plain_limit {
            outcome = self.record(rx, plain);
        }
        self.flush(tx);
        if let Err(error) = outcome {
            let error = failed(&error);
            self.failed = Some(error.clone());
            return Err(error);
        }
        if self.closed {
            rx.clear();
        }
        if rx.is_empty() {
            self.shrink();
        }
        Ok(self.state())
    }

    fn encrypt(&mut self, plain: &mut Outbox, tx: &mut Outbox) -> Result<(), TlsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.connection.is_handshaking() {
            return Ok(());
        }
        while !plain.is_empty() && !tx.is_full() {
            let mut pieces = [io::IoSlice::new(&[]); PIECES];
            let (mut count, mut room) = (0, RECORD);
            for (slot, piece) in pieces.iter_mut().zip(plain.slices()) {
                let piece = &piece[..piece.len().min(room)];
                room -= piece.len();
                *slot = io::IoSlice::new(piece);
                count += 1;
                if room == 0 {
                    break;
                }
            }
            let written = self.connection.writer().write_vectored(&pieces[..count]);
            self.flush(tx);
            match written {
                Ok(n) if n > 0 => plain.advance(n),
                // Nothing is taken behind our own close_notify.
                _ => {
                    let error = TlsError::new(TlsErrorKind::Protocol, "the connection takes no more");
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, tx: &mut Outbox) {
        if self.failed.is_none() && !self.connection.is_handshaking() {
            self.connection.send_close_notify();
            self.flush(tx);
        }
    }
}

/// The clock that rustls asks: it stands at the time of the latest call.
///
/// The connections of a factory share it, as they share the configuration that holds it.
#[derive(Debug, Default)]
struct Clock(AtomicI64);

impl Clock {
    fn set(&self, now: Wall) {
        self.0.store(now.0, Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// Takes every certificate, but only from who holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Where rustls writes its records: an outbox takes everything.
struct Into<'a>(&'a mut Outbox);

impl io::Write for Into<'_> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        // A long record becomes a segment of its own, so that it is never moved again.
        self.0.push(Bytes::copy_from_slice(record));
        Ok(record.len())
    }

    fn write_vectored(&mut self, records: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut n = 0;
        for record in records {
            n += self.write(record)?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A source that has nothing just now, which is not the end.
struct Nothing;

impl io::Read for Nothing {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn failed(error: &Error) -> TlsError {
    let kind = if matches!(error, Error::AlertReceived(_)) { TlsErrorKind::Alert } else { TlsErrorKind::Protocol };
    TlsError::new(kind, &error.to_string())
}

fn configuration(reason: &str) -> TlsError {
    TlsError::new(TlsErrorKind::Configuration, reason)
}

/// Why a PEM block cannot be read, without a byte of what stands in it.
fn pem_reason(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its END line is missing",
        pem::Error::IllegalSectionStart { .. } => "its BEGIN line is broken",
        pem::Error::Base64Decode(_) => "its base64 is broken",
        pem::Error::NoItemsFound => "no such block in it",
        _ => "not PEM",
    }
}

fn key_reason(key: &[u8], error: &pem::Error) -> String {
    if memchr::memmem::find(key, b"BEGIN ENCRYPTED PRIVATE KEY").is_some() {
        return "the private key is encrypted: give one without a passphrase".into();
    }
    if matches!(error, pem::Error::NoItemsFound) {
        return "no private key found: expected a block BEGIN PRIVATE KEY".into();
    }
    format!("the private key cannot be read: {}", pem_reason(error))
}

fn pair_reason(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key does not belong to the certificate".into()
        }
        error => format!("certificate and key cannot be used: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use ::rustls::version::TLS12;

    use super::*;

    fn server() -> RustlsServer {
        let made = rcgen::generate_simple_self_signed(["mx.example.org".to_string()]).unwrap();
        RustlsServer::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap()
    }

    /// One end with its buffers.
    struct Side {
        engine: Box<dyn TlsEngine>,
        rx: BytesMut,
        tx: Outbox,
        plain: BytesMut,
        state: TlsState,
    }

    impl Side {
        fn new(factory: &dyn TlsFactory) -> Self {
            Self {
                engine: factory.engine(Some("mx.example.org")).unwrap(),
                rx: BytesMut::new(),
                tx: Outbox::new(1 << 20),
                plain: BytesMut::new(),
                state: TlsState::Handshaking,
            }
        }

        fn turn(&mut self, peer: &mut Outbox) {
            self.rx.extend_from_slice(&peer.copy_to_bytes(peer.len()));
            loop {
                let held = self.rx.len();
                let now = Wall(1_795_379_126_000);
                self.state = self.engine.decrypt(now, &mut self.rx, &mut self.plain, usize::MAX, &mut self.tx).unwrap();
                if self.rx.len() == held {
                    return;
                }
            }
        }
    }

    fn joined(client: &RustlsClient) -> (Side, Side) {
        let (mut a, mut b) = (Side::new(&server()), Side::new(client));
        for _ in 0..4 {
            a.turn(&mut b.tx);
            b.turn(&mut a.tx);
        }
        (a, b)
    }

    fn only_tls12() -> RustlsClient {
        let (clock, provider) = (Arc::new(Clock::default()), Arc::new(ring::default_provider()));
        let config = ClientConfig::builder_with_details(provider.clone(), clock.clone())
            .with_protocol_versions(&[&TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        RustlsClient { config: Arc::new(config), clock }
    }

    #[test]
    fn both_versions_talk_and_close() {
        for (client, version) in [(only_tls12(), "TLS1.2"), (RustlsClient::opportunistic(), "TLS1.3")] {
            let (mut server, mut client) = joined(&client);
            let TlsState::Up(info) = &server.state else { panic!("not up") };
            assert_eq!((info.version, info.verified), (version, false));
            assert_eq!(client.state, server.state);

            let mut said = Outbox::new(usize::MAX);
            said.put(b"hello ");
            said.push(Bytes::from(alloc::vec![b'x'; 100_000]));
            client.engine.encrypt(&mut said, &mut client.tx).unwrap();
            client.engine.close(&mut client.tx);
            client.engine.close(&mut client.tx);
            server.turn(&mut client.tx);
            assert_eq!((server.plain.len(), &server.plain[..7]), (100_006, &b"hello x"[..]));
            assert_eq!(server.state, TlsState::Closed);
            // Half closed: the server may still say what it has to.
            said.put(b"bye");
            server.engine.encrypt(&mut said, &mut server.tx).unwrap();
            client.turn(&mut server.tx);
            assert_eq!(client.plain, &b"bye"[..]);
        }
    }

    #[test]
    fn decrypting_stops_at_the_limit_and_after_each_record() {
        let (mut server, mut client) = joined(&RustlsClient::opportunistic());
        let mut said = Outbox::new(usize::MAX);
        said.push(Bytes::from(alloc::vec![b'x'; 10 * RECORD]));
        client.engine.encrypt(&mut said, &mut client.tx).unwrap();
        let mut rx = BytesMut::from(&client.tx.copy_to_bytes(client.tx.len())[..]);
        for records in [1, 2, 2, 2] {
            let _ = server.engine.decrypt(Wall(0), &mut rx, &mut server.plain, RECORD + 1, &mut server.tx).unwrap();
            assert_eq!(server.plain.len(), records * RECORD);
        }
        assert!(rx.len() > 8 * RECORD);
    }

    #[test]
    fn encrypting_stops_when_there_is_no_room() {
        let (_, mut client) = joined(&RustlsClient::opportunistic());
        let (mut said, mut tx) = (Outbox::new(usize::MAX), Outbox::new(RECORD));
        said.push(Bytes::from(alloc::vec![b'x'; 10 * RECORD]));
        client.engine.encrypt(&mut said, &mut tx).unwrap();
        assert_eq!(said.len(), 9 * RECORD);
        assert!(tx.len() > RECORD && tx.len() < RECORD + 100);
    }

    #[test]
    fn a_client_that_dislikes_the_certificate_is_told_from_a_broken_one() {
        let mut server = Side::new(&server());
        server.rx.extend_from_slice(&[21, 3, 3, 0, 2, 2, 48]); // fatal, unknown_ca
        let error = server.engine.decrypt(Wall(0), &mut server.rx, &mut server.plain, 1, &mut server.tx).unwrap_err();
        assert_eq!(error.kind, TlsErrorKind::Alert, "{error}");
        server.rx.extend_from_slice(b"more");
        let again = server.engine.decrypt(Wall(0), &mut server.rx, &mut server.plain, 1, &mut server.tx).unwrap_err();
        assert_eq!(again, error);
    }
}
