//! What a client asks, out of the head that `h2` has read, and the body that follows it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::Limits;
use super::active::Active;
use crate::exchange::authority;
use crate::exchange::line::trim;
use crate::exchange::trailers;
use crate::exchange::{Body, BodyError, Head, Headers, Known, METHOD_BYTES_MAX, Request, Version};

/// Why a request is refused before a stage sees it: a status, and a reason for the log.
type Refusal = (StatusCode, &'static str);

const METHOD: Refusal = (StatusCode::NOT_IMPLEMENTED, "this method is not known here");

const TRACE: Refusal = (StatusCode::BAD_REQUEST, "a TRACE request has no content");

const PATH: Refusal = (StatusCode::BAD_REQUEST, "the request target has no path");

const EXPECTATION: Refusal = (
    StatusCode::EXPECTATION_FAILED,
    "`Expect` asks for something other than `100-continue`",
);

const AUTHORITY: Refusal = (
    StatusCode::BAD_REQUEST,
    "the authority is missing, malformed or not the one in `Host`",
);

const QUERY: Refusal = (
    StatusCode::BAD_REQUEST,
    "the request target holds a byte that must be percent-encoded",
);

const LENGTH: Refusal = (
    StatusCode::BAD_REQUEST,
    "the content length is malformed, or there are several",
);

/// A request as the stages know it.
pub(super) struct Understood {
    pub request: Request,
    /// The client may wait for 100 before it sends its body (RFC 9110, 10.1.1).
    pub expects_continue: bool,
}

/// What is asked, or the status it is refused with.
pub(super) fn understand(
    request: http::Request<RecvStream>,
    limits: &Limits,
    active: &Rc<Active>,
) -> Result<Understood, Refusal> {
    let (parts, stream) = request.into_parts();
    let has_body = !stream.is_end_stream();
    check_method(&parts.method, has_body)?;
    if parts.headers.len() > limits.headers {
        return Err((
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "more header fields than allowed",
        ));
    }
    let mut fields = Fields::new(parts.headers.len());
    for (name, value) in &parts.headers {
        fields.take(name.as_str().as_bytes(), value)?;
    }
    if fields.cookies {
        fields.join_cookies(&parts.headers);
    }
    let body = if has_body {
        Body::stream(ClientBody {
            stream,
            left: fields.length,
            ended: false,
            active: Rc::clone(active),
            patience: limits.body_time,
            timer: None,
        })
    } else {
        Body::Empty
    };
    Ok(Understood {
        request: Request {
            head: Head {
                method: parts.method,
                path: path(&parts.uri)?,
                query: query(&parts.uri)?,
                authority: authority(&parts.uri, fields.host)?,
                version: Version::Http2,
                headers: fields.headers,
            },
            body,
            upgrade: None,
        },
        expects_continue: fields.expects_continue && has_body,
    })
}

/// What HTTP/1 refuses is refused here too.
fn check_method(method: &Method, has_body: bool) -> Result<(), Refusal> {
    match *method {
        Method::CONNECT => Err((StatusCode::NOT_IMPLEMENTED, "CONNECT is not implemented")),
        Method::TRACE if has_body => Err(TRACE),
        _ if method.as_str().len() > METHOD_BYTES_MAX => Err(METHOD),
        _ => Ok(()),
    }
}

/// The fields of a request, and what they say of the request itself.
struct Fields<'a> {
    headers: Headers,
    host: Option<&'a HeaderValue>,
    length: Option<u64>,
    cookies: bool,
    expects_continue: bool,
}

impl<'a> Fields<'a> {
    fn new(count: usize) -> Self {
        Self {
            headers: Headers::with_capacity(count + 8, 512),
            host: None,
            length: None,
            cookies: false,
            expects_continue: false,
        }
    }

    fn take(&mut self, name: &[u8], value: &'a HeaderValue) -> Result<(), Refusal> {
        match Known::of(name) {
            Known::Host if self.host.is_some() => return Err(AUTHORITY),
            Known::Host => self.host = Some(value),
            // HTTP/2 lets a client split it.
            Known::Cookie => self.cookies = true,
            Known::Expect => {
                let expects = trim(value.as_bytes());
                if !expects.eq_ignore_ascii_case(b"100-continue") {
                    return Err(EXPECTATION);
                }
                self.expects_continue = true;
            }
            Known::ContentLength => {
                let length = value.to_str().ok().filter(|text| is_number(text));
                let length = length.and_then(|text| text.parse().ok()).ok_or(LENGTH)?;
                if self.length.is_some_and(|other| other != length) {
                    return Err(LENGTH);
                }
                self.length = Some(length);
            }
            known if known.is_hop_by_hop() => {}
            known => self
                .headers
                .append_checked(known, name, trim(value.as_bytes())),
        }
        Ok(())
    }

