//! What `trawler pipe hide|show|retire`, `trawler block` and `trawler unblock`
//! are told.

use clap::{Args, Subcommand};

use super::Who;

#[derive(Debug, Args)]
pub(crate) struct PipeDecisionArgs {
    /// The pipe.
    pub(crate) pipe: String,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) who: Who,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BlockArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BlockCommand>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlockCommand {
    /// What is blocked, by whom and why.
    List {
        /// Only products of this pipe.
        #[arg(long, value_name = "ID")]
        pipe: Option<String>,
    },
    /// What was decided about pictures: who, when and why.
    Decisions,
}

/// A product by pipe and id, or an image by its hash.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The pipe of the product.
    #[arg(long, value_name = "ID", requires = "id", conflicts_with = "image")]
    pub(crate) pipe: Option<String>,
    /// The product, by its id.
    #[arg(long, requires = "pipe", conflicts_with = "image")]
    pub(crate) id: Option<String>,
    /// A picture, of whichever products: the SHA-256 of its source, as in the
    /// column image_sha256.
    #[arg(long, value_name = "SHA256")]
    pub(crate) image: Option<String>,
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    pub(crate) why: String,
    #[command(flatten)]
    pub(crate) who: Who,
}
