//! Keys of authenticators and limits.

use super::{Choice, DAY, Default, NOTHING, Section, Shape, key};

pub static AUTH: Section = Section {
    title: "[auth.NAME]",
    about: "What establishes who asks. Each is of exactly one kind.",
    choices: &[Choice {
        keys: &["jwt", "api_key", "basic"],
        needed: true,
    }],
    keys: &[
        key(
            "jwt",
            Shape::Table(&JWT),
            NOTHING,
            "A signed token.",
            "jwt = { issuer = \"https://id.example.com/\", audience = \"shop\", jwks = \"https://id.example.com/.well-known/jwks.json\" }",
        ),
        key(
            "api_key",
            Shape::Table(&API_KEY),
            NOTHING,
            "A key that callers were given.",
            "api_key = { header = \"x-api-key\", keys = [{ name = \"partner\", sha256 = \"2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90\" }] }",
        ),
        key(
            "basic",
            Shape::Table(&BASIC),
            NOTHING,
            "A name and a password.",
            "basic = { users = [{ name = \"ann\", argon2 = \"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qLml6cbBsaPMsJbUlFM/jsKmbBNPlCbgFWYBMFW7lkE\" }] }",
        ),
        key(
            "pass_credential",
            Shape::Boolean,
            Default::Boolean(false),
            "Whether the upstream is sent the credential; it is removed otherwise.",
            "pass_credential = true",
        ),
    ],
};

static JWT: Section = Section {
    title: "jwt",
    about: "A signed token (RFC 7519), checked as RFC 8725 advises.",
    choices: &[
        Choice {
            keys: &["secret", "keys", "jwks", "discovery"],
            needed: true,
        },
        Choice {
            keys: &["header", "cookie"],
            needed: false,
        },
    ],
    keys: &[
        key(
            "issuer",
            Shape::Text,
            Default::Words("not looked at"),
            "What `iss` must be.",
            "issuer = \"https://id.example.com/\"",
        ),
        key(
            "audience",
            Shape::OneOrMany(&Shape::Text),
            Default::Words("not looked at"),
            "The token must be meant for one of these (`aud`).",
            "audience = \"shop\"",
        ),
        key(
            "algorithms",
            Shape::List(
                &Shape::OneOf(&[
                    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384",
                    "PS512", "ES256", "ES384", "EdDSA",
                ]),
                1,
            ),
            Default::Words(
                "`[\"HS256\"]` with `secret`, else `[\"RS256\", \"PS256\", \"ES256\", \"EdDSA\"]`",
            ),
            "The only algorithms admitted, whatever the token says. The HS ones go with `secret`, the others with the rest.",
            "algorithms = [\"ES256\"]",
        ),
        key(
            "secret",
            Shape::Text,
            NOTHING,
            "A secret shared with the issuer, for the HS algorithms: at least as many bytes as the hash has (32 for HS256).",
            "secret = \"${file:/run/secrets/jwt}\"",
        )
        .secret(),
        key(
            "keys",
            Shape::File,
            NOTHING,
            "A file with a JWK set, or with a public key as PEM. It is watched.",
            "keys = \"certs/jwks.json\"",
        ),
        key(
            "jwks",
            Shape::Url,
            NOTHING,
            "Where the issuer shows its JWK set. It is fetched and refreshed in the background.",
            "jwks = \"https://id.example.com/.well-known/jwks.json\"",
        ),
        key(
            "discovery",
            Shape::Url,
            NOTHING,
            "The issuer's OpenID discovery document, which names the JWK set.",
            "discovery = \"https://id.example.com/.well-known/openid-configuration\"",
        ),
        key(
            "leeway",
            Shape::Duration(0, 60 * 60 * 1000),
            Default::Text("30s"),
            "How far clocks may be apart when `exp` and `nbf` are checked.",
            "leeway = \"5s\"",
        ),
        key(
            "header",
            Shape::Header,
            Default::Words("`Authorization: Bearer`"),
            "The header that holds the token, alone or after `Bearer`.",
            "header = \"x-token\"",
        ),
        key(
            "cookie",
            Shape::Text,
            NOTHING,
            "The cookie that holds the token.",
            "cookie = \"session\"",
        ),
        key(
            "required",
            Shape::List(&Shape::Text, 0),
            Default::List(&["exp"]),
            "Claims that must be there.",
            "required = [\"exp\", \"sub\"]",
        ),
        key(
            "cache",
            Shape::Duration(0, DAY),
            Default::Text("60s"),
            "How long a verified token is remembered, never past its end; `0s`: each is verified each time.",
            "cache = \"0s\"",
        ),
    ],
};

