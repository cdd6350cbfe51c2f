//! By which way something is asked for that a person looks at.

use clap::{Args, ValueEnum};

#[derive(Debug, Default, Args)]
pub(crate) struct WayArgs {
    /// Let this host or network in, although it is not public (127.0.0.1:8080).
    #[arg(long, value_name = "HOST:PORT|CIDR")]
    pub(crate) allow: Vec<String>,
    /// From which address: any, which is this machine's, or fixed, through the
    /// proxy that net.fixed_egress names. Default: as the pipe says, where one
    /// is named, and else any.
    #[arg(long, value_enum, value_name = "ADDRESS")]
    pub(crate) egress: Option<EgressArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EgressArg {
    Any,
    Fixed,
}
