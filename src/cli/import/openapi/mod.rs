//! An OpenAPI document, 3.0 or 3.1, as a `routes.toml`: its operations passed on to their servers,
//! or answered from the file.

mod example;
mod mock;
mod reference;
mod security;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::reference::Document;
use self::security::{Demands, Schemes};
use super::page::{Block, Page, excerpt, quoted};
use super::upstreams::Upstreams;
use super::{ImportError, cel};
use crate::route::pattern::is_name;

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// Servers are not looked for in more variables than these.
const VARIABLES_MAX: usize = 32;

/// Where requests go when the document names no host.
const NO_SERVER: &str = "http://server.invalid";

/// The document as it is read.
struct Reading<'a> {
    document: Document<'a>,
    mock: bool,
    upstreams: Upstreams,
    schemes: Schemes,
    /// Names that routes have.
    names: Vec<String>,
}

/// Reads the whole document.
pub(super) fn import(root: &Value, mock: bool) -> Result<Page, ImportError> {
    let version = root.get("openapi").and_then(Value::as_str);
    match version {
        Some(version) if version.starts_with("3.0") || version.starts_with("3.1") => {}
        Some(other) => return Err(ImportError::OpenapiVersion(other.to_owned())),
        None => return Err(ImportError::NotOpenapi),
    }
    let mut page = Page::default();
    page.head = vec![format!(
        "Made from an OpenAPI document by `concertina import openapi{}`.",
        if mock { " --mock" } else { "" }
    )];
    page.head.push(if mock {
        "Every answer comes from this file, whoever asks and whatever is sent.".to_owned()
    } else {
        "Parameters and bodies are passed on as they come; the services check them.".to_owned()
    });
    let title = root
        .get("info")
        .and_then(|info| info.get("title"))
        .and_then(Value::as_str);
    page.head
        .extend(title.map(|title| format!("The document is called {}.", excerpt(title))));
    let mut listener = Block::new("on this machine only, until `address` says otherwise");
    listener.line("[[listen]]\naddress = \"127.0.0.1:8080\"");
    for name in ["webhooks", "x-webhooks"]
        .into_iter()
        .filter(|name| root.get(name).is_some())
    {
        listener.note(format!(
            "{}: what is sent to others is no route",
            excerpt(name)
        ));
    }
    page.setting(listener);
    let mut reading = Reading {
        document: Document(root),
        mock,
        upstreams: Upstreams::default(),
        schemes: Schemes::default(),
        names: Vec::new(),
    };
    let paths = root.get("paths").and_then(Value::as_object);
    for (path, item) in paths
        .into_iter()
        .flatten()
        .filter(|(path, _)| !path.starts_with("x-"))
    {
        reading.path(path, item, &mut page);
    }
    let Reading {
        upstreams, schemes, ..
    } = reading;
    for block in upstreams.blocks().into_iter().chain(schemes.blocks()) {
        page.named(block);
    }
    Ok(page)
}

impl<'a> Reading<'a> {
    fn path(&mut self, path: &str, item: &'a Value, page: &mut Page) {
        let Some(item) = self.document.resolve(item) else {
            let mut block = Block::new(format!("paths {path}"));
            block.leave_out("it stands outside of the document");
            page.route(block);
            return;
        };
        for method in METHODS {
            let operation = item.get(method).and_then(|it| self.document.resolve(it));
            if let Some(operation) = operation.filter(|it| it.is_object()) {
                let mut block = Block::new(format!("{} {path}", method.to_ascii_uppercase()));
                if let Err(why) = self.operation(path, method, (item, operation), &mut block) {
                    block.leave_out(why);
                }
                page.route(block);
            }
        }
    }

    fn operation(
        &mut self,
        path: &str,
        method: &str,
        (item, operation): (&'a Value, &'a Value),
        block: &mut Block,
    ) -> Result<(), String> {
        let server = self.server(item, operation, block)?;
        block.line("[[routes]]");
        if let Some(id) = operation.get("operationId").and_then(Value::as_str)
            && !id.trim().is_empty()
            && !self.names.iter().any(|name| name == id)
        {
            self.names.push(id.to_owned());
            block.text("name", id);
        }
        block.text("path", &pattern(&format!("{}{path}", server.1)));
        block.line(format!(
            "methods = [{}]",
            quoted(&method.to_ascii_uppercase())
        ));
        if operation.get("callbacks").is_some() {
            block.note("`callbacks`: what the service calls is no route");
        }
        if self.mock {
            mock::write(self.document, operation, block);
            return Ok(());
        }
        let security = operation
            .get("security")
            .or_else(|| self.document.0.get("security"));
        let demands = match security {
            Some(security) => self.schemes.read(self.document, security, block),
            None => Demands::default(),
        };
        block.texts("auth", &demands.auth);
        if let Some(allow) = &demands.allow {
            block.text("allow", allow);
        }
        block.text("upstream", &server.0);
        Ok(())
    }

    /// The upstream of an operation, and the path that stands before its own.
    fn server(
        &mut self,
        item: &'a Value,
        operation: &'a Value,
        block: &mut Block,
    ) -> Result<(String, String), String> {
        let of = |value: &'a Value| {
            let list = value.get("servers").and_then(Value::as_array);
            list.filter(|list| !list.is_empty())
        };
        let servers = of(operation)
            .or_else(|| of(item))
            .or_else(|| of(self.document.0));
        let first = servers.and_then(|list| list.first());
        let url = first.map_or_else(|| "/".to_owned(), address);
        if servers.is_some_and(|list| list.len() > 1) && !self.mock {
            block.note("other servers of the document are not called: an upstream's endpoints must serve the same");
        }
        if self.mock {
            // Only the path counts: nothing is called.
            let path = match url.split_once("://") {
                Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
                None => &url,
            };
            let path = path.trim_matches('/');
            let base = if path.is_empty() {
                String::new()
            } else {
                format!("/{path}")
            };
            return Ok((String::new(), base));
        }
        if url.contains("://") {
            return self.upstreams.find(&[url]);
        }
        block.note("the document names no host: say in `endpoints` where the service is");
        self.upstreams
            .find(&[format!("{NO_SERVER}/{}", url.trim_start_matches('/'))])
    }
}

/// The URL of a server, its variables at their defaults.
fn address(server: &Value) -> String {
    let mut url = server
        .get("url")
        .and_then(Value::as_str)
        .unwrap_or("/")
        .to_owned();
    let variables = server.get("variables").and_then(Value::as_object);
    for (name, variable) in variables.into_iter().flatten().take(VARIABLES_MAX) {
        let default = variable
            .get("default")
            .and_then(Value::as_str)
            .unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
    }
    url
}

/// A path of ours: parameters have names that expressions can read.
fn pattern(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let name = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match name {
            Some(name) if is_name(name) => segment.to_owned(),
            Some(name) if !name.contains(['{', '}']) => {
                format!("{{{}}}", cel::name(name, "parameter"))
            }
            _ => segment.to_owned(),
        }
    });
    let pattern: Vec<String> = segments.collect();
    pattern.join("/")
}
