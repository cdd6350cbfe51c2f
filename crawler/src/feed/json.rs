//! JSON documents with an array of items, and JSON Lines. The document is
//! never held: each item is flattened to dotted paths as it is read.

use std::fmt;
use std::io;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use trawler_core::feed::FeedLimits;

use super::control::Control;
use super::error::{FeedError, Incomplete};
use super::lines::Lines;
use super::mapper::{FieldSpan, Mapper, Record};
use super::rejected::Reason;
use super::text::{READ_AHEAD_BYTES, Text, TextReader};

/// Reads one object a line.
pub(super) fn read_lines(
    mut lines: Lines<'_>,
    mapper: &mut Mapper<'_>,
    control: &Control<'_>,
) -> io::Result<()> {
    let mut item = Item::default();
    while let Some(line) = lines.next()? {
        let at = (line.line, line.offset);
        if line.text.trim().is_empty() {
            continue;
        }
        if line.too_long {
            let why = "is longer than limits.row_bytes_max".to_owned();
            mapper.reject(Reason::TooLong, 1, at, line.text, why)?;
            continue;
        }
        item.clear();
        let mut reader = serde_json::Deserializer::from_str(line.text);
        let flatten = Flatten {
            item: &mut item,
            mapper,
            control,
            top: true,
        };
        let result = flatten.deserialize(&mut reader).and_then(|()| reader.end());
        match result {
            Ok(()) => item.hand_on(at, mapper)?,
            Err(_) if control.has_fault() => return Err(io::Error::other("too many fields")),
            Err(error) if error.is_eof() && !line.ended => {
                return Err(control.incomplete(Incomplete::CutOffRow { line: line.line }));
            }
            Err(error) => {
                let why = format!("is no JSON object: {error}");
                mapper.reject(Reason::Malformed, 1, at, line.text, why)?;
            }
        }
    }
    Ok(())
}

/// Reads the items of the array at `path`, dotted; without path, the document
/// is the array.
pub(super) fn read_document<'c>(
    text: Text<'c>,
    path: Option<&str>,
    limits: &FeedLimits,
    mapper: &mut Mapper<'_>,
    control: &'c Control<'c>,
) -> io::Result<()> {
    let keys: Vec<&str> = path
        .map(|path| path.split('.').collect())
        .unwrap_or_default();
    let input = TextReader::new(text, control);
    let mut reader = serde_json::Deserializer::from_reader(input);
    let walk = Walk {
        path: path.unwrap_or("(the document)"),
        keys: &keys,
        row_bytes: limits.row_bytes_max + READ_AHEAD_BYTES,
        mapper,
        control,
    };
    let result = walk.deserialize(&mut reader).and_then(|()| reader.end());
    result.map_err(|error| {
        let offset = control.offset();
        match error.is_eof() {
            _ if control.has_fault() => io::Error::other(error),
            true if offset == 0 => control.incomplete(Incomplete::Empty),
            true => control.incomplete(Incomplete::Truncated {
                what: "JSON",
                offset,
            }),
            false => control.error(FeedError::Malformed {
                format: "JSON",
                offset,
                why: error.to_string(),
            }),
        }
    })
}

/// One item, flattened.
#[derive(Default)]
struct Item {
    text: String,
    values: Vec<FieldSpan>,
    path: String,
    /// What the item is, where it is no object.
    not_an_object: bool,
}

impl Item {
    fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        self.path.clear();
        self.not_an_object = false;
    }

    fn hand_on(&self, at: (u64, u64), mapper: &mut Mapper<'_>) -> io::Result<()> {
        if self.not_an_object {
            let why = "is no JSON object".to_owned();
            return mapper.reject(Reason::Malformed, 1, at, &self.text, why);
        }
        mapper.row(&Record {
            text: &self.text,
            values: &self.values,
            line: at.0,
            offset: at.1,
        })
    }
}

/// Goes down the path to the array.
struct Walk<'w, 'k, 'm, 'c> {
    path: &'k str,
    keys: &'k [&'k str],
    row_bytes: usize,
    mapper: &'w mut Mapper<'m>,
    control: &'w Control<'c>,
}

impl Walk<'_, '_, '_, '_> {
    fn nothing<E: Error>(&self, found: &str) -> E {
        self.control.error(FeedError::NoItems {
            path: self.path.to_owned(),
            found: found.to_owned(),
        });
        E::custom("no items")
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the array at {}", self.path)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((key, keys)) = self.keys.split_first() else {
            return Err(self.nothing("an object is there; set `items` to the path of the array"));
        };
        let mut others: Vec<String> = Vec::new();
        let mut found = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == *key && !found {
                found = true;
                map.next_value_seed(Walk {
                    path: self.path,
                    keys,
                    row_bytes: self.row_bytes,
                    mapper: &mut *self.mapper,
                    control: self.control,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
                if others.len() < 20 {
                    others.push(name);
                }
            }
        }
        if found {
            return Ok(());
        }
        Err(self.nothing(&format!("no key {key:?}; there are {}", others.join(", "))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if !self.keys.is_empty() {
            return Err(self.nothing("an array comes before the end of the path"));
        }
        let mut item = Item::default();
        let mut number = 0;
        loop {
            item.clear();
            self.control.grant(self.row_bytes);
            let flatten = Flatten {
                item: &mut item,
                mapper: &mut *self.mapper,
                control: self.control,
                top: true,
            };
            let offset = self.control.offset();
            if items.next_element_seed(flatten)?.is_none() {
                break;
            }
            number += 1;
            item.hand_on((number, offset), self.mapper)
                .map_err(A::Error::custom)?;
        }
        self.control.grant(usize::MAX);
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(self.nothing("a string is there"))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(self.nothing("null is there"))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Err(self.nothing("true or false is there"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Err(self.nothing("a number is there"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Err(self.nothing("a number is there"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(self.nothing("a number is there"))
    }
}

/// Writes a value and what is in it to the item.
struct Flatten<'f, 'm, 'c> {
    item: &'f mut Item,
    mapper: &'f mut Mapper<'m>,
    control: &'f Control<'c>,
    top: bool,
}

impl Flatten<'_, '_, '_> {
    fn scalar<E: Error>(self, value: impl fmt::Display) -> Result<(), E> {
        use fmt::Write as _;
        let start = self.item.text.len() as u32;
        write!(self.item.text, "{value}").expect("writing to a string cannot fail");
        if self.top {
            self.item.not_an_object = true;
            return Ok(());
        }
        let end = self.item.text.len() as u32;
        match self.mapper.fields.number(&self.item.path) {
            Ok(number) => self.item.values.push((number as u32, start, end)),
            Err(error) => {
                self.control.error(error);
                return Err(E::custom("too many fields"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Flatten<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flatten<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let length = self.item.path.len();
        while let Some(key) = map.next_key_seed(Key(&mut self.item.path))? {
            let () = key;
            map.next_value_seed(Flatten {
                item: &mut *self.item,
                mapper: &mut *self.mapper,
                control: self.control,
                top: false,
            })?;
            self.item.path.truncate(length);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        self.item.not_an_object |= self.top;
        loop {
            let element = Flatten {
                item: &mut *self.item,
                mapper: &mut *self.mapper,
                control: self.control,
                top: self.top,
            };
            if values.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.item.not_an_object |= self.top;
        Ok(())
    }
}

/// Appends a key to the path.
struct Key<'p>(&'p mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(key);
        Ok(())
    }
}
