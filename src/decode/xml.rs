//! XML (1.0) read as JSON, without document types, and so without entities of its own.
//!
//! | XML | JSON |
//! | --- | --- |
//! | the document | an object with one key, the name of the root |
//! | an element without attributes and elements in it | its text |
//! | any other element | an object: attributes as `@name`, elements by name, the text as `#text` |
//! | elements of one name within one | a list |
//!
//! Names keep their prefix. Comments and instructions are dropped, as is white space around text.

use bytes::Bytes;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::Unreadable;
use super::pairs::Pairs;

/// Elements within each other at most: each may be an object in a list.
const DEPTH_MAX: usize = 60;

/// Elements and attributes of one document at most. Each costs far more than its bytes.
const NODES_MAX: usize = 100_000;

/// Attributes of one element at most: each is compared with all.
const ATTRIBUTES_MAX: usize = 64;

const FORMAT: &str = "XML";

/// The document as JSON text.
pub fn read(body: &[u8]) -> Result<Bytes, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut tree = Tree::default();
    loop {
        let event = reader
            .read_event()
            .map_err(|_| malformed("it is not well-formed"))?;
        match event {
            Event::Start(start) => tree.open(&start)?,
            Event::Empty(start) => {
                tree.open(&start)?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => tree.reference(&reference)?,
            Event::Decl(declaration) => must_be_utf8(&declaration)?,
            Event::DocType(_) => return Err(malformed("it has a document type")),
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

fn malformed(what: &'static str) -> Unreadable {
    Unreadable::malformed(FORMAT, what)
}

fn must_be_utf8(declaration: &BytesDecl<'_>) -> Result<(), Unreadable> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name))
            if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii") =>
        {
            Ok(())
        }
        Some(_) => Err(malformed("it says that it is not UTF-8")),
    }
}

/// An element whose end has not come.
struct Open {
    name: String,
    /// Its attributes, and the elements in it.
    members: Pairs,
    text: String,
}

/// What was read so far.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Pairs>,
    nodes: usize,
}

impl Tree {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), Unreadable> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(malformed("it has several roots"));
        }
        if self.open.len() == DEPTH_MAX {
            return Err(malformed("it is nested too deeply"));
        }
        self.count()?;
        let name = name(start.name().as_ref())?.to_owned();
        let mut members = Pairs::default();
        for attribute in start.attributes() {
            let wrong = || malformed("an attribute is malformed");
            let attribute = attribute.map_err(|_| wrong())?;
            if members.len() == ATTRIBUTES_MAX {
                return Err(malformed("an element has too many attributes"));
            }
            self.count()?;
            // Knows the five entities that XML has by itself, and no other.
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| wrong())?;
            let key = format!("@{}", self::name(attribute.key.as_ref())?);
            members.add_text(&key, &value);
        }
        self.open.push(Open {
            name,
            members,
            text: String::new(),
        });
        Ok(())
    }

    fn count(&mut self) -> Result<(), Unreadable> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Unreadable::TooMuch(
                "An XML document has at most 100000 elements and attributes here.",
            ));
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        match self.open.last_mut() {
            Some(open) => open.text.push_str(text),
            None if text.trim_matches(is_space).is_empty() => {}
            None => return Err(malformed("it has text outside of its root")),
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Unreadable> {
        let wrong = || malformed("it refers to what it does not have");
        if let Some(character) = reference.resolve_char_ref().map_err(|_| wrong())? {
            return self.text(character.encode_utf8(&mut [0; 4]));
        }
        let text = resolve_predefined_entity(reference).ok_or_else(wrong)?;
        self.text(text)
    }

    /// Ends the innermost element.
    fn close(&mut self) -> Result<(), Unreadable> {
        let closed = self.open.pop();
        let mut element = closed.ok_or_else(|| malformed("it is not well-formed"))?;
        let text = element.text.trim_matches(is_space);
        let mut value = Vec::new();
        if element.members.len() == 0 {
            crate::json::write_string(text, &mut value);
        } else {
            if !text.is_empty() {
                element.members.add_text("#text", text);
            }
            element.members.write(&mut value);
        }
        match self.open.last_mut() {
            Some(parent) => parent.members.add(&element.name, value),
            None => self.root.get_or_insert_default().add(&element.name, value),
        }
        Ok(())
    }

    fn finish(self) -> Result<Bytes, Unreadable> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root.json()),
            _ => Err(malformed("it ends too early")),
        }
    }
}

