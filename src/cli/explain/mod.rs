//! `concertina explain`: what a request would meet, without sending it.

mod asked;
mod describe;
mod draw;
pub(super) mod plan;
mod settings;
mod show;

use serde::Serialize;

use self::describe::Meeting;
use super::arguments::ExplainArguments;
use super::{Failure, output};
use crate::config::{self, GatewaySpec};
use crate::exchange::Exchange;
use crate::expression::Budget;
use crate::route::NoRoute;
use crate::route::scope::RequestScope;

pub use self::asked::ExplainError;

/// What a request would meet.
#[derive(Debug, Serialize)]
struct Explained {
    method: String,
    path: String,
    /// Routes that would take the request but for their `when`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    passed_by: Vec<PassedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Meeting>,
    /// What the client gets when no route takes the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    otherwise: Option<Otherwise>,
}

/// A route whose `when` is not true of the request.
#[derive(Debug, Serialize)]
struct PassedBy {
    route: String,
    when: String,
}

/// The answer when no route takes a request.
#[derive(Debug, Serialize)]
struct Otherwise {
    status: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
}

pub(super) fn explain(arguments: &ExplainArguments) -> Result<(), Failure> {
    let spec = config::load(&arguments.file).map_err(Failure::Mistakes)?;
    let exchange = asked::exchange(&arguments.method, &arguments.url, &arguments.headers)?;
    let explained = meet(&spec, &exchange);
    if arguments.json {
        output::line(serde_json::json!(explained));
    } else {
        output::line(show::Text(&explained));
    }
    Ok(())
}

/// Looks for the route as the gateway does.
fn meet(spec: &GatewaySpec, exchange: &Exchange) -> Explained {
    let mut passed_by = Vec::new();
    let found = spec.table.find(
        &exchange.host,
        &exchange.method,
        &exchange.path,
        |index, params| {
            let Some(route) = spec.routes.get(index) else {
                return false;
            };
            let Some(when) = &route.when else {
                return true;
            };
            let scope = RequestScope::new(exchange, params, None);
            let holds = when.decide(&scope, &Budget::default()).unwrap_or(false);
            if !holds {
                passed_by.push(PassedBy {
                    route: route.name.clone(),
                    when: when.text().to_owned(),
                });
            }
            holds
        },
    );
    let mut explained = Explained {
        method: exchange.method.to_string(),
        path: exchange.path.as_str().to_owned(),
        passed_by,
        route: None,
        otherwise: None,
    };
    match found {
        Ok((index, params)) => {
            let route = spec.routes.get(index);
            explained.route = route.map(|route| Meeting::of(spec, route, &params, exchange));
        }
        Err(refused) => explained.otherwise = Some(Otherwise::of(refused)),
    }
    explained
}

impl Otherwise {
    fn of(refused: NoRoute) -> Self {
        match refused {
            NoRoute::NotFound => Self {
                status: 404,
                allow: Vec::new(),
            },
            NoRoute::MethodNotAllowed(methods) => Self {
                status: 405,
                allow: methods.iter().map(ToString::to_string).collect(),
            },
        }
    }
}
