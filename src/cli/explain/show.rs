//! What `explain` found, as text for a person.

use std::fmt::{self, Display, Formatter};

use super::Explained;
use super::describe::{Action, Made, Meeting, ProxyText, RuleText};
use super::draw::{self, Row};
use super::plan::{ForeachText, PlanText, StepText, WaitText};
use super::settings::{bytes, milliseconds};

/// Characters of an expression that are shown.
const EXPRESSION_MAX: usize = 160;

/// What `progressive` means.
const PROGRESSIVE: &str =
    "each part when it is final, to clients that accept application/x-ndjson or text/event-stream";

/// What stands left of everything but the first lines of sections.
const MARGIN: &str = "         ";

/// An explanation laid out for a terminal.
pub(super) struct Text<'a>(pub(super) &'a Explained);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let explained = self.0;
        write!(f, "{} {}", explained.method, explained.path)?;
        for passed_by in &explained.passed_by {
            write!(
                f,
                "\n\npasses by {}: when {} is not true",
                passed_by.route, passed_by.when
            )?;
        }
        if let Some(meeting) = &explained.route {
            write!(f, "\n\n")?;
            route(f, meeting)?;
        }
        if let Some(otherwise) = &explained.otherwise {
            write!(f, "\n\nno route takes it: {}", otherwise.status)?;
            if !otherwise.allow.is_empty() {
                write!(f, ", Allow: {}", otherwise.allow.join(", "))?;
            }
        }
        Ok(())
    }
}

fn route(f: &mut Formatter<'_>, meeting: &Meeting) -> fmt::Result {
    write!(f, "route    {}", meeting.name)?;
    if !meeting.name.ends_with(&meeting.path) {
        write!(f, " ({})", meeting.path)?;
    }
    if let Some(when) = &meeting.when {
        write!(f, "\n  when   {}", short(when))?;
    }
    for parameter in &meeting.parameters {
        write!(f, "\n  path.{} = {}", parameter.name, parameter.value)?;
    }
    let mut head = "guard";
    for guard in &meeting.guards {
        write!(
            f,
            "\n{head:<8} {}, else {}",
            guard.demands, guard.else_status
        )?;
        head = "";
    }
    match &meeting.action {
        Action::Proxy(it) => proxy(f, it)?,
        Action::Flow(plan) => {
            flow(f, "flow", plan)?;
            for inner in &plan.inner {
                write!(f, "\n\nwithin   flow {}", inner.name)?;
                flow(f, "", &inner.flow)?;
            }
            if !plan.inner.is_empty() {
                writeln!(f)?;
            }
            write!(
                f,
                "\ncalls    {} at most, each part {} at most",
                plan.calls_at_most,
                bytes(plan.part_bytes)
            )?;
        }
        Action::Respond { status } => write!(f, "\nrespond  {status} from the file")?,
        Action::Redirect {
            status,
            location,
            made,
        } => {
            write!(f, "\nredirect {status} to {location}")?;
            sends(f, "", made)?;
        }
    }
    if meeting.progressive {
        write!(f, "\ngives    {PROGRESSIVE}")?;
    }
    time(f, meeting)?;
    rules(f, &meeting.on_error)
}

fn proxy(f: &mut Formatter<'_>, proxy: &ProxyText) -> fmt::Result {
    write!(
        f,
        "\nproxy    {} at {}",
        proxy.upstream,
        proxy.endpoints.join(", ")
    )?;
    if let Some(rewrite) = &proxy.rewrite {
        write!(f, "\n{MARGIN}rewrite {rewrite}")?;
    }
    sends(f, "sends ", &proxy.made)?;
    settings(f, MARGIN, &proxy.settings)?;
    write!(
        f,
        "\n{MARGIN}{} at most for each attempt, {} of it to connect",
        milliseconds(proxy.attempt_ms),
        milliseconds(proxy.connect_ms)
    )?;
    if let Some(retry) = &proxy.retry {
        write!(f, "\n{MARGIN}retry {retry}")?;
    }
    write!(f, "\ncalls    {} at most", proxy.calls_at_most)
}

fn sends(f: &mut Formatter<'_>, verb: &str, made: &Made) -> fmt::Result {
    match made {
        Made::Sends(text) => write!(f, "\n{MARGIN}{verb}{text}"),
        Made::Unknown(why) => write!(f, "\n{MARGIN}{verb}what cannot be told here: {why}"),
    }
}

/// The graph, a row for each step with what is to be said of it, and the response last.
fn flow(f: &mut Formatter<'_>, head: &str, plan: &PlanText) -> fmt::Result {
    let place = |name: &String| plan.steps.iter().position(|step| step.name == *name);
    // In the order in which they can start, so that rails lead down only.
    let order = order(plan);
    let row_of = |waits: &[WaitText]| -> Vec<usize> {
        let steps = waits.iter().filter_map(|wait| place(&wait.step));
        steps
            .filter_map(|step| order.iter().position(|it| *it == step))
            .collect()
    };
    let steps: Vec<&StepText> = order.iter().filter_map(|&at| plan.steps.get(at)).collect();
    let mut waits: Vec<Vec<usize>> = steps.iter().map(|step| row_of(&step.waits)).collect();
    waits.push(row_of(&plan.response.waits));
    let rows = draw::rows(&waits);
    let names = steps.iter().map(|step| step.name.chars().count());
    let width = names.max().unwrap_or_default().max("response".len());
    let mut head = head;
    for (step, row) in steps.iter().zip(&rows) {
        write!(
            f,
            "\n{head:<8} {}  {:<width$}  {}",
            row.head,
            step.name,
            short(&step.does)
        )?;
        below(f, row, width, &facts(step))?;
        head = "";
    }
    if let Some(row) = rows.last() {
        write!(
            f,
            "\n{MARGIN}{}  {:<width$}  {}",
            row.head, "response", plan.response.status
        )?;
        let mut lines = made_of(&plan.response.waits);
        lines.extend(plan.response.settings.iter().map(setting));
        below(f, row, width, &lines)?;
    }
    Ok(())
}

