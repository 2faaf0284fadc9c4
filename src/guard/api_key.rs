//! Admits callers that present a known key; compares in constant time.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;

use super::keys::sha256;
use super::refusal::Denial;
use super::spec::{ApiKeySpec, KeyPlace};
use crate::exchange::Caller;
use crate::json::{DEPTH_DEFAULT, Json};

/// The keys of one authenticator, known by their hashes alone.
///
/// What is presented is hashed, so that what the lookup's time may tell is of a hash that nobody
/// can choose bit by bit; the whole hash is then compared in constant time.
#[derive(Debug)]
pub(super) struct ApiKeys {
    place: KeyPlace,
    known: HashMap<[u8; 8], Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    sha256: [u8; 32],
    caller: Caller,
}

impl ApiKeys {
    pub(super) fn new(name: &Arc<str>, spec: &ApiKeySpec) -> Result<Self, String> {
        let mut known: HashMap<[u8; 8], Vec<Known>> = HashMap::new();
        for key in &spec.keys {
            let claims = serde_json::to_vec(&key.claims).map_err(|error| error.to_string())?;
            let claims = Json::parse(Bytes::from(claims), DEPTH_DEFAULT)
                .map_err(|error| format!("the claims of `{}`: {error}", key.name))?;
            known.entry(start(&key.sha256)).or_default().push(Known {
                sha256: key.sha256,
                caller: Caller {
                    authenticator: Arc::clone(name),
                    name: key.name.as_str().into(),
                    claims,
                },
            });
        }
        Ok(Self {
            place: spec.place.clone(),
            known,
        })
    }

    pub(super) const fn place(&self) -> &KeyPlace {
        &self.place
    }

    /// Whose key this is.
    pub(super) fn caller(&self, presented: &[u8]) -> Result<Caller, Denial> {
        let hash = sha256(presented);
        self.known
            .get(&start(&hash))
            .into_iter()
            .flatten()
            .find(|known| verify_slices_are_equal(&known.sha256, &hash).is_ok())
            .map(|known| known.caller.clone())
            .ok_or(Denial::Unknown)
    }
}

fn start(hash: &[u8; 32]) -> [u8; 8] {
    hash.first_chunk().copied().unwrap_or_default()
}
