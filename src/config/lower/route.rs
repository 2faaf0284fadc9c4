//! Routes: which requests, and what is done with them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::{Method, StatusCode};

use super::Lowering;
use super::guard::LimitUse;
use crate::config::keys::Named;
use crate::config::reader::Reader;
use crate::config::scalars;
use crate::config::source::Place;
use crate::config::spec::{ActionSpec, RespondBody, RouteSpec};
use crate::config::written::{Entry, Node, Text, Value};
use crate::expression::{self, Expression, Names, PathName, Template};
use crate::guard::GuardSpec;
use crate::orchestrate::OnErrorSpec;
use crate::route::{self, HostPattern, PathPattern, Table};

/// The routes, and what they use.
#[derive(Default)]
pub(super) struct Routes {
    pub(super) specs: Vec<RouteSpec>,
    /// By place in the list of limits.
    pub(super) limit_uses: Vec<LimitUse>,
    /// Every parameter of every path.
    pub(super) parameters: Vec<PathName>,
    /// What tells routes apart, and where each stands. Routes with mistakes may be left out.
    entries: Vec<route::Entry>,
    places: Vec<Place>,
    names: RouteNames,
}

/// The names of routes so far.
#[derive(Default)]
struct RouteNames {
    taken: HashMap<String, Place>,
    /// The next number behind a name that several would have.
    numbers: HashMap<String, usize>,
}

impl RouteNames {
    /// `name`, or it with a number that nobody has.
    fn free(&mut self, name: String) -> String {
        if !self.taken.contains_key(&name) {
            return name;
        }
        let number = self.numbers.entry(name.clone()).or_insert(2);
        loop {
            let numbered = format!("{name} #{number}");
            *number += 1;
            if !self.taken.contains_key(&numbered) {
                return numbered;
            }
        }
    }
}

/// What the actions of one route can read and where.
pub(super) struct Scene<'n> {
    pub(super) path: &'n [PathName],
    /// The route has `auth`.
    pub(super) caller: bool,
}

impl<'n> Scene<'n> {
    /// What can be read of the head of a request.
    pub(super) fn head(&self) -> Names<'n> {
        Names {
            path: self.path,
            caller: self.caller,
            ..Names::default()
        }
    }
}

