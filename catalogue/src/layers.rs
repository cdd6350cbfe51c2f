//! Rows that hold only what changed, laid over what was there before: the
//! rule of partial feeds. A value covers what lies under it, null lets it
//! through, and a cleared column is empty. Unmapped fields are laid over one
//! another key by key.
//!
//! Which rows lie over which is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, FieldRef};
use arrow_select::interleave::interleave;

use crate::error::{CatalogueError, Result};
use crate::schema::{CLEARED, EXTRA, EXTRA_PREFIX, content_schema, partial_schema};

/// Rows by (batch, row), the lowest first; never empty.
pub(crate) type Stack = Vec<(usize, usize)>;

/// Unmapped fields of one row after laying. A feed names at most 64 of them in
/// a row by default; names that change every day must not pile up.
const EXTRA_ENTRIES_MAX: usize = 256;

/// What some batches clear.
struct Clears<'a>(Vec<Option<&'a ListArray>>);

impl<'a> Clears<'a> {
    fn of(batches: &[&'a RecordBatch]) -> Self {
        let list = |batch: &&'a RecordBatch| {
            let list: &ListArray = batch.column_by_name(CLEARED)?.as_list();
            (list.null_count() < list.len()).then_some(list)
        };
        Self(batches.iter().map(list).collect())
    }

    fn none(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn names(&self, (batch, row): (usize, usize)) -> Vec<String> {
        let Some(list) = self.0[batch].filter(|list| list.is_valid(row)) else {
            return Vec::new();
        };
        let names = list.value(row);
        let names = names.as_string::<i32>().iter().flatten();
        names.map(str::to_owned).collect()
    }

    /// Rows that clear something, with the names; most clear nothing.
    fn by_place(&self, stacks: &[Stack]) -> BTreeMap<(usize, usize), BTreeSet<String>> {
        if self.none() {
            return BTreeMap::new();
        }
        let places = stacks.iter().flatten();
        let named = places.map(|place| (*place, self.names(*place).into_iter().collect()));
        named
            .filter(|(_, names): &(_, BTreeSet<String>)| !names.is_empty())
            .collect()
    }
}

/// Lays the rows of each stack over one another; the content columns of the
/// result, one row a stack.
pub(crate) fn lay(batches: &[&RecordBatch], stacks: &[Stack]) -> Result<RecordBatch> {
    let cleared = Clears::of(batches).by_place(stacks);
    let columns: Result<Vec<ArrayRef>> = content_schema()
        .fields()
        .iter()
        .map(|field| lay_column(batches, stacks, field, &cleared))
        .collect();
    RecordBatch::try_new(content_schema(), columns?)
        .map_err(CatalogueError::arrow("lay partial rows"))
}

/// As [`lay`], with what the stacks clear of the rows that they will be laid
/// over themselves.
pub(crate) fn lay_partial(batches: &[&RecordBatch], stacks: &[Stack]) -> Result<RecordBatch> {
    let mut columns = lay(batches, stacks)?.columns().to_vec();
    let cleared = Clears::of(batches);
    let partial = partial_schema();
    let field = partial.field(columns.len());
    if cleared.none() {
        columns.push(new_null_array(field.data_type(), stacks.len()));
    } else {
        let DataType::List(element) = field.data_type() else {
            unreachable!("the names of cleared columns are a list");
        };
        let mut lists =
            ListBuilder::new(StringBuilder::new()).with_field(Arc::clone(element) as FieldRef);
        for stack in stacks {
            let names: BTreeSet<String> = stack.iter().flat_map(|at| cleared.names(*at)).collect();
            for name in &names {
                lists.values().append_value(name);
            }
            lists.append(!names.is_empty());
        }
        columns.push(Arc::new(lists.finish()));
    }
    RecordBatch::try_new(partial_schema(), columns)
        .map_err(CatalogueError::arrow("lay partial rows"))
}

fn lay_column(
    batches: &[&RecordBatch],
    stacks: &[Stack],
    field: &Field,
    cleared: &BTreeMap<(usize, usize), BTreeSet<String>>,
) -> Result<ArrayRef> {
    let name = field.name().as_str();
    let arrays: Vec<&ArrayRef> = batches
        .iter()
        .map(|batch| {
            let column = batch.column_by_name(name);
            column.expect("batches that are laid have every content column")
        })
        .collect();
    if arrays.iter().all(|array| array.null_count() == array.len()) {
        return Ok(new_null_array(field.data_type(), stacks.len()));
    }
    // Two more sources: nothing, and unmapped fields put together anew.
    let nothing = new_null_array(field.data_type(), 1);
    let mut joined = (name == EXTRA).then(|| Joined::new(field));
    let picks: Vec<(usize, usize)> = stacks
        .iter()
        .map(|stack| match &mut joined {
            Some(joined) => joined.place(&arrays, stack, cleared),
            None => top(&arrays, stack, name, cleared),
        })
        .collect();
    let joined = joined.map_or_else(|| nothing.slice(0, 0), |joined| joined.finish());
    let mut sources: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
    sources.push(nothing.as_ref());
    sources.push(joined.as_ref());
    interleave(&sources, &picks).map_err(CatalogueError::arrow("lay partial rows"))
}

/// Where the value of a column comes from: the highest row that says something
/// of it.
fn top(
    arrays: &[&ArrayRef],
    stack: &Stack,
    name: &str,
    cleared: &BTreeMap<(usize, usize), BTreeSet<String>>,
) -> (usize, usize) {
    let nothing = (arrays.len(), 0);
    for place in stack.iter().rev() {
        if arrays[place.0].is_valid(place.1) {
            return *place;
        }
        if cleared.get(place).is_some_and(|names| names.contains(name)) {
            return nothing;
        }
    }
    nothing
}

/// Unmapped fields of several rows, put together.
struct Joined {
    maps: MapBuilder<StringBuilder, StringBuilder>,
    rows: usize,
}

impl Joined {
    fn new(field: &Field) -> Self {
        let DataType::Map(entries, _) = field.data_type() else {
            unreachable!("unmapped fields are a map");
        };
        let DataType::Struct(pair) = entries.data_type() else {
            unreachable!("the entries of a map are a struct");
        };
        let names = MapFieldNames {
            entry: entries.name().clone(),
            key: pair[0].name().clone(),
            value: pair[1].name().clone(),
        };
        let maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        Self {
            maps: maps.with_values_field(Arc::clone(&pair[1])),
            rows: 0,
        }
    }

