//! Parts that are kept for a while: given again to equal calls until their time is over, and
//! brought once for equal calls that are at work together.
//!
//! Calls are equal when all that they send is: method, target, body, and every field that the step
//! sets or forwards. So a part that depends on who asks is given only to those who send the same,
//! whatever the file says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::cache_control::{Caching, Reuse, Storing};
use super::call::{CallContext, Request, forward};
use super::outcome::{CacheTally, Failure};
use super::reply::{NoReply, Reply};
use super::spec::{CacheSpec, CallSpec};
use crate::exchange::{CallError, Headers};
use crate::json::Json;
use crate::store::Kept;

/// How long equal calls are made each by itself after an answer that was not for sharing: one such
/// answer must not turn the keeping off for a day.
const UNSHARED_FOR: Duration = Duration::from_mins(1);

/// Bytes that an entry takes beside what it holds, about.
const ENTRY_BYTES: usize = 256;

/// The parts that one worker keeps: a table for each step that has `cache`.
#[derive(Debug, Default)]
pub struct PartCache(RefCell<HashMap<Arc<str>, Rc<Table>>>);

impl PartCache {
    /// Forgets what was kept for steps that are no more.
    pub fn retain(&self, is_used: impl Fn(&str) -> bool) {
        self.0.borrow_mut().retain(|name, _| is_used(name));
    }

    fn table(&self, spec: &CacheSpec) -> Rc<Table> {
        let mut tables = self.0.borrow_mut();
        if let Some(table) = tables.get(&spec.name) {
            let mut kept = table.kept.borrow_mut();
            kept.bound(spec.max_entries, spec.max_bytes);
            return Rc::clone(table);
        }
        let table = Rc::new(Table {
            kept: RefCell::new(Kept::new(spec.max_entries, spec.max_bytes)),
            flights: RefCell::default(),
        });
        tables.insert(Arc::clone(&spec.name), Rc::clone(&table));
        table
    }
}

/// All that a call sends.
type CallKey = Rc<[u8]>;

/// What is kept for one step, and the calls at work that others wait for.
#[derive(Debug)]
struct Table {
    kept: RefCell<Kept<CallKey, KeptPart>>,
    /// Never more than there are calls.
    flights: RefCell<HashMap<CallKey, Rc<Flight>>>,
}

#[derive(Debug)]
struct KeptPart {
    since: Instant,
    /// How long the upstream allows; as long as the file says where none.
    allowed: Option<Duration>,
    /// None: the upstream lets nobody keep it, so nobody waits for another's call.
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    status: StatusCode,
    headers: Headers,
    body: Json,
    /// How old it was when it came, in seconds.
    age: u64,
    may_be_stale: bool,
}

/// A call at work that equal ones wait for.
#[derive(Debug, Default)]
struct Flight {
    landing: RefCell<Option<Landing>>,
    over: Notify,
}

/// How a call that others wait for ended.
#[derive(Clone, Debug)]
enum Landing {
    Reply(Reply),
    Failed(NoReply),
    /// What came is for the one who asked.
    Unshared,
    /// Whoever made it has left or had no time left. Another must.
    Abandoned,
}

impl Flight {
    async fn landed(&self) -> Landing {
        loop {
            if let Some(landing) = self.landing.borrow().clone() {
                return landing;
            }
            self.over.notified().await;
        }
    }
}

/// The one who makes the call that others wait for. Dropped without a word, it is abandoned.
struct Lead {
    table: Rc<Table>,
    key: CallKey,
    flight: Rc<Flight>,
}

impl Lead {
    fn land(self, landing: Landing) {
        *self.flight.landing.borrow_mut() = Some(landing);
    }