static API_KEY: Section = Section {
    title: "api_key",
    about: "A key that callers were given. Only its hash is kept.",
    choices: &[
        Choice {
            keys: &["header", "query"],
            needed: true,
        },
        Choice {
            keys: &["keys", "file"],
            needed: true,
        },
    ],
    keys: &[
        key(
            "header",
            Shape::Header,
            NOTHING,
            "The header that holds the key.",
            "header = \"x-api-key\"",
        ),
        key(
            "query",
            Shape::Text,
            NOTHING,
            "The query parameter that holds the key; it is removed before the request goes on.",
            "query = \"key\"",
        ),
        key(
            "keys",
            Shape::List(&Shape::Table(&ONE_KEY), 1),
            NOTHING,
            "The keys that are known.",
            "keys = [{ name = \"partner\", sha256 = \"2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90\", claims = { plan = \"gold\" } }]",
        ),
        key(
            "file",
            Shape::File,
            NOTHING,
            "A TOML file with `[[keys]]`, as in `keys`. It is watched.",
            "file = \"keys.toml\"",
        ),
    ],
};

static ONE_KEY: Section = Section {
    title: "keys (of api_key)",
    about: "One key.",
    choices: &[],
    keys: &[
        key(
            "name",
            Shape::Text,
            Default::Needed,
            "Who holds it: `caller.sub`.",
            "name = \"partner\"",
        ),
        key(
            "sha256",
            Shape::Sha256,
            Default::Needed,
            "The hash of the key: `printf %s KEY | sha256sum`.",
            "sha256 = \"2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90\"",
        )
        .secret(),
        key(
            "claims",
            Shape::Json,
            NOTHING,
            "What expressions read as `claims`.",
            "claims = { plan = \"gold\", roles = [\"reader\"] }",
        ),
    ],
};

/// A file of keys, which holds the same tables.
pub static KEY_FILE: Section = Section {
    title: "a file of keys",
    about: "What `file` of `api_key` names.",
    choices: &[],
    keys: &[key(
        "keys",
        Shape::Tables(&ONE_KEY),
        Default::Needed,
        "The keys that are known.",
        "[[keys]]\nname = \"partner\"\nsha256 = \"2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90\"",
    )],
};

static BASIC: Section = Section {
    title: "basic",
    about: "A name and a password (RFC 7617). Only a hash of the password is kept.",
    choices: &[Choice {
        keys: &["users", "file"],
        needed: true,
    }],
    keys: &[
        key(
            "realm",
            Shape::Text,
            Default::Text("concertina"),
            "What clients show when they ask for the password.",
            "realm = \"shop\"",
        ),
        key(
            "users",
            Shape::List(&Shape::Table(&ONE_USER), 1),
            NOTHING,
            "The users that are known.",
            "users = [{ name = \"ann\", argon2 = \"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qLml6cbBsaPMsJbUlFM/jsKmbBNPlCbgFWYBMFW7lkE\" }]",
        ),
        key(
            "file",
            Shape::File,
            NOTHING,
            "A TOML file with `[[users]]`, as in `users`. It is watched.",
            "file = \"users.toml\"",
        ),
    ],
};

static ONE_USER: Section = Section {
    title: "users (of basic)",
    about: "One user.",
    choices: &[],
    keys: &[
        key(
            "name",
            Shape::Text,
            Default::Needed,
            "The name, without `:`. It is `caller.sub`.",
            "name = \"ann\"",
        ),
        key(
            "argon2",
            Shape::Argon2,
            Default::Needed,
            "The hash of the password: `printf %s PASSWORD | argon2 SALT -id -e`.",
            "argon2 = \"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qLml6cbBsaPMsJbUlFM/jsKmbBNPlCbgFWYBMFW7lkE\"",
        )
        .secret(),
    ],
};

/// A file of users, which holds the same tables.
pub static USER_FILE: Section = Section {
    title: "a file of users",
    about: "What `file` of `basic` names.",
    choices: &[],
    keys: &[key(
        "users",
        Shape::Tables(&ONE_USER),
        Default::Needed,
        "The users that are known.",
        "[[users]]\nname = \"ann\"\nargon2 = \"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qLml6cbBsaPMsJbUlFM/jsKmbBNPlCbgFWYBMFW7lkE\"",
    )],
};

pub static LIMIT: Section = Section {
    title: "[limits.NAME]",
    about: "A bound on how much is asked for, and the key it counts by. Routes that name the same limit share its counters.",
    choices: &[Choice {
        keys: &["rate", "concurrency"],
        needed: true,
    }],
    keys: &[
        key(
            "rate",
            Shape::Rate,
            NOTHING,
            "So many requests in a period, evenly spread; more are 429.",
            "rate = \"100/min\"",
        ),
        key(
            "burst",
            Shape::Integer(1, 1_000_000_000),
            Default::Words("as many as the rate allows in its period"),
            "How many may come at once.",
            "burst = 20",
        )
        .with(&["rate"]),
        key(
            "concurrency",
            Shape::Integer(1, 1_000_000_000),
            NOTHING,
            "So many requests at work at once; more are 429.",
            "concurrency = 10",
        ),
        key(
            "by",
            Shape::Expression,
            Default::Words("the client's address, IPv6 by its /64"),
            "What is counted apart. It reads what every route of the limit has: `request`, `query`, `headers`, `cookies`, \
             and `caller` and `claims` where all those routes have `auth`.",
            "by = \"caller.sub\"",
        ),
    ],
};
