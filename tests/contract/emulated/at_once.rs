//! Cases that mostly wait, run side by side on one runtime: libtest runs as
//! many tests at once as there are processors, and a suite would take the sum
//! of its waits. Each case stays a test of its own, which joins it.

use std::any::Any;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub(crate) type Case = (&'static str, Pin<Box<dyn Future<Output = ()> + Send>>);

/// The cases of one topic.
pub(crate) struct Cases(OnceLock<Mutex<BTreeMap<&'static str, JoinHandle<()>>>>);

impl Cases {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Starts them all, once.
    pub(crate) fn begin(&self, cases: impl FnOnce() -> Vec<Case>) {
        self.0.get_or_init(|| {
            let started = cases()
                .into_iter()
                .map(|(name, case)| (name, runtime().spawn(case)));
            Mutex::new(started.collect())
        });
    }

    /// Waits for one and fails as it did.
    pub(crate) fn join(&self, name: &str) {
        let started = self.0.get().expect("the cases have begun");
        let case = started.lock().unwrap().remove(name).unwrap();
        if let Err(error) = runtime().block_on(case) {
            // Told again: the first telling went into the output of whichever
            // test began the cases.
            panic!("{}", told(&*error.into_panic()));
        }
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

fn told(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else {
        "the case failed".to_owned()
    }
}
