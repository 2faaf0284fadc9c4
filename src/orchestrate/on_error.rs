//! What a route answers instead of an error, where the file says so.

use std::sync::Arc;

use http::StatusCode;

use super::call::set_rendered;
use crate::exchange::{Body, Headers};
use crate::expression::{
    Budget, ErrorField, EvalError, Expression, Scope, Template, Value, Variable,
};

/// The largest body that a rule makes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// `on_error`: for errors that `when` holds for, another status or body.
#[derive(Clone, Debug)]
pub struct OnErrorSpec {
    /// Reads `error` and the request; always where none.
    pub when: Option<Arc<Expression>>,
    /// The error's own where none.
    pub status: Option<StatusCode>,
    /// Names in lower case.
    pub headers: Vec<(String, Template)>,
    /// The problem as usual, with the status, where none; nothing where the status is no error.
    pub body: Option<Arc<Expression>>,
}

/// What rules read of an error, and nothing internal.
#[derive(Clone, Debug)]
pub struct ErrorFacts<'a> {
    /// In one word, as metrics and `Concertina-Parts` have it.
    pub cause: &'a str,
    /// What the client would get.
    pub status: StatusCode,
    /// The step to blame.
    pub step: Option<&'a str>,
    /// As the problem says it.
    pub detail: &'a str,
}

/// What stands in the place of an error.
#[derive(Debug)]
pub struct Instead {
    pub status: StatusCode,
    pub headers: Headers,
    /// The problem as usual where none.
    pub body: Option<Body>,
}

/// Names of the request, and `error`.
struct ErrorScope<'a> {
    request: &'a dyn Scope,
    error: &'a ErrorFacts<'a>,
}

impl Scope for ErrorScope<'_> {
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError> {
        let Variable::Error(field) = variable else {
            return self.request.variable(variable);
        };
        Ok(match field {
            ErrorField::Cause => Value::String(self.error.cause.into()),
            ErrorField::Detail => Value::String(self.error.detail.into()),
            ErrorField::Status => Value::Int(i64::from(self.error.status.as_u16())),
            ErrorField::Step => self
                .error
                .step
                .map_or(Value::Null, |step| Value::String(step.into())),
        })
    }
}

/// What the first rule that holds puts in the place of the error; none where none does. A rule
/// whose expressions have no value does not hold: the error stands.
pub fn instead(
    rules: &[OnErrorSpec],
    request: &dyn Scope,
    error: &ErrorFacts<'_>,
) -> Option<Instead> {
    let scope = ErrorScope { request, error };
    let budget = Budget::default();
    rules.iter().find_map(|rule| {
        let holds = match &rule.when {
            None => true,
            Some(when) => when.decide(&scope, &budget).unwrap_or(false),
        };
        if !holds {
            return None;
        }
        rule.make(&scope, error.status, &budget).ok()
    })
}

impl OnErrorSpec {
    fn make(
        &self,
        scope: &dyn Scope,
        status: StatusCode,
        budget: &Budget,
    ) -> Result<Instead, EvalError> {
        let mut headers = Headers::new();
        let status = self.status.unwrap_or(status);
        let body = match &self.body {
            // A problem is what no success and no redirect is.
            None if status.as_u16() < 400 => Some(Body::Empty),
            None => None,
            Some(body) => {
                headers.append("content-type", b"application/json");
                let text = body.evaluate(scope, budget)?.to_json(BODY_BYTES_MAX)?;
                Some(Body::from(text))
            }
        };
        for (name, template) in &self.headers {
            set_rendered(&mut headers, name, template, scope, budget)?;
        }
        Ok(Instead {
            status,
            headers,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Names, Place};
    use crate::orchestrate::trial::{RequestNames, text};

    fn rule(when: Option<&str>, status: Option<u16>, body: Option<&str>) -> OnErrorSpec {
        let names = Names {
            error: true,
            ..Names::default()
        };
        let compile = |text: &str| Arc::new(Expression::compile(text, &names).unwrap());
        let template = Template::compile("{error.cause}", Place::Header, &names).unwrap();
        OnErrorSpec {
            when: when.map(compile),
            status: status.map(|status| StatusCode::from_u16(status).unwrap()),
            headers: vec![("x-cause".to_owned(), template)],
            body: body.map(compile),
        }
    }

    fn facts(cause: &'static str, step: Option<&'static str>) -> ErrorFacts<'static> {
        ErrorFacts {
            cause,
            status: StatusCode::BAD_GATEWAY,
            step,
            detail: "It failed.",
        }
    }

    #[tokio::test]
    async fn the_first_rule_that_holds_answers() {
        let rules = [
            rule(Some("query.none == 'x'"), Some(418), None),
            rule(
                Some("error.cause == 'timeout'"),
                Some(200),
                Some("{'items': []}"),
            ),
            rule(Some("error.step == 'orders'"), Some(503), None),
            rule(Some("error.status == 502"), None, Some("query.nothing")),
            rule(
                None,
                None,
                Some("[error.cause, error.status, error.step, error.detail]"),
            ),
        ];
        let request = RequestNames::default();

        let made = instead(&rules, &request, &facts("timeout", None)).unwrap();
        assert_eq!(made.status, StatusCode::OK);
        assert_eq!(made.headers.get_str("x-cause"), Some("timeout"));
        assert_eq!(text(made.body.unwrap()).await, r#"{"items":[]}"#);

        let made = instead(&rules, &request, &facts("connect", Some("orders"))).unwrap();
        assert_eq!(made.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(made.body.is_none());

        let made = instead(&rules, &request, &facts("reset", None)).unwrap();
        assert_eq!(made.status, StatusCode::BAD_GATEWAY);
        let body = text(made.body.unwrap()).await;
        assert_eq!(body, r#"["reset",502,null,"It failed."]"#);
    }

    #[test]
    fn what_is_no_error_has_no_problem() {
        let rules = [rule(None, Some(204), None)];
        let made = instead(
            &rules,
            &RequestNames::default(),
            &facts("status", Some("a")),
        );
        assert!(made.unwrap().body.unwrap().is_empty());
    }

    #[test]
    fn without_a_rule_that_holds_the_error_stands() {
        let request = RequestNames::default();
        let rules = [rule(Some("error.cause == 'timeout'"), Some(200), None)];
        assert!(instead(&rules, &request, &facts("status", None)).is_none());
        assert!(instead(&[], &request, &facts("status", None)).is_none());
    }
}
