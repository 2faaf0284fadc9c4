//! Durations, sizes and rates as written, such as `250ms`, `2MiB` and `100/min`.

use std::time::Duration;

/// What to write for a duration.
pub const DURATION_HELP: &str =
    "write a whole number and a unit: `250ms`, `30s`, `5m`, `24h`, `7d`";

/// What to write for a size.
pub const SIZE_HELP: &str = "write a whole number and a unit: `512B`, `64KiB`, `10MiB`, `1GiB`";

/// What to write for a rate.
pub const RATE_HELP: &str =
    "write a whole number, `/` and a unit: `10/s`, `100/min`, `1000/h`, `5000/d`";

/// Longer durations are not meant.
const DAYS_MAX: u64 = 3650;

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`, at most ten years.
pub fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = number(text)?;
    let milliseconds = count.checked_mul(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    })?;
    (milliseconds <= DAYS_MAX * 24 * 60 * 60 * 1000).then(|| Duration::from_millis(milliseconds))
}

/// Two durations, `20ms..200ms`, the first not longer than the second.
pub fn duration_range(text: &str) -> Option<(Duration, Duration)> {
    let (shortest, longest) = text.split_once("..")?;
    let range = (duration(shortest)?, duration(longest)?);
    (range.0 <= range.1).then_some(range)
}

/// A size in bytes: a whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
pub fn size(text: &str) -> Option<u64> {
    let (count, unit) = number(text)?;
    count.checked_mul(match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    })
}

/// So many in a period: a whole number above zero, `/`, and `s`, `min`, `h` or `d`.
pub fn rate(text: &str) -> Option<(u32, Duration)> {
    let (count, unit) = text.split_once('/')?;
    let count = digits(count)?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    let count = u32::try_from(count).ok().filter(|&count| count > 0)?;
    Some((count, Duration::from_secs(seconds)))
}

/// A duration as it is written, in the largest unit that needs no fraction.
pub fn write_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, length) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
    ] {
        if milliseconds > 0 && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

/// What was probably meant by a text that is no duration.
pub fn meant_duration(text: &str) -> Option<String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at_checked(split)?;
    let unit = match unit.trim() {
        "sec" | "secs" | "second" | "seconds" | "S" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" | "H" => "h",
        "day" | "days" | "D" => "d",
        "msec" | "msecs" | "millis" | "milliseconds" | "MS" => "ms",
        known @ ("ms" | "s" | "m" | "h" | "d") => known,
        _ => return None,
    };
    let meant = format!("{count}{unit}");
    duration(&meant)?;
    Some(meant)
}

/// What was probably meant by a text that is no size.
pub fn meant_size(text: &str) -> Option<String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (count, unit) = text.split_at_checked(split)?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        _ => return None,
    };
    let meant = format!("{count}{unit}");
    size(&meant)?;
    Some(meant)
}

/// What was probably meant by a text that is no rate.
pub fn meant_rate(text: &str) -> Option<String> {
    let (count, unit) = text.split_once('/')?;
    let unit = match unit.trim() {
        "s" | "sec" | "second" | "1s" => "s",
        "m" | "min" | "minute" | "1m" => "min",
        "h" | "hr" | "hour" | "1h" => "h",
        "d" | "day" | "1d" => "d",
        _ => return None,
    };
    let meant = format!("{}/{unit}", count.trim());
    rate(&meant)?;
    Some(meant)
}

/// The leading number and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at_checked(split)?;
    Some((digits(count)?, unit))
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_and_a_unit_make_a_duration() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("7d"), Some(Duration::from_hours(168)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        for bad in [
            "",
            "s",
            "5",
            "5 s",
            "-5s",
            "+5s",
            "1.5s",
            "5sec",
            "5S",
            "99999999d",
            "５s",
            "99999999999999999999s",
            "1h30m",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_goes_from_the_shorter_to_the_longer() {
        let milliseconds = Duration::from_millis;
        assert_eq!(
            duration_range("20ms..200ms"),
            Some((milliseconds(20), milliseconds(200)))
        );
        for bad in ["20ms", "200ms..20ms", "20..200ms", "20ms...200ms", ".."] {
            assert_eq!(duration_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_count_in_powers_of_two() {
        assert_eq!(size("64KiB"), Some(65536));
        assert_eq!(size("0B"), Some(0));
        for bad in ["", "64", "64KB", "64kib", "1.5MiB", "99999999TiB", "-1B"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_rate_is_a_count_and_a_period() {
        assert_eq!(rate("100/min"), Some((100, Duration::from_mins(1))));
        assert_eq!(rate("1000000/s"), Some((1_000_000, Duration::from_secs(1))));
        for bad in [
            "",
            "100",
            "0/s",
            "100/m",
            "5000000000/s",
            "/s",
            "1/",
            "1 /s",
        ] {
            assert_eq!(rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn near_misses_are_recognised() {
        assert_eq!(meant_duration("5 minutes").as_deref(), Some("5m"));
        assert_eq!(meant_duration("2 s").as_deref(), Some("2s"));
        assert_eq!(meant_duration("fast"), None);
        assert_eq!(meant_size("64KB").as_deref(), Some("64KiB"));
        assert_eq!(meant_size("1024").as_deref(), Some("1024B"));
        assert_eq!(meant_rate("5/minute").as_deref(), Some("5/min"));
        assert_eq!(meant_rate("0/minute"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(count in 0_u64..10_000, unit in 0_usize..5) {
            let (unit, milliseconds) = [
                ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
            ][unit];
            let expected = Duration::from_millis(count * milliseconds);
            let read = duration(&format!("{count}{unit}"));
            prop_assert_eq!(duration(&write_duration(expected.min(Duration::from_hours(24)))).is_some(), true);
            let longest = Duration::from_hours(DAYS_MAX * 24);
            prop_assert_eq!(read, (expected <= longest).then_some(expected));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _refused = (duration(&text), size(&text), rate(&text), duration_range(&text));
            let _refused = (meant_duration(&text), meant_size(&text), meant_rate(&text));
        }

        #[test]
        fn what_is_meant_can_be_read(text in "[0-9]{0,22} ?[a-zA-Z/]{0,8}") {
            if let Some(meant) = meant_duration(&text) {
                prop_assert!(duration(&meant).is_some());
            }
            if let Some(meant) = meant_size(&text) {
                prop_assert!(size(&meant).is_some());
            }
            if let Some(meant) = meant_rate(&text) {
                prop_assert!(rate(&meant).is_some());
            }
        }
    }
}
