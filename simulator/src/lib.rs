//! What a fleet would do and cost, by discrete events: workloads, the queues'
//! metrics, Auto Scaling, spot interruptions and the policies that ask for
//! capacity, side by side. The planner among them is the very code of the
//! scheduler.
//!
//! Pure: the same seed, workload and [`Facts`] give the same [`Report`] to the
//! last digit. Nothing here reads a file, a clock or a network; `trawler
//! simulate` hands texts in and writes texts out. It simulates crawl jobs one
//! by one and image work as a flow of each host; what a job does inside, it
//! does not simulate: service times come from the facts and the trace.
//!
//! What every part takes for true, and from where: `facts.toml` and
//! docs/simulator.md.

mod error;
mod facts;
mod model;
mod policy;
mod random;
mod report;
mod study;
mod time;
mod workload;
mod world;

pub use error::{FactsError, OldBillError, TraceError};
pub use facts::{Fact, Facts, InstanceType};
pub use policy::PolicyKind;
pub use report::{
    Bill, BillLine, ComparedFleet, Comparison, OldBill, OldServer, Outcome, Report, Sample,
    Section, Target, html, text,
};
pub use study::{STUDY_DAYS_MAX, STUDY_PIPES_MAX, Study, StudyOptions, WorkloadKind};
pub use workload::{Generated, Trace};
