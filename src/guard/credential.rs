//! Where a credential stands in a request: how it is found, and how it is taken out.

use super::refusal::Denial;
use super::spec::{KeyPlace, TokenPlace};
use crate::exchange::path::decode_form;
use crate::exchange::{Exchange, Headers, Known};
use crate::route::scope::{cookies, query_pairs};

/// A credential longer than this is not looked at.
pub(super) const CREDENTIAL_BYTES_MAX: usize = 8 * 1024;

/// A place in a request that belongs to a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position<'a> {
    /// A field, by its name in lower case.
    Field(&'a str),
    Cookie(&'a str),
    Query(&'a str),
}

impl<'a> From<&'a TokenPlace> for Position<'a> {
    fn from(place: &'a TokenPlace) -> Self {
        match place {
            TokenPlace::Authorization => Self::Field("authorization"),
            TokenPlace::Header(name) => Self::Field(name),
            TokenPlace::Cookie(name) => Self::Cookie(name),
        }
    }
}

impl<'a> From<&'a KeyPlace> for Position<'a> {
    fn from(place: &'a KeyPlace) -> Self {
        match place {
            KeyPlace::Header(name) => Self::Field(name),
            KeyPlace::Query(name) => Self::Query(name),
        }
    }
}

/// The token at `place`.
pub(super) fn token<'a>(exchange: &'a Exchange, place: &'a TokenPlace) -> Result<&'a [u8], Denial> {
    let token = match place {
        TokenPlace::Authorization => authorization(&exchange.headers, b"bearer")?,
        TokenPlace::Header(name) => {
            let value = only(exchange.headers.get_all(name))?;
            with_scheme(value, b"bearer").unwrap_or(value)
        }
        TokenPlace::Cookie(name) => {
            let named = cookies(&exchange.headers).filter(|(known, _)| *known == name.as_str());
            only(named.map(|(_, value)| value.as_bytes()))?
        }
    };
    bounded(token)
}

/// The API key at `place`, given to `look` because it may have to be decoded first.
pub(super) fn api_key<T>(
    exchange: &Exchange,
    place: &KeyPlace,
    look: impl FnOnce(&[u8]) -> Result<T, Denial>,
) -> Result<T, Denial> {
    match place {
        KeyPlace::Header(name) => look(bounded(only(exchange.headers.get_all(name))?)?),
        KeyPlace::Query(name) => {
            let query = exchange.query.as_deref().unwrap_or_default();
            let key = only(query_pairs(query).filter(|(known, _)| known == name.as_str()))?.1;
            look(bounded(key.as_bytes())?)
        }
    }
}

/// What follows `Basic`.
pub(super) fn basic(exchange: &Exchange) -> Result<&[u8], Denial> {
    bounded(authorization(&exchange.headers, b"basic")?)
}

/// What follows `scheme` (lower case) in the one `Authorization`; another scheme is no credential
/// for this one.
fn authorization<'a>(headers: &'a Headers, scheme: &[u8]) -> Result<&'a [u8], Denial> {
    let value = only(headers.all_known(Known::Authorization))?;
    with_scheme(value, scheme).ok_or(Denial::Missing)
}

/// What follows a scheme and spaces (RFC 9110, 11.4).
fn with_scheme<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (given, rest) = value.split_at_checked(scheme.len())?;
    if !given.eq_ignore_ascii_case(scheme) {
        return None;
    }
    match rest {
        [] => Some(rest),
        [b' ', ..] => Some(rest.trim_ascii()),
        _ => None,
    }
}

/// The only one: with two, the gateway and the upstream might look at different ones.
fn only<T>(mut values: impl Iterator<Item = T>) -> Result<T, Denial> {
    let first = values.next().ok_or(Denial::Missing)?;
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Denial::Malformed),
    }
}

fn bounded(credential: &[u8]) -> Result<&[u8], Denial> {
    match credential.len() {
        0 => Err(Denial::Malformed),
        1..=CREDENTIAL_BYTES_MAX => Ok(credential),
        _ => Err(Denial::TooLarge),
    }
}

/// Takes whatever stands at `position` out of the request.
pub(super) fn remove(exchange: &mut Exchange, position: Position<'_>) {
    match position {
        Position::Field(name) => {
            if exchange.headers.get(name).is_some() {
                exchange.headers.remove(name);
            }
        }
        Position::Cookie(name) => remove_cookie(&mut exchange.headers, name),
        Position::Query(name) => remove_parameter(&mut exchange.query, name),
    }
}

fn remove_cookie(headers: &mut Headers, name: &str) {
    let is_it = |pair: &[u8]| {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        pair.get(..end)
            .is_some_and(|known| known.trim_ascii() == name.as_bytes())
    };
    let stands = headers
        .all_known(Known::Cookie)
        .any(|field| field.split(|byte| *byte == b';').any(is_it));
    if !stands {
        return;
    }
    let mut kept: Vec<u8> = Vec::new();
    for pair in headers
        .all_known(Known::Cookie)
        .flat_map(|field| field.split(|byte| *byte == b';'))
    {
        let pair = pair.trim_ascii();
        if !pair.is_empty() && !is_it(pair) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
    }
    headers.remove("cookie");
    if !kept.is_empty() {
        headers.append("cookie", &kept);
    }
}

fn remove_parameter(query: &mut Option<String>, name: &str) {
    let is_it = |pair: &str| {
        let known = pair.split_once('=').map_or(pair, |(known, _)| known);
        decode_form(known).is_some_and(|known| known == name)
    };
    let Some(text) = query.as_deref() else {
        return;
    };
    if !text.split('&').any(is_it) {
        return;
    }
    let kept: Vec<&str> = text.split('&').filter(|pair| !is_it(pair)).collect();
    *query = (!kept.is_empty()).then(|| kept.join("&"));
}
