//! W3C trace context: read from a request, made where there is none, passed on.

use super::id;

/// Where this request stands in a trace (W3C Trace Context level 1, `traceparent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// In two halves: a `u128` would align every future that holds one to 16 bytes, which sends
    /// the allocator on a slower path.
    trace_id: [u64; 2],
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
                trace_id: halves(trace_id),
                parent_id: Some(parent_id),
                span_id,
                sampled: flags & 1 == 1,
            },
            None => Self {
                trace_id: halves(id::random().max(1)),
                parent_id: None,
                span_id,
                sampled: false,
            },
        }
    }

    /// The trace, never 0.
    pub const fn trace_id(&self) -> u128 {
        let [high, low] = self.trace_id;
        (high as u128) << 64 | low as u128
    }

    /// `traceparent` for a call made as `span`.
    pub fn header(&self, span: u64) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let (trace, span) = (id::hex(self.trace_id()), id::hex_16(span));
        for (place, digits) in [(3..35, &trace[..]), (36..52, &span)] {
            if let Some(place) = text.get_mut(place) {
                place.copy_from_slice(digits);
            }
        }
        let [.., flags] = &mut text;
        *flags += u8::from(self.sampled);
        text
    }
}

const fn halves(id: u128) -> [u64; 2] {
    [(id >> 64) as u64, id as u64]
}

/// A span id of its own, for a call to an upstream.
pub fn new_span() -> u64 {
    (id::random() as u64).max(1)
}

/// `version "-" trace-id "-" parent-id "-" trace-flags`, and more in versions to come.
fn parse(text: &[u8]) -> Option<(u128, u64, u8)> {
    let (fields, more) = text.split_first_chunk::<55>()?;
    let [version @ .., _, _, _] = fields.first_chunk::<5>()?;
    let version = number(version)?;
    // Version 255 is invalid; what follows the flags is allowed only to versions after 00.
    let ends = more.is_empty() || (version != 0 && more.starts_with(b"-"));
    let dashes = [2, 35, 52].iter().all(|&at| fields.get(at) == Some(&b'-'));
    if version == 0xff || !ends || !dashes {
        return None;
    }
    let (high, low) = (number(fields.get(3..19)?)?, number(fields.get(19..35)?)?);
    let trace = u128::from(high) << 64 | u128::from(low);
    let parent = number(fields.get(36..52)?)?;
    let flags = number(fields.get(53..55)?)? as u8;
    (trace != 0 && parent != 0).then_some((trace, parent, flags))
}

/// Up to 16 hex digits in lower case; upper case is invalid there.
fn number(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut wrong = 0;
    for &byte in digits {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => 16,
        };
        wrong |= digit & 16;
        value = value << 4 | u64::from(digit);
    }
    (wrong == 0).then_some(value)
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
