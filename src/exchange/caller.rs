//! Who was found to ask: what an authenticator established about the sender of a request.

use std::sync::Arc;

use crate::json::Json;

/// An authenticated caller. Only the guard makes one, so holding one proves the check was made.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The authenticator that admitted it, by its name in the file.
    pub authenticator: Arc<str>,
    /// `sub` of a token, name of a key or user.
    pub name: Arc<str>,
    /// What the credential claims: a JSON object.
    pub claims: Json,
}