/// A name that cannot be taken for `#text`, or for an attribute.
fn name(name: &str) -> Result<&str, Unreadable> {
    let first = name.chars().next();
    first
        .filter(|&first| first.is_alphabetic() || matches!(first, '_' | ':'))
        .map(|_| name)
        .ok_or_else(|| malformed("a name is malformed"))
}

/// White space of XML (2.3).
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(xml: &str, expected: &str) {
        assert_eq!(read(xml.as_bytes()).unwrap(), expected, "{xml}");
    }

    #[track_caller]
    fn refused(xml: &str, because: &str) {
        let error = read(xml.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(because), "{xml}: {error}");
    }

    #[test]
    fn a_document_is_an_object() {
        check("<a/>", r#"{"a":""}"#);
        check(" <a> x\ty </a>\n", r#"{"a":"x\ty"}"#);
        check(
            "<a><b>1</b><c/><b>2</b></a>",
            r#"{"a":{"b":["1","2"],"c":""}}"#,
        );
        check(
            "<?xml version=\"1.0\" encoding='UTF-8'?><!-- c --><a x='1' y=\"&lt;2&gt;\">t</a>",
            r##"{"a":{"@x":"1","@y":"<2>","#text":"t"}}"##,
        );
        check(
            "<s:a xmlns:s='urn:s'><s:b>1</s:b> and <s:b>2</s:b>!</s:a>",
            r##"{"s:a":{"@xmlns:s":"urn:s","s:b":["1","2"],"#text":"and !"}}"##,
        );
        check(
            "<a><![CDATA[<&]]>&amp;&#x41;&#66;<?pi x?></a>",
            r#"{"a":"<&&AB"}"#,
        );
        check("\u{feff}<\u{e4}>\"</\u{e4}>", "{\"\u{e4}\":\"\\\"\"}");
    }

    #[test]
    fn a_document_type_and_entities_are_refused() {
        let doctype = "<!DOCTYPE a [<!ENTITY x \"lol\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        refused(doctype, "document type");
        refused(
            "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
            "document type",
        );
        refused("<a>&x;</a>", "refers");
        refused("<a b='&x;'/>", "attribute");
        refused("<a>&#0;</a>", "refers");
        refused("<a>&#xd800;</a>", "refers");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for xml in [
            "",
            " ",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>text",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a",
            "<a><!-- ",
            "<a>&amp</a>",
            "<1/>",
            "<@x/>",
            "<a @b='1'/>",
        ] {
            let error = read(xml.as_bytes()).unwrap_err();
            assert!(matches!(error, Unreadable::Malformed { .. }), "{xml}");
        }
        refused("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "UTF-8");
        assert!(read(b"<a>\xff</a>").is_err());
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(read(nested(DEPTH_MAX).as_bytes()).is_ok());
        refused(&nested(DEPTH_MAX + 1), "nested too deeply");
        refused(&nested(100_000), "nested too deeply");
        let many = format!("<a>{}</a>", "<b/>".repeat(NODES_MAX - 1));
        assert!(read(many.as_bytes()).is_ok());
        let more = many.replace("</a>", "<b/></a>");
        assert!(matches!(read(more.as_bytes()), Err(Unreadable::TooMuch(_))));
        let attributes: Vec<String> = (0..=ATTRIBUTES_MAX).map(|at| format!("a{at}=''")).collect();
        let attributes = format!(" {}", attributes.join(" "));
        refused(&format!("<a{attributes}/>"), "too many attributes");
    }

    proptest! {
        #[test]
        fn any_text_is_json_or_refused(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("<a>".to_owned()), Just("</a>".to_owned()), Just("<b c='d'/>".to_owned()),
                    Just("<![CDATA[".to_owned()), Just("]]>".to_owned()), Just("&lt;".to_owned()),
                    Just("<!--".to_owned()), Just("-->".to_owned()), "[<>&'/! a-c]{0,4}", ".{0,3}",
                ],
                0..20,
            ),
        ) {
            if let Ok(json) = read(pieces.concat().as_bytes()) {
                let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
                prop_assert_eq!(value.as_object().map(serde_json::Map::len), Some(1));
            }
        }

        #[test]
        fn text_comes_out_as_it_went_in(text in "[ -~\u{e4}]{0,20}") {
            let xml = format!("<a b=\"{0}\">{0}</a>", quick_xml::escape::escape(&text));
            let value: serde_json::Value = serde_json::from_slice(&read(xml.as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(&value["a"]["@b"], &text);
            let trimmed = text.trim_matches(is_space);
            let found = value["a"].get("#text").map_or("", |it| it.as_str().unwrap());
            prop_assert_eq!(found, trimmed);
        }
    }
}
