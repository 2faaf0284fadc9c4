//! What an expression may read: the names in scope at load, and their values per request.

use super::error::EvalError;
use super::value::{Type, Value};

/// A parameter of a route's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathName {
    pub name: String,
    /// The parameter of a tail wildcard: any number of segments.
    pub tail: bool,
}

/// What can be read where an expression stands. `request`, `query`, `headers` and `cookies` always
/// can.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// The parameters of the path, by place.
    pub path: &'a [PathName],
    /// The steps of the flow, by place.
    pub steps: &'a [String],
    /// `body`: the client's body.
    pub body: bool,
    /// `caller` and `claims`.
    pub caller: bool,
    /// `item` and `index`.
    pub item: bool,
    /// `run`.
    pub run: bool,
    /// `error`.
    pub error: bool,
    /// Further names that only this place has, by place.
    pub given: &'a [&'a str],
}

/// Something outside of an expression that it reads, resolved at load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// A path parameter by its place: what its percent-encoded text says. A string.
    Path(usize),
    /// The parameter of a tail wildcard by its place, as it stands in the canonical path, still
    /// percent-encoded. A string. Only template holes in a target read it.
    PathTail(usize),
    /// The first query parameter of this name, decoded. A string.
    Query(Box<str>),
    /// All query parameters. A map of strings; of a repeated name, the first.
    QueryAll,
    /// A request header by its name in lower case. A string; repeated fields joined by `, `.
    Header(Box<str>),
    /// All request headers. A map of strings.
    HeadersAll,
    /// A cookie by its name. A string.
    Cookie(Box<str>),
    /// All cookies. A map of strings.
    CookiesAll,
    /// The client's body, parsed; null when it is empty.
    Body,
    Request(RequestField),
    /// A map with `name`, `authenticator`, `sub` and what else is known; null for no caller.
    Caller,
    /// A map, empty without claims.
    Claims,
    /// A field of a step, by the step's place.
    Step {
        index: usize,
        field: StepField,
    },
    /// The item of a `foreach`.
    Item,
    /// The place of the item, from 0. An int.
    Index,
    Run(RunField),
    Error(ErrorField),
    /// One of [`Names::given`], by place.
    Given(usize),
}

impl Variable {
    /// The type of its value, where it has only one.
    pub(super) const fn kind(&self) -> Option<Type> {
        Some(match self {
            Self::Request(RequestField::Time) | Self::Run(RunField::Started) => Type::Timestamp,
            Self::Path(_)
            | Self::PathTail(_)
            | Self::Query(_)
            | Self::Header(_)
            | Self::Cookie(_)
            | Self::Request(_)
            | Self::Run(RunField::Id)
            | Self::Error(ErrorField::Cause | ErrorField::Detail) => Type::String,
            Self::QueryAll | Self::HeadersAll | Self::CookiesAll | Self::Claims => Type::Map,
            Self::Index | Self::Error(ErrorField::Status) => Type::Int,
            _ => return None,
        })
    }
}

/// A closed set of fields: their names, and the field of each.
macro_rules! fields {
    ($(#[$doc:meta])* $type:ident { $($(#[$field_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[$field_doc])* $variant,)+ }

        impl $type {
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

fields! {
    /// What `request.` is followed by. Strings, but for the time.
    RequestField {
        Host = "host",
        Id = "id",
        Ip = "ip",
        Method = "method",
        Path = "path",
        Scheme = "scheme",
        /// A timestamp: when the request arrived.
        Time = "time",
    }
}

fields! {
    /// What `steps.NAME.` is followed by.
    StepField {
        /// The parsed body; null when empty, skipped or failed.
        Body = "body",
        /// A map of strings, names in lower case.
        Headers = "headers",
        /// A string: `ok`, `defaulted`, `skipped`, `failed`, `cancelled`, `unknown`.
        Outcome = "outcome",
        /// An int; null where there was no answer.
        Status = "status",
    }
}

fields! {
    /// What `run.` is followed by.
    RunField {
        /// A string.
        Id = "id",
        /// A timestamp.
        Started = "started",
    }
}

fields! {
    /// What `error.` is followed by, where an error is handled.
    ErrorField {
        /// A string such as `timeout`.
        Cause = "cause",
        /// A string for the client.
        Detail = "detail",
        /// An int: the status the client would get.
        Status = "status",
        /// The name of the step to blame; null where none is.
        Step = "step",
    }
}

/// What an expression or template reads, so that what it waits for is known before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Places of steps, ascending, each once.
    pub steps: Vec<usize>,
    /// The client's body: it must have been read and parsed.
    pub body: bool,
    pub caller: bool,
    /// The request head: method, path, query, headers and so on.
    pub request: bool,
    pub item: bool,
    pub run: bool,
    pub error: bool,
    /// Gives another value each time: a random one.
    pub random: bool,
}

impl Reads {
    pub(super) fn note(&mut self, variable: &Variable) {
        match variable {
            Variable::Path(_)
            | Variable::PathTail(_)
            | Variable::Query(_)
            | Variable::QueryAll
            | Variable::Header(_)
            | Variable::HeadersAll
            | Variable::Cookie(_)
            | Variable::CookiesAll
            | Variable::Request(_) => self.request = true,
            Variable::Body => self.body = true,
            Variable::Caller | Variable::Claims => self.caller = true,
            Variable::Step { index, .. } => {
                if let Err(place) = self.steps.binary_search(index) {
                    self.steps.insert(place, *index);
                }
            }
            Variable::Item | Variable::Index => self.item = true,
            Variable::Run(_) => self.run = true,
            Variable::Error(_) => self.error = true,
            Variable::Given(_) => {}
        }
    }

    /// Adds what another expression reads.
    pub fn join(&mut self, other: &Self) {
        for &index in &other.steps {
            if let Err(place) = self.steps.binary_search(&index) {
                self.steps.insert(place, index);
            }
        }
        self.body |= other.body;
        self.caller |= other.caller;
        self.request |= other.request;
        self.item |= other.item;
        self.run |= other.run;
        self.error |= other.error;
        self.random |= other.random;
    }

    /// The same text every time, whatever the request.
    pub fn is_constant(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the values of variables come from while a request is handled.
pub trait Scope {
    /// The value now. What is not there (a header, a query parameter, a cookie) is
    /// [`EvalError::missing`]; what there is but holds nothing (a skipped step's body) is null.
    fn variable(&self, variable: &Variable) -> Result<Value, EvalError>;
}