impl<'a> Lowering<'a> {
    pub(super) fn routes(&mut self, tables: &[Reader<'a>]) -> Routes {
        let mut routes = Routes {
            limit_uses: vec![LimitUse::default(); self.limits.names.len()],
            specs: Vec::with_capacity(tables.len()),
            entries: Vec::with_capacity(tables.len()),
            places: Vec::with_capacity(tables.len()),
            names: RouteNames {
                taken: HashMap::with_capacity(tables.len()),
                ..RouteNames::default()
            },
            ..Routes::default()
        };
        for &table in tables {
            self.route(table, &mut routes);
        }
        routes
    }

    fn route(&mut self, table: Reader<'a>, routes: &mut Routes) {
        // Without a path nothing else can be said about it, but its names can still be looked up.
        let pattern = PathPattern::parse(table.word("path")).ok();
        let path = path_names(pattern.as_ref());
        let scene = Scene {
            path: &path,
            caller: table.entry("auth").is_some(),
        };
        let when = self.route_condition(table, &scene);
        let guard = self.guard(table, &scene);
        for &limit in &guard.limits {
            if let Some(used) = routes.limit_uses.get_mut(limit)
                && guard.authenticators.is_empty()
            {
                used.without_auth.get_or_insert(table.place_of("limits"));
            }
        }
        self.plans.clear();
        let action = self.action(table, &scene);
        self.may_progress(table, action.as_ref());
        let hosts = self.hosts(table);
        let methods = self.methods(table);
        let headers = self.headers(table, "headers", &scene.head());
        let response_headers = self.headers(table, "response_headers", &scene.head());
        let on_error = self.on_error(table, &scene);
        let Some(pattern) = pattern else { return };
        routes.parameters.extend(path);
        let priority = table.integer("priority").unwrap_or_default();
        // What is left of lists with mistakes would meet conflicts that are none.
        let whole = table.list("methods").len() <= methods.len()
            && table.list("hosts").len() == hosts.len();
        if whole {
            let entry = route::Entry {
                pattern: pattern.clone(),
                hosts: hosts.clone(),
                methods: methods.clone(),
                conditional: table.node("when").is_some(),
                priority,
            };
            routes.entries.push(entry);
            routes.places.push(table.place_of("path"));
        }
        let name = self.route_name(table, &methods, &hosts, &pattern, &mut routes.names);
        let Some(action) = action else { return };
        routes.specs.push(RouteSpec {
            name,
            hosts,
            pattern,
            methods,
            when,
            priority,
            guard,
            action,
            timeout: table.duration("timeout").unwrap_or_default(),
            headers,
            remove_headers: table
                .words("remove_headers")
                .into_iter()
                .filter_map(|name| scalars::header(name).ok())
                .collect(),
            response_headers,
            on_error,
            intake: self.intake(table),
            body_bytes: table
                .node("body_bytes")
                .and_then(|_| table.size("body_bytes")),
            progressive: table.boolean("progressive"),
        });
    }

    /// The route's `when`, which is asked before anybody is known.
    fn route_condition(&mut self, table: Reader<'a>, scene: &Scene<'_>) -> Option<Arc<Expression>> {
        let names = Names {
            path: scene.path,
            ..Names::default()
        };
        let before = self.findings.count();
        let when = self.condition(table.node("when")?, &names);
        self.findings.help_since(
            before,
            "`when` finds the route, before anybody is known: ask in `allow`",
            |message| message.contains("`caller`") || message.contains("`claims`"),
        );
        when
    }

    fn guard(&mut self, table: Reader<'a>, scene: &Scene<'_>) -> GuardSpec {
        let allow = table.node("allow");
        GuardSpec {
            authenticators: self.resolve_all(table, "auth", Named::Authenticator),
            allow: allow.and_then(|node| {
                let before = self.findings.count();
                let allow = self.condition(node, &scene.head());
                if !scene.caller {
                    self.findings.help_since(
                        before,
                        "the route has no `auth`, so nobody is known: add `auth = \"...\"`",
                        |message| message.contains("`caller`") || message.contains("`claims`"),
                    );
                }
                allow
            }),
            limits: self.resolve_all(table, "limits", Named::Limit),
            ip_allow: Self::networks(table, "ip_allow"),
            ip_deny: Self::networks(table, "ip_deny"),
        }
    }

    fn action(&mut self, table: Reader<'a>, scene: &Scene<'_>) -> Option<ActionSpec> {
        if let Some(node) = table.node("upstream") {
            let upstream = self.resolve(node, Named::Upstream);
            let rewrite = table.node("rewrite").and_then(|node| {
                self.starts_with_slash(node);
                self.template(node, 0, expression::Place::Target, &scene.head())
            });
            return Some(ActionSpec::Proxy {
                upstream: upstream?,
                rewrite,
            });
        }
        if table.entry("steps").is_some() {
            let name = table.word("path");
            let flow = self.flow(name, table, scene)?;
            return Some(ActionSpec::Flow(Box::new(flow)));
        }
        if let Some(node) = table.node("flow") {
            let flow = self.named_flow(node, scene)?;
            return Some(ActionSpec::Flow(Box::new(flow)));
        }
        if let Some(respond) = table.given("respond") {
            return Some(self.respond(respond, scene));
        }
        self.redirect(table, scene)
    }

    fn on_error(&mut self, table: Reader<'a>, scene: &Scene<'_>) -> Vec<OnErrorSpec> {
        let names = Names {
            error: true,
            ..scene.head()
        };
        let mut rules = Vec::new();
        for rule in table.tables("on_error") {
            let status = Self::status(rule, "status");
            let body = rule.node("body");
            if body.is_some() {
                self.may_have_a_body(status, rule);
            }
            rules.push(OnErrorSpec {
                when: rule
                    .node("when")
                    .and_then(|node| self.condition(node, &names)),
                status,
                headers: self.headers(rule, "headers", &names),
                body: body.and_then(|node| self.expression(node, &names)),
            });
        }
        rules
    }

    /// What is sent in parts is made of parts, under a head that is sent before them.
    fn may_progress(&mut self, table: Reader<'a>, action: Option<&ActionSpec>) {
        let (true, Some(ActionSpec::Flow(flow))) = (table.boolean("progressive"), action) else {
            return;
        };
        let place = table.place_of("progressive");
        if !flow.may_progress() {
            self.mistake(place, "the answer of this flow is not made of parts that could be sent one by one")
                .help("let `response.body` be a map with its keys written out, `{'a': steps.a.body}`, or leave it and `merge` out");
        }
        if let Some(rule) = flow.response.forward.first() {
            let name = &rule.name;
            self.mistake(place, format!("the header `{name}` of a part is not there yet when the head of the response is sent"))
                .help("remove `forward`, or `progressive`");
        }
        for (name, template) in &flow.response.headers {
            let reads = template.reads();
            if !reads.steps.is_empty() || reads.body {
                self.mistake(place, format!("the header `{name}` of the response reads what is not there yet when its head is sent"))
                    .help("let the header read the head of the request only, or put what it says into the body");
            }
        }
    }

    /// RFC 9110, 6.4.1: some statuses have no content.
    fn may_have_a_body(&mut self, status: Option<StatusCode>, table: Reader<'a>) {
        if let Some(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) = status {
            self.mistake(
                table.place_of("status"),
                format!("a {} has no body", status.as_u16()),
            )
            .help("remove the body, or take another status");
        }
    }

    fn respond(&mut self, respond: Reader<'a>, scene: &Scene<'_>) -> ActionSpec {
        let mut headers = self.headers(respond, "headers", &scene.head());
        let body = match (respond.node("body"), respond.text("text")) {
            (Some(node), _) => self
                .expression(node, &scene.head())
                .map_or(RespondBody::Nothing, RespondBody::Json),
            (None, Some(text)) => RespondBody::Text(text.as_str().to_owned()),
            (None, None) => RespondBody::Nothing,
        };
        let kind = match body {
            RespondBody::Nothing => None,
            RespondBody::Text(_) => Some("text/plain; charset=utf-8"),
            RespondBody::Json(_) => Some("application/json"),
        };
        if let Some(kind) = kind
            && !headers.iter().any(|(name, _)| name == "content-type")
            && let Ok(kind) = Template::compile(kind, expression::Place::Header, &Names::default())
        {
            headers.push(("content-type".to_owned(), kind));
        }
        let status = Self::status(respond, "status").unwrap_or(StatusCode::OK);
        if !matches!(body, RespondBody::Nothing) {
            self.may_have_a_body(Some(status), respond);
        }
        ActionSpec::Respond {
            status,
            headers,
            body,
        }
    }

    fn redirect(&mut self, table: Reader<'a>, scene: &Scene<'_>) -> Option<ActionSpec> {
        let node = table.node("redirect")?;
        let (node, status) = match &node.value {
            Value::Table(_) => {
                let redirect = table.section("redirect");
                (redirect.node("to")?, Self::status(redirect, "status")?)
            }
            _ => (node, StatusCode::TEMPORARY_REDIRECT),
        };
        let text = node.text()?.as_str();
        if !["/", "http://", "https://", "{"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            self.mistake(node.place, "a redirect leads to a path or a URL")
                .help("start with `/`, `https://` or `http://`");
        }
        Some(ActionSpec::Redirect {
            status,
            location: self.template(node, 0, expression::Place::Target, &scene.head())?,
        })
    }

    /// A status as written, else by default.
    pub(super) fn status(reader: Reader<'a>, key: &str) -> Option<StatusCode> {
        StatusCode::from_u16(reader.count(key)?).ok()
    }

    fn starts_with_slash(&mut self, node: &Node) {
        let text = node.text().map(Text::shown).unwrap_or_default();
        if !text.starts_with('/') && !text.starts_with("${") {
            let help = format!("did you mean `/{text}`?");
            self.mistake(node.place, "a rewritten path starts with `/`")
                .help(help);
        }
    }

    fn hosts(&mut self, table: Reader<'a>) -> Vec<HostPattern> {
        let mut hosts = Vec::new();
        for node in table.list("hosts") {
            let Some(Ok(host)) = node.text().map(|text| HostPattern::parse(text.as_str())) else {
                continue;
            };
            if hosts.contains(&host) {
                self.mistake(node.place, "this host stands twice")
                    .help("remove one of them");
            } else {
                hosts.push(host);
            }
        }
        hosts
    }

    /// The methods as written; of a flow without, GET where it only reads and POST where it writes.
    fn methods(&mut self, table: Reader<'a>) -> Vec<Method> {
        let mut methods = Vec::new();
        for node in table.list("methods") {
            let Some(Ok(method)) = node.text().map(|text| scalars::method(text.as_str())) else {
                continue;
            };
            if methods.contains(&method) {
                self.mistake(node.place, format!("`{method}` stands twice"))
                    .help("remove one of them");
            } else {
                methods.push(method);
            }
        }
        if table.entry("methods").is_some() {
            return methods;
        }
        let flow = if table.entry("steps").is_some() {
            Some(table)
        } else {
            self.flows.get(table.word("flow")).copied()
        };
        match flow {
            None => Vec::new(),
            Some(flow) if self.writes(flow, &mut HashSet::new()) => vec![Method::POST],
            Some(_) => vec![Method::GET],
        }
    }

    /// Whether a call of the flow's steps writes, also within other flows: not GET, HEAD or OPTIONS.
    fn writes(&self, flow: Reader<'a>, seen: &mut HashSet<&'a str>) -> bool {
        flow.named("steps").iter().any(|(_, step)| {
            let call = scalars::call(step.word("call"));
            let inner = step.word("flow");
            call.is_ok_and(|call| !call.method.is_safe())
                || seen.insert(inner)
                    && self
                        .flows
                        .get(inner)
                        .is_some_and(|flow| self.writes(*flow, seen))
        })
    }

    /// Headers with their templates, names in lower case.
    pub(super) fn headers(
        &mut self,
        table: Reader<'a>,
        key: &str,
        names: &Names<'_>,
    ) -> Vec<(String, Template)> {
        let mut headers = Vec::new();
        for Entry { key, node, .. } in table.entries(key) {
            let template = self.template(node, 0, expression::Place::Header, names);
            if let (Ok(name), Some(template)) = (scalars::header(key), template) {
                headers.push((name, template));
            }
        }
        headers
    }

    /// The name as given, else methods, host and path; a number behind what was taken.
    fn route_name(
        &mut self,
        table: Reader<'a>,
        methods: &[Method],
        hosts: &[HostPattern],
        pattern: &PathPattern,
        names: &mut RouteNames,
    ) -> String {
        let place = table.place_of("name");
        if let Some(name) = table.text("name") {
            let name = name.as_str().to_owned();
            if let Some(&other) = names.taken.get(&name) {
                self.mistake(place, format!("two routes are called `{name}`"))
                    .related(other, "the other")
                    .help("give one of them another name");
            }
            names.taken.insert(name.clone(), place);
            return name;
        }
        let mut name = String::new();
        for (at, method) in methods.iter().enumerate() {
            name.push_str(if at == 0 { "" } else { "," });
            name.push_str(method.as_str());
        }
        if !name.is_empty() {
            name.push(' ');
        }
        if let Some(host) = hosts.first() {
            name.push_str(&host.to_string());
        }
        name.push_str(pattern.as_str());
        let name = names.free(name);
        names.taken.insert(name.clone(), place);
        name
    }

    /// The table of the routes, once all are known; two that no request can tell apart are a
    /// mistake.
    pub(super) fn table(&mut self, routes: &mut Routes) -> Table {
        let conflicts = match Table::build(std::mem::take(&mut routes.entries)) {
            Ok(table) => return table,
            Err(conflicts) => conflicts,
        };
        for conflict in conflicts {
            let (Some(&first), Some(&second)) = (
                routes.places.get(conflict.first),
                routes.places.get(conflict.second),
            ) else {
                continue;
            };
            self.mistake(second, "no request can tell this route from another")
                .related(first, "the other")
                .help("give one of them other `methods`, `hosts`, a `when` or a `priority`, or remove it");
        }
        Table::default()
    }
}

/// What expressions may read of the path.
fn path_names(pattern: Option<&PathPattern>) -> Vec<PathName> {
    pattern
        .iter()
        .flat_map(|pattern| pattern.parameters())
        .map(|(name, tail)| PathName {
            name: name.to_owned(),
            tail,
        })
        .collect()
}
