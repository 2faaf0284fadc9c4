//! One backend of an endpoint: where it is called, with what, and what becomes of its answer.

use serde_json::Value;

use super::conditions::{self, Conditions};
use super::endpoint::Surroundings;
use crate::cli::import::cel;
use crate::cli::import::fields::Fields;
use crate::cli::import::page::{Block, excerpt};
use crate::cli::import::upstreams::Upstreams;

/// A backend, read.
#[derive(Debug, Default)]
pub(super) struct Backend<'a> {
    /// The name of its step.
    pub(super) step: String,
    pub(super) upstream: String,
    /// A path that all its hosts have in front.
    pub(super) base: String,
    pub(super) method: String,
    pub(super) url_pattern: &'a str,
    pub(super) timeout: Option<&'a str>,
    /// The answer is a list.
    pub(super) collection: bool,
    /// The answer may be an object, a list or anything else.
    pub(super) safe: bool,
    /// The answer is not looked into.
    pub(super) raw: bool,
    pub(super) group: Option<String>,
    pub(super) target: Vec<String>,
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
    /// Old name and new name.
    pub(super) mapping: Vec<(String, String)>,
    /// What must be true of the request, or it is not called.
    pub(super) when: Option<String>,
    /// Header fields that it is sent, as templates.
    pub(super) headers: Vec<(String, String)>,
    /// Most calls in a period, of the whole gateway.
    pub(super) rate: Option<Fields<'a>>,
    /// It is called beside the others, and its answer is not used.
    pub(super) shadow: bool,
}

/// Parts of `extra_config` that change what is called, so that a call without them is another.
const NOT_HTTP: [&str; 10] = [
    "backend/amqp/consumer",
    "backend/amqp/producer",
    "backend/graphql",
    "backend/grpc",
    "backend/lambda",
    "backend/pubsub/publisher",
    "backend/pubsub/subscriber",
    "backend/soap",
    "backend/static-filesystem",
    "backend/conditional",
];

impl<'a> Backend<'a> {
    /// Reads it; the error says why its endpoint cannot be carried over.
    pub(super) fn read(
        value: &'a Value,
        around: &Surroundings<'_, 'a>,
        upstreams: &mut Upstreams,
        block: &mut Block,
    ) -> Result<Self, String> {
        let fields = Fields::new(Some(value));
        let mut hosts = fields.texts("host");
        if hosts.is_empty() {
            hosts = around.hosts.to_vec();
        }
        let url_pattern = fields.text("url_pattern").unwrap_or("/");
        let mut backend = Self {
            step: String::new(),
            method: fields
                .text("method")
                .unwrap_or(around.method)
                .to_ascii_uppercase(),
            url_pattern,
            timeout: fields.text("timeout"),
            collection: fields.flag("is_collection"),
            group: fields
                .text("group")
                .filter(|it| !it.is_empty())
                .map(str::to_owned),
            allow: fields.texts("allow"),
            deny: fields.texts("deny"),
            ..Self::default()
        };
        let target = fields.text("target").unwrap_or_default();
        backend.target = target
            .split('.')
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect();
        if let Some(mapping) = fields.object("mapping") {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            backend.mapping = mapping
                .all()
                .filter_map(|(from, to)| Some((from.to_owned(), text(to)?)))
                .collect();
        }
        backend.encoding(fields.text("encoding").unwrap_or("json"), block)?;
        backend.extra(&fields, around, block)?;
        if fields.text("sd").is_some_and(|sd| sd == "dns") {
            block.note("`sd: dns`: the names are looked up as addresses, SRV records are not asked for; write the ports");
        }
        fields.skip(&["sd", "sd_scheme", "disable_host_sanitize", "max_rate"]);
        let (upstream, base) = upstreams.find(&hosts)?;
        backend.upstream = upstream;
        backend.base = base;
        for name in fields.rest() {
            block.note(format!(
                "the backend's {} is not carried over",
                excerpt(name)
            ));
        }
        Ok(backend)
    }

    /// A name for its step, unlike those of the steps before.
    pub(super) fn name(&mut self, earlier: &[Self]) {
        let words = self
            .url_pattern
            .split('?')
            .next()
            .unwrap_or_default()
            .split('/');
        let word = words
            .rev()
            .filter(|word| !word.contains(['{', '*']))
            .map(|word| cel::name(word.split('.').next().unwrap_or_default(), ""))
            .find(|word| !word.is_empty())
            .unwrap_or_else(|| "backend".to_owned());
        let name = match &self.group {
            Some(group) => cel::name(group, &word),
            None => word,
        };
        let is_taken = |name: &str| earlier.iter().any(|other| other.step == name);
        self.step = cel::unused(&name, '_', is_taken);
    }

    /// Whether the client's body goes to it, as KrakenD sends it with these methods.
    pub(super) fn sends_body(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
    }

    /// Whether it leaves something else behind when it is called again.
    pub(super) fn is_write(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PATCH")
    }

    fn encoding(&mut self, encoding: &str, block: &mut Block) -> Result<(), String> {
        match encoding {
            "" | "json" | "fast-json" => {}
            "safejson" => self.safe = !self.collection,
            "no-op" => self.raw = true,
            "string" | "xml" | "rss" | "yaml" => {
                self.raw = true;
                block.note(format!(
                    "encoding `{encoding}`: steps read JSON only, so the answer is passed on as it comes"
                ));
            }
            other => return Err(format!("the encoding {} is not known", excerpt(other))),
        }
        Ok(())
    }

