//! The catalogue of keys: every section of the file, every key in it, its shape, its default, what
//! it means and an example. The checks, the schema and the documentation all follow it.

mod cache;
mod cases;
mod flow;
mod forward;
mod guard;
mod intake;
mod route;
mod server;
mod upstream;

pub use cases::CASES;
pub use guard::{KEY_FILE, USER_FILE};

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// As its header is written: `[upstreams.NAME]`.
    pub title: &'static str,
    /// What it is for: one sentence.
    pub about: &'static str,
    pub keys: &'static [Key],
    /// Groups of keys that exclude each other.
    pub choices: &'static [Choice],
}

/// Keys of which at most one may be given.
#[derive(Debug)]
pub struct Choice {
    pub keys: &'static [&'static str],
    /// One must be given.
    pub needed: bool,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub default: Default,
    /// What it means: one or two sentences.
    pub about: &'static str,
    /// A line of TOML, or several.
    pub example: &'static str,
    /// Its value is never shown.
    pub secret: bool,
    /// It means something only beside one of these; empty: always.
    pub with: &'static [&'static str],
}

/// What holds when a key is absent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It cannot be absent.
    Needed,
    /// In words.
    Words(&'static str),
    Text(&'static str),
    Integer(i64),
    Boolean(bool),
    List(&'static [&'static str]),
}

