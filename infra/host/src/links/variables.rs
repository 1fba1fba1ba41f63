//! `spin:variables`.

use wasmtime::component::{Accessor, HasSelf};

use super::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use crate::state::Guest;

impl Host for Guest {}

impl<T> HostWithStore<T> for HasSelf<Guest> {
    async fn get(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        Ok(accessor.with(|mut access| {
            let guest = access.get();
            guest
                .variable(&name)
                .map(ToOwned::to_owned)
                .ok_or(Error::Undefined(name))
        }))
    }
}
