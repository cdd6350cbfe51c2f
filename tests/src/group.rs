//! An Auto Scaling group that behaves as documented where emulators do not:
//! a hook holds terminating instances back, reads are stale for a while, and
//! an answer can be lost. One group; only what the adapter asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Its name.
pub const GROUP: &str = "crawlers";
/// Its hook for terminating instances.
pub const HOOK: &str = "drain";

/// The group on a free port of 127.0.0.1; it ends with this value.
pub struct Group {
    endpoint: String,
    state: Arc<Mutex<GroupState>>,
    _server: JoinSet<()>,
}

/// What the group knows; tests set it as well.
pub struct GroupState {
    pub desired: u32,
    pub min: u32,
    /// By id; gone when terminated.
    pub states: BTreeMap<String, &'static str>,
    /// Not to be chosen when the group shrinks.
    pub protected: BTreeSet<String>,
    /// Terminations do not show in reads.
    pub stale: bool,
    /// The effect of the next call of this action happens, its answer does not.
    pub lose_answer_of: Option<&'static str>,
    /// Every call is denied.
    pub denied: bool,
    /// Every action that was asked for, in order.
    pub calls: Vec<String>,
}

struct Refusal(u16, &'static str, String);

impl Group {
    /// A group of these instances, all in service.
    ///
    /// # Panics
    /// When no port is to be had.
    pub async fn start(instances: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("it is bound");
        let endpoint = format!("http://{address}");
        let state = Arc::new(Mutex::new(GroupState {
            desired: u32::try_from(instances.len()).expect("a few"),
            min: 0,
            states: instances
                .iter()
                .map(|id| ((*id).to_owned(), "InService"))
                .collect(),
            protected: BTreeSet::new(),
            stale: false,
            lose_answer_of: None,
            denied: false,
            calls: Vec::new(),
        }));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&state)));
        Self {
            endpoint,
            state,
            _server: server,
        }
    }

    /// The address for `AWS_ENDPOINT_URL_AUTO_SCALING`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// As it is now; nobody is answered while this is held.
    pub fn state(&self) -> MutexGuard<'_, GroupState> {
        locked(&self.state)
    }

    /// Calls of an action.
    pub fn count(&self, action: &str) -> usize {
        let state = self.state();
        state.calls.iter().filter(|call| *call == action).count()
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<GroupState>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request: Request<Incoming>| {
            let state = Arc::clone(&state);
            async move {
                let body = request.into_body().collect().await;
                let body = body.map_err(io::Error::other)?.to_bytes();
                let form: HashMap<String, String> =
                    url::form_urlencoded::parse(&body).into_owned().collect();
                locked(&state).call(&form)
            }
        });
        connections.spawn(async move {
            // A client that goes away is no fault of the group.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl GroupState {
    fn call(&mut self, form: &HashMap<String, String>) -> io::Result<Response<Full<Bytes>>> {
        let action = form["Action"].clone();
        self.calls.push(action.clone());
        let answer = if self.denied {
            let message = "User is not authorized to perform this".to_owned();
            Err(Refusal(403, "AccessDenied", message))
        } else {
            self.act(&action, form)
        };
        if self.lose_answer_of == Some(action.as_str()) {
            self.lose_answer_of = None;
            // The connection is closed without an answer.
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let (status, body) = match answer {
            Ok(result) => (
                200,
                format!(
                    "<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
                ),
            ),
            Err(Refusal(status, code, message)) => (
                status,
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
                ),
            ),
        };
        let response = Response::builder().status(status);
        let response = response.body(Full::new(Bytes::from(body)));
        Ok(response.expect("a status and a body are valid"))
    }

    fn act(&mut self, action: &str, form: &HashMap<String, String>) -> Result<String, Refusal> {
        let instance = form.get("InstanceId").cloned().unwrap_or_default();
        match action {
            "DescribeAutoScalingGroups" => Ok(self.describe()),
            "DescribeAutoScalingInstances" => {
                let id = &form["InstanceIds.member.1"];
                let shown = self.states.get(id).map(|state| {
                    let state = if self.stale { "InService" } else { state };
                    self.member(id, state)
                });
                let shown = shown.unwrap_or_default();
                Ok(format!(
                    "<AutoScalingInstances>{shown}</AutoScalingInstances>"
                ))
            }
            "SetInstanceProtection" => self.protect(form),
            "TerminateInstanceInAutoScalingGroup" => {
                let shrinks = form["ShouldDecrementDesiredCapacity"] == "true";
                self.terminate(&instance, shrinks)
            }
            "CompleteLifecycleAction" => {
                let waits = self.states.get(&instance) == Some(&"Terminating:Wait");
                if !waits || form["LifecycleHookName"] != HOOK {
                    return Err(invalid(format!(
                        "No active Lifecycle Action found with instance ID {instance}"
                    )));
                }
                self.states.remove(&instance);
                Ok(String::new())
            }
            other => Err(Refusal(400, "InvalidAction", other.to_owned())),
        }
    }

    fn protect(&mut self, form: &HashMap<String, String>) -> Result<String, Refusal> {
        let instance = form["InstanceIds.member.1"].clone();
        if self.states.get(&instance) != Some(&"InService") {
            return Err(invalid(format!(
                "The instance {instance} is not in InService or EnteringStandby or Standby."
            )));
        }
        match form["ProtectedFromScaleIn"].as_str() {
            "true" => self.protected.insert(instance),
            _ => self.protected.remove(&instance),
        };
        Ok(String::new())
    }

    /// Whoever asks twice takes two places away, unless another instance is to
    /// come.
    fn terminate(&mut self, instance: &str, shrinks: bool) -> Result<String, Refusal> {
        if !self.states.contains_key(instance) {
            return Err(invalid(format!(
                "Instance Id not found - No managed instance found for instance ID: {instance}"
            )));
        }
        if shrinks && self.desired <= self.min {
            return Err(invalid(format!(
                "Currently, desiredSize equals minSize ({}). Terminating instance without replacement will violate group's min size constraint.",
                self.min
            )));
        }
        self.desired -= u32::from(shrinks);
        self.states.insert(instance.to_owned(), "Terminating:Wait");
        Ok("<Activity><ActivityId>1</ActivityId><AutoScalingGroupName>crawlers</AutoScalingGroupName><Cause>asked</Cause><StartTime>2026-01-01T00:00:00Z</StartTime><StatusCode>InProgress</StatusCode></Activity>".to_owned())
    }

    fn describe(&self) -> String {
        let members: String = self
            .states
            .iter()
            .map(|(id, state)| self.member(id, state))
            .collect();
        format!(
            "<AutoScalingGroups><member><AutoScalingGroupName>{GROUP}</AutoScalingGroupName>\
             <MinSize>{}</MinSize><MaxSize>10</MaxSize><DesiredCapacity>{}</DesiredCapacity>\
             <DefaultCooldown>1</DefaultCooldown><HealthCheckType>EC2</HealthCheckType>\
             <CreatedTime>2026-01-01T00:00:00Z</CreatedTime><AvailabilityZones/>\
             <Instances>{members}</Instances></member></AutoScalingGroups>",
            self.min, self.desired
        )
    }

    fn member(&self, id: &str, state: &str) -> String {
        let protected = self.protected.contains(id);
        format!(
            "<member><InstanceId>{id}</InstanceId><AutoScalingGroupName>{GROUP}</AutoScalingGroupName>\
             <AvailabilityZone>a</AvailabilityZone><LifecycleState>{state}</LifecycleState>\
             <HealthStatus>HEALTHY</HealthStatus><ProtectedFromScaleIn>{protected}</ProtectedFromScaleIn></member>"
        )
    }
}

/// What a panicking test left is still a group.
fn locked(state: &Mutex<GroupState>) -> MutexGuard<'_, GroupState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn invalid(message: String) -> Refusal {
    Refusal(400, "ValidationError", message)
}