/// What a value looks like.
#[derive(Debug)]
pub enum Shape {
    /// Any text but the empty one.
    Text,
    /// Any text.
    AnyText,
    /// The name of an upstream, an authenticator, a limit, a flow or a step.
    Name(Named),
    /// Between the two, in milliseconds.
    Duration(u64, u64),
    /// `20ms..200ms`
    DurationRange,
    /// Between the two, in bytes.
    Size(u64, u64),
    Rate,
    Integer(i64, i64),
    Boolean,
    Expression,
    Template,
    /// `METHOD upstream:/path`
    Call,
    /// A duration, or an expression that gives one or a time.
    Wait,
    /// A path of the file system, relative to the file it stands in.
    File,
    /// `127.0.0.1:8080`
    Address,
    /// `http://` or `https://`, host, perhaps port.
    Endpoint,
    /// A URL with `http` or `https`.
    Url,
    /// `10.0.0.0/8` or one address.
    Network,
    /// From the first to the last status.
    Status(u16, u16),
    /// `2xx` or one status.
    Statuses,
    Method,
    Header,
    Host,
    PathPattern,
    /// `application/json`, `image/*`
    MediaRange,
    /// A path of a URL.
    UrlPath,
    /// 64 hexadecimal digits.
    Sha256,
    /// A hash as `argon2` writes it.
    Argon2,
    OneOf(&'static [&'static str]),
    /// At least so many.
    List(&'static Self, usize),
    /// One, or a list of at least one.
    OneOrMany(&'static Self),
    Table(&'static Section),
    /// Tables by name.
    Named(Named, &'static Section),
    /// A list of tables: `[[routes]]`.
    Tables(&'static Section),
    /// Names of header fields, each with a value.
    Headers(&'static Self),
    /// Any names, each with a value.
    Pairs(&'static Self),
    /// Any table, read as JSON.
    Json,
    /// Any value, read as JSON; a text holds JSON itself.
    JsonValue,
    /// The short way or the long one.
    Either(&'static Self, &'static Self),
}

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    Upstream,
    Authenticator,
    Limit,
    Flow,
    Step,
}

impl Named {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Authenticator => "authenticator",
            Self::Limit => "limit",
            Self::Flow => "flow",
            Self::Step => "step",
        }
    }

    /// The header of the section in which such a thing is made.
    pub fn header(self, name: &str) -> String {
        match self {
            Self::Upstream => format!("[upstreams.{name}]"),
            Self::Authenticator => format!("[auth.{name}]"),
            Self::Limit => format!("[limits.{name}]"),
            Self::Flow => format!("[flows.{name}]"),
            Self::Step => format!("[routes.steps.{name}]"),
        }
    }
}

impl Section {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Shape {
    /// A value of it is no text.
    pub const fn is_container(&self) -> bool {
        matches!(
            self,
            Self::List(..)
                | Self::Table(_)
                | Self::Named(..)
                | Self::Tables(_)
                | Self::Headers(_)
                | Self::Pairs(_)
                | Self::Json
        )
    }

    /// How the shape is named in the documentation and in mistakes, with its article.
    pub fn describe(&self) -> String {
        match self {
            Self::Text | Self::AnyText => "a text".to_owned(),
            Self::Name(named) => format!("the name of {}", with_article(named.word())),
            Self::Duration(..) => "a duration".to_owned(),
            Self::DurationRange => "two durations".to_owned(),
            Self::Size(..) => "a size".to_owned(),
            Self::Rate => "a rate".to_owned(),
            Self::Integer(..) => "an integer".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Expression => "an expression".to_owned(),
            Self::Template => "a template".to_owned(),
            Self::Call => "a call".to_owned(),
            Self::Wait => "a duration or an expression".to_owned(),
            Self::File => "a file name".to_owned(),
            Self::Address => "an address and port".to_owned(),
            Self::Endpoint => "an endpoint".to_owned(),
            Self::Url => "a URL".to_owned(),
            Self::Network => "an address or network".to_owned(),
            Self::Status(..) => "a status".to_owned(),
            Self::Statuses => "a status or class of statuses".to_owned(),
            Self::Method => "a method".to_owned(),
            Self::Header => "the name of a header".to_owned(),
            Self::Host => "a host".to_owned(),
            Self::PathPattern => "a path pattern".to_owned(),
            Self::MediaRange => "a media type".to_owned(),
            Self::UrlPath => "a path".to_owned(),
            Self::Sha256 => "a SHA-256 hash".to_owned(),
            Self::Argon2 => "an Argon2 hash".to_owned(),
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                alternatives(&words)
            }
            Self::List(of, _) => format!("a list of {}", of.plural()),
            Self::OneOrMany(of) => format!("{} or a list", of.describe()),
            Self::Table(_) | Self::Json => "a table".to_owned(),
            Self::JsonValue => "JSON".to_owned(),
            Self::Named(named, _) => format!("tables, each {}", with_article(named.word())),
            Self::Tables(_) => "a list of tables".to_owned(),
            Self::Headers(of) => format!("a table of header names, each with {}", of.describe()),
            Self::Pairs(of) => format!("a table of names, each with {}", of.describe()),
            Self::Either(short, long) => format!("{}, or {}", short.describe(), long.describe()),
        }
    }
}

fn with_article(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {word}")
}

/// `a`, `a or b`, `a, b or c`.
pub fn alternatives(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// Whether a top-level key holds things by name, so that several files may add to it.
pub fn is_named(key: &str) -> bool {
    ROOT.key(key)
        .is_some_and(|key| matches!(key.shape, Shape::Named(..)))
}

const fn key(
    name: &'static str,
    shape: Shape,
    default: Default,
    about: &'static str,
    example: &'static str,
) -> Key {
    Key {
        name,
        shape,
        default,
        about,
        example,
        secret: false,
        with: &[],
    }
}

impl Key {
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn with(mut self, with: &'static [&'static str]) -> Self {
        self.with = with;
        self
    }
}

/// Of a key that is never mentioned the default says so.
const NOTHING: Default = Default::Words("nothing");

/// The longest any single wait may be: a day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// The whole file.
pub static ROOT: Section = Section {
    title: "the file",
    about: "The sections of the file. Each may stand in the file itself or in one that it includes.",
    choices: &[],
    keys: &[
        key(
            "include",
            Shape::List(&Shape::Text, 0),
            Default::List(&[]),
            "Other files that belong to this one; `*` and `?` match within a name. Paths are relative to this file, \
             and a pattern may match nothing. Included files hold any section, but no `include`; a name that stands \
             in two files is a mistake.",
            "include = [\"routes.d/*.toml\"]",
        ),
        key(
            "server",
            Shape::Table(&server::SERVER),
            Default::Words("defaults"),
            "The process as a whole.",
            "[server]\nworkers = 2",
        ),
        key(
            "listen",
            Shape::Tables(&server::LISTEN),
            Default::Words("no listener"),
            "The addresses on which clients are served.",
            "[[listen]]\naddress = \"0.0.0.0:8080\"",
        ),
        key(
            "admin",
            Shape::Table(&server::ADMIN),
            Default::Words("no admin listener"),
            "The listener for operators.",
            "[admin]\naddress = \"127.0.0.1:9900\"",
        ),
        key(
            "upstreams",
            Shape::Named(Named::Upstream, &upstream::UPSTREAM),
            NOTHING,
            "Groups of endpoints, by name.",
            "[upstreams.users]\nendpoints = [\"http://127.0.0.1:9101\"]",
        ),
        key(
            "auth",
            Shape::Named(Named::Authenticator, &guard::AUTH),
            NOTHING,
            "Authenticators, by name.",
            "[auth.customers]\njwt = { issuer = \"https://id.example.com/\", keys = \"jwks.json\", algorithms = [\"RS256\"] }",
        ),
        key(
            "limits",
            Shape::Named(Named::Limit, &guard::LIMIT),
            NOTHING,
            "Limits, by name.",
            "[limits.per-client]\nrate = \"100/min\"",
        ),
        key(
            "routes",
            Shape::Tables(&route::ROUTE),
            Default::Words("no route: every answer is 404"),
            "Which requests there are, and what is done with them. Their order does not matter.",
            "[[routes]]\npath = \"/users/{id}\"\nupstream = \"users\"",
        ),
        key(
            "flows",
            Shape::Named(Named::Flow, &flow::FLOW),
            NOTHING,
            "Flows, by name, for routes to use with `flow`.",
            "[flows.page]\nsteps.user = { call = \"GET users:/v1/users/{path.id}\" }",
        ),
    ],
};

/// Every section of the file that `root` is, once, in the order of the documentation.
pub fn sections(root: &'static Section) -> Vec<&'static Section> {
    fn visit(section: &'static Section, seen: &mut Vec<&'static Section>) {
        if seen.iter().any(|known| std::ptr::eq(*known, section)) {
            return;
        }
        seen.push(section);
        for key in section.keys {
            for inner in key.shape.sections() {
                visit(inner, seen);
            }
        }
    }
    let mut seen = Vec::new();
    visit(root, &mut seen);
    seen
}

impl Shape {
    /// Several of the shape.
    fn plural(&self) -> String {
        match self {
            Self::OneOf(_) => format!("any of {}", self.describe().replace(" or ", ", ")),
            Self::Table(_) => "tables".to_owned(),
            Self::Method => "methods".to_owned(),
            Self::MediaRange => "media types".to_owned(),
            Self::Text => "texts".to_owned(),
            Self::Network => "addresses or networks".to_owned(),
            Self::Endpoint => "endpoints".to_owned(),
            _ => format!("values, each {}", self.describe()),
        }
    }

    /// The first of the sections that a value of this shape can hold.
    pub fn section(&self) -> Option<&'static Section> {
        match self {
            Self::Table(section) | Self::Named(_, section) | Self::Tables(section) => Some(section),
            Self::List(of, _) | Self::OneOrMany(of) | Self::Headers(of) | Self::Pairs(of) => {
                of.section()
            }
            Self::Either(short, long) => short.section().or_else(|| long.section()),
            _ => None,
        }
    }

    /// The sections that a value of this shape can hold.
    pub fn sections(&self) -> Vec<&'static Section> {
        match self {
            Self::Table(section) | Self::Named(_, section) | Self::Tables(section) => {
                vec![section]
            }
            Self::List(of, _) | Self::OneOrMany(of) | Self::Headers(of) | Self::Pairs(of) => {
                of.sections()
            }
            Self::Either(short, long) => {
                let mut sections = short.sections();
                sections.extend(long.sections());
                sections
            }
            _ => Vec::new(),
        }
    }
}
