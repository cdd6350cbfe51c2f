//! A tree of named values, which JSON-LD, microdata and RDFa all come down
//! to. Numbers keep their digits: prices must not pass through floats.

/// Depth is bounded by whoever builds it, so releasing it cannot overflow
/// the stack.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Value>),
    /// Names may repeat; readers take the first.
    Object(Vec<(String, Value)>),
}

const NAMESPACES: &[&str] = &[
    "schema:",
    "http://schema.org/",
    "https://schema.org/",
    "http://www.schema.org/",
    "https://www.schema.org/",
    "//schema.org/",
    "http://schema.org#",
    "https://schema.org#",
];

/// The name without the schema.org namespace in front of it.
pub(super) fn local_name(name: &str) -> &str {
    // Most names have no namespace, and every key of every object is asked.
    if !name.contains([':', '/']) {
        return name;
    }
    NAMESPACES
        .iter()
        .find_map(|namespace| name.strip_prefix(namespace))
        .unwrap_or(name)
}

/// The last part of a type such as `http://schema.org/Product`.
pub(super) fn type_name(name: &str) -> &str {
    let name = name.trim().trim_end_matches('/');
    name.rsplit(['/', '#', ':']).next().unwrap_or(name)
}

impl Value {
    /// The value of a property that says something. Case does not matter:
    /// shops write `productId` and `pricecurrency`.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(entries) = self else {
            return None;
        };
        entries
            .iter()
            .find(|(key, value)| local_name(key).eq_ignore_ascii_case(name) && !value.is_blank())
            .map(|(_, value)| value)
    }

    fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Bool(_) | Self::Number(_) | Self::Object(_) => false,
        }
    }

    /// The members of a list (`@list` and `@set` are lists), or the value
    /// itself.
    pub(super) fn each(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            Self::Object(entries) => match entries.as_slice() {
                [(key, Self::List(list))] if key == "@list" || key == "@set" => list,
                _ => std::slice::from_ref(self),
            },
            other => std::slice::from_ref(other),
        }
    }

    /// Text or digits; the first of a list; `@value` of a typed literal.
    pub(super) fn text(&self) -> Option<&str> {
        match self.each().first()? {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Self::Number(digits) => Some(digits),
            object @ Self::Object(_) => match object.get("@value")? {
                Self::Text(text) | Self::Number(text) => Some(text.trim()),
                _ => None,
            },
            Self::Null | Self::Bool(_) | Self::List(_) => None,
        }
    }

    /// Names of the types, without namespace.
    pub(super) fn types(&self) -> impl Iterator<Item = &str> {
        self.get("@type")
            .map(Self::each)
            .unwrap_or_default()
            .iter()
            .filter_map(|value| match value {
                Self::Text(text) => Some(type_name(text)),
                object => object.get("@id").and_then(Self::text).map(type_name),
            })
    }

    pub(super) fn has_type(&self, names: &[&str]) -> bool {
        self.types()
            .any(|name| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)))
    }
}
