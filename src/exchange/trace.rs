//! W3C trace context: read from a request, made where there is none, passed on.

use super::id;

/// Where this request stands in a trace (W3C Trace Context level 1, `traceparent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: u128,
    /// The span of whoever called us; none when the trace starts here.
    pub parent_id: Option<u64>,
    /// The span of this exchange.
    pub span_id: u64,
    pub sampled: bool,
}

impl TraceContext {
    /// Continues the trace that `traceparent` names, or starts one, as the specification wants
    /// when the field is absent or malformed.
    pub fn of(traceparent: Option<&[u8]>) -> Self {
        let span_id = new_span();
        match traceparent.and_then(parse) {
            Some((trace_id, parent_id, flags)) => Self {
                trace_id,
                parent_id: Some(parent_id),
                span_id,
                sampled: flags & 1 == 1,
            },
            None => Self {
                trace_id: id::random().max(1),
                parent_id: None,
                span_id,
                sampled: false,
            },
        }
    }

    /// `traceparent` for a call made as `span`.
    pub fn header(&self, span: u64) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(text.get_mut(3..35), self.trace_id);
        write_hex(text.get_mut(36..52), u128::from(span));
        write_hex(text.get_mut(53..55), u128::from(self.sampled));
        text
    }
}

/// A span id of its own, for a call to an upstream.
pub fn new_span() -> u64 {
    (id::random() as u64).max(1)
}

fn parse(text: &[u8]) -> Option<(u128, u64, u8)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let version = number(version, 2)?;
    // Version 255 is invalid; what follows the flags is allowed only to versions after 00.
    if version == 0xff || (version == 0 && parts.next().is_some()) {
        return None;
    }
    let (trace, parent) = (number(trace, 32)?, number(parent, 16)? as u64);
    let flags = number(flags, 2)? as u8;
    (trace != 0 && parent != 0).then_some((trace, parent, flags))
}

/// Lower-case hex of exactly `len` digits; upper case is invalid there.
fn number(text: &str, len: usize) -> Option<u128> {
    let valid = text.len() == len
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

fn write_hex(place: Option<&mut [u8]>, mut value: u128) {
    for digit in place.into_iter().flatten().rev() {
        *digit = b"0123456789abcdef"
            .get((value & 15) as usize)
            .copied()
            .unwrap_or(b'0');
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_continued_and_passed_on() {
        let given = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceContext::of(Some(given));
        assert_eq!(trace.parent_id, Some(0x00f0_67aa_0ba9_02b7));
        assert!(trace.sampled);
        let passed = trace.header(0x00f0_67aa_0ba9_02b7);
        assert_eq!(&passed, given);
    }

    #[test]
    fn a_malformed_header_starts_a_new_trace() {
        for bad in [
            &b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"[..],
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            b"\xff",
        ] {
            assert_eq!(TraceContext::of(Some(bad)).parent_id, None);
        }
    }
}