    fn place(
        &mut self,
        arrays: &[&ArrayRef],
        stack: &Stack,
        cleared: &BTreeMap<(usize, usize), BTreeSet<String>>,
    ) -> (usize, usize) {
        let clears_a_key = |place: &(usize, usize)| {
            let names = cleared.get(place);
            names.is_some_and(|names| names.iter().any(|name| name.starts_with(EXTRA_PREFIX)))
        };
        let said: Vec<(usize, usize)> = stack
            .iter()
            .copied()
            .filter(|place| arrays[place.0].is_valid(place.1) || clears_a_key(place))
            .collect();
        match said.as_slice() {
            [] => return (arrays.len(), 0),
            [one] if arrays[one.0].is_valid(one.1) => return *one,
            _ => {}
        }
        let mut entries: BTreeMap<String, Option<String>> = BTreeMap::new();
        for place in &said {
            for name in cleared.get(place).into_iter().flatten() {
                if let Some(key) = name.strip_prefix(EXTRA_PREFIX) {
                    entries.remove(key);
                }
            }
            let map: &MapArray = arrays[place.0].as_map();
            if map.is_valid(place.1) {
                let row = map.value(place.1);
                let (keys, values) = (row.column(0), row.column(1));
                let values = values.as_string::<i32>().iter();
                let pairs = keys.as_string::<i32>().iter().zip(values);
                entries.extend(
                    pairs.filter_map(|(key, value)| {
                        Some((key?.to_owned(), value.map(str::to_owned)))
                    }),
                );
            }
        }
        if entries.is_empty() {
            return (arrays.len(), 0);
        }
        for (key, value) in entries.into_iter().take(EXTRA_ENTRIES_MAX) {
            self.maps.keys().append_value(key);
            self.maps.values().append_option(value);
        }
        self.maps
            .append(true)
            .expect("keys and values are appended in pairs");
        self.rows += 1;
        (arrays.len() + 1, self.rows - 1)
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(self.maps.finish())
    }
}
