//! Writes down how long an answer is waited for, so that an endpoint can give up in time.

use std::time::Duration;

/// The field whose value is written as gRPC has it (PROTOCOL-HTTP2, `Timeout`): at most eight
/// digits and a unit.
const GRPC: &str = "grpc-timeout";

/// The most that eight digits hold.
const GRPC_MAX: u128 = 99_999_999;

/// `left` as the value of the field `name` (lower case): whole milliseconds, rounded up, so that
/// what is sent is never no time at all.
pub(super) fn value(name: &str, left: Duration) -> String {
    let millis = left.as_nanos().div_ceil(1_000_000).max(1);
    if name != GRPC {
        return millis.to_string();
    }
    if millis <= GRPC_MAX {
        format!("{millis}m")
    } else {
        format!("{}S", (millis / 1000).min(GRPC_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_milliseconds_and_never_none() {
        for (left, plain, grpc) in [
            (Duration::ZERO, "1", "1m"),
            (Duration::from_micros(1500), "2", "2m"),
            (Duration::from_millis(250), "250", "250m"),
            (Duration::from_hours(24), "86400000", "86400000m"),
            (Duration::from_secs(100_000), "100000000", "100000S"),
        ] {
            assert_eq!(value("x-request-timeout-ms", left), plain);
            assert_eq!(value("grpc-timeout", left), grpc);
        }
    }
}