/// The steps, each behind those that it waits for, else in the order of the file.
fn order(plan: &PlanText) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    let is_placed = |order: &[usize], name: &String| {
        order
            .iter()
            .any(|&at| plan.steps.get(at).is_some_and(|step| step.name == *name))
    };
    while order.len() < plan.steps.len() {
        let next = plan.steps.iter().enumerate().find(|(at, step)| {
            !order.contains(at) && step.waits.iter().all(|wait| is_placed(&order, &wait.step))
        });
        // The file was checked, so there is always one.
        let Some((at, _)) = next else {
            break;
        };
        order.push(at);
    }
    order
}

/// Lines below a row, beside its rails.
fn below(f: &mut Formatter<'_>, row: &Row, width: usize, lines: &[String]) -> fmt::Result {
    for line in lines {
        write!(f, "\n{MARGIN}{}  {:<width$}  {line}", row.below, "")?;
    }
    Ok(())
}

/// What is to be said of a step, in the order in which it matters.
fn facts(step: &StepText) -> Vec<String> {
    let mut lines = reads(&step.waits);
    if step.waits.is_empty() {
        lines.push("at once".to_owned());
    }
    lines.extend(
        step.when
            .as_ref()
            .map(|when| format!("when {}", short(when))),
    );
    lines.extend(step.foreach.as_ref().map(foreach));
    lines.extend(step.settings.iter().map(setting));
    if step.optional {
        let default = step.default.as_ref();
        lines.push(default.map_or_else(
            || "optional".to_owned(),
            |default| format!("optional, else {}", short(default)),
        ));
    }
    let mut bounds = Vec::new();
    if step.calls_at_most > 1 {
        bounds.push(format!("{} calls at most", step.calls_at_most));
    }
    if step.worst_ms > 0 {
        bounds.push(format!("{} at most", milliseconds(step.worst_ms)));
    }
    if !bounds.is_empty() {
        lines.push(bounds.join(", "));
    }
    lines
}

fn reads(waits: &[WaitText]) -> Vec<String> {
    let line = |wait: &WaitText| format!("after {} (for {})", wait.step, wait.because);
    waits.iter().map(line).collect()
}

/// The parts of a response: those that go the same way together.
fn made_of(waits: &[WaitText]) -> Vec<String> {
    let mut ways: Vec<(&str, Vec<&str>)> = Vec::new();
    for wait in waits {
        match ways
            .iter_mut()
            .find(|(because, _)| *because == wait.because)
        {
            Some((_, steps)) => steps.push(&wait.step),
            None => ways.push((&wait.because, vec![&wait.step])),
        }
    }
    let line =
        |(because, steps): (&str, Vec<&str>)| format!("of {} (for {because})", steps.join(", "));
    ways.into_iter().map(line).collect()
}

fn foreach(foreach: &ForeachText) -> String {
    let ForeachText {
        items,
        max_items,
        concurrency,
        chunk,
        distinct,
    } = foreach;
    let chunk = chunk.map_or_else(String::new, |chunk| format!(", {chunk} a call"));
    let distinct = if *distinct { ", equal ones once" } else { "" };
    format!(
        "for each of {}: {max_items} at most{chunk}, {concurrency} at once{distinct}",
        short(items)
    )
}

fn setting((key, value): &(String, String)) -> String {
    format!("{key} {}", short(value))
}

fn settings(f: &mut Formatter<'_>, margin: &str, settings: &[(String, String)]) -> fmt::Result {
    for one in settings {
        write!(f, "\n{margin}{}", setting(one))?;
    }
    Ok(())
}

fn time(f: &mut Formatter<'_>, meeting: &Meeting) -> fmt::Result {
    if matches!(
        meeting.action,
        Action::Respond { .. } | Action::Redirect { .. }
    ) {
        return Ok(());
    }
    write!(f, "\ntime     {} at most", milliseconds(meeting.timeout_ms))?;
    if let Action::Flow(plan) = &meeting.action
        && plan.slowest_ms > meeting.timeout_ms
    {
        write!(
            f,
            ", then 504 ({} could take {})",
            plan.slowest.join(" -> "),
            milliseconds(plan.slowest_ms)
        )?;
    }
    Ok(())
}

fn rules(f: &mut Formatter<'_>, rules: &[RuleText]) -> fmt::Result {
    let mut head = "on error";
    for rule in rules {
        let when = rule
            .when
            .as_deref()
            .map_or_else(|| "always".to_owned(), short);
        let status = rule
            .status
            .map_or_else(|| "its own status".to_owned(), |it| it.to_string());
        let body = rule
            .body
            .as_deref()
            .map_or_else(|| "the problem".to_owned(), short);
        write!(f, "\n{head:<8} {when}: {status}, {body}")?;
        head = "";
    }
    Ok(())
}

/// An expression on one line, and not too long.
fn short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut cut: String = line.chars().take(EXPRESSION_MAX).collect();
    if cut.len() < line.len() {
        cut.push_str("...");
    }
    cut
}
