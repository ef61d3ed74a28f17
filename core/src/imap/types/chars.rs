//! Which octets may stand where (RFC 9051 §9).

/// `ATOM-CHAR`: printable ASCII, none of `(){%*"\]` and no space.
#[must_use]
pub const fn is_atom_char(octet: u8) -> bool {
    CLASSES[octet as usize] & ATOM != 0
}

/// `ASTRING-CHAR`: as an atom's, and `]`.
#[must_use]
pub const fn is_astring_char(octet: u8) -> bool {
    CLASSES[octet as usize] & ASTRING != 0
}

/// `list-char`: as an astring's, and the wildcards.
#[must_use]
pub const fn is_list_char(octet: u8) -> bool {
    CLASSES[octet as usize] & LIST != 0
}

/// A character of a `tag`: as an astring's, but no `+`.
#[must_use]
pub const fn is_tag_char(octet: u8) -> bool {
    CLASSES[octet as usize] & TAG != 0
}

const ATOM: u8 = 1;
const ASTRING: u8 = 2;
const LIST: u8 = 4;
const TAG: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0x21;
    while octet < 0x7f {
        classes[octet] = match octet as u8 {
            b'(' | b')' | b'{' | b'"' | b'\\' => 0,
            b'%' | b'*' => LIST,
            b']' => ASTRING | LIST | TAG,
            b'+' => ATOM | ASTRING | LIST,
            _ => ATOM | ASTRING | LIST | TAG,
        };
        octet += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_those_of_the_grammar() {
        for octet in 0..=255_u8 {
            let atom = octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet);
            assert_eq!(is_atom_char(octet), atom, "{octet}");
            assert_eq!(is_astring_char(octet), atom || octet == b']', "{octet}");
            assert_eq!(is_list_char(octet), atom || b"]%*".contains(&octet), "{octet}");
            assert_eq!(is_tag_char(octet), (atom || octet == b']') && octet != b'+', "{octet}");
        }
    }
}
