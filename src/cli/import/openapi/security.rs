//! Security schemes as authenticators. The document never says enough to admit anybody, so each
//! stands there to be completed, and admits nobody until it is.

use serde_json::Value;

use super::reference::Document;
use crate::cli::import::cel;
use crate::cli::import::page::{Block, excerpt, key, quoted};

/// A hash that no key has: all zeros.
const NO_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A hash that no password is known to have.
const NO_PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where key sets would be, of a domain that never is (RFC 2606).
const NO_KEYS: &str = "https://keys.invalid/jwks.json";

/// The authenticators that operations turned out to need.
#[derive(Debug, Default)]
pub(super) struct Schemes {
    /// Name in the document, name in the file.
    names: Vec<(String, String)>,
    blocks: Vec<Block>,
}

/// What a route demands.
#[derive(Debug, Default)]
pub(super) struct Demands {
    pub(super) auth: Vec<String>,
    pub(super) allow: Option<String>,
}

impl Schemes {
    pub(super) fn blocks(self) -> Vec<Block> {
        self.blocks
    }

    /// What `security` of an operation, or of the document, comes to: any of its requirements.
    pub(super) fn read(
        &mut self,
        document: Document<'_>,
        security: &Value,
        block: &mut Block,
    ) -> Demands {
        let mut demands = Demands::default();
        let Some(requirements) = security.as_array() else {
            return closed(block, "`security` is no list");
        };
        for requirement in requirements {
            let Some(schemes) = requirement.as_object() else {
                return closed(block, "a requirement of `security` is no object");
            };
            if schemes.is_empty() {
                block.note("anybody may ask: a credential is optional, and is not looked at");
                return Demands::default();
            }
            if schemes.len() > 1 {
                return closed(
                    block,
                    "several credentials are needed at once, which cannot be said",
                );
            }
            for (name, scopes) in schemes {
                let Some(authenticator) = self.authenticator(document, name) else {
                    return closed(
                        block,
                        &format!("the scheme {} has no counterpart", excerpt(name)),
                    );
                };
                demands.auth.push(authenticator);
                let scopes: Vec<&str> = scopes
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                if !scopes.is_empty() && requirements.len() == 1 {
                    demands.allow = Some(format!(
                        "{}.all(scope, scope in claims.scope.split(' '))",
                        cel::texts(&scopes)
                    ));
                } else if !scopes.is_empty() {
                    return closed(block, "the scopes of one of several schemes cannot be said");
                }
            }
        }
        demands.auth.dedup();
        demands
    }

    /// The name of the scheme's authenticator; none where there is none like it.
    fn authenticator(&mut self, document: Document<'_>, name: &str) -> Option<String> {
        if let Some((_, known)) = self.names.iter().find(|(known, _)| known == name) {
            return Some(known.clone());
        }
        let schemes = document
            .0
            .get("components")
            .and_then(|it| it.get("securitySchemes"))?;
        let scheme = document.resolve(schemes.get(name)?)?;
        let (kind, complete) = kind(scheme)?;
        let sign = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let wanted: String = name.chars().take(40).map(sign).collect();
        let wanted = wanted.trim_matches('-').to_ascii_lowercase();
        let wanted = if wanted.is_empty() {
            "scheme".to_owned()
        } else {
            wanted
        };
        let ours = cel::unused(&wanted, '-', |name| {
            self.names.iter().any(|(_, known)| known == name)
        });
        let mut block = Block::new(format!("security scheme {name}"));
        block.note(format!(
            "to be completed: nobody is admitted until {complete}"
        ));
        block.note("the credential is passed on, as the service looks at it too; remove `pass_credential` where it does not");
        block.line(format!("[auth.{}]", key(&ours)));
        block.line(kind);
        block.line("pass_credential = true");
        self.blocks.push(block);
        self.names.push((name.to_owned(), ours.clone()));
        Some(ours)
    }
}

/// The kind of authenticator, and what has to be said for it to admit anybody.
fn kind(scheme: &Value) -> Option<(String, &'static str)> {
    let text = |name: &str| scheme.get(name).and_then(Value::as_str).unwrap_or_default();
    let token = "`jwks` says where the issuer's keys are; say `issuer` and `audience` too";
    Some(
        match (
            text("type"),
            text("scheme").to_ascii_lowercase().as_str(),
            text("in"),
        ) {
            ("http", "bearer", _) | ("oauth2", ..) => {
                (format!("jwt = {{ jwks = {} }}", quoted(NO_KEYS)), token)
            }
            ("http", "basic", _) => (
                format!(
                    "basic = {{ users = [{{ name = \"nobody\", argon2 = {} }}] }}",
                    quoted(NO_PASSWORD)
                ),
                "`users` has real names and hashes",
            ),
            ("apiKey", _, place @ ("header" | "query")) => (
                format!(
                    "api_key = {{ {place} = {}, keys = [{{ name = \"nobody\", sha256 = {} }}] }}",
                    quoted(text("name")),
                    quoted(NO_KEY)
                ),
                "`keys` has the hashes of real keys",
            ),
            ("apiKey", _, "cookie") => (
                format!(
                    "jwt = {{ cookie = {}, jwks = {} }}",
                    quoted(text("name")),
                    quoted(NO_KEYS)
                ),
                "`jwks` says where the keys are; the cookie is taken for a signed token",
            ),
            ("openIdConnect", ..) => (
                format!(
                    "jwt = {{ discovery = {} }}",
                    quoted(text("openIdConnectUrl"))
                ),
                "the issuer can be reached; say `audience` too",
            ),
            _ => return None,
        },
    )
}

/// Nobody may ask until somebody has looked.
fn closed(block: &mut Block, why: &str) -> Demands {
    block.note(format!(
        "closed, 403 for everybody: {why}. Say in `auth` and `allow` who may ask"
    ));
    Demands {
        auth: Vec::new(),
        allow: Some("false".to_owned()),
    }
}
