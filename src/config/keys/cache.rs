//! Keys of what is kept of a step.

use super::{DAY, Default, NOTHING, Section, Shape, key};

pub static CACHE: Section = Section {
    title: "cache (of a step)",
    about: "Keeps what the call brings and gives it to calls that send the same: method, target, body, and every header that the step sets or forwards. \
            Equal calls at work at once are made once. Each worker keeps its own.",
    choices: &[],
    keys: &[
        key(
            "ttl",
            Shape::Duration(1, DAY),
            Default::Needed,
            "How long a part is given without asking again. Shorter where the upstream's `Cache-Control` says so; with `no-store`, `no-cache` or `private`, \
             with `Vary: *` and with `Set-Cookie` it is neither kept nor shared.",
            "ttl = \"30s\"",
        ),
        key(
            "stale_if_error",
            Shape::Duration(1, 7 * DAY),
            NOTHING,
            "How long after that it still stands in when the call fails: with 429, with 500 to 599, or without an answer. `Concertina-Parts` then says `stale`. \
             Not where the upstream says `must-revalidate`.",
            "stale_if_error = \"5m\"",
        ),
        key(
            "key",
            Shape::Expression,
            NOTHING,
            "Tells apart what is kept beside what the call sends, which it always does.",
            "key = \"request.host\"",
        ),
        key(
            "max_entries",
            Shape::Integer(1, 1_000_000),
            Default::Integer(1000),
            "Parts kept at most, on each worker; what was used longest ago goes first.",
            "max_entries = 200",
        ),
        key(
            "max_bytes",
            Shape::Size(1, 1 << 34),
            Default::Text("16MiB"),
            "Bytes that these take at most, on each worker, with what is sent and the headers that came.",
            "max_bytes = \"64MiB\"",
        ),
        key(
            "ignore_cache_control",
            Shape::Boolean,
            Default::Boolean(false),
            "Keeps and shares also what the upstream's `Cache-Control` says should not be. What comes with `Set-Cookie` or `Vary: *` never is.",
            "ignore_cache_control = true",
        ),
        key(
            "read_only",
            Shape::Boolean,
            Default::Boolean(false),
            "Says that the call changes nothing although its method might, as a search by POST. Without it only GET, HEAD and OPTIONS are kept.",
            "read_only = true",
        ),
    ],
};
