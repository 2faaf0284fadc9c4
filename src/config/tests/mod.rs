//! Whole files: those that must load, and the mistakes of those that must not.

mod catalogue;
mod hostile;

use std::path::{Path, PathBuf};

use super::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/configs")
        .join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// The environment of the files: nothing of the machine's.
fn lookup(name: &str) -> Option<std::ffi::OsString> {
    match name {
        "HOST" => Some("127.0.0.1".into()),
        "PORT" => Some("8081".into()),
        "WORKERS" => Some("3".into()),
        "SECRET" => Some("0123456789abcdef0123456789abcdef".into()),
        "BRACES" => Some("{path.id}".into()),
        "QUOTES" => Some("' || true || '".into()),
        _ => None,
    }
}

fn load_file(path: &Path) -> Result<GatewaySpec, Mistakes> {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    load_text_with(name, &text, path.parent().unwrap(), &lookup)
}

#[test]
fn good_files_load() {
    for path in files("good") {
        if let Err(mistakes) = load_file(&path) {
            panic!("{}:\n{mistakes}", path.display());
        }
    }
}

#[test]
fn the_file_of_the_repository_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("routes.toml");
    if let Err(mistakes) = load(&path) {
        panic!("{mistakes}");
    }
}

/// `UPDATE=1` writes the texts anew.
#[test]
fn bad_files_tell_every_mistake_at_its_place() {
    let update = std::env::var_os("UPDATE").is_some();
    for path in files("bad") {
        let Err(mistakes) = load_file(&path) else {
            panic!("{} has no mistakes", path.display());
        };
        let base = format!("{}/", folder("bad").display());
        let told = format!("{mistakes}\n").replace(&base, "");
        let expected = path.with_extension("txt");
        if update {
            std::fs::write(&expected, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(told, expected, "{}", path.display());
    }
}

#[test]
fn ten_different_mistakes_are_ten() {
    let mistakes = load_file(&folder("bad").join("ten.toml")).unwrap_err();
    let places: Vec<_> = mistakes.iter().map(|one| (one.line, one.column)).collect();
    assert_eq!(
        places,
        [
            (3, 11),
            (6, 11),
            (10, 1),
            (13, 8),
            (17, 12),
            (20, 8),
            (25, 17),
            (27, 1),
            (31, 11),
            (33, 15),
        ]
    );
    let json = mistakes.to_json();
    assert_eq!(json["count"], 10);
    assert_eq!(json["mistakes"][2]["line"], 10);
    assert_eq!(json["mistakes"][2]["help"], "did you mean `timeout`?");
    assert_eq!(json["mistakes"][5]["related"]["line"], 16);
}

/// A text that must load, with the environment of the files.
fn text(text: &str) -> GatewaySpec {
    load_text_with("routes.toml", text, Path::new(""), &lookup)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn refused(text: &str) -> Mistakes {
    load_text_with("routes.toml", text, Path::new(""), &lookup).expect_err("the text has mistakes")
}

#[test]
fn defaults_of_the_catalogue_are_those_of_the_stages() {
    let spec = text("[[listen]]\naddress = '127.0.0.1:0'\n");
    assert_eq!(
        spec.listeners[0].limits,
        crate::listen::ConnectionLimits::default()
    );
    assert_eq!(
        spec.listeners[0].protocols,
        crate::listen::Protocols { h1: true, h2: true }
    );
    assert_eq!(spec.server.workers, 0);
    assert_eq!(
        spec.server.access_log.format,
        crate::observe::LogFormat::Json
    );
    assert!(spec.admin.is_none());
}

#[test]
fn a_credential_for_an_upstream_is_masked_even_when_it_stands_in_the_file() {
    let spec = text(
        r#"
        upstreams.u.endpoints = ["http://127.0.0.1:9101"]
        [[routes]]
        path = "/"
        upstream = "u"
        headers = { Authorization = "Basic bGl0ZXJhbA==", x-shop = "north" }
        "#,
    );
    let headers = &spec.effective.masked()["routes"][0]["headers"];
    assert_eq!(headers["Authorization"], "***");
    assert_eq!(headers["x-shop"], "north");
}

#[test]
fn names_of_routes_that_share_their_path_are_numbered() {
    let route = |name: &str| format!("[[routes]]\npath = '/a'\nwhen = 'true'\n{name}\n");
    let file = format!(
        "{}{}{}{}",
        route("redirect = '/b'"),
        route("name = '/a #2'\nredirect = '/b'"),
        route("redirect = '/b'"),
        route("redirect = '/b'")
    );
    let names: Vec<_> = text(&file).routes.into_iter().map(|it| it.name).collect();
    assert_eq!(names, ["/a", "/a #2", "/a #3", "/a #4"]);
}

#[test]
fn what_comes_from_outside_is_masked() {
    let spec = load_file(&folder("good").join("everything.toml")).unwrap();
    let shown = spec.effective.masked().to_string();
    for secret in [
        "0123456789abcdef",
        "2bd806c9",
        "$argon2id",
        "127.0.0.1:8081",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert_eq!(spec.effective.masked()["admin"]["token"], "***");
    assert_eq!(spec.effective.masked()["listen"][0]["address"], "***");
    assert_eq!(
        spec.effective.masked()["auth"]["partners"]["api_key"]["keys"][0]["sha256"],
        "***"
    );
    assert_eq!(
        spec.effective.masked()["auth"]["partners"]["api_key"]["keys"][0]["name"],
        "one"
    );
    assert_eq!(spec.server.workers, 3);
}

#[test]
fn everything_that_was_read_is_watched() {
    let spec = load_file(&folder("good").join("everything.toml")).unwrap();
    let base = folder("good");
    for file in [
        "more",
        "more/stock.toml",
        "keys/keys.toml",
        "certs/server.pem",
    ] {
        assert!(
            spec.files.contains(&base.join(file)),
            "{file} in {:?}",
            spec.files
        );
    }
    let mistakes = load_file(&folder("bad").join("include.toml")).unwrap_err();
    assert!(
        mistakes
            .files()
            .contains(&folder("bad").join("parts/one.toml"))
    );
    let path = folder("bad").join("ten.toml");
    assert!(load(&path).unwrap_err().files().contains(&path));
}

#[test]
fn a_file_that_is_not_there_is_one_mistake() {
    let mistakes = load(Path::new("/nowhere/routes.toml")).unwrap_err();
    assert_eq!(mistakes.count(), 1);
    assert!(mistakes.to_string().contains("there is no such file"));
    assert_eq!(mistakes.files(), [Path::new("/nowhere/routes.toml")]);
}

#[test]
fn braces_from_outside_stay_text() {
    let spec = load_file(&folder("good").join("everything.toml")).unwrap();
    let route = spec
        .routes
        .iter()
        .find(|route| route.name == "users")
        .unwrap();
    let (_, template) = &route.headers[1];
    assert_eq!(template.constant(), Some("{}{path.id}"));
}

#[test]
fn routes_without_methods_take_those_of_their_action() {
    let spec = load_file(&folder("good").join("everything.toml")).unwrap();
    let methods = |path: &str| {
        let route = spec
            .routes
            .iter()
            .find(|route| route.pattern.as_str() == path)
            .unwrap();
        let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
        (methods.join(","), route.name.clone())
    };
    assert_eq!(
        methods("/stock/{rest...}"),
        (String::new(), "/stock/{rest...}".into())
    );
    assert_eq!(
        methods("/api/dashboard/{user}"),
        ("GET".into(), "GET /api/dashboard/{user}".into())
    );
    assert_eq!(methods("/api/carts/{id}").0, "POST");
}

#[test]
fn a_named_flow_is_compiled_for_each_route() {
    let shared = "[upstreams.a]\nendpoints = ['http://a']\n\
        [flows.f]\nsteps.one = { call = 'GET a:/{path.id}' }\n\
        [[routes]]\npath = '/x/{id}'\nflow = 'f'\n\
        [[routes]]\npath = '/y/{other}/{id}'\nflow = 'f'\n";
    let spec = text(shared);
    let target = |at: usize| match &spec.routes[at].action {
        ActionSpec::Flow(flow) => match &flow.steps[0].kind {
            crate::orchestrate::StepKind::Call(call) => call.target.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(target(0).text(), target(1).text());
    let place = |at: usize| {
        let mut parameters = spec.routes[at].pattern.parameters();
        parameters.position(|(name, _)| name == "id")
    };
    assert_eq!(
        (place(0), place(1)),
        (Some(0), Some(1)),
        "they read different places"
    );
}

#[test]
fn a_limit_may_ask_for_the_caller_where_somebody_is_known() {
    let with = |auth: &str| {
        format!(
            "[upstreams.a]\nendpoints = ['http://a']\n\
             [auth.x]\njwt = {{ secret = '0123456789abcdef0123456789abcdef' }}\n\
             [limits.l]\nrate = '1/s'\nby = 'caller.sub'\n\
             [[routes]]\npath = '/x'\nlimits = 'l'\nupstream = 'a'\n{auth}"
        )
    };
    text(&with("auth = 'x'"));
    assert_eq!(refused(&with("")).count(), 1);
}

#[test]
fn an_included_file_has_its_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    std::fs::create_dir(base.join("more")).unwrap();
    std::fs::write(base.join("routes.toml"), "include = ['more/*.toml']\n").unwrap();
    let part = "[auth.a]\napi_key = { header = 'x-key', file = 'keys.toml' }\n\
        [auth.b]\njwt = { secret = '${file:secret}' }\n";
    std::fs::write(base.join("more/auth.toml"), part).unwrap();
    let hash = "ab".repeat(32);
    // The file of keys ends in `.toml` too, so a pattern that means it finds what it is not.
    let keys = format!("[[keys]]\nname = 'one'\nsha256 = '{hash}'\n");
    std::fs::write(base.join("more/keys.toml"), &keys).unwrap();
    std::fs::write(
        base.join("more/secret"),
        "0123456789abcdef0123456789abcdef\n",
    )
    .unwrap();
    assert_eq!(load(&base.join("routes.toml")).unwrap_err().count(), 1);
    std::fs::write(base.join("routes.toml"), "include = ['more/auth.toml']\n").unwrap();
    let spec = load(&base.join("routes.toml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(spec.authenticators.len(), 2);
    assert!(spec.files.contains(&base.join("more/secret")));
}

#[test]
fn certificates_are_read_and_must_match() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    for name in ["one", "two"] {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(base.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(base.join(format!("{name}.key")), key).unwrap();
    }
    let load = |cert: &str, key: &str| {
        let text = format!(
            "[[listen]]\naddress = '127.0.0.1:0'\n\
             tls = {{ certificates = [{{ cert = '{cert}', key = '{key}' }}], client_ca = 'one.pem' }}\n"
        );
        load_text("routes.toml", &text, base)
    };
    let spec = load("one.pem", "one.key").unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(spec.files.contains(&base.join("one.key")));
    let told = |cert, key| load(cert, key).unwrap_err().iter().next().unwrap().clone();
    assert!(
        told("one.pem", "two.key")
            .message
            .contains("does not belong")
    );
    assert_eq!(told("one.pem", "none.key").column, 51);
    assert_eq!(told("none.pem", "one.key").column, 34);
}

#[test]
fn a_development_certificate_need_not_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let text = "[[listen]]\naddress = '127.0.0.1:0'\ntls = { development = true }\n";
        load_text("routes.toml", text, folder.path())
    };
    let spec = load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let tls = spec.listeners[0].tls.clone().unwrap();
    assert!(tls.development);
    crate::tls::development::provide(&tls).unwrap();
    load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    std::fs::remove_file(&tls.certificates[0].key).unwrap();
    assert_eq!(load().unwrap_err().count(), 1);
}

/// `count` routes of several kinds.
fn many(count: usize) -> String {
    let mut text = String::from("[upstreams.a]\nendpoints = ['http://127.0.0.1:1']\n");
    for at in 0..count {
        let route = match at % 4 {
            0 => format!(
                "[[routes]]\npath = \"/api/v{at}/things/{{id}}\"\nmethods = [\"GET\"]\nupstream = \"a\"\n\
                 rewrite = \"/things/{{path.id}}?from={at}\"\n"
            ),
            1 => format!(
                "[[routes]]\npath = \"/flows/{at}/{{id}}\"\n[routes.steps.one]\ncall = \"GET a:/one/{{path.id}}\"\n\
                 [routes.steps.two]\ncall = \"GET a:/two/{{steps.one.body.id}}\"\n\
                 [routes.response]\nbody = \"{{'one': steps.one.body, 'two': steps.two.body}}\"\n"
            ),
            _ => format!(
                "[[routes]]\npath = \"/p{at}/{{rest...}}\"\nupstream = \"a\"\ntimeout = \"5s\"\n"
            ),
        };
        text.push_str(&route);
    }
    text
}

#[test]
fn many_routes_load() {
    assert_eq!(text(&many(2000)).routes.len(), 2000);
}

#[test]
fn an_empty_file_is_a_mistake() {
    for empty in ["", "\n", "# nothing\n"] {
        assert_eq!(refused(empty).count(), 1);
    }
}

#[test]
fn a_step_can_be_another_flow_or_a_wait_or_a_list_of_calls() {
    let spec = text(
        "[upstreams.a]\nendpoints = ['http://a']\n\
         [flows.inner]\nsteps.one = { call = 'GET a:/{path.id}/{query.x}' }\n\
         [[routes]]\npath = '/x/{id}'\n\
         steps.list = { call = 'GET a:/list', retry = { attempts = 3 }, hedge = '50ms' }\n\
         steps.pause = { wait = '10ms', after = ['list'] }\n\
         steps.later = { wait = 'request.time' }\n\
         steps.each = { call = 'GET a:/{item.id}/{index}', foreach = 'steps.list.body', max_items = 5, chunk = 2, distinct = false }\n\
         steps.inner = { flow = 'inner', timeout = '1s', body = \"{'a': 1}\" }\n\
         steps.again = { flow = 'inner' }\n",
    );
    let ActionSpec::Flow(flow) = &spec.routes[0].action else {
        panic!("not a flow");
    };
    let foreach = flow.steps[3].foreach.as_ref().unwrap();
    assert_eq!(
        (foreach.concurrency, foreach.max_items, foreach.chunk),
        (8, 5, Some(2))
    );
    let plans: Vec<_> = flow
        .steps
        .iter()
        .filter_map(|step| match &step.kind {
            crate::orchestrate::StepKind::Flow(inner) => Some(&inner.plan),
            _ => None,
        })
        .collect();
    assert!(std::sync::Arc::ptr_eq(plans[0], plans[1]), "planned once");
    assert_eq!(spec.routes[0].methods, [http::Method::GET]);
}

#[test]
fn the_defaults_of_foreach_are_those_of_the_stage() {
    use crate::orchestrate::ForeachSpec;
    let step = keys::sections(&keys::ROOT)
        .into_iter()
        .find(|section| section.title == "steps.NAME")
        .unwrap();
    let default = |name: &str| match step.key(name).unwrap().default {
        keys::Default::Integer(integer) => usize::try_from(integer).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(default("concurrency"), ForeachSpec::CONCURRENCY);
    assert_eq!(default("max_items"), ForeachSpec::MAX_ITEMS);
}

#[test]
fn flows_cannot_go_round_in_circles() {
    let mistakes = refused(
        "[flows.a]\nsteps.one = { flow = 'b' }\n\
         [flows.b]\nsteps.one = { flow = 'c' }\nsteps.two = { flow = 'c' }\n\
         [flows.c]\nsteps.one = { flow = 'a' }\n\
         [[routes]]\npath = '/x'\nflow = 'a'\n",
    );
    assert_eq!(mistakes.count(), 1);
    let told = mistakes.iter().next().unwrap();
    assert!(
        told.message.contains("`a` uses `b` uses `c` uses `a`"),
        "{}",
        told.message
    );
}

#[test]
fn a_rule_for_errors_reads_the_error_and_no_body() {
    let mistakes = refused(
        "[upstreams.a]\nendpoints = ['http://a']\n\
         [[routes]]\npath = '/x'\nupstream = 'a'\n\
         on_error = [{ when = \"error.cause == 'x'\", status = 204, body = '1' }, { when = 'body.x' }]\n\
         [[routes]]\npath = '/y'\nwhen = 'error.status == 500'\nupstream = 'a'\n\
         [[routes]]\npath = '/z'\nrespond.text = 'z'\non_error = [{ status = 500 }]\n",
    );
    let messages: Vec<&str> = mistakes.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(messages.len(), 4, "{messages:?}");
    assert!(messages.iter().any(|it| it.contains("204 has no body")));
    assert!(messages.iter().any(|it| it.contains("`body`")));
    assert!(messages.iter().any(|it| it.contains("`error`")));
    assert!(messages.iter().any(|it| it.contains("on_error")));
}
