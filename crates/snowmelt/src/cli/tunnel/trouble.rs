//! Why a verb of the tunnel ends, and with which exit code.

use tunnel::authority::AuthorityError;
use tunnel::inlet::InletError;
use tunnel::node::NodeError;
use tunnel::outlet::OutletError;
use tunnel::relay::FrontError;

use super::super::output;
use crate::error::ExitCode;
use crate::inlet;

/// Why it ends.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Trouble {
    /// Options, files, keys or local ports: to be corrected on this machine.
    #[error("{0}")]
    Usage(String),
    /// Authority or relay said no, or gave what cannot be used: to be mended where the project is kept.
    #[error("{0}")]
    Refused(String),
    /// A mistake in Snowmelt.
    #[error("internal: {0}; this is a bug, please report it")]
    Bug(String),
}

impl Trouble {
    /// The exit code, as docs/tunnel.md has them.
    pub(in crate::cli) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::Usage,
            Self::Refused(_) => ExitCode::Source,
            Self::Bug(_) => ExitCode::Bug,
        }
    }
}

/// The end of a verb that is done at once: its problem stands alone on standard error.
pub(in crate::cli) fn said(ended: Result<(), Trouble>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::Ok,
        Err(trouble) => {
            output::problem(&trouble);
            trouble.code()
        }
    }
}

/// The end of a verb that runs until stopped: its problem is the last line of its log.
pub(in crate::cli) fn logged(ended: Result<(), Trouble>) -> ExitCode {
    match ended {
        Ok(()) => {
            tracing::info!("stopped as asked");
            ExitCode::Ok
        }
        Err(trouble) => {
            tracing::error!("{trouble}");
            trouble.code()
        }
    }
}

impl From<NodeError> for Trouble {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Refused(_) | NodeError::Credential(_) => Self::Refused(error.to_string()),
            NodeError::Identity(_)
            | NodeError::Tls(_)
            | NodeError::NoTicket
            | NodeError::NoState
            | NodeError::File { .. }
            | NodeError::Unreachable { .. } => Self::Usage(error.to_string()),
        }
    }
}

impl From<AuthorityError> for Trouble {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Issue(_) => Self::Bug(error.to_string()),
            _ => Self::Usage(error.to_string()),
        }
    }
}

impl From<InletError> for Trouble {
    fn from(error: InletError) -> Self {
        match error {
            InletError::Listen { .. } => Self::Usage(error.to_string()),
            InletError::Refused(_) | InletError::NoStream(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<inlet::Error> for Trouble {
    fn from(error: inlet::Error) -> Self {
        match error {
            inlet::Error::Node(error) => error.into(),
            inlet::Error::Inlet(error) => error.into(),
            inlet::Error::Address(error) => Self::Bug(error.to_string()),
            inlet::Error::Secret(_) | inlet::Error::Ticket(_) => Self::Usage(error.to_string()),
        }
    }
}

impl From<OutletError> for Trouble {
    fn from(error: OutletError) -> Self {
        match error {
            OutletError::Tls(_) => Self::Usage(error.to_string()),
            OutletError::Refused(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<FrontError> for Trouble {
    fn from(error: FrontError) -> Self {
        Self::Usage(error.to_string())
    }
}
