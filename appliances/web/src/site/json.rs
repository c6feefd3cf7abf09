//! A status as JSON, written piece by piece into memory that may run out.
//!
//! Only what a status has: numbers, texts, lists, structures and maps with texts as keys. serde_json cannot write to a sink
//! that fails without std, and takes 16 KiB of code.

use crate::site::status::{Group, Groups};
use core::fmt::{self, Display, Write};
use serde::ser::{Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

/// Writes a value.
///
/// # Errors
/// The sink takes no more, or the value is of a kind that a status does not have.
pub fn write(sink: &mut impl Write, value: &impl Serialize) -> Result<(), Error> {
    value.serialize(Json(sink))
}

/// Writes groups of numbers as members of the structure that has them.
///
/// # Errors
/// Those of the serializer.
pub fn groups<S: Serializer>(groups: &Groups, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for group in &groups.0 {
        // A group without a key: its numbers stand beside the other groups.
        if group.key.is_empty() {
            group.numbers.iter().try_for_each(|number| map.serialize_entry(number.name, &number.value))?;
        } else {
            map.serialize_entry(group.key, &Members(group))?;
        }
    }
    map.end()
}

/// A group as an object.
struct Members<'a>(&'a Group);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.numbers.iter().map(|number| (number.name, number.value)))
    }
}

/// The sink takes no more, or a kind of value is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error;

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no memory for JSON")
    }
}

impl core::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

impl From<fmt::Error> for Error {
    fn from(_: fmt::Error) -> Self {
        Self
    }
}

struct Json<'a, W>(&'a mut W);

/// A list or a map that is open.
struct Open<'a, W> {
    sink: &'a mut W,
    first: bool,
    end: char,
}

impl<'a, W: Write> Open<'a, W> {
    fn new(sink: &'a mut W, begin: char, end: char) -> Result<Self, Error> {
        sink.write_char(begin)?;
        Ok(Self { sink, first: true, end })
    }

    fn comma(&mut self) -> Result<(), Error> {
        if !core::mem::take(&mut self.first) {
            self.sink.write_char(',')?;
        }
        Ok(())
    }

    fn close(self) -> Result<(), Error> {
        Ok(self.sink.write_char(self.end)?)
    }
}

fn text(sink: &mut impl Write, text: &str) -> Result<(), Error> {
    sink.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || matches!(c, '"' | '\\')) {
        let (plain, behind) = rest.split_at_checked(at).ok_or(Error)?;
        let mut characters = behind.chars();
        let character = characters.next().ok_or(Error)?;
        sink.write_str(plain)?;
        match character {
            '"' | '\\' => write!(sink, "\\{character}")?,
            _ => write!(sink, "\\u{:04x}", u32::from(character))?,
        }
        rest = characters.as_str();
    }
    sink.write_str(rest)?;
    Ok(sink.write_char('"')?)
}

macro_rules! displayed {
    ($($name:ident: $type:ty,)*) => {
        $(fn $name(self, value: $type) -> Result<(), Error> {
            Ok(write!(self.0, "{value}")?)
        })*
    };
}

macro_rules! unsupported {
    ($($name:ident($($type:ty),*) -> $result:ty,)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<$result, Error> {
            Err(Error)
        })*
    };
}

type Never = Impossible<(), Error>;

impl<'a, W: Write> Serializer for Json<'a, W> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Open<'a, W>;
    type SerializeMap = Open<'a, W>;
    type SerializeStruct = Open<'a, W>;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeStructVariant = Never;

    displayed! {
        serialize_bool: bool, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
    }

    unsupported! {
        serialize_f32(f32) -> (), serialize_f64(f64) -> (), serialize_char(char) -> (), serialize_bytes(&[u8]) -> (),
        serialize_unit_struct(&'static str) -> (), serialize_unit_variant(&'static str, u32, &'static str) -> (),
        serialize_tuple(usize) -> Never, serialize_tuple_struct(&'static str, usize) -> Never,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never,
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        text(self.0, value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(self.0.write_str("null")?)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a, W>, Error> {
        Open::new(self.0, '[', ']')
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a, W>, Error> {
        Open::new(self.0, '{', '}')
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a, W>, Error> {
        self.serialize_map(None)
    }
}

impl<W: Write> SerializeSeq for Open<'_, W> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.comma()?;
        value.serialize(Json(self.sink))
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl<W: Write> SerializeMap for Open<'_, W> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.comma()?;
        key.serialize(Json(self.sink))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.sink.write_char(':')?;
        value.serialize(Json(self.sink))
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl<W: Write> SerializeStruct for Open<'_, W> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.serialize_entry(key, value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::site::status::{Datafront, Group, Groups};
    use alloc::string::String;
    use alloc::vec;
    use serde_json::Value;

    #[test]
    fn what_is_written_is_what_serde_json_reads() {
        let value = serde_json::json!({
            "a": [1, -2, true, null, "x\"y\\z\n\u{1}\u{e9}", [], {}],
            "b": { "c": 18_446_744_073_709_551_615_u64, "": "" },
        });
        let mut text = String::new();
        write(&mut text, &value).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(write(&mut String::new(), &1.5).is_err());
    }

    #[test]
    fn groups_are_members_of_the_structure_that_has_them() {
        let drops = Group::new("drops", "Drops").counters([("malformed", "", 4), ("ipv6", "", 9)]);
        let groups = Groups(vec![drops, Group::new("", "Guest").gauges([("tasks", "", 3)])]);
        let status = Datafront { channels: vec![], groups };
        let mut text = String::new();
        write(&mut text, &status).unwrap();
        assert_eq!(text, r#"{"channels":[],"drops":{"malformed":4,"ipv6":9},"tasks":3}"#);
    }
}
