//! Messages that are well made, read by us and by `mail-parser`: the same texts, the same structure.

use pillarbox_tests::oracle::mail::{self, Differs};
use pillarbox_tests::oracle::well_made::{self, CHARSETS, Header, Part, SINGLE, Transfer, Words};
use proptest::prelude::*;

fn letters() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z,. ]{1,60}",
        2 => "[a-z \u{e0}-\u{ff}\u{20ac}]{1,40}",
        2 => "[\u{410}-\u{44f} ]{1,40}",
        1 => "[\u{3042}-\u{3090}\u{4e00}-\u{4e20}\u{ac00}-\u{ac10}]{1,30}",
    ]
}

fn header() -> impl Strategy<Value = Header> {
    let words = prop_oneof![
        "[a-zA-Z][a-zA-Z ]{0,20}[a-zA-Z]".prop_map(Words::Plain),
        (proptest::sample::select(&SINGLE[..]), any::<bool>(), letters())
            .prop_map(|(charset, base64, text)| Words::Encoded(charset, base64, format!("x{}y", text.trim()))),
    ];
    let address = || ("([A-Z][a-z]{1,5} [A-Z][a-z]{1,5})?", "[a-z]{1,8}");
    (proptest::collection::vec(words, 1..4), address(), proptest::collection::vec(address(), 1..4))
        .prop_map(|(subject, from, to)| Header { subject, from, to })
}

fn part() -> impl Strategy<Value = Part> {
    let encoding = prop_oneof![Just(Transfer::None), Just(Transfer::Base64), Just(Transfer::QuotedPrintable)];
    let text = (
        proptest::sample::select(&["plain", "html"][..]),
        proptest::sample::select(&CHARSETS[..]),
        encoding,
        letters(),
    )
        .prop_map(|(subtype, charset, encoding, text)| Part::Text { subtype, charset, encoding, text });
    let file = ("[a-z\u{e0}-\u{ff}\u{430}-\u{44f}]{1,20}", proptest::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(name, octets)| Part::File { name: name + ".bin", octets });
    let leaf = prop_oneof![3 => text, 1 => file];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            (header(), inner.clone()).prop_map(|(header, part)| Part::Message(Box::new(header), Box::new(part))),
            proptest::collection::vec(inner, 1..4).prop_map(Part::Multipart),
        ]
    })
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    (header(), part()).prop_map(|(header, part)| well_made::message(&header, &part))
}

fn judge(message: &[u8], same: fn(&[u8]) -> Result<(), Differs>) -> Result<(), TestCaseError> {
    same(message).map_err(|differs| match differs {
        Differs::GivesUp => TestCaseError::reject("mail-parser gives up"),
        Differs::Otherwise(how) => TestCaseError::fail(format!("{how}\n{}", String::from_utf8_lossy(message))),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_same_texts(message in message()) {
        judge(&message, mail::the_same_texts)?;
    }

    #[test]
    fn the_same_structure(message in message()) {
        judge(&message, mail::the_same_structure)?;
    }
}
