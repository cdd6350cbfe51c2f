//! What references to secrets stand for in this process: variables of its
//! environment, files of its machine, parameters of AWS.

use std::io::{Error, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use trawler_aws::Parameters;
use trawler_core::ports::{Clock, SecretError, Secrets};
use trawler_core::secret::{SecretRef, SecretValue};
use trawler_fleet::chain;

use crate::compose::Aws;

/// Largest secret in a file: no header carries more.
const FILE_BYTES_MAX: u64 = 8 * 1024;

pub(crate) struct ProcessSecrets {
    parameters: Option<Parameters>,
}

impl ProcessSecrets {
    pub(crate) fn new(aws: Option<&Aws>, clock: &Arc<dyn Clock>) -> Self {
        Self {
            parameters: aws.map(|aws| aws.parameters(clock)),
        }
    }
}

#[async_trait]
impl Secrets for ProcessSecrets {
    async fn resolve(&self, reference: &SecretRef) -> Result<SecretValue, SecretError> {
        let missing = |reason: String| SecretError::Missing {
            reference: reference.clone(),
            reason,
        };
        let value = match reference {
            SecretRef::Env(name) => std::env::var(name)
                .map_err(|_| missing(format!("the environment has no variable {name}")))?,
            SecretRef::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                read.map_err(|error| missing(error.to_string()))?
                    .map_err(|error| missing(error.to_string()))?
            }
            SecretRef::Ssm(name) => match &self.parameters {
                Some(parameters) => {
                    let got = parameters.get(name).await;
                    return got.map_err(|error| {
                        if error.is_transient() {
                            SecretError::Unavailable {
                                reference: reference.clone(),
                                source: error.into(),
                            }
                        } else {
                            missing(chain(&error))
                        }
                    });
                }
                None => {
                    let reason =
                        "nothing here is on AWS; use env:NAME or file:/path, or configure a fleet";
                    return Err(missing(reason.to_owned()));
                }
            },
        };
        if value.is_empty() {
            return Err(missing("it is empty".to_owned()));
        }
        Ok(SecretValue::new(value))
    }
}

/// The file without its last line end.
fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("it is larger than {FILE_BYTES_MAX} bytes");
        return Err(Error::new(ErrorKind::InvalidData, reason));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
