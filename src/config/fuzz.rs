//! What the fuzz target `config` calls: it takes any bytes and panics when a promise is broken.

use std::ffi::OsString;
use std::path::Path;

use super::load_text_with;

/// Any text is a spec or a list of mistakes that can be shown.
pub fn file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let lookup = |name: &str| (name != "UNSET").then(|| OsString::from(name));
    // A folder that is not there: what the text names is not found.
    let base = Path::new("/nonexistent/concertina");
    if let Err(mistakes) = load_text_with("fuzz.toml", text, base, &lookup) {
        assert!(mistakes.count() > 0);
        assert!(!mistakes.render(true).is_empty());
        assert!(!mistakes.to_string().is_empty());
        drop(mistakes.to_json());
    }
}
