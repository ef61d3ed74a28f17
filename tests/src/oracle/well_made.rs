//! Messages that are well made, from a plan of what is in them: nobody can read them in two ways.

use std::fmt::Write as _;

use encoding_rs::Encoding;

/// A part to be made.
#[derive(Clone, Debug)]
pub enum Part {
    /// `text/…`
    Text {
        /// `plain`, `html`
        subtype: &'static str,
        /// One of [`CHARSETS`].
        charset: &'static str,
        /// Its transfer encoding.
        encoding: Transfer,
        /// The text; what is not in the charset becomes a question mark.
        text: String,
    },
    /// An attachment.
    File {
        /// Its name.
        name: String,
        /// What is in it.
        octets: Vec<u8>,
    },
    /// `message/rfc822`
    Message(Box<Header>, Box<Part>),
    /// `multipart/mixed`
    Multipart(Vec<Part>),
}

/// How a text is written down.
#[derive(Clone, Copy, Debug)]
pub enum Transfer {
    /// As it is.
    None,
    /// In base64.
    Base64,
    /// In quoted-printable.
    QuotedPrintable,
}

/// The header of a message.
#[derive(Clone, Debug)]
pub struct Header {
    /// `Subject`
    pub subject: Vec<Words>,
    /// `From`: a name, or none, and a local part.
    pub from: (String, String),
    /// `To`, the same.
    pub to: Vec<(String, String)>,
}

/// A piece of a subject.
#[derive(Clone, Debug)]
pub enum Words {
    /// As they are.
    Plain(String),
    /// As an encoded word: the charset, base64 or not, the text.
    Encoded(&'static str, bool, String),
}

/// Charsets of one octet a letter, or of a kind that may be cut anywhere: those of encoded words.
pub const SINGLE: [&str; 5] = ["utf-8", "iso-8859-1", "iso-8859-15", "windows-1251", "koi8-r"];

/// Charsets of texts.
pub const CHARSETS: [&str; 10] = [
    "utf-8",
    "iso-8859-1",
    "iso-8859-15",
    "windows-1251",
    "koi8-r",
    "shift_jis",
    "gb18030",
    "big5",
    "euc-kr",
    "euc-jp",
];

/// The whole message.
#[must_use]
pub fn message(header: &Header, part: &Part) -> Vec<u8> {
    let mut out = b"MIME-Version: 1.0\r\n".to_vec();
    header.write(&mut out);
    part.write(&mut out, 0);
    out
}

impl Header {
    fn write(&self, out: &mut Vec<u8>) {
        let mut subject = String::new();
        for words in &self.subject {
            subject += "\r\n ";
            match words {
                Words::Plain(text) => subject += text,
                Words::Encoded(charset, true, text) => {
                    let _ = write!(subject, "=?{charset}?B?{}?=", base64(&encoded(charset, text)));
                }
                Words::Encoded(charset, false, text) => {
                    let _ = write!(
                        subject,
                        "=?{charset}?q?{}?=",
                        escaped(&encoded(charset, text), "_").replace("=20", "_")
                    );
                }
            }
        }
        let address = |(name, local): &(String, String)| {
            if name.is_empty() { format!("{local}@example.org") } else { format!("\"{name}\" <{local}@example.org>") }
        };
        let to: Vec<String> = self.to.iter().map(address).collect();
        out.extend(
            format!("From: {}\r\nTo: {}\r\nSubject:{subject}\r\n", address(&self.from), to.join(",\r\n\t")).bytes(),
        );
    }
}

impl Part {
    /// The MIME fields, an empty line, and the body.
    fn write(&self, out: &mut Vec<u8>, depth: usize) {
        match self {
            Self::Text { subtype, charset, encoding, text } => {
                let octets = encoded(charset, text);
                let (name, body) = match encoding {
                    Transfer::None => ("8bit", octets),
                    Transfer::Base64 => {
                        let lines: Vec<String> = base64(&octets)
                            .as_bytes()
                            .chunks(76)
                            .map(|line| String::from_utf8_lossy(line).into())
                            .collect();
                        ("base64", (lines.join("\r\n") + "\r\n").into_bytes())
                    }
                    Transfer::QuotedPrintable => {
                        let lines: Vec<String> = octets.chunks(20).map(|line| escaped(line, "., ")).collect();
                        ("quoted-printable", (lines.join("=\r\n")).into_bytes())
                    }
                };
                let fields = format!(
                    "Content-Type: text/{subtype}; charset=\"{charset}\"\r\nContent-Transfer-Encoding: {name}\r\n\r\n"
                );
                out.extend(fields.bytes().chain(body));
            }
            Self::File { name, octets } => {
                let name = escaped(name.as_bytes(), ".").replace('=', "%");
                let fields = format!(
                    "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
                     Content-Disposition: attachment;\r\n\tfilename*=utf-8''{name}\r\n\r\n{}\r\n",
                    base64(octets)
                );
                out.extend(fields.bytes());
            }
            Self::Message(header, part) => {
                out.extend(b"Content-Type: message/rfc822\r\n\r\n");
                header.write(out);
                part.write(out, depth + 1);
            }
            Self::Multipart(parts) => {
                out.extend(format!("Content-Type: multipart/mixed; boundary=\"=_{depth}_\"\r\n\r\n").bytes());
                for part in parts {
                    out.extend(format!("\r\n--=_{depth}_\r\n").bytes());
                    part.write(out, depth + 1);
                }
                out.extend(format!("\r\n--=_{depth}_--\r\n").bytes());
            }
        }
    }
}

/// The text in that charset; what is not in it becomes a question mark.
fn encoded(charset: &str, text: &str) -> Vec<u8> {
    let encoding = Encoding::for_label(charset.as_bytes()).expect("the test names charsets that there are");
    let mut out = Vec::new();
    for letter in text.chars() {
        let letter = letter.to_string();
        let (octets, _, broken) = encoding.encode(&letter);
        // `mail-parser` reads ISO-8859-1 as it is, and everybody else as windows-1252.
        let is_control = charset == "iso-8859-1" && octets.iter().any(|octet| (0x80..0xa0).contains(octet));
        if broken || is_control { out.push(b'?') } else { out.extend_from_slice(&octets) }
    }
    out
}

fn base64(octets: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in octets.chunks(3) {
        let bits = group.iter().chain([&0, &0]).take(3).fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet));
        for n in 0..4 {
            let sign = if n <= group.len() { char::from(SIGNS[(bits >> (18 - 6 * n) & 63) as usize]) } else { '=' };
            out.push(sign);
        }
    }
    out
}

fn escaped(octets: &[u8], plain: &str) -> String {
    let one = |octet: &u8| match char::from(*octet) {
        letter if letter.is_ascii_alphanumeric() || plain.contains(letter) => letter.into(),
        _ => format!("={octet:02X}"),
    };
    octets.iter().map(one).collect()
}
