//! Flows: steps and the response made of them.

use std::sync::Arc;

use super::Lowering;
use super::route::{Routes, Scene};
use crate::config::keys::Named;
use crate::config::reader::Reader;
use crate::config::scalars;
use crate::config::source::Place;
use crate::config::units;
use crate::config::written::{Entry, Node, Reading};
use crate::decode::Format;
use crate::expression::{self, Names, PathName, Variable, suggest};
use crate::orchestrate::{
    BodySpec, CacheSpec, CallSpec, FlowSpec, FlowStep, ForeachSpec, Merge, OnConflict, Plan,
    ResponseSpec, StatusRange, StepKind, StepSpec, WaitSpec,
};

/// Flows within each other at most.
const FLOWS_MAX: usize = 8;

impl<'a> Lowering<'a> {
    /// The flow that a route names.
    pub(super) fn named_flow(&mut self, node: &Node, scene: &Scene<'_>) -> Option<FlowSpec> {
        let (name, flow) = self.find_flow(node)?;
        let before = self.findings.count();
        let spec = self.flow(name, flow, scene);
        self.findings
            .relate_since(before, node.place, "for this route");
        spec
    }

    fn find_flow(&mut self, node: &Node) -> Option<(&'a str, Reader<'a>)> {
        let text = node.text()?;
        let Some((&name, &flow)) = self.flows.get_key_value(text.as_str()) else {
            let close = suggest(text.as_str(), self.flows.keys().copied()).map(str::to_owned);
            self.unknown(node.place, Named::Flow, text.shown(), close.as_deref());
            return None;
        };
        self.used_flows.insert(name);
        Some((name, flow))
    }

    /// The flow that a step names, planned once for a route however many steps use it.
    fn inner_flow(&mut self, node: &Node, scene: &Scene<'_>) -> Option<(&'a str, Arc<Plan>)> {
        let (name, flow) = self.find_flow(node)?;
        if let Some(plan) = self.plans.get(name) {
            return plan.clone().map(|plan| (name, plan));
        }
        if self.within.contains(&name) || self.within.len() >= FLOWS_MAX {
            let round = self.within.contains(&name);
            let path: Vec<_> = self.within.iter().map(|name| format!("`{name}`")).collect();
            let path = path.join(" uses ");
            let message = if round {
                format!("flows go round in circles: {path} uses `{name}`")
            } else {
                format!("flows within each other, more than {FLOWS_MAX} deep")
            };
            self.mistake(node.place, message)
                .help("let one of them do without the other");
            return None;
        }
        let plan = self.plan(name, flow, scene).map(Arc::new);
        self.plans.insert(name, plan.clone());
        plan.map(|plan| (name, plan))
    }