    /// From now on nobody begins to wait for it.
    fn leave(&self) {
        let mut flights = self.table.flights.borrow_mut();
        let is_own = flights
            .get(&self.key)
            .is_some_and(|flight| Rc::ptr_eq(flight, &self.flight));
        if is_own {
            flights.remove(&self.key);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.leave();
        self.flight
            .landing
            .borrow_mut()
            .get_or_insert(Landing::Abandoned);
        self.flight.over.notify_waiters();
    }
}

/// What there is for a call.
enum Found {
    Reply(Reply),
    /// It is known not to be shared.
    Unshared,
    AtWork(Rc<Flight>),
    Nothing(Lead),
}

/// Gives the part that is kept, waits for an equal call at work, or makes the call. Ends at the
/// deadline at the latest.
pub(super) async fn cached(
    request: Request,
    call: &CallSpec,
    spec: &CacheSpec,
    context: CallContext<'_>,
) -> Result<Reply, NoReply> {
    let Some(cache) = context.caller.parts() else {
        return request.make(call, context).await;
    };
    let table = cache.table(spec);
    let key = request.cache_key(call, context);
    loop {
        let flight = match table.find(&key, spec, context.part_bytes) {
            Found::Reply(reply) => return Ok(reply),
            Found::Unshared => return alone(request, call, context).await,
            Found::Nothing(lead) => return lead.call(request, call, spec, context).await,
            Found::AtWork(flight) => flight,
        };
        match timeout_at(context.deadline, flight.landed()).await {
            Ok(Landing::Reply(reply)) => return Ok(reply.used(CacheTally::SHARED)),
            Ok(Landing::Failed(failed)) => return table.instead_of(failed, &key, spec),
            Ok(Landing::Unshared) => return alone(request, call, context).await,
            Ok(Landing::Abandoned) => {}
            Err(_) => {
                let late = NoReply::late(!call.method.is_safe());
                return table.instead_of(late, &key, spec);
            }
        }
    }
}

async fn alone(
    request: Request,
    call: &CallSpec,
    context: CallContext<'_>,
) -> Result<Reply, NoReply> {
    match request.make(call, context).await {
        Ok(reply) => Ok(reply.used(CacheTally::MISS)),
        Err(failed) => Err(failed.missed()),
    }
}

impl Lead {
    async fn call(
        self,
        request: Request,
        call: &CallSpec,
        spec: &CacheSpec,
        context: CallContext<'_>,
    ) -> Result<Reply, NoReply> {
        if !context.caller.is_prompt() {
            self.leave();
        }
        // The run gives up at the deadline too, but then nothing would stand in.
        let made = timeout_at(context.deadline, request.make(call, context)).await;
        let ended = made.unwrap_or_else(|_| Err(NoReply::late(!call.method.is_safe())));
        let (table, key) = (Rc::clone(&self.table), Rc::clone(&self.key));
        match ended {
            Ok(reply) => {
                let reply = reply.used(CacheTally::MISS);
                if table.keep(key, spec, &reply) {
                    self.land(Landing::Reply(reply.clone()));
                } else {
                    self.land(Landing::Unshared);
                }
                Ok(reply)
            }
            Err(failed) => {
                // Those who wait may have more time than this one had.
                if matches!(failed.failure, Failure::Call(CallError::Deadline)) {
                    drop(self);
                } else {
                    self.land(Landing::Failed(failed.clone()));
                }
                table.instead_of(failed, &key, spec)
            }
        }
    }
}

impl Table {
    fn find(self: &Rc<Self>, key: &CallKey, spec: &CacheSpec, part_bytes: u64) -> Found {
        if let Some(kept) = self.kept.borrow_mut().get(key) {
            let age = kept.since.elapsed();
            match &kept.part {
                _ if age >= kept.time(spec) => {}
                None => return Found::Unshared,
                Some(part) if part.body.bytes().len() as u64 <= part_bytes => {
                    return Found::Reply(part.reply(age, CacheTally::HIT));
                }
                Some(_) => {}
            }
        }
        let mut flights = self.flights.borrow_mut();
        if let Some(flight) = flights.get(key) {
            return Found::AtWork(Rc::clone(flight));
        }
        let flight = Rc::<Flight>::default();
        flights.insert(Rc::clone(key), Rc::clone(&flight));
        Found::Nothing(Lead {
            table: Rc::clone(self),
            key: Rc::clone(key),
            flight,
        })
    }

    /// Keeps what came, as far as the upstream lets it be kept; whether others may have it.
    fn keep(&self, key: CallKey, spec: &CacheSpec, reply: &Reply) -> bool {
        let caching = Caching::of(&reply.headers);
        let is_shared = may_be_shared(&reply.headers, caching, spec);
        let (mut allowed, mut may_be_stale) = (None, true);
        if !spec.ignore_cache_control {
            allowed = caching.shared.map(Duration::from_secs);
            may_be_stale = caching.reuse < Reuse::Revalidated;
        }
        let part = is_shared.then(|| Part {
            status: reply.status,
            headers: reply.headers.clone(),
            // What it was read into may be much larger.
            body: reply.body.detached(),
            age: caching.age,
            may_be_stale,
        });
        let held = part
            .as_ref()
            .map_or(0, |part| part.headers.bytes() + part.body.bytes().len());
        let bytes = key.len() + held + ENTRY_BYTES;
        let kept = KeptPart {
            since: Instant::now(),
            allowed,
            part,
        };
        self.kept.borrow_mut().insert(key, kept, bytes);
        is_shared
    }

