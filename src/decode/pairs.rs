//! Writes names and values as one JSON object; a name that comes again makes a list.

use std::collections::HashMap;

use bytes::Bytes;

use crate::json::write_string;

/// Names with their values, each as JSON text, in the order in which the names first came.
#[derive(Default)]
pub struct Pairs {
    places: HashMap<String, usize>,
    /// By place: the first value, and those that came again.
    values: Vec<(String, Vec<Vec<u8>>)>,
    len: usize,
}

impl Pairs {
    /// How many values there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Adds a value, which is JSON text.
    pub fn add(&mut self, name: &str, value: Vec<u8>) {
        self.len += 1;
        let known = self.places.get(name);
        if let Some((_, values)) = known.and_then(|&place| self.values.get_mut(place)) {
            values.push(value);
            return;
        }
        self.places.insert(name.to_owned(), self.values.len());
        self.values.push((name.to_owned(), vec![value]));
    }

    /// Adds a text.
    pub fn add_text(&mut self, name: &str, text: &str) {
        let mut value = Vec::new();
        write_string(text, &mut value);
        self.add(name, value);
    }

    /// The object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (place, (name, values)) in self.values.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write_string(name, out);
            out.push(b':');
            match values.as_slice() {
                [only] => out.extend_from_slice(only),
                several => {
                    out.push(b'[');
                    out.extend_from_slice(&several.join(&b','));
                    out.push(b']');
                }
            }
        }
        out.push(b'}');
    }

    /// The text of the object.
    pub fn json(&self) -> Bytes {
        let mut out = Vec::new();
        self.write(&mut out);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_makes_a_list_where_it_first_stood() {
        let mut pairs = Pairs::default();
        assert_eq!(pairs.json(), "{}");
        for (name, text) in [("a", "1"), ("b\"", "2"), ("a", "3"), ("a", "")] {
            pairs.add_text(name, text);
        }
        assert_eq!(pairs.json(), r#"{"a":["1","3",""],"b\"":"2"}"#);
        assert_eq!(pairs.len(), 4);
    }
}
