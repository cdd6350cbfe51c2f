//! What `ssm:` references stand for: one call of AWS Systems Manager,
//! `GetParameter` with decryption.
//!
//! Signed and sent by hand. The SDK's crate for this service costs three
//! minutes of CPU to build, for 140 operations of which this is one; the
//! signature and the HTTP client are in the tree anyway. The protocol is JSON
//! with `X-Amz-Target` (AWS JSON 1.1). `AWS_ENDPOINT_URL_SSM` and
//! `AWS_ENDPOINT_URL` lead elsewhere.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde::Deserialize;
use trawler_core::ports::Clock;
use trawler_core::secret::SecretValue;

use crate::Cloud;
use crate::cloud::ATTEMPT_MAX;

const TARGET: &str = "AmazonSSM.GetParameter";

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Values have 8 KiB at most, and escapes of JSON are up to six bytes each.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Tries of one value; a job that needs it is tried again as well.
const ATTEMPTS: u32 = 3;

const BACKOFF_FIRST: Duration = Duration::from_millis(200);

/// Why a parameter is not to be had. No variant holds a value.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    #[error(
        "SSM parameter {name}: there is none of this name in {region}; create it there as a SecureString, or correct the reference"
    )]
    NotFound { name: String, region: String },
    #[error("SSM parameter {name}: {advice} ({message})")]
    Denied {
        name: String,
        advice: &'static str,
        message: String,
    },
    #[error("SSM parameter {name}: there are no credentials to ask with")]
    Credentials {
        name: String,
        #[source]
        source: CredentialsError,
    },
    #[error("SSM parameter {name}: {code}: {message}")]
    Refused {
        name: String,
        code: String,
        message: String,
    },
    #[error("SSM parameter {name}: the service at {endpoint} did not answer")]
    Unavailable {
        name: String,
        endpoint: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ParameterError {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Credentials { .. } => true,
            Self::NotFound { .. } | Self::Denied { .. } | Self::Refused { .. } => false,
        }
    }
}

/// Reads parameters. Keeps none: a rotated secret counts from the next use on.
pub struct Parameters {
    cloud: Cloud,
    clock: Arc<dyn Clock>,
    endpoint: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

/// The body of an answer that is no value.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
}

