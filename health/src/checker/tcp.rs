//! `TCP_CHECK`: a connection can be made.

use super::{Failure, Target};

pub(super) async fn check(target: &Target<'_>) -> Result<(), Failure> {
    let connection = target.connect().await?;
    // A FIN is owed to the server; it can do nothing with the port's number waiting on our side.
    drop(connection);
    Ok(())
}