    fn extra(
        &mut self,
        fields: &Fields<'a>,
        around: &Surroundings<'_, 'a>,
        block: &mut Block,
    ) -> Result<(), String> {
        let Some(extra) = fields.object("extra_config") else {
            return Ok(());
        };
        if let Some(not) = NOT_HTTP.iter().find(|name| extra.value(name).is_some()) {
            return Err(format!("`{not}` is no plain HTTP call"));
        }
        if let Some(proxy) = extra.object("proxy") {
            self.shadow = proxy.flag("shadow");
            if proxy.value("flatmap_filter").is_some() {
                block.note("the backend's `flatmap_filter` is not carried over: say it in `response.body`, with `map`, `pick`, `omit` and `flatten`");
            }
            for name in proxy.rest() {
                block.note(format!(
                    "the backend's `proxy` {} is not carried over",
                    excerpt(name)
                ));
            }
        }
        self.rate = extra.object("qos/ratelimit/proxy");
        if let Some(http) = extra.object("backend/http") {
            if http.value("return_error_details").is_some() {
                block.note("`return_error_details`: a failure is not put into a 200; the problem names the step, and upstream bodies never leave the gateway");
            }
            if http.value("return_error_code").is_some() {
                block.note("`return_error_code`: 400, 404, 409, 410, 412, 415 and 422 of a step reach the client as they are; any other is 502");
            }
            for name in http.rest() {
                block.note(format!(
                    "`backend/http` {} is not carried over",
                    excerpt(name)
                ));
            }
        }
        if let Some(list) = extra.value("validation/cel") {
            let Conditions { request, later } = conditions::read(list, &around.parameters);
            self.when = (!request.is_empty()).then(|| request.join(" && "));
            if self.when.is_some() {
                block.note("`validation/cel` of a backend: where it is false the step is skipped, and the answer lacks its part");
            }
            if later > 0 {
                block.note("`validation/cel` on the answer of a backend is not carried over: say it in `response.body`");
            }
        }
        if let Some(martian) = extra.value("modifier/martian") {
            self.martian(martian, block);
        }
        for name in extra.rest() {
            block.note(super::remarks::backend(name));
        }
        Ok(())
    }

    /// Header fields that are set towards the backend; other modifiers are said not to be carried.
    fn martian(&mut self, value: &Value, block: &mut Block) {
        let Some((kind, inner)) = value.as_object().and_then(|map| map.iter().next()) else {
            return;
        };
        let inner = Fields::new(Some(inner));
        let to_backend = inner.texts("scope").iter().any(|scope| scope == "request");
        match (kind.as_str(), inner.text("name"), inner.text("value")) {
            ("header.Modifier", Some(name), Some(value)) if to_backend => {
                let template = crate::cli::import::page::literal(value);
                self.headers.push((name.to_ascii_lowercase(), template));
            }
            // A group within a group is not followed: nothing is, further than this.
            ("fifo.Group", _, _) if !inner.objects("modifiers").is_empty() => {
                for modifier in inner.objects("modifiers") {
                    let is_group = modifier.get("fifo.Group").is_some();
                    if is_group {
                        block
                            .note("`modifier/martian`: a group within a group is not carried over");
                    } else {
                        self.martian(modifier, block);
                    }
                }
            }
            (kind, _, _) => {
                block.note(format!(
                    "`modifier/martian` {} is not carried over",
                    excerpt(kind)
                ));
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A backend of these fields, whose step is `s`.
    pub(in crate::cli::import::krakend) fn backend(fields: &Value) -> Backend<'_> {
        let hosts = ["http://one.example".to_owned()];
        let around = Surroundings {
            method: "GET",
            hosts: &hosts,
            parameters: vec!["id".to_owned()],
        };
        let mut upstreams = Upstreams::default();
        let mut backend =
            Backend::read(fields, &around, &mut upstreams, &mut Block::new("")).unwrap();
        backend.name(&[]);
        backend.step = "s".to_owned();
        backend
    }

    #[test]
    fn steps_are_named_by_group_or_by_the_last_word_of_the_path() {
        let named = |fields: Value, earlier: &[Backend<'_>]| {
            let mut one = backend(&fields);
            one.name(earlier);
            one.step
        };
        assert_eq!(
            named(json!({"url_pattern": "/users/{id}/repos.json?x=/y"}), &[]),
            "repos"
        );
        assert_eq!(
            named(json!({"url_pattern": "/{id}", "group": "my-group"}), &[]),
            "my_group"
        );
        assert_eq!(named(json!({"url_pattern": "/{id}"}), &[]), "backend");
        let nothing = json!({});
        let earlier = [backend(&nothing)];
        assert_eq!(named(json!({"group": "s"}), &earlier), "s_2");
    }

    #[test]
    fn fixed_header_fields_are_text() {
        let fields = json!({"extra_config": {"modifier/martian": {"fifo.Group": {"scope": ["request"], "modifiers": [
            {"header.Modifier": {"scope": ["request"], "name": "X-A", "value": "{a}"}},
            {"header.Modifier": {"scope": ["response"], "name": "X-B", "value": "b"}}
        ]}}}});
        assert_eq!(
            backend(&fields).headers,
            [("x-a".to_owned(), "{{a}}".to_owned())]
        );
    }
}