    /// Everything behind us expects one field (RFC 9113, 8.2.3).
    fn join_cookies(&mut self, headers: &HeaderMap) {
        let mut joined = Vec::new();
        for value in headers.get_all(header::COOKIE) {
            if !joined.is_empty() {
                joined.extend_from_slice(b"; ");
            }
            joined.extend_from_slice(value.as_bytes());
        }
        if !joined.is_empty() {
            self.headers.add(Known::Cookie, [&joined]);
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `:authority`, or `Host` where a gateway translated from HTTP/1; both only when equal
/// (RFC 9113, 8.3.1). Held to the same rules as the `Host` of HTTP/1.
fn authority(uri: &Uri, host: Option<&HeaderValue>) -> Result<String, Refusal> {
    let host = host.map(HeaderValue::to_str).transpose();
    let host = host.map_err(|_| AUTHORITY)?;
    let named = uri.authority().map(http::uri::Authority::as_str);
    let authority = match (named, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => None,
        (authority, host) => authority.or(host),
    };
    let authority = authority.filter(|text| authority::is_valid(text.as_bytes()));
    authority.map(str::to_owned).ok_or(AUTHORITY)
}

/// What stands before `?`. Where that is nothing, `http` would make it `/` (RFC 9113, 8.3.1).
fn path(uri: &Uri) -> Result<String, Refusal> {
    let target = uri.path_and_query();
    if target.is_some_and(|target| target.as_str().starts_with('?')) {
        return Err(PATH);
    }
    Ok(uri.path().to_owned())
}

/// What stands behind `?`. HTTP/1 has visible ASCII there, and upstreams may speak that.
fn query(uri: &Uri) -> Result<Option<String>, Refusal> {
    let query = uri.query();
    if query.is_some_and(|query| !query.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(QUERY);
    }
    Ok(query.map(str::to_owned))
}

/// A request body that must keep coming.
struct ClientBody {
    stream: RecvStream,
    /// Bytes still to come, where the head told.
    left: Option<u64>,
    /// There is no more but trailers.
    ended: bool,
    active: Rc<Active>,
    patience: Duration,
    /// Set only while there is something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl ClientBody {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.ended {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(piece)) => {
                    self.active.hear();
                    self.left = self
                        .left
                        .map(|left| left.saturating_sub(piece.len() as u64));
                    // Only now may the client send as much again. This fails where the stream is
                    // gone, as the next piece will tell.
                    let released = self.stream.flow_control().release_capacity(piece.len());
                    return Poll::Ready(Some(match released {
                        Ok(()) => Ok(Frame::data(piece)),
                        Err(_) => Err(BodyError::Incomplete),
                    }));
                }
                Some(Err(_)) => return Poll::Ready(Some(Err(BodyError::Incomplete))),
                None => self.ended = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(context));
        let trailers = trailers.map_err(|_| BodyError::Incomplete).transpose();
        let frame = |fields| Frame::trailers(trailers::passing(fields));
        Poll::Ready(trailers.map(|trailers| trailers.map(frame)))
    }
}

impl http_body::Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = this.poll_next(context) {
            this.timer = None;
            return Poll::Ready(frame);
        }
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(this.patience)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Timeout))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_held_to_the_rules_of_a_host() {
        let of = |named: Option<&'static str>, host: Option<&'static str>| {
            let uri = named.map_or_else(Uri::default, |named| {
                let parts = Uri::builder().scheme("http").authority(named);
                parts.path_and_query("/").build().unwrap()
            });
            let host = host.map(HeaderValue::from_static);
            authority(&uri, host.as_ref()).ok()
        };
        assert_eq!(of(Some("A.b:80"), None).as_deref(), Some("A.b:80"));
        assert_eq!(of(Some("a.b"), Some("A.B")).as_deref(), Some("a.b"));
        assert_eq!(of(None, Some("[::1]:8")).as_deref(), Some("[::1]:8"));
        for (named, host) in [
            (None, None),
            (Some("a"), Some("b")),
            (Some("a:99999"), None),
            (Some("a;b"), None),
            (Some("u@a"), None),
            (None, Some("a/b")),
            (None, Some("")),
        ] {
            assert_eq!(of(named, host), None, "{named:?} {host:?}");
        }
    }

    #[test]
    fn a_method_is_one_that_http_1_takes() {
        let of = |name: &str, has_body| {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            check_method(&method, has_body).map_err(|(status, _)| status.as_u16())
        };
        let long = "M".repeat(METHOD_BYTES_MAX);
        for (name, has_body) in [
            ("GET", true),
            ("TRACE", false),
            ("purge", true),
            (&long, true),
        ] {
            assert_eq!(of(name, has_body), Ok(()), "{name}");
        }
        assert_eq!(of("CONNECT", false), Err(501));
        assert_eq!(of(&format!("{long}M"), false), Err(501));
        assert_eq!(of("TRACE", true), Err(400));
    }

    #[test]
    fn a_target_has_a_path() {
        let of = |target: &[u8]| path(&Uri::try_from(target).unwrap());
        assert_eq!(of(b"/?/a").unwrap(), "/");
        assert_eq!(of(b"*").unwrap(), "*");
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some("?a=1".try_into().unwrap());
        assert_eq!(path(&Uri::from_parts(parts).unwrap()).unwrap_err(), PATH);
    }

    #[test]
    fn a_query_is_what_http_1_can_carry() {
        let of = |target: &[u8]| query(&Uri::try_from(target).unwrap());
        assert_eq!(of(b"/").unwrap(), None);
        assert_eq!(of(b"/?a=%C3").unwrap().as_deref(), Some("a=%C3"));
        assert_eq!(of("/?\u{e9}".as_bytes()).unwrap_err(), QUERY);
    }
}
