//! Which calls are meant: `GET orders:/v1/orders?user=ada&limit=*`.

use http::Method;

use crate::exchange::path::decode_component;

/// Method, upstream and target of the calls that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPattern {
    /// As it was written.
    pub text: String,
    /// None: any.
    pub method: Option<Method>,
    pub upstream: String,
    path: String,
    /// Parameters, decoded, with wildcards; none: any query, also none at all.
    query: Option<Vec<(String, String)>>,
}

impl CallPattern {
    /// Takes a pattern apart. The error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (method, rest) = text
            .split_once(' ')
            .ok_or("the method is missing: write `GET users:/v1/users/ada`")?;
        let method = match method {
            "*" => None,
            method if method.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                return Err("methods are written in capitals");
            }
            method => Some(Method::from_bytes(method.as_bytes()).map_err(|_| "not a method")?),
        };
        let (upstream, target) = rest
            .trim_start()
            .split_once(':')
            .ok_or("the upstream is missing: write `GET users:/v1/users/ada`")?;
        if upstream.is_empty() || upstream.contains(char::is_whitespace) {
            return Err("the name of an upstream stands in front of the `:`");
        }
        if !target.starts_with(['/', '*']) {
            return Err("the path starts with `/`, or is `*`");
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(parameters(query))),
            None => (target, None),
        };
        Ok(Self {
            text: text.to_owned(),
            method,
            upstream: upstream.to_owned(),
            path: path.to_owned(),
            query,
        })
    }

    /// Whether a call is meant.
    pub fn fits(&self, upstream: &str, method: &Method, target: &str) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.upstream == upstream
            && self.method.as_ref().is_none_or(|own| own == method)
            && glob(&self.path, path)
            && self
                .query
                .as_deref()
                .is_none_or(|own| queries_fit(own, parameters(query)))
    }
}

/// Name and value of each parameter, decoded.
fn parameters(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        decode_component(&text.replace('+', " "))
            .map_or_else(|| text.to_owned(), std::borrow::Cow::into_owned)
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// Each parameter fits one, and none is left; `*` alone is all that are left.
fn queries_fit(own: &[(String, String)], mut found: Vec<(String, String)>) -> bool {
    let mut others = false;
    for (name, value) in own {
        if name == "*" {
            others = true;
            continue;
        }
        let fits = |(known, is): &(String, String)| known == name && glob(value, is);
        match found.iter().position(fits) {
            Some(at) => drop(found.remove(at)),
            None => return false,
        }
    }
    others || found.is_empty()
}

/// Whether `text` is what `pattern` says, where `*` is any characters, also none.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, call: &str) -> bool {
        let (method, rest) = call.split_once(' ').unwrap();
        let (upstream, target) = rest.split_once(':').unwrap();
        CallPattern::parse(pattern)
            .unwrap()
            .fits(upstream, &method.parse().unwrap(), target)
    }

    #[test]
    fn a_pattern_means_method_upstream_path_and_query() {
        let call = "GET orders:/v1/orders?user=a%20b&limit=20";
        for pattern in [
            "GET orders:/v1/orders?user=a%20b&limit=20",
            "GET orders:/v1/orders?limit=20&user=a+b",
            "GET orders:/v1/orders?limit=*&user=a*",
            "GET orders:/v1/orders?limit=20&*",
            "GET orders:/v1/orders",
            "GET orders:/v1/*",
            "* orders:*",
        ] {
            assert!(fits(pattern, call), "{pattern}");
        }
        for pattern in [
            "POST orders:/v1/orders",
            "GET users:/v1/orders",
            "GET orders:/v1/order",
            "GET orders:/v1/orders?",
            "GET orders:/v1/orders?limit=20",
            "GET orders:/v1/orders?limit=20&user=a+b&x=1",
            "GET orders:/v1/orders?limit=20&limit=20&user=a+b",
        ] {
            assert!(!fits(pattern, call), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for pattern in [
            "",
            "GET",
            "GET users",
            "get users:/",
            "GET users:v1",
            "G T users:/",
        ] {
            assert!(CallPattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_text_fits_itself_and_every_piece_of_it_with_stars(
            text in "[a-z*/]{0,12}", cut in 0_usize..12, len in 0_usize..12,
        ) {
            let plain = text.replace('*', "x");
            prop_assert!(glob(&plain, &plain));
            let start = cut.min(plain.len());
            let end = (start + len).min(plain.len());
            let starred = format!("{}*{}", plain.get(..start).unwrap(), plain.get(end..).unwrap());
            prop_assert!(glob(&starred, &plain), "{} {}", starred, plain);
            let longer = format!("{plain}y");
            prop_assert!(!glob(&plain, &longer));
        }
    }
}
