//! Admits callers by name and password (RFC 7617), checked against argon2 hashes.
//!
//! Checking a password takes tens of milliseconds and megabytes on purpose, so it is done off the
//! workers, a few at a time, and what was found right is remembered for a while: under a keyed hash
//! of this process, never as it is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::refusal::Denial;
use super::spec::BasicSpec;
use crate::exchange::Caller;
use crate::json::Json;
use crate::store::Recent;

/// Passwords that wait to be checked; more are turned away at once.
const WAITING_MAX: usize = 64;
/// How long one waits to be checked.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a password that was found right is remembered.
const REMEMBERED: Duration = Duration::from_mins(5);
/// Passwords that a worker remembers at least; at most twice as many.
const REMEMBERED_MAX: usize = 1024;
/// Memory that one check may take, in KiB.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;

thread_local! {
    static VERIFIED: RefCell<Recent<PasswordKey, Verified>> =
        RefCell::new(Recent::new(REMEMBERED_MAX));
}

/// Which users the password was checked against, and the keyed hash of name and password.
type PasswordKey = (u64, [u8; 32]);
/// Who it is of, and until when that counts.
type Verified = (Caller, Instant);

/// The users of one authenticator.
pub(super) struct Basic {
    realm: String,
    users: HashMap<Box<str>, User>,
    /// What the password of an unknown user is checked against, so that it takes as long.
    decoy: Arc<str>,
    remembering: hmac::Key,
    rules: u64,
    checks: Arc<Checks>,
}

struct User {
    hash: Arc<str>,
    caller: Caller,
}

/// Where passwords are checked: on the blocking threads of the control runtime, a few at a time.
#[derive(Debug)]
pub(super) struct Checks {
    control: Handle,
    at_once: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why a password does not admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PasswordError {
    Denied(Denial),
    /// Too many are being checked.
    Busy,
}

impl From<Denial> for PasswordError {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

/// What is wrong with a hash of the file, for `check`.
pub fn check_hash(hash: &str) -> Result<(), String> {
    let parsed = PasswordHash::new(hash).map_err(|error| format!("not a PHC string: {error}"))?;
    Algorithm::try_from(parsed.algorithm.as_str())
        .map_err(|_| format!("`{}` is not argon2", parsed.algorithm))?;
    if parsed.salt.is_none() || parsed.hash.is_none() {
        return Err("the salt or the hash is missing".to_owned());
    }
    let parameters = Params::try_from(&parsed).map_err(|error| error.to_string())?;
    if parameters.m_cost() > MEMORY_KIB_MAX {
        return Err(format!(
            "one check takes {} KiB of memory, and {MEMORY_KIB_MAX} are the most",
            parameters.m_cost()
        ));
    }
    Ok(())
}

impl Basic {
    pub(super) fn new(
        name: &Arc<str>,
        spec: &BasicSpec,
        checks: Arc<Checks>,
    ) -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut users = HashMap::new();
        for user in &spec.users {
            check_hash(&user.argon2)
                .map_err(|error| format!("the hash of `{}`: {error}", user.name))?;
            let caller = Caller {
                authenticator: Arc::clone(name),
                name: user.name.as_str().into(),
                claims: Json::try_from("{}").map_err(|error| error.to_string())?,
            };
            let hash = user.argon2.as_str().into();
            users.insert(user.name.as_str().into(), User { hash, caller });
        }
        let decoy = spec.users.first().map_or("", |user| user.argon2.as_str());
        let remembering = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the system has no random numbers".to_owned())?;
        Ok(Self {
            realm: spec.realm.clone(),
            users,
            decoy: decoy.into(),
            remembering,
            rules: NEXT.fetch_add(1, Ordering::Relaxed),
            checks,
        })
    }

    pub(super) fn realm(&self) -> &str {
        &self.realm
    }

    /// Whose name and password these are; `credentials` is what follows `Basic`.
    pub(super) async fn caller(
        &self,
        credentials: &[u8],
        now: Instant,
    ) -> Result<Caller, PasswordError> {
        let decoded = FORGIVING
            .decode(credentials)
            .map_err(|_| Denial::Malformed)?;
        let colon = memchr::memchr(b':', &decoded).ok_or(Denial::Malformed)?;
        let (name, password) = decoded.split_at_checked(colon).ok_or(Denial::Malformed)?;
        let password = password.strip_prefix(b":").unwrap_or_default();
        let name = std::str::from_utf8(name).map_err(|_| Denial::Malformed)?;
        let key = (self.rules, self.tag(&decoded));
        if let Some(caller) = recall(&key, now) {
            return Ok(caller);
        }
        let user = self.users.get(name);
        let hash = user.map_or(&self.decoy, |user| &user.hash);
        // Boxed: a password that was checked before does not carry its state.
        let checked = Box::pin(self.checks.fits(password.to_vec(), Arc::clone(hash)));
        let fits = checked.await?;
        match user {
            Some(user) if fits => {
                let caller = user.caller.clone();
                let entry = (caller.clone(), now + REMEMBERED);
                VERIFIED.with_borrow_mut(|recent| recent.insert(key, entry));
                Ok(caller)
            }
            _ => Err(Denial::Unknown.into()),
        }
    }

    fn tag(&self, credentials: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.remembering, credentials);
        tag.as_ref().try_into().unwrap_or_default()
    }
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Basic({} users)", self.users.len())
    }
}

impl Checks {
    pub(super) fn new(control: &Handle) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            control: control.clone(),
            // The other half of the machine goes on serving.
            at_once: Arc::new(Semaphore::new((cores / 2).clamp(1, 8))),
            waiting: AtomicUsize::new(0),
        }
    }

    async fn fits(&self, password: Vec<u8>, hash: Arc<str>) -> Result<bool, PasswordError> {
        let permit = self.permit().await.ok_or(PasswordError::Busy)?;
        let check = self.control.spawn_blocking(move || {
            let outcome = Argon2::default().verify_password(&password, hash.as_ref());
            // A client that leaves does not make room before its check has ended.
            drop(permit);
            outcome.is_ok()
        });
        Ok(check.await.unwrap_or(false))
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.at_once).try_acquire_owned() {
            return Some(permit);
        }
        let waiting = Waiting::enter(&self.waiting)?;
        let permit = timeout(WAIT_MAX, Arc::clone(&self.at_once).acquire_owned()).await;
        drop(waiting);
        permit.ok()?.ok()
    }
}

/// One that waits; it is counted until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(count);
        (before < WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Base64 with padding or without.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn recall(key: &PasswordKey, now: Instant) -> Option<Caller> {
    VERIFIED.with_borrow_mut(|recent| match recent.get(key) {
        Some((caller, until)) if now < *until => Some(caller.clone()),
        Some(_) => {
            recent.remove(key);
            None
        }
        None => None,
    })
}