impl Parameters {
    pub fn new(cloud: &Cloud, clock: Arc<dyn Clock>) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(ATTEMPT_MAX)
            .build()
            .expect("the cryptography is installed when a Cloud is open");
        Self {
            endpoint: endpoint(cloud),
            cloud: cloud.clone(),
            clock,
            http,
        }
    }

    /// The value of the parameter, decrypted. Cancel-safe.
    pub async fn get(&self, name: &str) -> Result<SecretValue, ParameterError> {
        let mut backoff = BACKOFF_FIRST;
        for _ in 1..ATTEMPTS {
            match self.ask(name).await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(name, %error, "parameter {name} is asked for again");
                    self.clock.sleep(backoff).await;
                    backoff *= 4;
                }
                answer => return answer,
            }
        }
        self.ask(name).await
    }

    async fn ask(&self, name: &str) -> Result<SecretValue, ParameterError> {
        let request = self.signed(name).await?;
        let unavailable = |source| self.unavailable(name, source);
        let answer = self
            .http
            .execute(request)
            .await
            .map_err(|error| unavailable(error.into()))?;
        let status = answer.status();
        let body = read(answer).await.map_err(unavailable)?;
        if status.is_success() {
            let answer: Answer = serde_json::from_slice(&body)
                // The body may hold the value: what serde says of it is not told.
                .map_err(|_| unavailable("the answer is no parameter".into()))?;
            return Ok(SecretValue::new(answer.parameter.value));
        }
        let fault: Fault = serde_json::from_slice(&body).unwrap_or_default();
        // `com.amazonaws.ssm#ParameterNotFound` or without the prefix.
        let code = fault.kind.rsplit('#').next().unwrap_or_default().to_owned();
        if status.is_server_error() || is_passing(&code) {
            let mut said = format!("status {status}: {code} {}", fault.message);
            if is_of_the_clock(&code) {
                said.push_str("; set this machine's clock by NTP, and check the secret key");
            }
            return Err(unavailable(said.into()));
        }
        Err(self.refusal(name, status, code, fault.message))
    }

    fn refusal(
        &self,
        name: &str,
        status: reqwest::StatusCode,
        code: String,
        message: String,
    ) -> ParameterError {
        let name = name.to_owned();
        let region = self.cloud.region().to_owned();
        match code.as_str() {
            "ParameterNotFound" | "ParameterVersionNotFound" => {
                ParameterError::NotFound { name, region }
            }
            "InvalidKeyId" | "KMSAccessDeniedException" => denied_key(name, message),
            "AccessDeniedException" | "AccessDenied" if message.contains("kms:") => {
                denied_key(name, message)
            }
            "AccessDeniedException" | "AccessDenied" => ParameterError::Denied {
                name,
                advice: "allow ssm:GetParameter on it in the role's policy",
                message,
            },
            "" => ParameterError::Refused {
                name,
                code: format!("status {status}"),
                message,
            },
            _ => ParameterError::Refused {
                name,
                code,
                message,
            },
        }
    }

    async fn signed(&self, name: &str) -> Result<reqwest::Request, ParameterError> {
        let provider = self.cloud.config().credentials_provider();
        let provider = provider.ok_or_else(|| ParameterError::Credentials {
            name: name.to_owned(),
            source: CredentialsError::not_loaded("none are configured"),
        })?;
        let credentials = provider.provide_credentials().await;
        let identity = credentials.map_err(|source| ParameterError::Credentials {
            name: name.to_owned(),
            source,
        })?;
        let unavailable = |source| self.unavailable(name, source);
        let body = serde_json::json!({ "Name": name, "WithDecryption": true }).to_string();
        let mut request = http::Request::post(&self.endpoint)
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", TARGET)
            .body(body)
            .map_err(|error| unavailable(error.into()))?;
        let identity = identity.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.cloud.region())
            .name("ssm")
            .time(self.clock.now().into())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unavailable(error.into()))?
            .into();
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
        let signable = SignableRequest::new(
            "POST",
            request.uri().to_string(),
            headers.into_iter(),
            SignableBody::Bytes(request.body().as_bytes()),
        );
        let (instructions, _) = signable
            .and_then(|signable| sign(signable, &params))
            .map_err(|error| unavailable(error.into()))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
            .map(reqwest::Body::from)
            .try_into()
            .map_err(|error: reqwest::Error| unavailable(error.into()))
    }

    fn unavailable(
        &self,
        name: &str,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> ParameterError {
        ParameterError::Unavailable {
            name: name.to_owned(),
            endpoint: self.endpoint.clone(),
            source,
        }
    }
}

fn denied_key(name: String, message: String) -> ParameterError {
    ParameterError::Denied {
        name,
        advice: "allow kms:Decrypt on the key that it is encrypted with",
        message,
    }
}

/// Codes of a service that wants the same request later, also where the
/// credentials are about to be renewed, or the clock to be set.
fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "RequestTimeout"
            | "ExpiredTokenException"
    ) || is_of_the_clock(code)
}

/// As far as a code can tell: it is that of a wrong secret key as well.
fn is_of_the_clock(code: &str) -> bool {
    matches!(code, "InvalidSignatureException" | "RequestExpired")
}

fn endpoint(cloud: &Cloud) -> String {
    let named = std::env::var("AWS_ENDPOINT_URL_SSM").ok();
    let everywhere = || cloud.config().endpoint_url().map(str::to_owned);
    named
        .filter(|url| !url.is_empty())
        .or_else(everywhere)
        .unwrap_or_else(|| usual_endpoint(cloud.region()))
}

fn usual_endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    format!("https://ssm.{region}.{domain}/")
}

async fn read(
    mut answer: reqwest::Response,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes").into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_follow_the_region() {
        assert_eq!(
            usual_endpoint("eu-west-1"),
            "https://ssm.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            usual_endpoint("cn-north-1"),
            "https://ssm.cn-north-1.amazonaws.com.cn/"
        );
    }
}
