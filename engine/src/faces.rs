//! What people and other systems see: the HTTP server of `engine/http`, given this replica's board.

use std::io::Write;
use std::sync::Arc;

use assize_http::{About, Bound, Faces, Gateway, ServerError};

use crate::boot::{self, Replica};
use crate::config::{Address, ConfigFile};

/// Listens where `[listen] http` says.
pub(crate) fn listen(address: &Address) -> Result<Bound, ServerError> {
    Bound::listen(boot::resolve(address), &address.to_string())
}

/// Serves there, and says where on standard output, for those that gave port 0.
pub(crate) fn serve(http: Bound, file: &ConfigFile, replica: &Replica) -> Result<(), ServerError> {
    let agreed = &replica.agreed;
    let about = About {
        cluster: agreed.cluster.to_string(),
        replica: file.config.replica,
        replicas: agreed.replicas,
        copies: agreed.copies,
        version: env!("CARGO_PKG_VERSION"),
    };
    let address = http.address();
    let gateway = Gateway::start(vec![replica.addresses[0].to_string()]);
    let gateway = Some(gateway.map_err(ServerError::Thread)?);
    http.serve(Faces { board: Arc::clone(&replica.board), about: Arc::new(about), gateway })?;
    tracing::info!(%address, "HTTP");
    // Whoever closed standard output does not need to be told.
    let _ = writeln!(std::io::stdout(), "http {address}");
    Ok(())
}
