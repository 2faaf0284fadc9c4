//! What expressions may read of a request: its head, its path parameters, its caller.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use super::params::Params;
use crate::exchange::path::{decode_component, decode_form};
use crate::exchange::{Caller, Exchange, Headers, Known};
use crate::expression::{EvalError, EvalErrorKind, Key, Map, RequestField, Scope, Value, Variable};

/// The values of a request's names. Nothing is read before an expression asks for it.
///
/// It knows `request`, `path`, `query`, `headers`, `cookies`, `caller` and `claims`; the scope of a
/// flow asks it for these and adds its own.
#[derive(Clone, Copy, Debug)]
pub struct RequestScope<'a> {
    pub exchange: &'a Exchange,
    pub params: &'a Params,
    /// None before the guard, and on routes that admit anybody.
    pub caller: Option<&'a Caller>,
}

impl<'a> RequestScope<'a> {
    pub const fn new(
        exchange: &'a Exchange,
        params: &'a Params,
        caller: Option<&'a Caller>,
    ) -> Self {
        Self {
            exchange,
            params,
            caller,
        }
    }

    fn request(&self, field: RequestField) -> Result<Value, EvalError> {
        let exchange = self.exchange;
        Ok(match field {
            RequestField::Host => exchange.host.as_str().into(),
            RequestField::Id => exchange.id.as_str().into(),
            RequestField::Ip => exchange.client.to_canonical().to_string().into(),
            RequestField::Method => exchange.method.as_str().into(),
            RequestField::Path => exchange.path.as_str().into(),
            RequestField::Scheme => exchange.scheme.into(),
            RequestField::Time => Timestamp::try_from(exchange.time.get(exchange.started))
                .map_err(|_| EvalError::new(EvalErrorKind::Range, "the clock is out of range"))?
                .into(),
        })
    }

    fn path(&self, index: usize) -> Result<&'a str, EvalError> {
        self.params
            .get(index, &self.exchange.path)
            .ok_or_else(|| EvalError::missing("path parameter"))
    }

    fn header(&self, name: &str) -> Result<Value, EvalError> {
        if name == "host" {
            return Ok(self.exchange.authority.as_str().into());
        }
        let separator = separator(name);
        let mut values = self.exchange.headers.get_all(name);
        let first = values.next().ok_or_else(|| EvalError::missing(name))?;
        let Some(second) = values.next() else {
            return text(first).map(Value::from);
        };
        let mut joined = text(first)?.to_owned();
        for value in std::iter::once(second).chain(values) {
            joined.push_str(separator);
            joined.push_str(text(value)?);
        }
        Ok(joined.into())
    }

    /// Fields that are not text are left out.
    fn headers(&self) -> Map {
        let mut map = Map::new();
        map.insert("host".into(), self.exchange.authority.as_str().into());
        for (_, name, _) in self.exchange.headers.iter() {
            if map.get_text(name).is_none()
                && let Ok(value) = self.header(name)
            {
                map.insert(name.into(), value);
            }
        }
        map
    }

    fn caller(&self) -> Value {
        static NAMES: LazyLock<[Arc<str>; 4]> =
            LazyLock::new(|| ["name", "sub", "authenticator", "claims"].map(Arc::from));
        let Some(caller) = self.caller else {
            return Value::Null;
        };
        let name = || Value::String(Arc::clone(&caller.name));
        let values = [
            name(),
            name(),
            Value::String(Arc::clone(&caller.authenticator)),
            Value::Json(caller.claims.clone()),
        ];
        let mut map = Map::new();
        for (name, value) in NAMES.iter().zip(values) {
            map.insert(Key::String(Arc::clone(name)), value);
        }
        map.into()
    }
}

impl Scope for RequestScope<'_> {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        match variable {
            Variable::Path(index) => {
                let decoded = decode_component(self.path(*index)?);
                decoded.map(|text| text.as_ref().into()).ok_or_else(|| {
                    EvalError::new(EvalErrorKind::Value, "the path parameter is not UTF-8")
                })
            }
            Variable::PathTail(index) => Ok(self.path(*index)?.into()),
            Variable::Query(name) => self
                .exchange
                .query
                .as_deref()
                .and_then(|query| query_pairs(query).find(|(known, _)| known == name.as_ref()))
                .map(|(_, value)| value.as_ref().into())
                .ok_or_else(|| EvalError::missing(name)),
            Variable::QueryAll => Ok(first_of_each(query_pairs(
                self.exchange.query.as_deref().unwrap_or_default(),
            ))),
            Variable::Header(name) => self.header(name),
            Variable::HeadersAll => Ok(self.headers().into()),
            Variable::Cookie(name) => cookies(&self.exchange.headers)
                .find(|(known, _)| *known == name.as_ref())
                .map(|(_, value)| value.into())
                .ok_or_else(|| EvalError::missing(name)),
            Variable::CookiesAll => Ok(first_of_each(
                cookies(&self.exchange.headers)
                    .map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))),
            )),
            Variable::Request(field) => self.request(*field),
            Variable::Caller => Ok(self.caller()),
            Variable::Claims => Ok(self.caller.map_or_else(
                || Map::new().into(),
                |caller| Value::Json(caller.claims.clone()),
            )),
            Variable::Body
            | Variable::Step { .. }
            | Variable::Item
            | Variable::Index
            | Variable::Run(_)
            | Variable::Error(_)
            | Variable::Given(_) => Err(EvalError::missing("a name of a flow, outside of a flow")),
        }
    }
}

/// What joins fields of one name (RFC 9110, 5.3; RFC 6265, 5.4).
fn separator(name: &str) -> &'static str {
    if name == "cookie" { "; " } else { ", " }
}

fn text(value: &[u8]) -> Result<&str, EvalError> {
    std::str::from_utf8(value)
        .map_err(|_| EvalError::new(EvalErrorKind::Value, "the header is not UTF-8"))
}

fn first_of_each<'a>(pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Value {
    let mut map = Map::new();
    for (name, value) in pairs {
        if map.get_text(&name).is_none() {
            map.insert(name.as_ref().into(), value.as_ref().into());
        }
    }
    map.into()
}

/// The parameters of a query in order, decoded as forms write them (`+` is a space). Parameters
/// that are not UTF-8, or whose `%` is not followed by two digits, are left out.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode_form(name)?, decode_form(value)?))
        })
}

/// The cookies of a request in order, names and values as they came (RFC 6265, 4.2.1 and 5.4).
/// What is not UTF-8 is left out.
pub fn cookies(headers: &Headers) -> impl Iterator<Item = (&str, &str)> {
    headers
        .all_known(Known::Cookie)
        .filter_map(|field| std::str::from_utf8(field).ok())
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((
                name.trim_matches([' ', '\t']),
                value.trim_matches([' ', '\t']),
            ))
        })
}
