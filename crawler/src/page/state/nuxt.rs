//! Nuxt 3 writes its state as one flat list in which objects name their
//! members by number. Other JSON passes as it is.

use super::super::limits::{JSON_DEPTH_MAX, JSON_VALUES_MAX};
use super::super::value::Value;

/// The value that a flat list stands for, or the value itself.
pub(super) fn revived(value: Value) -> Value {
    let Value::List(list) = &value else {
        return value;
    };
    if !is_flat(list) {
        return value;
    }
    let mut values_left = JSON_VALUES_MAX;
    resolved(list, 0, 0, &mut values_left)
}

/// The first member is an object or a tagged list of nothing but indices.
fn is_flat(list: &[Value]) -> bool {
    let is_index = |value: &Value| index(value).is_some_and(|at| at < list.len());
    list.len() > 2
        && match &list[0] {
            Value::Object(entries) => {
                !entries.is_empty() && entries.iter().all(|(_, value)| is_index(value))
            }
            Value::List(tagged) => {
                matches!(tagged.as_slice(), [Value::Text(_), inner] if is_index(inner))
            }
            _ => false,
        }
}

fn index(value: &Value) -> Option<usize> {
    match value {
        Value::Number(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// The value at an index. Calls itself once a level; one that many name is
/// copied for each, so copies are counted.
fn resolved(list: &[Value], at: usize, depth: usize, values_left: &mut usize) -> Value {
    if depth >= JSON_DEPTH_MAX || *values_left == 0 {
        return Value::Null;
    }
    *values_left -= 1;
    let mut follow = |value: &Value| match index(value) {
        Some(at) => resolved(list, at, depth + 1, values_left),
        None => Value::Null,
    };
    match list.get(at) {
        Some(Value::Object(entries)) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), follow(value)))
                .collect(),
        ),
        Some(Value::List(members)) => match members.as_slice() {
            // `["Reactive", 1]` wraps what it names.
            [Value::Text(_), inner] => follow(inner),
            [Value::Text(_), ..] => Value::Null,
            members => Value::List(members.iter().map(follow).collect()),
        },
        Some(scalar) => scalar.clone(),
        None => Value::Null,
    }
}
