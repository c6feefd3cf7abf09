//! Building blocks of the page: escaped text, numbers, tables, bars.
//!
//! A number on the page carries the path of its key in `/status.json` (`data-k`) and its unit (`data-f`). The script
//! finds the numbers by these attributes and knows nothing else of the page. A test follows each path and compares.

use crate::content::Content;
use crate::site::units::{Shown, Unit};
use core::fmt::{self, Arguments, Display, Write as _};
use kernel::stats::numbers::{Group, Kind, Number, Shape};

/// The page so far; once there is no memory, nothing is added.
pub(crate) struct Html {
    text: Content,
    failed: bool,
}

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

/// The name of a number as words: blanks for underscores.
struct Words<'a>(&'a str);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| f.write_char(if character == '_' { ' ' } else { character }))
    }
}

/// A number that the script keeps up to date: the path of its key in `/status.json`, its value and unit.
pub(crate) struct Live<'a> {
    path: &'a str,
    key: &'a str,
    name: &'a str,
    value: u64,
}

impl<'a> Live<'a> {
    /// A number of a group. `path` is that of the group's owner, with a dot at its end, or empty.
    pub(crate) const fn of(path: &'a str, group: &Group, number: &Number) -> Self {
        Self { path, key: group.key, name: number.name, value: number.value }
    }
}

/// The rest of a tag that has the number for its text: attributes and text.
impl Display for Live<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, key, name, value } = self;
        let (dot, unit) = (if key.is_empty() { "" } else { "." }, unit_of(name));
        // A unit is left out where it is the usual one.
        write!(f, " data-k=\"{path}{key}{dot}{name}\"")?;
        if unit != Unit::Count {
            write!(f, " data-f=\"{}\"", unit.name())?;
        }
        write!(f, ">{}", Shown(*value, unit))
    }
}

impl Html {
    pub(crate) const fn new(text: Content) -> Self {
        Self { text, failed: false }
    }

    pub(crate) fn add(&mut self, text: Arguments<'_>) {
        self.failed = self.failed || self.text.write_fmt(text).is_err();
    }

    /// Adds text by reference.
    pub(crate) fn add_static(&mut self, text: &'static str) {
        self.failed = self.failed || self.text.push_static(text).is_err();
    }

    /// The page; `None` if there was no memory.
    pub(crate) fn finished(self) -> Option<Content> {
        (!self.failed).then_some(self.text)
    }

    /// A fact in the list at the top; nothing if there is nothing to say.
    pub(crate) fn fact(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.add(format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", Text(value)));
        }
    }

    /// A card with the numbers of a group. `path` is that of the group's owner, with a dot at its end, or empty.
    pub(crate) fn group(&mut self, path: &str, group: &Group) {
        if group.shape == Shape::Hidden {
            return;
        }
        self.add(format_args!("<section class=\"card\">\n<h2>{}</h2>\n", group.title));
        self.table(path, group);
        self.add(format_args!("</section>\n"));
    }

    /// A table of the numbers of a group that are no parts of a bar.
    pub(crate) fn table(&mut self, path: &str, group: &Group) {
        let quiet = group.shape == Shape::NonZero;
        self.add(format_args!("<table{}>\n", if quiet { " class=\"quiet\"" } else { "" }));
        for number in
            group.numbers.iter().filter(|number| group.shape != Shape::Bar || number.kind != Kind::Part)
        {
            self.row(path, group, number);
        }
        self.add(format_args!("</table>\n{}", if quiet { "<p class=\"none\">None.</p>\n" } else { "" }));
    }

    fn row(&mut self, path: &str, group: &Group, number: &Number) {
        let Number { name, help, value, alarm, .. } = number;
        // There are hundreds of rows, and a small guest has memory for one page: a class is there only where it is needed.
        let attributes = match (alarm, value) {
            (false, 0) => " class=\"zero\"",
            (false, _) => "",
            (true, 0) => " class=\"zero\" data-alarm",
            (true, _) => " class=\"alarm\" data-alarm",
        };
        let live = Live::of(path, group, number);
        let (help, name) = (Text(help), Words(name));
        self.add(format_args!("<tr{attributes}><th title=\"{help}\">{name}</th><td{live}</td></tr>\n"));
    }

    /// A bar of the parts of a group, and a legend below it.
    pub(crate) fn bar(&mut self, path: &str, group: &Group) {
        let parts = || group.numbers.iter().filter(|number| number.kind == Kind::Part);
        let whole = parts().fold(0, |sum: u64, part| sum.saturating_add(part.value));
        self.add(format_args!("<div class=\"label\">{}</div>\n<div class=\"bar\">", group.title));
        for part in parts() {
            let tenths = part.value.saturating_mul(1000).checked_div(whole).unwrap_or(0);
            let (name, key) = (part.name, group.key);
            self.add(format_args!("<i class=\"{name}\" data-part=\"{path}{key}.{name}\" data-of=\""));
            for (number, part) in parts().enumerate() {
                let plus = if number == 0 { "" } else { "+" };
                self.add(format_args!("{plus}{path}{key}.{}", part.name));
            }
            self.add(format_args!("\" style=\"width:{}.{}%\"></i>", tenths / 10, tenths % 10));
        }
        self.add(format_args!("</div>\n<ul class=\"legend\">\n"));
        for number in &group.numbers {
            let class = if number.kind == Kind::Part { number.name } else { "plain" };
            let (live, help, name) = (Live::of(path, group, number), Text(number.help), Words(number.name));
            self.add(format_args!("<li class=\"{class}\" title=\"{help}\">{name} <span{live}</span></li>\n"));
        }
        self.add(format_args!("</ul>\n"));
    }
}

fn unit_of(name: &str) -> Unit {
    if name.ends_with("bytes") { Unit::Bytes } else { Unit::Count }
}
