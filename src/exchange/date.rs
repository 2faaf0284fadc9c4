//! The time of day as `Date` fields hold it, formatted once a second by each thread.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// Hands out the value of a `Date` field for a message made now (RFC 9110, 6.6.1).
pub fn with_now<T>(take: impl FnOnce(&HeaderValue) -> T) -> T {
    thread_local! {
        static DATE: RefCell<(u64, HeaderValue)> =
            const { RefCell::new((u64::MAX, HeaderValue::from_static(""))) };
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(second, value)| {
        if *second != now {
            *second = now;
            *value = at(now);
        }
        take(value)
    })
}

/// An IMF-fixdate (RFC 9110, 5.6.7).
fn at(second: u64) -> HeaderValue {
    let second = i64::try_from(second).unwrap_or_default();
    let text = jiff::Timestamp::from_second(second)
        .map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    let value = text.unwrap_or_default().try_into();
    value.unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_an_imf_fixdate() {
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
