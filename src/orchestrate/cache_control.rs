//! What a composed response may say about being stored: never more than its parts do.

use super::state::RunState;
use crate::exchange::Headers;

/// How far a response may be stored (RFC 9111, 5.2.2), the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Storing {
    /// Nothing was said.
    Free,
    /// Only with asking first.
    NoCache,
    /// Not by a shared cache.
    Private,
    /// Not at all.
    NoStore,
}

/// Holds the response to its strictest part. Where the file sets no `Cache-Control`, what a part
/// forbids is said, and nothing else. Where it does, it may not allow what a part forbids; and a
/// response that is not whole is not stored.
pub(super) fn restrain(headers: &mut Headers, state: &RunState, is_whole: bool) {
    let parts = state
        .steps()
        .iter()
        .filter_map(|step| step.settled.as_ref())
        .map(|settled| storing(&settled.headers))
        .max()
        .unwrap_or(Storing::Free);
    let stated = headers.get("cache-control").is_some();
    let allowed = if stated && !is_whole {
        Storing::NoStore
    } else {
        parts
    };
    if storing(headers) >= allowed {
        return;
    }
    let text: &[u8] = match allowed {
        Storing::Free => return,
        Storing::NoCache => b"no-cache",
        Storing::Private => b"private",
        Storing::NoStore => b"no-store",
    };
    headers.set("cache-control", text);
}

fn storing(headers: &Headers) -> Storing {
    let mut strictest = Storing::Free;
    for value in headers.get_all("cache-control") {
        for directive in value.split(|&byte| byte == b',') {
            let name = directive.split(|&byte| byte == b'=').next();
            let name = name.unwrap_or_default().trim_ascii();
            let said = if name.eq_ignore_ascii_case(b"no-store") {
                Storing::NoStore
            } else if name.eq_ignore_ascii_case(b"private") {
                Storing::Private
            } else if name.eq_ignore_ascii_case(b"no-cache") {
                Storing::NoCache
            } else {
                Storing::Free
            };
            strictest = strictest.max(said);
        }
    }
    strictest
}
