//! A key of the command line: its name, its value, and what the documentation says of it.

use crate::error::WordError;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A key that sets an option in a `T`.
#[derive(Debug)]
pub struct Key<T: 'static> {
    /// The name, without a prefix like `app.`.
    pub name: &'static str,
    /// What the value may be, and where it goes.
    pub value: Value<T>,
    /// The value without the key, as the documentation shows it: a value, or words with a space in them.
    pub default: &'static str,
    /// What the option is, in a few words.
    pub help: &'static str,
    /// A value that is right.
    pub example: &'static str,
}

/// What a value may be. `set` stores it; where it returns an `Option`, `None` refuses the value.
#[derive(Debug)]
pub enum Value<T: 'static> {
    /// A decimal number.
    Number {
        /// What is counted, in the plural.
        unit: &'static str,
        /// The least number.
        least: usize,
        /// The greatest number.
        most: usize,
        /// Stores the number.
        set: fn(&mut T, usize),
    },
    /// One of a few words.
    OneOf {
        /// The words.
        words: &'static [&'static str],
        /// Stores the word.
        set: fn(&mut T, &str) -> Option<()>,
    },
    /// Some of a few words, separated by commas.
    SomeOf {
        /// The words.
        words: &'static [&'static str],
        /// Stores the words, at least one.
        set: fn(&mut T, &[&str]) -> Option<()>,
    },
    /// Text in a form that `set` checks.
    Text {
        /// The form, in words.
        syntax: &'static str,
        /// Stores the value.
        set: fn(&mut T, &str) -> Option<()>,
    },
    /// Text that is not repeated in an error.
    Secret {
        /// The least length in bytes.
        least: usize,
        /// Stores the value.
        set: fn(&mut T, &str),
    },
}

impl<T> Value<T> {
    /// What the value may be, in words; `quote` is put around words that are to be written as they are.
    pub(crate) fn syntax(&self, quote: &str) -> String {
        let list = |words: &[&str]| {
            let quoted: Vec<String> = words.iter().map(|word| format!("{quote}{word}{quote}")).collect();
            quoted.join(", ")
        };
        match self {
            Self::Number { unit, least, most, .. } => format!("a number of {unit} from {least} to {most}"),
            Self::OneOf { words, .. } => format!("one of {}", list(words)),
            Self::SomeOf { words, .. } => format!("some of {}, separated by commas", list(words)),
            Self::Text { syntax, .. } => (*syntax).to_string(),
            Self::Secret { least, .. } => format!("a secret of {least} characters or more"),
        }
    }

    /// Checks and stores a value; `None` if it is refused.
    fn set(&self, target: &mut T, value: &str) -> Option<()> {
        match self {
            Self::Number { least, most, set, .. } => {
                let number =
                    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())??;
                (*least..=*most).contains(&number).then(|| set(target, number))
            }
            Self::OneOf { words, set } => words.contains(&value).then(|| set(target, value))?,
            Self::SomeOf { words, set } => {
                let values: Vec<&str> = value.split(',').collect();
                values.iter().all(|value| words.contains(value)).then(|| set(target, &values))?
            }
            Self::Text { set, .. } => set(target, value),
            Self::Secret { least, set } => (value.len() >= *least).then(|| set(target, value)),
        }
    }
}

impl<T> Key<T> {
    /// Checks a value and stores it in `target`. `written` is the key as the operator wrote it, for the error.
    ///
    /// # Errors
    /// The value is not what the key takes.
    pub fn set(&self, target: &mut T, written: &str, value: &str) -> Result<(), WordError> {
        self.value.set(target, value).ok_or_else(|| {
            let right = format!("{}, like {written}={}", self.value.syntax(""), self.example);
            let shown = if matches!(self.value, Value::Secret { .. }) { "…" } else { value };
            WordError::new(written, shown, &right)
        })
    }
}
