//! Commands that do the same with the policies of either dialect: `COMMAND guardian ARGUMENTS` and `COMMAND c1 ARGUMENTS`.

use super::check::Name;

/// Which policies, and the arguments, which are the same for both.
#[derive(Debug, clap::Subcommand)]
pub(super) enum PerDialect<T: clap::Args> {
    /// Guardian's policies, in its file format: YAML or JSON.
    Guardian(T),
    /// ConductorOne's policies, as JSON or YAML.
    C1(T),
}

impl<T: clap::Args> PerDialect<T> {
    pub(super) fn split(self) -> (Name, T) {
        match self {
            PerDialect::Guardian(args) => (Name::Guardian, args),
            PerDialect::C1(args) => (Name::C1, args),
        }
    }
}
