//! What `explain` found, as text for a person.

use std::fmt::{self, Display, Formatter};

use super::Explained;
use super::describe::{Action, Meeting};
use super::plan::{PlanText, StepText};

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
        write!(f, "\n  when   {when}")?;
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
        Action::Proxy {
            upstream,
            endpoints,
            rewrite,
            calls_at_most,
        } => {
            write!(f, "\nproxy    {upstream} at {}", endpoints.join(", "))?;
            if let Some(rewrite) = rewrite {
                write!(f, "\n  as     {rewrite}")?;
            }
            write!(f, "\ncalls    {calls_at_most} at most")?;
        }
        Action::Flow(plan) => flow(f, plan)?,
        Action::Respond { status } => write!(f, "\nrespond  {status} from the file")?,
        Action::Redirect { status, location } => write!(f, "\nredirect {status} to {location}")?,
    }
    write!(f, "\ntime     {} at most", Milliseconds(meeting.timeout_ms))?;
    if let Action::Flow(plan) = &meeting.action
        && plan.slowest_ms > meeting.timeout_ms
    {
        write!(
            f,
            ", then 504 ({} could take {})",
            plan.slowest.join(" -> "),
            Milliseconds(plan.slowest_ms)
        )?;
    }
    Ok(())
}

fn flow(f: &mut Formatter<'_>, plan: &PlanText) -> fmt::Result {
    let width = plan.steps.iter().map(|step| step.name.len()).max();
    let width = width.unwrap_or_default();
    let mut head = "flow";
    for one in &plan.steps {
        write!(f, "\n{head:<8} {:<width$}  {}", one.name, one.does)?;
        step(f, one, width)?;
        head = "";
    }
    write!(f, "\ncalls    {} at most", plan.calls_at_most)
}

fn step(f: &mut Formatter<'_>, step: &StepText, width: usize) -> fmt::Result {
    let margin = " ".repeat(9 + width + 2);
    if step.waits.is_empty() {
        write!(f, "\n{margin}at once")?;
    }
    for wait in &step.waits {
        write!(f, "\n{margin}after {} (for {})", wait.step, wait.because)?;
    }
    if let Some(when) = &step.when {
        write!(f, "\n{margin}when {when}")?;
    }
    if step.optional {
        write!(f, "\n{margin}optional")?;
    }
    if step.worst_ms > 0 {
        write!(f, "\n{margin}{} at most", Milliseconds(step.worst_ms))?;
    }
    Ok(())
}

/// `250 ms`, `1.5 s`.
struct Milliseconds(u64);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(milliseconds) = *self;
        if milliseconds < 1000 {
            return write!(f, "{milliseconds} ms");
        }
        let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
        if rest == 0 {
            write!(f, "{seconds} s")
        } else {
            let rest = format!("{rest:03}");
            write!(f, "{seconds}.{} s", rest.trim_end_matches('0'))
        }
    }
}
