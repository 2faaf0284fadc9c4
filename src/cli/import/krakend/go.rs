//! Durations and rates as a KrakenD file writes them, in our units.

/// Milliseconds of `1h30m`, `2.5s`, `300ms`, `150us`; none where it is no duration, or longer than a
/// year.
pub(super) fn milliseconds(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let letters = behind.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = behind.split_at_checked(letters.unwrap_or(behind.len()))?;
        let length = match unit {
            "ns" => 1e-6,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-3,
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3600e3,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * length;
        rest = after;
    }
    (total <= 366.0 * 86_400e3).then_some(total)
}

/// A duration of ours, in the largest unit that needs no fraction; never shorter than what was
/// asked for.
pub(super) fn duration(text: &str) -> Option<String> {
    let milliseconds = whole(milliseconds(text)?.ceil())?.max(1);
    Some(written(milliseconds))
}

/// So many milliseconds as a duration of ours.
pub(super) fn written(milliseconds: u64) -> String {
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if milliseconds >= length && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

/// A rate of ours for so many in a period, and whether it is the same; where it is not, it is the
/// next lower one. None where that is less than one a day.
pub(super) fn rate(count: f64, every: Option<&str>) -> Option<(String, bool)> {
    let period = every
        .map_or(Some(1e3), milliseconds)
        .filter(|it| *it > 0.0)?;
    let units = [("s", 1e3), ("min", 60e3), ("h", 3600e3), ("d", 86_400e3)];
    // The period that was asked for says best what was meant.
    let own = units
        .iter()
        .filter(|(_, length)| (length - period).abs() < 0.5);
    for (unit, length) in own.chain(&units) {
        let many = count * length / period;
        if many >= 1.0 && (many - many.round()).abs() < 1e-6 {
            return Some((format!("{}/{unit}", count_of(many)?), true));
        }
    }
    let many = (count * 86_400e3 / period).floor();
    (many >= 1.0).then(|| Some((format!("{}/d", count_of(many)?), false)))?
}

/// How many may come at once where the file does not say: what the rate gives in a second, and one
/// at least.
pub(super) fn capacity(count: f64, every: Option<&str>) -> Option<u64> {
    let period = every
        .map_or(Some(1e3), milliseconds)
        .filter(|it| *it > 0.0)?;
    whole((count * 1e3 / period).floor()).map(|count| count.max(1))
}

fn count_of(many: f64) -> Option<u32> {
    whole(many.round()).and_then(|count| u32::try_from(count).ok())
}

fn whole(number: f64) -> Option<u64> {
    let fits = number.is_finite() && (0.0..9e15).contains(&number);
    // A whole number within those bounds is written without a fraction.
    fits.then(|| format!("{number:.0}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_rounded_up_to_milliseconds() {
        let check = |theirs: &str, ours: Option<&str>| {
            assert_eq!(duration(theirs).as_deref(), ours, "{theirs}");
        };
        check("3s", Some("3s"));
        check("3000ms", Some("3s"));
        check("1h30m", Some("90m"));
        check("2.5s", Some("2500ms"));
        check("150us", Some("1ms"));
        check("24h", Some("24h"));
        for bad in ["", "3", "s", "3x", "-1s", "1e9h", "9999999999h", ".s"] {
            check(bad, None);
        }
    }

    #[test]
    fn rates_keep_their_meaning_or_become_lower() {
        let check = |count: f64, every: Option<&str>, ours: Option<(&str, bool)>| {
            let ours = ours.map(|(rate, exact)| (rate.to_owned(), exact));
            assert_eq!(rate(count, every), ours, "{count} {every:?}");
        };
        check(50.0, None, Some(("50/s", true)));
        check(50.0, Some("10m"), Some(("5/min", true)));
        check(5.0, Some("1m"), Some(("5/min", true)));
        check(0.5, None, Some(("30/min", true)));
        check(7.0, Some("11m"), Some(("916/d", false)));
        check(0.000_001, None, None);
        check(1.0, Some("0s"), None);
        check(-1.0, None, None);
        assert_eq!(capacity(50.0, Some("10m")), Some(1));
        assert_eq!(capacity(50.0, None), Some(50));
    }

    proptest! {
        #[test]
        fn any_text_is_a_duration_or_none(text in "[0-9.a-z\u{b5}-]{0,12}") {
            if let Some(ours) = duration(&text) {
                prop_assert!(ours.ends_with(['s', 'm', 'h']));
            }
        }

        #[test]
        fn any_number_is_a_rate_or_none(count in any::<f64>(), every in "[0-9]{1,5}(ms|s|m|h)") {
            drop((rate(count, Some(&every)), capacity(count, Some(&every))));
        }
    }
}