    /// Flows that no route uses are checked all the same, as if a route had every parameter.
    pub(super) fn unused_flows(&mut self, routes: &Routes) {
        let mut unused: Vec<(&str, Reader<'a>)> = self
            .flows
            .iter()
            .map(|(&name, &flow)| (name, flow))
            .filter(|(name, _)| !self.used_flows.contains(name))
            .collect();
        unused.sort_by_key(|(_, flow)| flow.place());
        let mut path: Vec<PathName> = Vec::new();
        for parameter in &routes.parameters {
            if !path.iter().any(|known| known.name == parameter.name) {
                path.push(parameter.clone());
            }
        }
        for (name, flow) in unused {
            self.plans.clear();
            let scene = Scene {
                path: &path,
                caller: true,
            };
            drop(self.flow(name, flow, &scene));
        }
    }

    /// A flow of a table with `steps` and `response`, for a route that can read what `scene` says.
    pub(super) fn flow(
        &mut self,
        name: &'a str,
        table: Reader<'a>,
        scene: &Scene<'_>,
    ) -> Option<FlowSpec> {
        self.plan(name, table, scene)
            .map(|plan| plan.spec().clone())
    }

    fn plan(&mut self, name: &'a str, table: Reader<'a>, scene: &Scene<'_>) -> Option<Plan> {
        let before = self.findings.count();
        let tables = table.named("steps");
        let names: Vec<String> = tables.iter().map(|(entry, _)| entry.key.clone()).collect();
        let readable = Names {
            steps: &names,
            body: true,
            ..scene.head()
        };
        self.within.push(name);
        let steps: Vec<Option<StepSpec>> = tables
            .iter()
            .map(|(entry, step)| self.step(&entry.key, *step, scene, &readable))
            .collect();
        self.within.pop();
        let response = self.response(table.section("response"), &readable);
        if !scene.caller {
            self.findings.help_since(
                before,
                "the route has no `auth`, so nobody is known: add `auth = \"...\"`",
                |message| message.contains("`caller`") || message.contains("`claims`"),
            );
        }
        // The graph of some of the steps would only show mistakes that are none.
        let steps: Vec<StepSpec> = steps.into_iter().collect::<Option<_>>()?;
        if self.findings.count() > before {
            return None;
        }
        let spec = FlowSpec {
            name: name.to_owned(),
            steps,
            response,
            part_bytes: table.size("part_bytes").unwrap_or_default(),
            partial_writes: table.word("partial_writes") == "accept",
        };
        // That there are no steps at all was told with the shape.
        table.entry("steps")?;
        self.must_plan(spec, table, &tables)
    }

    fn must_plan(
        &mut self,
        spec: FlowSpec,
        table: Reader<'a>,
        steps: &[(&'a Entry, Reader<'a>)],
    ) -> Option<Plan> {
        let mistakes = match Plan::new(spec) {
            Ok(plan) => return Some(plan),
            Err(mistakes) => mistakes,
        };
        for mistake in mistakes {
            let step = mistake.step.and_then(|step| steps.get(step));
            let place: Place = match step {
                Some((entry, _)) => entry.key_place,
                None => table
                    .entry("steps")
                    .map_or(table.place(), |entry| entry.key_place),
            };
            let help = mistake.kind.help();
            self.mistake(place, mistake.kind.to_string()).help(help);
        }
        None
    }

    fn step(
        &mut self,
        name: &str,
        table: Reader<'a>,
        scene: &Scene<'_>,
        names: &Names<'_>,
    ) -> Option<StepSpec> {
        let when = table
            .node("when")
            .and_then(|node| self.condition(node, names));
        let foreach = self.foreach(table, names);
        let names = &Names {
            item: table.entry("foreach").is_some(),
            ..*names
        };
        let kind = self.kind(name, table, scene, names);
        let default = table
            .node("default")
            .and_then(|node| self.expression(node, names));
        let after = self.steps_named(table, "after", names.steps);
        Some(StepSpec {
            name: name.to_owned(),
            kind: kind?,
            when,
            foreach,
            after,
            optional: table.boolean("optional"),
            default,
        })
    }

    fn foreach(&mut self, table: Reader<'a>, names: &Names<'_>) -> Option<ForeachSpec> {
        let items = self.expression(table.node("foreach")?, names)?;
        Some(ForeachSpec {
            items,
            concurrency: table.count("concurrency").unwrap_or(1),
            max_items: table.count("max_items").unwrap_or_default(),
            distinct: table.boolean("distinct"),
            chunk: table.count("chunk"),
        })
    }

    /// What the step does: exactly one of four.
    fn kind(
        &mut self,
        step: &str,
        table: Reader<'a>,
        scene: &Scene<'_>,
        names: &Names<'_>,
    ) -> Option<StepKind> {
        if let Some(node) = table.node("value") {
            return self.expression(node, names).map(StepKind::Value);
        }
        if let Some(node) = table.node("wait") {
            let wait = match units::duration(table.word("wait")) {
                Some(duration) => WaitSpec::For(duration),
                None => WaitSpec::Until(self.expression(node, names)?),
            };
            return Some(StepKind::Wait(wait));
        }
        if let Some(node) = table.node("flow") {
            let body = self.body(table, names);
            let (name, plan) = self.inner_flow(node, scene)?;
            return Some(StepKind::Flow(FlowStep {
                name: name.into(),
                plan,
                body,
                timeout: table.duration("timeout"),
            }));
        }
        self.call(step, table, names).map(StepKind::Call)
    }

    /// What a call sends, or what an inner flow reads as `body`.
    fn body(&mut self, table: Reader<'a>, names: &Names<'_>) -> BodySpec {
        let body = table
            .node("body")
            .and_then(|node| self.expression(node, names));
        match body {
            None => BodySpec::Nothing,
            Some(body) if body.variable() == Some(&Variable::Body) => BodySpec::Client,
            Some(body) => BodySpec::Json(body),
        }
    }

    /// The steps that a key names, each once.
    pub(super) fn steps_named(
        &mut self,
        table: Reader<'a>,
        key: &str,
        steps: &[String],
    ) -> Vec<usize> {
        let mut after = Vec::new();
        for node in table.list(key) {
            let Some(text) = node.text() else { continue };
            match steps.iter().position(|step| step == text.as_str()) {
                Some(step) if after.contains(&step) => {
                    self.mistake(node.place, format!("`{}` is named twice", text.shown()))
                        .help("name it once");
                }
                Some(step) => after.push(step),
                None if text.as_str().is_empty() => {}
                None => {
                    let known = steps.iter().map(String::as_str);
                    let close = suggest(text.as_str(), known);
                    self.unknown(node.place, Named::Step, text.shown(), close);
                }
            }
        }
        after
    }

    /// How what a call brings is kept: the short way says how long, the long way all of it.
    fn cache(&mut self, step: &str, table: Reader<'a>, names: &Names<'_>) -> Option<CacheSpec> {
        table.node("cache")?;
        let given = table.section("cache");
        let short = table.duration("cache");
        let flow = self.within.last().copied().unwrap_or_default();
        Some(CacheSpec {
            name: format!("{flow}.{step}").into(),
            ttl: short.or_else(|| given.duration("ttl")).unwrap_or_default(),
            stale_if_error: given.duration("stale_if_error").unwrap_or_default(),
            key: given
                .node("key")
                .and_then(|node| self.expression(node, names)),
            max_entries: given.count("max_entries").unwrap_or_default(),
            max_bytes: given
                .size("max_bytes")
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(usize::MAX),
            ignore_cache_control: given.boolean("ignore_cache_control"),
            read_only: given.boolean("read_only"),
        })
    }

    fn call(&mut self, step: &str, table: Reader<'a>, names: &Names<'_>) -> Option<CallSpec> {
        let target = self.call_text(table, names);
        let headers = self.headers(table, "headers", names);
        let mut query = Vec::new();
        for Entry { key, node, .. } in table.entries("query") {
            query.extend(
                self.expression(node, names)
                    .map(|value| (key.clone(), value)),
            );
        }
        let body = self.body(table, names);
        let forward = self.forward(table);
        let (method, upstream, upstream_name, target) = target?;
        Some(CallSpec {
            method,
            upstream,
            upstream_name,
            target,
            headers,
            query,
            body,
            forward,
            accept: table
                .words("accept")
                .into_iter()
                .filter_map(StatusRange::parse)
                .collect(),
            decode: match table.word("decode") {
                "xml" => Format::Xml,
                _ => Format::Json,
            },
            timeout: table.duration("timeout"),
            retry: table
                .given("retry")
                .map(|retry| Arc::new(Self::retry(retry))),
            hedge: table.duration("hedge"),
            cache: self.cache(step, table, names).map(Arc::new),
        })
    }

    fn forward(&mut self, table: Reader<'a>) -> Vec<String> {
        let names = table.list("forward").iter();
        names.filter_map(|node| self.settable(node)).collect()
    }

    /// Method, upstream and target of a `call`.
    fn call_text(
        &mut self,
        table: Reader<'a>,
        names: &Names<'_>,
    ) -> Option<(http::Method, usize, Arc<str>, expression::Template)> {
        let node = table.node("call")?;
        let filled = node.text()?.fill(Reading::Template);
        let call = match scalars::call(&filled.text) {
            Ok(call) => call,
            Err((at, refused)) => {
                let place = self.inside(node, &filled, at);
                self.mistake(place, refused.message)
                    .maybe_help(refused.help);
                return None;
            }
        };
        let template = self.template(node, call.target_at, expression::Place::Target, names);
        let Some(&upstream) = self.upstreams.places.get(call.upstream) else {
            let at = call.upstream_at..call.upstream_at + call.upstream.len();
            let place = self.inside(node, &filled, at);
            let known = self.upstreams.names.iter().copied();
            let close = suggest(call.upstream, known).map(str::to_owned);
            self.unknown(place, Named::Upstream, call.upstream, close.as_deref());
            return None;
        };
        Some((call.method, upstream, call.upstream.into(), template?))
    }

    fn response(&mut self, table: Reader<'a>, names: &Names<'_>) -> ResponseSpec {
        if let Some(conflict) = table.entry("on_conflict")
            && !matches!(table.word("merge"), "flatten" | "deep")
        {
            let place = conflict.key_place;
            self.mistake(
                place,
                "`on_conflict` is for `merge = \"flatten\"` and `\"deep\"`",
            )
            .help("remove it: nothing else can conflict");
        }
        ResponseSpec {
            status: table
                .node("status")
                .and_then(|_| Self::status(table, "status")),
            headers: self.headers(table, "headers", names),
            forward: self.forward_to_client(table, names.steps),
            body: table
                .node("body")
                .and_then(|node| self.expression(node, names)),
            merge: match table.word("merge") {
                "flatten" => Merge::Flatten,
                "deep" => Merge::Deep,
                "concat" => Merge::Concat,
                "first" => Merge::First,
                _ => Merge::Nest,
            },
            on_conflict: match table.word("on_conflict") {
                "first" => OnConflict::First,
                "last" => OnConflict::Last,
                _ => OnConflict::Error,
            },
        }
    }
}
