//! The order in which a route's demands are checked, and what an admitted request carries on.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::authenticator::{Authenticator, Authenticators, Rejection};
use super::credential;
use super::limit::{Exhausted, Grant, Limit, Limits, Permit, Standing};
use super::refusal::{Denial, Refusal};
use super::spec::GuardSpec;
use crate::exchange::{Caller, Exchange};
use crate::expression::{Budget, Expression};
use crate::route::{Params, RequestScope};

/// What a route demands before it acts. Shared by all workers.
#[derive(Debug)]
pub struct Guard {
    ip_allow: Vec<IpNet>,
    ip_deny: Vec<IpNet>,
    authenticators: Vec<Arc<Authenticator>>,
    allow: Option<Arc<Expression>>,
    limits: Vec<Arc<Limit>>,
    /// It demands nothing.
    open: bool,
}

/// What the guard found out about a request that may go on.
#[derive(Debug, Default)]
pub struct Admission {
    /// None where the route admits anybody.
    pub caller: Option<Caller>,
    /// Places taken in concurrency limits. To be dropped when the exchange ends.
    pub permits: Vec<Permit>,
    /// Where the request leaves each rate limit; `limit::append_fields` writes them.
    pub standings: Vec<Standing>,
}

impl Guard {
    /// Authenticators and limits are those of the same specification as `spec`: it names them by
    /// their place.
    pub fn build(
        spec: &GuardSpec,
        authenticators: &Authenticators,
        limits: &Limits,
    ) -> Result<Self, String> {
        let authenticator = |index: &usize| {
            let found = authenticators.get(*index).map(Arc::clone);
            found.ok_or_else(|| format!("there is no authenticator {index}"))
        };
        let limit = |index: &usize| {
            let found = limits.get(*index).map(Arc::clone);
            found.ok_or_else(|| format!("there is no limit {index}"))
        };
        Ok(Self {
            ip_allow: spec.ip_allow.clone(),
            ip_deny: spec.ip_deny.clone(),
            authenticators: spec
                .authenticators
                .iter()
                .map(authenticator)
                .collect::<Result<_, _>>()?,
            allow: spec.allow.clone(),
            limits: spec.limits.iter().map(limit).collect::<Result<_, _>>()?,
            open: *spec == GuardSpec::default(),
        })
    }

    /// Checks the client's address, then who asks, then `allow`, then the limits. Credentials are
    /// removed from the exchange, unless they are to be passed on, whatever the outcome.
    pub async fn admit(
        &self,
        exchange: &mut Exchange,
        params: &Params,
    ) -> Result<Admission, Refusal> {
        if self.open {
            return Ok(Admission::default());
        }
        let (outcome, admitted_by) = match self.authenticate(exchange).await {
            Err(refusal) => (Err(refusal), None),
            Ok(None) => (self.authorize(exchange, params, None), None),
            Ok(Some((caller, by))) => (self.authorize(exchange, params, Some(caller)), Some(by)),
        };
        self.remove_credentials(exchange, admitted_by);
        outcome
    }

    /// Who asks, and the place in the list of the authenticator that said so; none where anybody
    /// may.
    async fn authenticate(&self, exchange: &Exchange) -> Result<Option<(Caller, usize)>, Refusal> {
        if !self.admits_address(exchange.client) {
            return Err(Refusal::Address);
        }
        if self.authenticators.is_empty() {
            return Ok(None);
        }
        let mut rejections = Vec::new();
        for (index, authenticator) in self.authenticators.iter().enumerate() {
            match authenticator.caller(exchange).await {
                Ok(caller) => return Ok(Some((caller, index))),
                Err(rejection) => rejections.push(rejection),
            }
        }
        Err(self.unauthenticated(&rejections))
    }

    fn admits_address(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let listed = |list: &[IpNet]| list.iter().any(|network| network.contains(&client));
        !listed(&self.ip_deny) && (self.ip_allow.is_empty() || listed(&self.ip_allow))
    }

    /// What all rejections come to: what the gateway could not find out goes before what it did,
    /// a credential that was refused before one that is not there.
    fn unauthenticated(&self, rejections: &[Rejection]) -> Refusal {
        let mut closest: Option<(&Authenticator, Denial)> = None;
        let mut challenges: Vec<String> = Vec::new();
        for (authenticator, &rejection) in self.authenticators.iter().zip(rejections) {
            let name = || Arc::clone(authenticator.name());
            match rejection {
                Rejection::KeysUnavailable(retry_after) => {
                    return Refusal::KeysUnavailable {
                        authenticator: name(),
                        retry_after,
                    };
                }
                Rejection::PasswordsBusy(retry_after) => {
                    return Refusal::PasswordsBusy {
                        authenticator: name(),
                        retry_after,
                    };
                }
                Rejection::Denied(denial) => {
                    if closest.is_none_or(|(_, closest)| closest == Denial::Missing) {
                        closest = Some((authenticator, denial));
                    }
                }
            }
            let challenge = authenticator.challenge(rejection);
            if !challenges.contains(&challenge) {
                challenges.push(challenge);
            }
        }
        let (authenticator, denial) = closest.map_or_else(
            || (Arc::from(""), Denial::Missing),
            |(authenticator, denial)| (Arc::clone(authenticator.name()), denial),
        );
        Refusal::Unauthenticated {
            authenticator,
            denial,
            challenges,
        }
    }

    fn authorize(
        &self,
        exchange: &Exchange,
        params: &Params,
        caller: Option<Caller>,
    ) -> Result<Admission, Refusal> {
        let scope = RequestScope::new(exchange, params, caller.as_ref());
        if let Some(allow) = &self.allow {
            // What cannot be decided is not allowed.
            match allow.decide(&scope, &Budget::default()) {
                Ok(true) => {}
                Ok(false) => return Err(Refusal::NotAllowed { error: None }),
                Err(error) => {
                    let error = Some(error.to_string());
                    return Err(Refusal::NotAllowed { error });
                }
            }
        }
        let mut permits = Vec::new();
        let mut standings = Vec::new();
        for limit in &self.limits {
            match limit.take(&scope, exchange.client) {
                Ok(Grant::Permit(permit)) => permits.push(permit),
                Ok(Grant::Rate(standing)) => standings.push(standing),
                Err(exhausted) => return Err(limited(limit, exhausted, standings)),
            }
        }
        Ok(Admission {
            caller,
            permits,
            standings,
        })
    }

    /// Takes out every credential that the route's authenticators look for, but the one that
    /// admitted and is to be passed on.
    fn remove_credentials(&self, exchange: &mut Exchange, admitted_by: Option<usize>) {
        let kept = admitted_by
            .and_then(|index| self.authenticators.get(index))
            .filter(|authenticator| authenticator.passes_credential())
            .map(|authenticator| authenticator.position());
        for authenticator in &self.authenticators {
            let position = authenticator.position();
            if Some(position) != kept {
                credential::remove(exchange, position);
            }
        }
    }
}

fn limited(limit: &Limit, exhausted: Exhausted, mut standings: Vec<Standing>) -> Refusal {
    standings.extend(exhausted.standing);
    Refusal::Limited {
        limit: Arc::clone(limit.name()),
        retry_after: exhausted.retry_after,
        standings,
    }
}
