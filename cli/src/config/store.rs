//! `[store]` and `[catalogue]`: where things are kept and in what portions.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use trawler_aws::S3Location;
use trawler_core::restore::{RESTORE_DAYS, RESTORE_DAYS_MAX};

use super::check::Bounds;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreConfig {
    /// Folder for everything Trawler keeps: `catalogue/` (Delta table),
    /// `blobs/` (images, results, reports), `trawler.db` (queues and state),
    /// `scratch/` (may be deleted while nothing runs). Absolute, or relative
    /// to the folder of this file. Default `trawler-data`. What is in S3 is not
    /// here; `scratch/` always is.
    pub(crate) dir: PathBuf,
    /// `s3://bucket/prefix` for state, blobs and catalogue, each in a folder of
    /// its own below `prefix/{environment}/`. Default none.
    pub(crate) location: Option<String>,
    /// Another place for documents alone. Default `location`.
    pub(crate) state: Option<String>,
    /// Another place for blobs alone. Default `location`.
    pub(crate) blobs: Option<String>,
    /// Another place for the catalogue alone. Default `location`.
    pub(crate) catalogue: Option<String>,
    /// How S3 encrypts at rest: `"bucket"` (as the bucket says, the default),
    /// `"s3"` or `"kms"`.
    pub(crate) encryption: Encryption,
    /// Id, ARN or alias of the key, for `encryption = "kms"`. Default none.
    pub(crate) kms_key: Option<String>,
    /// Storage class of blobs, such as `"INTELLIGENT_TIERING"`. Default the
    /// bucket's.
    pub(crate) storage_class: Option<String>,
    /// Blobs above so many MiB are uploaded in parts. Default 16, bound 5 to
    /// 5120.
    pub(crate) multipart_above_mib: u64,
}

/// How S3 encrypts at rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encryption {
    #[default]
    Bucket,
    S3,
    Kms,
}

/// Where one kind of thing is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Below `store.dir`.
    Local,
    /// `s3://bucket/prefix`.
    S3(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("a folder"),
            Self::S3(location) => f.write_str(location),
        }
    }
}

impl StoreConfig {
    pub(crate) fn state(&self) -> Place {
        self.place(&self.state)
    }

    pub(crate) fn blobs(&self) -> Place {
        self.place(&self.blobs)
    }

    pub(crate) fn catalogue(&self) -> Place {
        self.place(&self.catalogue)
    }

    fn place(&self, own: &Option<String>) -> Place {
        let location = own.as_ref().or(self.location.as_ref());
        location.map_or(Place::Local, |location| Place::S3(location.clone()))
    }

    pub(crate) fn is_on_s3(&self) -> bool {
        [self.state(), self.blobs(), self.catalogue()]
            .iter()
            .any(|place| *place != Place::Local)
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        for (key, location) in [
            ("store.location", &self.location),
            ("store.state", &self.state),
            ("store.blobs", &self.blobs),
            ("store.catalogue", &self.catalogue),
        ] {
            if let Some(location) = location
                && let Err(error) = S3Location::parse(location)
            {
                let allowed = format!("{} ({})", S3Location::RULE, error.reason);
                bounds.unless(false, key, &format!("{location:?}"), &allowed);
            }
        }
        bounds.within(
            "store.multipart_above_mib",
            self.multipart_above_mib,
            5,
            5_120,
        );
        let is_kms = self.encryption == Encryption::Kms;
        bounds.unless(
            is_kms == self.kms_key.is_some(),
            "store.kms_key",
            &self.kms_key.as_deref().unwrap_or("none"),
            if is_kms {
                "a key where store.encryption = \"kms\""
            } else {
                "no key where store.encryption is not \"kms\""
            },
        );
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("trawler-data"),
            location: None,
            state: None,
            blobs: None,
            catalogue: None,
            encryption: Encryption::Bucket,
            kms_key: None,
            storage_class: None,
            multipart_above_mib: 16,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CatalogueConfig {
    /// Rows in one data file. Default 200000, bound 1000 to 5000000.
    pub(crate) file_rows: usize,
    /// Memory of the sort that orders a feed by id, in MiB. Default 64, bound
    /// 8 to 4096.
    pub(crate) sort_mib: usize,
    /// Commits between two checkpoints of the table's log. Default 100, bound
    /// 10 to 10000.
    pub(crate) checkpoint_every: u64,
    /// Days for which `trawler restore` can bring back what a later run
    /// replaced; the images of that time are kept as long. Default 7, bound 1
    /// to 90.
    pub(crate) restore_days: u16,
}

impl Default for CatalogueConfig {
    fn default() -> Self {
        Self {
            file_rows: 200_000,
            sort_mib: 64,
            checkpoint_every: 100,
            restore_days: RESTORE_DAYS,
        }
    }
}

impl CatalogueConfig {
    /// How long a replaced state can be brought back.
    pub(crate) fn restorable(&self) -> chrono::Duration {
        chrono::Duration::days(i64::from(self.restore_days))
    }

    /// Days for which an image stays that nothing refers to any more, where so
    /// many are asked for: a restore brings back rows that name it.
    pub(crate) fn grace_days(&self, asked: u16) -> u16 {
        asked.max(self.restore_days)
    }

    pub(crate) fn check(&self, bounds: &mut Bounds) {
        bounds.within(
            "catalogue.file_rows",
            self.file_rows as u64,
            1_000,
            5_000_000,
        );
        bounds.within("catalogue.sort_mib", self.sort_mib as u64, 8, 4_096);
        bounds.within(
            "catalogue.checkpoint_every",
            self.checkpoint_every,
            10,
            10_000,
        );
        bounds.within(
            "catalogue.restore_days",
            u64::from(self.restore_days),
            1,
            u64::from(RESTORE_DAYS_MAX),
        );
    }
}
