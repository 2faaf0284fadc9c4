//! How far a body reaches (RFC 9112, 6.3), and reading it piece by piece.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer::{Input, Wire};
use super::chunk::{Decoder, Piece};
use super::fields::HeadLimits;
use crate::exchange::BodyError;

/// How far a body reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Exact(u64),
    Chunked,
    /// Responses only: as far as the connection.
    UntilClose,
    /// Nothing comes, but this is how much a GET would have brought.
    Withheld(u64),
}

impl Length {
    pub const NONE: Self = Self::Exact(0);
}

/// What is left of a body that is being read.
pub enum Incoming {
    Exact(u64),
    Chunked(Box<Decoder>),
    UntilClose,
    /// Everything was read.
    Ended,
    /// It cannot be read to its end.
    Broken,
}

impl Incoming {
    pub fn new(length: Length, limits: &HeadLimits) -> Self {
        match length {
            Length::NONE | Length::Withheld(_) => Self::Ended,
            Length::Exact(length) => Self::Exact(length),
            Length::Chunked => Self::Chunked(Box::new(Decoder::new(limits))),
            Length::UntilClose => Self::UntilClose,
        }
    }

    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Whether nothing more can be read, for better or worse.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Ended | Self::Broken)
    }

    /// The body, where it lies in `input` whole and its length was announced.
    pub fn at_hand(&mut self, input: &mut Input) -> Option<Bytes> {
        match *self {
            Self::Exact(length) if length <= input.len() as u64 => {
                *self = Self::Ended;
                Some(input.take(usize::try_from(length).ok()?))
            }
            _ => None,
        }
    }

    /// The next piece that `input` holds; none where more bytes are needed first. After the last
    /// one [`Incoming::has_ended`].
    fn decode(&mut self, input: &mut Input) -> Result<Option<Frame<Bytes>>, BodyError> {
        match self {
            Self::Exact(_) | Self::UntilClose if input.is_empty() => Ok(None),
            Self::Exact(left) => {
                let data = input.take(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                if *left == 0 {
                    *self = Self::Ended;
                }
                Ok(Some(Frame::data(data)))
            }
            Self::UntilClose => Ok(Some(Frame::data(input.take(usize::MAX)))),
            Self::Chunked(decoder) => match decoder.decode(input) {
                Ok(Piece::Data(data)) => Ok(Some(Frame::data(data))),
                Ok(Piece::More) => Ok(None),
                Ok(Piece::End(trailers)) => {
                    *self = Self::Ended;
                    Ok(trailers.map(|trailers| Frame::trailers(trailers.to_map())))
                }
                Err(reason) => {
                    *self = Self::Broken;
                    Err(BodyError::Malformed(reason))
                }
            },
            Self::Ended | Self::Broken => Ok(None),
        }
    }

    /// The next piece, read where needed. None at the end; a broken body says so once.
    pub fn poll_frame<S>(
        &mut self,
        wire: &mut Wire<S>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            match self.decode(&mut wire.input) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
            }
            let Poll::Ready(read) = wire.poll_fill(context) else {
                wire.input.settle();
                return Poll::Pending;
            };
            match read {
                Ok(1..) => {}
                Ok(0) if matches!(self, Self::UntilClose) => *self = Self::Ended,
                Ok(0) => {
                    *self = Self::Broken;
                    return Poll::Ready(Some(Err(BodyError::Incomplete)));
                }
                Err(error) => {
                    *self = Self::Broken;
                    return Poll::Ready(Some(Err(BodyError::Connection(error.to_string()))));
                }
            }
        }
    }

    /// The rest of the length, where it is known.
    pub const fn exact_len(&self) -> Option<u64> {
        match self {
            Self::Exact(left) => Some(*left),
            Self::Ended => Some(0),
            _ => None,
        }
    }
}
