//! `concertina graph`: the flows of a file as drawings, for Mermaid, Graphviz and browsers.

mod layout;
mod svg;

use std::fmt::{self, Display, Write as _};

use super::arguments::{GraphArguments, GraphFormat};
use super::explain::plan::{self, PlanText};
use super::{Failure, output};
use crate::config::{self, ActionSpec, GatewaySpec};
use crate::expression::suggest;
use crate::orchestrate::{FlowSpec, StepKind};

/// Why there is no graph.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error("no route of the file has a flow")]
    NoFlows,
    #[error("no route uses a flow called `{asked}`{}", match .close {
        Some(close) => format!("; did you mean `{close}`?"),
        None => String::new(),
    })]
    Unknown {
        asked: String,
        close: Option<String>,
    },
}

/// A flow as it is drawn.
struct Drawing {
    title: String,
    /// The steps; the response last.
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// A step, or the response.
struct Node {
    kind: Kind,
    /// What it shows, its name first.
    lines: Vec<String>,
    optional: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Call,
    Value,
    Flow,
    Wait,
    Response,
}

/// One node waits for another.
struct Edge {
    from: usize,
    to: usize,
    because: String,
}

pub(super) fn graph(arguments: &GraphArguments) -> Result<(), Failure> {
    let spec = config::load(&arguments.file).map_err(Failure::Mistakes)?;
    let mut drawings = drawings(&spec);
    if drawings.is_empty() {
        return Err(GraphError::NoFlows.into());
    }
    if let Some(asked) = &arguments.flow {
        if !drawings.iter().any(|drawing| drawing.title == *asked) {
            let known = drawings.iter().map(|drawing| drawing.title.as_str());
            return Err(GraphError::Unknown {
                asked: asked.clone(),
                close: suggest(asked, known).map(str::to_owned),
            }
            .into());
        }
        drawings.retain(|drawing| drawing.title == *asked);
    }
    match arguments.format {
        GraphFormat::Mermaid => output::line(Mermaid(&drawings)),
        GraphFormat::Dot => output::line(Dot(&drawings)),
        GraphFormat::Svg => output::line(svg::Svg(&drawings)),
    }
    Ok(())
}

/// Every flow that a route uses, in the order of the file, and the flows inside it.
fn drawings(spec: &GatewaySpec) -> Vec<Drawing> {
    let mut drawings = Vec::new();
    for route in &spec.routes {
        if let ActionSpec::Flow(flow) = &route.action {
            // A flow in place is called as its route's path, which others may have too.
            let is_in_place = flow.name == route.pattern.as_str();
            let title = if is_in_place { &route.name } else { &flow.name };
            draw(spec, title, flow, &mut drawings);
        }
    }
    drawings
}

/// Draws a flow once. Flows never go round in circles, and the file says how deep they may be.
fn draw(spec: &GatewaySpec, title: &str, flow: &FlowSpec, drawings: &mut Vec<Drawing>) {
    if drawings.iter().any(|drawing| drawing.title == title) {
        return;
    }
    drawings.push(Drawing::of(spec, title, flow));
    for step in &flow.steps {
        if let StepKind::Flow(inner) = &step.kind {
            draw(spec, &inner.name, inner.plan.spec(), drawings);
        }
    }
}

impl Drawing {
    fn of(spec: &GatewaySpec, title: &str, flow: &FlowSpec) -> Self {
        let text = PlanText::of(spec, flow);
        let place = |name: &str| flow.steps.iter().position(|step| step.name == name);
        let mut nodes = Vec::new();
        let mut edges = Vec::new();
        for (to, (step, text)) in flow.steps.iter().zip(text.steps).enumerate() {
            let mut lines = vec![text.name, text.does];
            if let Some(foreach) = &step.foreach {
                lines.push(format!("for each of {}", foreach.items.text()));
            }
            if let Some(when) = text.when {
                lines.push(format!("when {when}"));
            }
            if text.optional {
                lines.push("optional".to_owned());
            }
            nodes.push(Node {
                kind: Kind::of(&step.kind),
                lines,
                optional: step.optional,
            });
            for wait in text.waits {
                edges.extend(place(&wait.step).map(|from| Edge {
                    from,
                    to,
                    because: wait.because,
                }));
            }
        }
        let status = flow.response.status.map_or(200, |status| status.as_u16());
        let to = nodes.len();
        nodes.push(Node {
            kind: Kind::Response,
            lines: vec![format!("response {status}")],
            optional: false,
        });
        edges.extend(plan::parts(flow).into_iter().map(|(from, because)| Edge {
            from,
            to,
            because,
        }));
        Self {
            title: title.to_owned(),
            nodes,
            edges,
        }
    }
}

impl Kind {
    const fn of(kind: &StepKind) -> Self {
        match kind {
            StepKind::Call(_) => Self::Call,
            StepKind::Value(_) => Self::Value,
            StepKind::Flow(_) => Self::Flow,
            StepKind::Wait(_) => Self::Wait,
        }
    }
}

/// A flowchart, as GitHub and many wikis draw it.
struct Mermaid<'a>(&'a [Drawing]);

impl Display for Mermaid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flowchart LR")?;
        for (flow, drawing) in self.0.iter().enumerate() {
            write!(f, "\n  subgraph f{flow}[\"{}\"]", html(&drawing.title))?;
            for (node, Node { lines, .. }) in drawing.nodes.iter().enumerate() {
                let lines: Vec<String> = lines.iter().map(|line| html(line)).collect();
                write!(f, "\n    f{flow}n{node}[\"{}\"]", lines.join("<br/>"))?;
            }
            for Edge { from, to, because } in &drawing.edges {
                let because = html(because);
                write!(f, "\n    f{flow}n{from} -->|\"{because}\"| f{flow}n{to}")?;
            }
            f.write_str("\n  end")?;
        }
        Ok(())
    }
}

/// A digraph for Graphviz.
struct Dot<'a>(&'a [Drawing]);

impl Display for Dot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("digraph flows {\n  rankdir=LR\n  node [shape=box]")?;
        for (flow, drawing) in self.0.iter().enumerate() {
            let title = quoted(&drawing.title);
            write!(f, "\n  subgraph cluster_{flow} {{\n    label={title}")?;
            for (node, Node { lines, .. }) in drawing.nodes.iter().enumerate() {
                let label = quoted(&lines.join("\n"));
                write!(f, "\n    f{flow}n{node} [label={label}]")?;
            }
            for Edge { from, to, because } in &drawing.edges {
                let label = quoted(because);
                write!(f, "\n    f{flow}n{from} -> f{flow}n{to} [label={label}]")?;
            }
            f.write_str("\n  }")?;
        }
        f.write_str("\n}")
    }
}

/// Text that Mermaid takes for nothing else: each sign that means something as its number.
fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' | '#' | '&' | '<' | '>' | '`' | '|' | ';' | '\\' => {
                // Writing to a string does not fail.
                let _ = write!(safe, "#{};", u32::from(letter));
            }
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A quoted string of the DOT language.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}
