//! Building blocks of the page: escaped text, cells that the script finds again, tables, bars.
//!
//! A number on the page carries the path of its key in `/status.json` (`data-k`) and its unit (`data-f`). The script
//! looks for those attributes and knows nothing else of the page; a test follows each path and compares.

use crate::site::status::Counts;
use crate::site::units::{Shown, Unit};
use alloc::string::String;
use core::fmt::{self, Arguments, Display, Write as _};

/// The page so far. Writing to a string does not fail.
pub(crate) struct Html(pub(crate) String);

/// Text in which nothing is markup.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// A number of the status: where it is in the JSON, what it is, how it is shown.
pub(crate) struct Live<'a>(pub(crate) Arguments<'a>, pub(crate) u64, pub(crate) Unit);

impl Display for Live<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(key, value, unit) = self;
        write!(f, "<span data-k=\"{key}\" data-f=\"{}\">{}</span>", unit.name(), Shown(*value, *unit))
    }
}

/// What a counter that is not zero means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Work was done.
    Fine,
    /// Somebody should look.
    Alarm,
}

impl Mood {
    const fn class(self) -> &'static str {
        match self {
            Self::Fine => "",
            Self::Alarm => "alarm",
        }
    }
}

/// A part of a bar.
pub(crate) struct Part<'a> {
    pub(crate) class: &'static str,
    pub(crate) label: &'a str,
    pub(crate) key: &'static str,
    pub(crate) value: u64,
}

impl Html {
    pub(crate) fn add(&mut self, text: Arguments<'_>) {
        let _ = self.0.write_fmt(text);
    }

    /// A fact in the list at the top; nothing if there is nothing to say.
    pub(crate) fn fact(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", Text(value)));
        }
    }

    /// A row of a table: one number.
    pub(crate) fn row(&mut self, name: &str, live: Live<'_>, mood: Mood) {
        let class = if live.1 == 0 { "zero" } else { mood.class() };
        let zero = mood.class();
        self.add(format_args!(
            "<tr class=\"{class}\" data-zero=\"{zero}\"><th>{name}</th><td>{live}</td></tr>\n"
        ));
    }

    /// A row for each counter of a group.
    pub(crate) fn rows(&mut self, path: Arguments<'_>, counts: &Counts, mood: Mood) {
        for (name, count) in &counts.0 {
            let live = Live(format_args!("{path}.{name}"), *count, unit_of(name));
            self.row(&name.replace('_', " "), live, mood);
        }
    }

    /// A bar of parts, and under it what they are. `path` is that of the parts' keys.
    pub(crate) fn bar(&mut self, title: &str, path: Arguments<'_>, parts: &[Part<'_>], unit: Unit) {
        let whole = parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.value));
        self.add(format_args!("<div class=\"label\">{title}</div>\n<div class=\"bar\">"));
        for part in parts {
            let Part { class, key, value, .. } = part;
            let tenths = value.saturating_mul(1000).checked_div(whole).unwrap_or(0);
            self.add(format_args!("<i class=\"{class}\" data-part=\"{path}.{key}\" data-of=\""));
            for (number, part) in parts.iter().enumerate() {
                let plus = if number == 0 { "" } else { "+" };
                self.add(format_args!("{plus}{path}.{}", part.key));
            }
            self.add(format_args!("\" style=\"width:{}.{}%\"></i>", tenths / 10, tenths % 10));
        }
        self.add(format_args!("</div>\n<ul class=\"legend\">\n"));
        for Part { class, label, key, value } in parts {
            let live = Live(format_args!("{path}.{key}"), *value, unit);
            self.add(format_args!("<li class=\"{class}\">{label} {live}</li>\n"));
        }
        self.add(format_args!("</ul>\n"));
    }
}

fn unit_of(name: &str) -> Unit {
    if name.ends_with("bytes") { Unit::Bytes } else { Unit::Count }
}
