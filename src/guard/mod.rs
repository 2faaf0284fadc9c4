//! Decides whether a request may go on, and who is asking.

pub mod admit;
mod api_key;
pub mod authenticator;
pub mod basic;
mod credential;
mod jwk;
mod jwt;
pub mod keys;
pub mod limit;
pub mod refusal;
pub mod remote;
pub mod spec;

pub use admit::{Admission, Guard};
pub use authenticator::Authenticators;
pub use limit::{Limits, Permit, Standing};
pub use refusal::{Denial, Refusal};
pub use spec::{
    ApiKey, ApiKeySpec, AuthenticatorKind, AuthenticatorSpec, BasicSpec, BasicUser, GuardSpec,
    JwtSpec, KeyPlace, KeySource, LimitKind, LimitSpec, TokenPlace,
};

#[cfg(test)]
mod tests;
