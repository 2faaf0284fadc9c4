//! The two things a gateway wants to know of its own certificates: whom they name, and until when.

/// What a certificate says (RFC 5280, 4.1 and 4.2.1.6). Only ever read from files that the operator
/// named; what peers send is read by rustls alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// `dNSName`s of the subject's alternative names, lower case.
    pub dns_names: Vec<String>,
    /// Seconds since 1970 of `notAfter`.
    pub not_after: i64,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const EXTENSIONS: u8 = 0xa3;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const DNS_NAME: u8 = 0x82;
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Reads `der`; `None` when it is no certificate.
pub(super) fn read(der: &[u8]) -> Option<Facts> {
    let certificate = Reader(der).expect(SEQUENCE)?;
    let mut body = Reader(Reader(certificate).expect(SEQUENCE)?);
    let (first, _) = body.next()?;
    if first == VERSION {
        body.next()?; // the serial number, which else was first
    }
    body.next()?; // signature algorithm
    body.next()?; // issuer
    let mut validity = Reader(body.expect(SEQUENCE)?);
    validity.next()?; // notBefore
    let not_after = time(validity.next()?)?;
    let mut dns_names = Vec::new();
    while let Some((tag, value)) = body.next() {
        if tag == EXTENSIONS {
            dns_names = alternative_names(value).unwrap_or_default();
        }
    }
    Some(Facts {
        dns_names,
        not_after,
    })
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Reader(Reader(extensions).expect(SEQUENCE)?);
    while let Some((_, extension)) = extensions.next() {
        let mut extension = Reader(extension);
        if extension.expect(OBJECT_IDENTIFIER)? != SUBJECT_ALT_NAME {
            continue;
        }
        // `critical` may stand between the identifier and the value.
        let mut value = extension.next()?;
        if value.0 != OCTET_STRING {
            value = extension.next()?;
        }
        let mut names = Reader(Reader(value.1).expect(SEQUENCE)?);
        let mut found = Vec::new();
        while let Some((tag, name)) = names.next() {
            if let (DNS_NAME, Ok(name)) = (tag, std::str::from_utf8(name)) {
                found.push(name.to_ascii_lowercase());
            }
        }
        return Some(found);
    }
    None
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, the only forms a certificate may hold (RFC 5280, 4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let pair = |index: usize| -> Option<i8> { rest.get(index..index + 2)?.parse().ok() };
    let moment = jiff::civil::DateTime::new(
        year,
        pair(0)?,
        pair(2)?,
        pair(4)?,
        pair(6)?,
        pair(8)?.min(59),
        0,
    );
    let moment = moment.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(moment.timestamp().as_second())
}

/// Reads one DER element after another.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element's tag and content; `None` at the end and where the encoding is broken.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if !(1..=4).contains(&bytes.len()) {
                return None;
            }
            rest = after;
            bytes
                .iter()
                .fold(0_usize, |length, &byte| (length << 8) | usize::from(byte))
        };
        let (value, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, value))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .and_then(|(found, value)| (found == tag).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn certificate(names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_end_are_read() {
        let facts = read(&certificate(&[
            "API.example.com",
            "*.example.org",
            "10.0.0.1",
        ]))
        .unwrap();
        assert_eq!(facts.dns_names, ["api.example.com", "*.example.org"]);
        assert_eq!(facts.not_after, 1_927_843_200);
    }

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(time((UTC_TIME, b"700101000010Z")), Some(10));
        assert_eq!(
            time((GENERALIZED_TIME, b"20500101000000Z")),
            Some(2_524_608_000)
        );
        for bad in [
            &b"7001010000Z"[..],
            b"700101000010",
            b"701301000010Z",
            b"Z",
            b"",
        ] {
            assert_eq!(time((UTC_TIME, bad)), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0_usize..300, byte: u8, cut in 0_usize..400) {
            let mut der = certificate(&["a.example"]);
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            der.truncate(cut.max(1));
            let _facts = read(&der);
        }
    }
}