    /// What is kept past its time, where that may stand in for a call that failed.
    fn instead_of(
        &self,
        failed: NoReply,
        key: &CallKey,
        spec: &CacheSpec,
    ) -> Result<Reply, NoReply> {
        if !may_stand_in(&failed.failure) {
            return Err(failed.missed());
        }
        let mut table = self.kept.borrow_mut();
        let stale = table.get(key).and_then(|kept| {
            let age = kept.since.elapsed();
            let part = kept.part.as_ref().filter(|part| part.may_be_stale)?;
            let end = kept.time(spec).saturating_add(spec.stale_if_error);
            (age < end).then(|| part.reply(age, CacheTally::STALE))
        });
        stale.ok_or_else(|| failed.missed())
    }
}

impl KeptPart {
    /// How long it is given without asking; of an answer that nobody else may have, how long that
    /// is remembered.
    fn time(&self, spec: &CacheSpec) -> Duration {
        if self.part.is_none() {
            return spec.ttl.min(UNSHARED_FOR);
        }
        self.allowed
            .map_or(spec.ttl, |allowed| allowed.min(spec.ttl))
    }
}

impl Part {
    fn reply(&self, kept_for: Duration, cache: CacheTally) -> Reply {
        let mut headers = self.headers.clone();
        // RFC 9111, 5.1: whoever asks how long it may be stored must know how old it is.
        let age = self.age.saturating_add(kept_for.as_secs());
        headers.set("age", age.to_string().as_bytes());
        Reply {
            status: self.status,
            headers,
            body: self.body.clone(),
            parts: Vec::new(),
            cache,
        }
    }
}

/// Whether what came may be given to others who send the same. A cookie that is set is meant for
/// one client, whoever else may ask in the same words.
fn may_be_shared(headers: &Headers, caching: Caching, spec: &CacheSpec) -> bool {
    let varies = headers
        .get_all("vary")
        .any(|value| value.trim_ascii() == b"*");
    let is_refused = caching.storing >= Storing::Private || caching.reuse == Reuse::Asked;
    headers.get("set-cookie").is_none() && !varies && (spec.ignore_cache_control || !is_refused)
}

/// RFC 5861, 4: what is old is better than an upstream's error. Other statuses are answers.
fn may_stand_in(failure: &Failure) -> bool {
    match failure {
        Failure::Call(CallError::Status(status)) => {
            status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
        }
        Failure::Call(CallError::RequestBody(_))
        | Failure::Expression(_)
        | Failure::TooManyItems { .. }
        | Failure::Flow(_) => false,
        Failure::Call(_) => true,
    }
}

impl Request {
    /// All that the call sends, but what is new with every request: trace and request id.
    fn cache_key(&self, call: &CallSpec, context: CallContext<'_>) -> CallKey {
        let mut forwarded = Headers::new();
        for name in &call.forward {
            forward(name, &context.exchange.headers, &mut forwarded);
        }
        let mut key = Vec::with_capacity(self.target.len() + self.body.len() + 256);
        let mut put = |text: &[u8]| {
            key.extend_from_slice(&text.len().to_be_bytes());
            key.extend_from_slice(text);
        };
        put(&context.caller.generation(call.upstream).to_be_bytes());
        put(call.upstream_name.as_bytes());
        put(call.method.as_str().as_bytes());
        // What counts as success under one file may not under the next, nor be read alike.
        let accept: Vec<u8> = call
            .accept
            .iter()
            .flat_map(|range| [range.first.to_be_bytes(), range.last.to_be_bytes()])
            .flatten()
            .collect();
        put(&accept);
        put(call.decode.accept().as_bytes());
        put(&self.salt);
        put(self.target.as_bytes());
        put(&self.body);
        for (_, name, value) in forwarded.iter().chain(self.headers.iter()) {
            put(name.as_bytes());
            put(value);
        }
        key.into()
    }
}
