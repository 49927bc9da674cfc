//! `TCP_CHECK`: a connection can be made.

use super::{Endpoint, Failure, socket};

pub(super) async fn check(endpoint: &Endpoint) -> Result<(), Failure> {
    let stream = socket::connect(endpoint).await?;
    // A FIN is owed to the server; it can do nothing with the port's number waiting on our side.
    drop(stream);
    Ok(())
}
