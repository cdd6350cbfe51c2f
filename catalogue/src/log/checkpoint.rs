//! Checkpoints: the state of the table in one Parquet file, so that opening it
//! need not replay the log from the start (classic form, one file, V1).

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use futures::stream::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{CatalogueError, Result};
use crate::log::action::{Line, TxnAction};
use crate::log::nested;
use crate::log::state::{TableState, Tombstones};
use crate::table::reader::{FileRef, OpenFile, Pages};

const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";

/// How long removed files stay in checkpoints, in milliseconds: a week, the
/// default of Delta, after which other programs may vacuum them.
const TOMBSTONES_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

/// Actions decoded at a time.
const BATCH_ROWS: usize = 1_024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastCheckpoint {
    version: i64,
    size: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_in_bytes: Option<i64>,
}

fn checkpoint_path(version: i64) -> Path {
    Path::from(format!("_delta_log/{version:020}.checkpoint.parquet"))
}

fn text_map(name: &str) -> Field {
    let entries = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    let entries = Field::new("key_value", DataType::Struct(entries), false);
    Field::new(name, DataType::Map(Arc::new(entries), false), true)
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    let flag = |name: &str| Field::new(name, DataType::Boolean, true);
    let structure =
        |name: &str, fields: Vec<Field>| Field::new(name, DataType::Struct(fields.into()), true);
    let texts = Arc::new(Field::new("element", DataType::Utf8, true));
    Arc::new(Schema::new(vec![
        structure(
            "txn",
            vec![text("appId"), long("version"), long("lastUpdated")],
        ),
        structure(
            "add",
            vec![
                text("path"),
                text_map("partitionValues"),
                long("size"),
                long("modificationTime"),
                flag("dataChange"),
                text("stats"),
            ],
        ),
        structure(
            "remove",
            vec![
                text("path"),
                long("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                text_map("partitionValues"),
                long("size"),
            ],
        ),
        structure(
            "metaData",
            vec![
                text("id"),
                text("name"),
                structure("format", vec![text("provider"), text_map("options")]),
                text("schemaString"),
                Field::new("partitionColumns", DataType::List(texts), true),
                text_map("configuration"),
                long("createdTime"),
            ],
        ),
        structure(
            "protocol",
            vec![int("minReaderVersion"), int("minWriterVersion")],
        ),
    ]))
}

/// The actions that make up the state.
fn lines(state: &TableState, tombstones: &Tombstones) -> Vec<Line> {
    let mut lines = vec![
        Line {
            protocol: state.protocol.clone(),
            ..Line::default()
        },
        Line {
            meta_data: state.metadata.as_deref().cloned(),
            ..Line::default()
        },
    ];
    let mut txns: Vec<_> = state.txns.iter().collect();
    txns.sort_unstable();
    lines.extend(txns.into_iter().map(|(app_id, version)| Line {
        txn: Some(TxnAction {
            app_id: app_id.to_string(),
            version: *version,
            last_updated: None,
        }),
        ..Line::default()
    }));
    for files in state.pipes.values() {
        lines.extend(files.iter().map(|file| {
            let mut add = file.add.clone();
            add.data_change = false;
            Line {
                add: Some(add),
                ..Line::default()
            }
        }));
    }
    lines.extend(tombstones.values().map(|remove| {
        let mut remove = remove.clone();
        remove.data_change = false;
        Line {
            remove: Some(remove),
            ..Line::default()
        }
    }));
    lines
}

/// Forgets removals that no checkpoint has to carry any longer.
pub(crate) fn expire(tombstones: &mut Tombstones, now_ms: i64) {
    tombstones.retain(|_, remove| {
        remove.deletion_timestamp.unwrap_or(0) > now_ms.saturating_sub(TOMBSTONES_KEPT_MS)
    });
}

fn encode(lines: &[Line]) -> Result<Vec<u8>> {
    let schema = schema();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let parquet = |error| CatalogueError::parquet("encode", "a checkpoint")(error);
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, Arc::clone(&schema), options)
        .map_err(parquet)?;
    for lines in lines.chunks(BATCH_ROWS) {
        let rows: Vec<Value> = lines
            .iter()
            .map(|line| serde_json::to_value(line).expect("actions have text keys"))
            .collect();
        let batch = nested::batch_of(&schema, &rows)
            .map_err(CatalogueError::arrow("encode a checkpoint"))?;
        writer.write(&batch).map_err(parquet)?;
    }
    writer.close().map_err(parquet)?;
    Ok(bytes)
}

