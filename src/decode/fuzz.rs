//! What the fuzz target `bodies` calls: it takes any bytes and panics when a promise is broken.

use bytes::Bytes;

use super::{Content, Reading};
use crate::exchange::Headers;
use crate::json;

/// How much larger than a body what is read of it may be.
const GROWTH: usize = 8;

/// A type, a line end, a body: what is read is JSON, and the same each time, and not much larger.
pub fn body(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (kind, body) = bytes.split_at(end);
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    let mut headers = Headers::new();
    if headers.try_append(b"content-type", kind).is_err() {
        return;
    }
    let Ok(reading) = Reading::of(Content::of(&headers)) else {
        return;
    };
    let read = reading.read(body.clone());
    if let Ok(read) = &read {
        assert!(json::check(read.bytes(), json::DEPTH_DEFAULT).is_ok());
        assert!(read.bytes().len() <= GROWTH * (body.len() + 64));
    }
    assert_eq!(read, reading.read(body));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_body_keeps_the_promises(
            form in "([a-z%&=+;\\[\\]0-9]|%[0-9a-f]{2}){0,40}",
            parts in "(--b\r\n|--b--|content-disposition: form-data; name=\"a\"|; filename=\"f\"|\r\n|x|\\PC){0,12}",
            any in any::<Vec<u8>>(),
        ) {
            body(format!("application/x-www-form-urlencoded\n{form}").as_bytes());
            body(format!("multipart/form-data; boundary=b\n{parts}").as_bytes());
            body(&[b"multipart/form-data; boundary=b\n", &*any].concat());
            body(&any);
        }
    }
}
