//! Holds the documentation, the schema and the examples against the catalogue.

use super::*;

/// The sections of every kind of file.
fn everything() -> Vec<&'static keys::Section> {
    let mut sections = keys::sections(&keys::ROOT);
    sections.extend(keys::sections(&keys::CASES));
    sections
}

#[test]
fn every_example_of_the_catalogue_has_the_shape_that_it_explains() {
    for section in everything() {
        for key in section.keys {
            let mut read = Read::new(&|_| Some("0123456789abcdef0123456789abcdef".into()));
            if key.name == "include" {
                continue;
            }
            // Files of the examples are not here.
            let example = key.example.replace("${file:/run/secrets/", "${F");
            let table = read.text(
                Path::new("x"),
                example,
                Path::new(env!("CARGO_MANIFEST_DIR")),
            );
            let entry = table.entries.first();
            let entry = entry.unwrap_or_else(|| panic!("{} {}", section.title, key.name));
            assert_eq!(entry.key, key.name, "{}", section.title);
            check::value(&entry.node, &key.shape, false, &mut read.findings);
            let mistakes = read.findings.finish(&read.sources, vec![]);
            assert_eq!(
                mistakes.count(),
                0,
                "{} {}:\n{mistakes}",
                section.title,
                key.name
            );
        }
    }
}

#[test]
fn every_default_of_the_catalogue_has_the_shape_of_its_key() {
    for section in everything() {
        for key in section.keys {
            let default = match key.default {
                keys::Default::Needed | keys::Default::Words(_) => continue,
                keys::Default::Text(text) => format!("'{text}'"),
                keys::Default::Integer(integer) => integer.to_string(),
                keys::Default::Boolean(boolean) => boolean.to_string(),
                keys::Default::List(list) => format!("{list:?}"),
            };
            let text = format!("x = {default}");
            let mut read = Read::new(&|_| None);
            let table = read.text(Path::new("x"), text, Path::new(""));
            check::value(
                &table.entries[0].node,
                &key.shape,
                false,
                &mut read.findings,
            );
            let mistakes = read.findings.finish(&read.sources, vec![]);
            assert_eq!(
                mistakes.count(),
                0,
                "{} {}:\n{mistakes}",
                section.title,
                key.name
            );
        }
    }
}

#[test]
fn every_choice_and_condition_names_keys_of_its_section() {
    for section in everything() {
        let named = section.choices.iter().flat_map(|choice| choice.keys);
        let conditions = section.keys.iter().flat_map(|key| key.with);
        for name in named.chain(conditions) {
            assert!(section.key(name).is_some(), "{name} in {}", section.title);
        }
    }
}

/// The part of the documentation between the marks is made from the catalogue; `UPDATE=1` makes it
/// anew.
#[test]
fn the_documentation_has_every_key() {
    const BEGIN: &str = "<!-- keys: made from the catalogue -->\n";
    const END: &str = "<!-- end of keys -->";
    for (page, reference) in [
        ("docs/routes.md", reference()),
        ("docs/testing.md", cases_reference()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let expected = format!("{before}{BEGIN}\n{reference}\n{END}{after}");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &expected).unwrap();
        } else {
            assert!(text == expected, "{page}: run the test with UPDATE=1");
        }
    }
}

#[test]
fn the_schemas_that_are_shipped_are_those_that_are_printed() {
    for (file, schema) in [
        ("docs/routes.schema.json", schema()),
        ("docs/test.schema.json", cases_schema()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let expected = format!("{schema}\n");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == expected,
            "{file}: run the test with UPDATE=1"
        );
    }
}

#[test]
fn the_schema_refers_to_what_it_defines() {
    for (schema, root) in [(schema(), &keys::ROOT), (cases_schema(), &keys::CASES)] {
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let definitions = schema["$defs"].as_object().unwrap();
        assert_eq!(
            definitions.len() + 1,
            keys::sections(root).len(),
            "no two have one name"
        );
        let text = schema.to_string();
        for part in text.split("\"#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
    }
}