/// Writes a checkpoint of the state and points readers to it.
pub(crate) async fn write(
    store: &Arc<dyn ObjectStore>,
    state: &TableState,
    tombstones: &Tombstones,
) -> Result<()> {
    let lines = lines(state, tombstones);
    let bytes = encode(&lines)?;
    let pointer = LastCheckpoint {
        version: state.version,
        size: i64::try_from(lines.len()).unwrap_or(i64::MAX),
        size_in_bytes: i64::try_from(bytes.len()).ok(),
    };
    let path = checkpoint_path(state.version);
    store
        .put(&path, PutPayload::from(bytes))
        .await
        .map_err(CatalogueError::store("write", &path))?;
    let pointer = serde_json::to_vec(&pointer).expect("three numbers can be written as JSON");
    store
        .put(&Path::from(LAST_CHECKPOINT), PutPayload::from(pointer))
        .await
        .map_err(CatalogueError::store("write", LAST_CHECKPOINT))?;
    Ok(())
}

/// Reads the newest checkpoint at or below `newest`; an empty state when
/// there is none.
pub(crate) async fn read(
    store: &Arc<dyn ObjectStore>,
    newest: i64,
) -> Result<(TableState, Tombstones)> {
    let pointed = last_checkpoint(store)
        .await?
        .filter(|version| *version <= newest);
    let version = match pointed {
        Some(version) => Some(version),
        None => listed(store, newest).await?,
    };
    let Some(version) = version else {
        return Ok((TableState::empty(), Tombstones::new()));
    };
    decode(store, version).await
}

/// The checkpoint that the pointer names, if both can be made out.
async fn last_checkpoint(store: &Arc<dyn ObjectStore>) -> Result<Option<i64>> {
    let path = Path::from(LAST_CHECKPOINT);
    let read = async { store.get(&path).await?.bytes().await };
    match read.await {
        Ok(text) => Ok(serde_json::from_slice::<LastCheckpoint>(&text)
            .ok()
            .map(|pointer| pointer.version)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(CatalogueError::store("read", &path)(error)),
    }
}

/// The newest checkpoint in the log folder. Used where the pointer is missing
/// or of no use; entry 0 being there says that none is needed.
async fn listed(store: &Arc<dyn ObjectStore>, newest: i64) -> Result<Option<i64>> {
    let first = crate::log::entry::entry_path(0);
    match store.head(&first).await {
        Ok(_) => return Ok(None),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(CatalogueError::store("look for", &first)(error)),
    }
    let folder = Path::from("_delta_log");
    let objects: Vec<_> = store
        .list(Some(&folder))
        .try_collect()
        .await
        .map_err(CatalogueError::store("list", &folder))?;
    Ok(objects
        .iter()
        .filter_map(|object| {
            object
                .location
                .filename()?
                .strip_suffix(".checkpoint.parquet")
        })
        .filter_map(|version| version.parse::<i64>().ok())
        .filter(|version| *version <= newest)
        .max())
}

async fn decode(store: &Arc<dyn ObjectStore>, version: i64) -> Result<(TableState, Tombstones)> {
    let path = checkpoint_path(version);
    let object = store
        .head(&path)
        .await
        .map_err(CatalogueError::store("look for", &path))?;
    let file = FileRef {
        path: path.to_string(),
        size: object.size,
    };
    let open = OpenFile::open(store, &file, Pages::Skipped).await?;
    // Other programs write checkpoints with more in them; that is passed over.
    let names = ["txn", "add", "remove", "metaData", "protocol"];
    let mut batches = open.scan_as_is(&names, None)?;
    let mut state = TableState::empty();
    let mut tombstones = Tombstones::new();
    let mut lines = Vec::new();
    while let Some(batch) = batches.next().await {
        lines.extend(decode_lines(&batch?, version)?);
    }
    state.apply_lines(lines, version, &mut tombstones)?;
    state.version = version;
    Ok((state, tombstones))
}

fn decode_lines(batch: &RecordBatch, version: i64) -> Result<Vec<Line>> {
    let lines = nested::rows_of(batch).enumerate().map(|(at, row)| {
        serde_json::from_value(row).map_err(|error| {
            let reason = format!("row {} of a checkpoint batch: {error}", at + 1);
            CatalogueError::MalformedLog { version, reason }
        })
    });
    lines.collect()
}
