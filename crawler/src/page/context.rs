//! JSON-LD's `@context`, as far as shops use it: prefixes other than
//! `schema:`, aliases of keywords (`"type": "@type"`) and of terms. Keys and
//! types are renamed in place, so that readers know one spelling only.
//! Contexts are never fetched.

use super::limits::CONTEXT_TERMS_MAX;
use super::value::{Value, local_name};

/// A term and what it stands for, both as the page writes them.
type Terms = Vec<(String, String)>;

/// Renames what the contexts in a block define. Objects without a context of
/// their own follow the one that they lie in.
pub(super) fn apply(root: &mut Value) {
    // Most blocks name schema.org and define nothing.
    rename(root, &Vec::new());
}

/// Calls itself once a level; the depth of a value is bounded.
fn rename(value: &mut Value, outer: &Terms) {
    match value {
        Value::List(list) => {
            for member in list {
                rename(member, outer);
            }
        }
        Value::Object(entries) => {
            let own = entries
                .iter()
                .find(|(key, _)| key == "@context")
                .map(|(_, context)| terms(context, outer))
                .filter(|terms| !terms.is_empty());
            let known = own.as_ref().unwrap_or(outer);
            for (key, value) in entries {
                if key == "@context" {
                    continue;
                }
                if !known.is_empty() {
                    if let Some(name) = expanded(key, known) {
                        *key = name;
                    }
                    if key == "@type" {
                        rename_types(value, known);
                    }
                }
                rename(value, known);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn rename_types(value: &mut Value, known: &Terms) {
    match value {
        Value::Text(name) => {
            if let Some(full) = expanded(name, known) {
                *name = full;
            }
        }
        Value::List(list) => {
            for member in list {
                if let Value::Text(name) = member
                    && let Some(full) = expanded(name, known)
                {
                    *name = full;
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

/// What a context defines, with what is known already.
fn terms(context: &Value, outer: &Terms) -> Terms {
    let mut terms: Terms = Vec::new();
    for part in context.each() {
        let Value::Object(entries) = part else {
            continue;
        };
        for (term, meaning) in entries {
            let meaning = match meaning {
                Value::Text(meaning) => Some(meaning.as_str()),
                other => other.get("@id").and_then(Value::text),
            };
            let Some(meaning) = meaning.filter(|_| !term.starts_with('@')) else {
                continue;
            };
            // A term that stands for its own name needs no renaming.
            if local_name(meaning) != term && terms.len() < CONTEXT_TERMS_MAX {
                terms.push((term.clone(), meaning.to_owned()));
            }
        }
    }
    terms.extend(outer.iter().take(CONTEXT_TERMS_MAX - terms.len()).cloned());
    terms
}

/// The local name of schema.org or the keyword that a name stands for, if the
/// context gives it one.
fn expanded(name: &str, known: &Terms) -> Option<String> {
    let meaning_of = |term: &str| {
        let (_, meaning) = known.iter().find(|(known, _)| known == term)?;
        Some(meaning.as_str())
    };
    if let Some(meaning) = meaning_of(name) {
        // An alias may use a prefix of the same context.
        let through = meaning
            .split_once(':')
            .and_then(|(prefix, rest)| Some(format!("{}{rest}", meaning_of(prefix)?)));
        let full = through.as_deref().unwrap_or(meaning);
        return Some(local_name(full).to_owned());
    }
    let (prefix, rest) = name.split_once(':')?;
    let full = format!("{}{rest}", meaning_of(prefix)?);
    Some(local_name(&full).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::json;
    use super::*;

    #[test]
    fn terms_of_the_context_get_their_usual_names() {
        let check = |text: &str, path: &[&str], expected: Option<&str>| {
            let mut value = json::parse(text).unwrap().unwrap().value;
            apply(&mut value);
            let mut at = Some(&value);
            for name in path {
                at = at.and_then(|at| at.get(name));
            }
            assert_eq!(at.and_then(Value::text), expected, "{text} {path:?}");
        };
        let prefixed = r#"{"@context":{"s":"http://schema.org/"},"@type":"s:Product","s:name":"Cup","s:offers":{"s:price":"5"}}"#;
        check(prefixed, &["name"], Some("Cup"));
        check(prefixed, &["@type"], Some("Product"));
        check(prefixed, &["offers", "price"], Some("5"));
        let aliased = r#"{"@context":["https://schema.org",{"type":"@type","id":"@id","titel":"schema:name"}],"type":"Product","id":"x","titel":"Cup"}"#;
        check(aliased, &["@type"], Some("Product"));
        check(aliased, &["@id"], Some("x"));
        check(aliased, &["name"], Some("Cup"));
        let through = r#"{"@context":{"x":"https://schema.org/","n":{"@id":"x:name"}},"n":"Cup"}"#;
        check(through, &["name"], Some("Cup"));
        let inner = r#"{"@graph":[{"@context":{"s":"http://schema.org/"},"s:name":"Cup"}]}"#;
        check(inner, &["@graph"], None);
        let plain = r#"{"@context":"https://schema.org","gr:name":"Cup"}"#;
        check(plain, &["name"], None);
        check(plain, &["gr:name"], Some("Cup"));
        let own = r#"{"@context":{"name":"http://schema.org/name","url":{"@id":"schema:url","@type":"@id"}},"name":"Cup"}"#;
        check(own, &["name"], Some("Cup"));
    }
}
