//! The documentation of a table of keys, in Markdown.

use crate::key::Key;
use alloc::format;
use alloc::string::String;

/// A Markdown table of the keys. Each name gets `prefix` before it.
#[must_use]
pub fn table<T>(keys: &[Key<T>], prefix: &str) -> String {
    let mut text = String::from("| key | meaning | value | default |\n|---|---|---|---|\n");
    for key in keys {
        let cells = format!("{} | {}", escape(key.help), escape(&key.value.syntax("`")));
        text.push_str(&format!("| `{prefix}{}=` | {cells} |", key.name));
        text.push_str(&match key.default {
            "" => String::from(" |\n"),
            // A single word is a value, or stands for the lack of one.
            word if word != "none" && !word.contains(' ') => format!(" `{word}` |\n"),
            words => format!(" {words} |\n"),
        });
    }
    text
}

/// A bar would end the cell.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The document with its section `name` replaced by `table`; `None` if it has no such section.
///
/// A section stands between two comments:
///
/// ```text
///   <!-- keys: NAME -->
///   | key | value | default |
///   …
///   <!-- end of keys -->
/// ```
#[must_use]
pub fn replace_section(document: &str, name: &str, table: &str) -> Option<String> {
    const END: &str = "<!-- end of keys -->";
    let (before, rest) = document.split_once(&format!("<!-- keys: {name} -->\n"))?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}<!-- keys: {name} -->\n{table}{END}{after}"))
}
