//! Stands for schemas in a build without the feature `body-schema`: there are none.

use serde_json::Value;

use super::Violation;
use crate::json::Json;

/// No build without the feature has one.
#[derive(Debug)]
pub enum BodySchema {}

impl BodySchema {
    pub fn compile(_schema: &Value, _formats: bool) -> Result<Self, String> {
        Err("this build checks no bodies: build it with the feature `body-schema`".to_owned())
    }

    pub fn check(&self, _body: &Json) -> Result<(), Vec<Violation>> {
        match *self {}
    }
}
