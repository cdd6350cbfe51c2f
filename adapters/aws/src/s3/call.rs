//! The calls of S3 that are made here, and where they go: what messages and
//! missing permissions are told with.

/// A call of S3, for messages and for the name of the permission it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Put,
    Get,
    Head,
    List,
    Delete,
    DeleteMany,
    StartUpload,
    UploadPart,
    CompleteUpload,
    AbortUpload,
}

impl Call {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Put => "PutObject",
            Self::Get => "GetObject",
            Self::Head => "HeadObject",
            Self::List => "ListObjectsV2",
            Self::Delete => "DeleteObject",
            Self::DeleteMany => "DeleteObjects",
            Self::StartUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::CompleteUpload => "CompleteMultipartUpload",
            Self::AbortUpload => "AbortMultipartUpload",
        }
    }

    /// What has to be allowed, and on what.
    pub(super) fn permission(self, at: &Place) -> String {
        let Place { bucket, root, .. } = at;
        let objects = format!("on arn:aws:s3:::{bucket}/{root}*");
        match self {
            // Without the right to list, S3 hides that an object is absent
            // behind the same answer.
            Self::Get | Self::Head => format!(
                "s3:GetObject {objects} and s3:ListBucket on arn:aws:s3:::{bucket}, and kms:Decrypt where a key of KMS is used"
            ),
            Self::List => format!("s3:ListBucket on arn:aws:s3:::{bucket}"),
            Self::Put | Self::StartUpload | Self::UploadPart | Self::CompleteUpload => format!(
                "s3:PutObject and s3:GetObject {objects}, and kms:GenerateDataKey and kms:Decrypt where a key of KMS is used"
            ),
            Self::Delete | Self::DeleteMany => {
                format!("s3:DeleteObject and s3:GetObject {objects}")
            }
            Self::AbortUpload => format!("s3:AbortMultipartUpload {objects}"),
        }
    }
}

/// Where the calls of one handle go.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) bucket: String,
    /// Key prefix with a slash at its end.
    pub(super) root: String,
    pub(super) region: String,
    /// Where answers come from, in words: a URL, or the service in its region.
    pub(super) endpoint: String,
}
