//! What responses say about being stored, and what a composed one may say: never more than its
//! parts do (RFC 9111, 5.2.2).

use std::fmt;

use crate::exchange::Headers;

/// Who may store a response, the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Storing {
    Public,
    /// Nothing was said.
    Unsaid,
    /// Not a cache that is shared.
    Private,
    Nobody,
}

/// How a stored response may be given again, the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reuse {
    Free,
    /// Once it is stale, only after asking: `must-revalidate`.
    Revalidated,
    /// Only after asking: `no-cache`.
    Asked,
}

/// What a response says about being stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caching {
    pub(super) storing: Storing,
    pub(super) reuse: Reuse,
    /// Seconds for which it is fresh from now on; none where nothing was said.
    pub(super) fresh: Option<u64>,
    /// The same for caches that are shared.
    pub(super) shared: Option<u64>,
    /// How old it is, in seconds.
    pub(super) age: u64,
}

impl Caching {
    /// What allows everything.
    const FREE: Self = Self {
        storing: Storing::Public,
        reuse: Reuse::Free,
        fresh: None,
        shared: None,
        age: 0,
    };

    /// What the fields of a response say. A lifetime that cannot be read is none at all
    /// (RFC 9111, 4.2.1).
    pub(super) fn of(headers: &Headers) -> Self {
        let mut said = Self {
            storing: Storing::Unsaid,
            ..Self::FREE
        };
        let (mut max_age, mut shared_max_age, mut is_public) = (None, None, false);
        let values = headers.get_all("cache-control");
        for directive in values.flat_map(|value| value.split(|&byte| byte == b',')) {
            let mut halves = directive.splitn(2, |&byte| byte == b'=');
            let name = halves.next().unwrap_or_default().trim_ascii();
            let value = halves.next().unwrap_or_default();
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if is("no-store") {
                said.storing = Storing::Nobody;
            } else if is("private") {
                said.storing = said.storing.max(Storing::Private);
            } else if is("public") {
                is_public = true;
            } else if is("no-cache") {
                said.reuse = Reuse::Asked;
            } else if is("must-revalidate") || is("proxy-revalidate") {
                said.reuse = said.reuse.max(Reuse::Revalidated);
            } else if is("max-age") {
                max_age = least(max_age, Some(seconds(value)));
            } else if is("s-maxage") {
                shared_max_age = least(shared_max_age, Some(seconds(value)));
            }
        }
        if is_public && said.storing == Storing::Unsaid {
            said.storing = Storing::Public;
        }
        said.age = headers.get("age").map_or(0, seconds);
        let left = |lifetime: u64| lifetime.saturating_sub(said.age);
        said.shared = shared_max_age.or(max_age).map(left);
        // What only shared caches may keep for a while, others may not.
        said.fresh = max_age.or(shared_max_age.map(|_| 0)).map(left);
        said
    }

    /// The stricter of both in everything.
    fn join(self, other: Self) -> Self {
        Self {
            storing: self.storing.max(other.storing),
            reuse: self.reuse.max(other.reuse),
            fresh: least(self.fresh, other.fresh),
            shared: least(self.shared, other.shared),
            age: 0,
        }
    }
}

/// The directives; nothing where there is nothing to say.
impl fmt::Display for Caching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        let mut say = |text: fmt::Arguments<'_>| {
            write!(f, "{before}{text}")?;
            before = ", ";
            Ok(())
        };
        match self.storing {
            Storing::Nobody => return say(format_args!("no-store")),
            Storing::Public => say(format_args!("public"))?,
            Storing::Private => say(format_args!("private"))?,
            Storing::Unsaid => {}
        }
        match self.reuse {
            Reuse::Asked => say(format_args!("no-cache"))?,
            Reuse::Revalidated => say(format_args!("must-revalidate"))?,
            Reuse::Free => {}
        }
        if let Some(fresh) = self.fresh {
            say(format_args!("max-age={fresh}"))?;
        }
        match self.shared {
            Some(shared) if self.storing < Storing::Private && self.shared != self.fresh => {
                say(format_args!("s-maxage={shared}"))
            }
            _ => Ok(()),
        }
    }
}

/// Where the parts are asked what may be said, it is this: the strictest of what they say. A part
/// that names no lifetime gives none, so then each use must be asked for.
pub(super) fn strictest<'a>(parts: impl Iterator<Item = &'a Headers>) -> Option<String> {
    let mut is_silent = false;
    let together = parts
        .map(|headers| {
            let said = Caching::of(headers);
            is_silent |= said.fresh.is_none();
            said
        })
        .reduce(Caching::join)?;
    let said = if is_silent {
        Caching {
            reuse: Reuse::Asked,
            fresh: None,
            shared: None,
            ..together
        }
    } else {
        together
    };
    Some(said.to_string())
}

/// What a composed response may say about being stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    parts: Caching,
    is_whole: bool,
}

