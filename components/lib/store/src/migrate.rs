//! Brings the schema up to date.

use crate::sql::Sql;
use crate::{Store, StoreError};

impl<S: Sql> Store<'_, S> {
    /// Applies the migrations that are missing. Cheap when there are none; safe when several processes start together.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        todo!()
    }
}