impl Ceiling {
    /// Of a response made of `parts`; one that is not whole is not stored.
    pub(super) fn of<'a>(parts: impl Iterator<Item = &'a Headers>, is_whole: bool) -> Self {
        let mut parts = parts.map(Caching::of).fold(Caching::FREE, Caching::join);
        // What says nothing forbids nothing.
        if parts.storing == Storing::Unsaid {
            parts.storing = Storing::Public;
        }
        Self { parts, is_whole }
    }

    /// Holds the response to its strictest part. Where no `Cache-Control` is stated, what a part
    /// forbids is said, and nothing else. Where one is, it may not allow what a part forbids, nor
    /// for longer than a part that names a lifetime.
    pub fn hold(self, headers: &mut Headers) {
        let Self {
            mut parts,
            is_whole,
        } = self;
        if headers.get("cache-control").is_none() {
            if parts.storing > Storing::Unsaid || parts.reuse == Reuse::Asked {
                parts.storing = parts.storing.max(Storing::Unsaid);
                (parts.fresh, parts.shared) = (None, None);
                headers.set("cache-control", parts.to_string().as_bytes());
            }
            return;
        }
        if !is_whole {
            parts.storing = Storing::Nobody;
        }
        let stated = Caching {
            age: 0,
            ..Caching::of(headers)
        };
        let mut allowed = stated.join(parts);
        // A lifetime that is left open stays open.
        allowed.fresh = allowed.fresh.filter(|_| stated.fresh.is_some());
        allowed.shared = allowed.shared.filter(|_| stated.shared.is_some());
        if allowed != stated {
            headers.set("cache-control", allowed.to_string().as_bytes());
        }
    }
}

/// The lesser of what is there.
fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// A number of seconds; more than can be counted is very long, anything else is none.
fn seconds(text: &[u8]) -> u64 {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.parse().unwrap_or(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(cache_control: &str) -> Headers {
        let mut headers = Headers::new();
        for (at, text) in cache_control.split(';').enumerate() {
            let name = if at == 0 { "cache-control" } else { "age" };
            if !text.is_empty() {
                headers.append(name, text.as_bytes());
            }
        }
        headers
    }

    #[test]
    fn directives_are_read_as_they_are_meant() {
        for (said, understood) in [
            ("", ""),
            ("public, max-age=60", "public, max-age=60"),
            ("PUBLIC, private=\"x, y\"", "private"),
            ("max-age=60;50", "max-age=10"),
            ("max-age=60;70", "max-age=0"),
            ("max-age=\"60\"", "max-age=60"),
            ("max-age=60, max-age=5", "max-age=5"),
            ("max-age=-1", "max-age=0"),
            ("max-age=99999999999999999999", "max-age=4294967295"),
            ("s-maxage=9", "max-age=0, s-maxage=9"),
            ("max-age=5, s-maxage=9", "max-age=5, s-maxage=9"),
            (
                "private, no-cache, max-age=5",
                "private, no-cache, max-age=5",
            ),
            ("max-age=5, no-store, public", "no-store"),
            ("proxy-revalidate, foo=bar", "must-revalidate"),
        ] {
            assert_eq!(Caching::of(&fields(said)).to_string(), understood, "{said}");
        }
    }

    #[test]
    fn parts_together_say_the_strictest() {
        for (parts, together) in [
            (
                &["public, max-age=60", "public, max-age=5"][..],
                Some("public, max-age=5"),
            ),
            (&["public, max-age=60", "max-age=50"], Some("max-age=50")),
            (
                &["public, max-age=60", "private, max-age=90"],
                Some("private, max-age=60"),
            ),
            (&["public, max-age=60", ""], Some("no-cache")),
            (&["public", "public"], Some("public, no-cache")),
            (&["max-age=60", "no-store"], Some("no-store")),
            (
                &["max-age=60, must-revalidate", "s-maxage=9"],
                Some("must-revalidate, max-age=0, s-maxage=9"),
            ),
            (&[], None),
        ] {
            let headers: Vec<Headers> = parts.iter().map(|part| fields(part)).collect();
            assert_eq!(strictest(headers.iter()).as_deref(), together, "{parts:?}");
        }
    }

    #[test]
    fn what_the_file_states_is_held_to_the_parts() {
        for (stated, part, whole, expected) in [
            ("", "public, max-age=60", true, None),
            ("", "private, no-cache", true, Some("private, no-cache")),
            ("", "no-cache", false, Some("no-cache")),
            ("public, max-age=60", "", true, Some("public, max-age=60")),
            (
                "public, max-age=60",
                "max-age=9;4",
                true,
                Some("public, max-age=5"),
            ),
            (
                "public, max-age=60, immutable",
                "max-age=90",
                true,
                Some("public, max-age=60, immutable"),
            ),
            ("max-age=60", "private", true, Some("private, max-age=60")),
            ("max-age=60", "no-cache", true, Some("no-cache, max-age=60")),
            ("max-age=60", "max-age=90", false, Some("no-store")),
            ("public", "max-age=9", true, Some("public")),
        ] {
            let mut headers = fields(stated);
            Ceiling::of([fields(part)].iter(), whole).hold(&mut headers);
            assert_eq!(
                headers.get_str("cache-control"),
                expected,
                "{stated} {part}"
            );
        }
    }
}
