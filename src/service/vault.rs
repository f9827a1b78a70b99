//! Sealed values of a unit: read at once for one rendering, and kept sealed beside its skeleton, so that
//! a unit that asks again costs no read. What is opened lives for one rendering.

use std::collections::BTreeMap;

use super::cases::Case;
use super::{Inner, Trouble};
use crate::catalog::inputs::Urls;
use crate::catalog::revision::{SecretName, Skeleton};
use crate::engine::resolve;
use crate::model::identity::DeviceId;
use crate::model::profile::Layer;
use crate::model::secret::{Sealed, Secret};
use crate::store::{Keys, Owner};

/// All sealed values of one device, and those of scopes as they are asked for.
pub(super) struct Vault<'a> {
    inner: &'a Inner,
    device: Owner,
    own: BTreeMap<String, Sealed>,
}

impl<'a> Vault<'a> {
    pub(super) async fn of(inner: &'a Inner, id: DeviceId) -> Result<Self, Trouble> {
        let device = Owner::Device(id);
        let own = inner.hub.store.secrets(&device).await?;
        Ok(Self {
            inner,
            device,
            own: own.into_iter().collect(),
        })
    }

    async fn sealed(&self, owner: &Owner, field: &str) -> Result<Option<Sealed>, Trouble> {
        if *owner == self.device {
            return Ok(self.own.get(field).cloned());
        }
        Ok(self.inner.hub.store.secret(owner, field).await?)
    }

    /// A resolved variable, opened; none where it does not open.
    pub(super) async fn value(
        &self,
        name: &str,
        found: &resolve::Found,
    ) -> Result<Option<Secret>, Trouble> {
        let owner = self.owner(found);
        let sealed = self.sealed(&owner, name).await?;
        Ok(sealed.and_then(|sealed| self.open(&sealed, &owner, name)))
    }

    /// The password of a line, opened.
    pub(super) fn line(&self, n: u16) -> Option<Secret> {
        let field = line_field(n);
        self.open(self.own.get(&field)?, &self.device, &field)
    }

    fn open(&self, sealed: &Sealed, owner: &Owner, field: &str) -> Option<Secret> {
        let keys = &self.inner.hub.keys;
        keys.open(sealed, &owner.aad(field)).ok()
    }

    /// What goes into a skeleton's holes, in their order. `None` where one of it is not there.
    pub(super) async fn seals(
        &self,
        case: &Case<'_>,
        skeleton: &Skeleton,
    ) -> Result<Option<Vec<Seal>>, Trouble> {
        let mut seals = Vec::new();
        for name in skeleton.secrets() {
            let (owner, field) = match name {
                SecretName::Value(name) => match case.values.get(name) {
                    Some(found) => (self.owner(found), name.clone()),
                    None => return Ok(None),
                },
                SecretName::Line(n) => (self.device.clone(), line_field(*n)),
                SecretName::Token => {
                    seals.push(Seal::Token);
                    continue;
                }
                SecretName::Version => {
                    seals.push(Seal::Version);
                    continue;
                }
                SecretName::Report => {
                    seals.push(Seal::Report);
                    continue;
                }
            };
            let Some(sealed) = self.sealed(&owner, &field).await? else {
                return Ok(None);
            };
            let aad = owner.aad(&field);
            seals.push(Seal::Stored { sealed, aad });
        }
        Ok(Some(seals))
    }

    /// Who holds a resolved secret.
    fn owner(&self, found: &resolve::Found) -> Owner {
        match found.resolved.layer {
            Layer::Device => self.device.clone(),
            layer @ (Layer::Global
            | Layer::Tenant
            | Layer::Site
            | Layer::Group
            | Layer::User
            | Layer::Schema
            | Layer::Profile
            | Layer::Model) => Owner::Scope(layer, found.scope.clone()),
        }
    }
}

/// Where a line's password is kept.
pub(super) fn line_field(n: u16) -> String {
    format!("line.{n}.password")
}

/// What goes into one hole.
pub(super) enum Seal {
    /// A value as the store has it, and what it is bound to.
    Stored {
        sealed: Sealed,
        aad: String,
    },
    Token,
    Report,
    /// No secret: the number that the rest of the file decides.
    Version,
}

impl Seal {
    /// Memory that it takes, in octets.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Stored { sealed, aad } => size_of::<Self>() + sealed.bytes.len() + aad.len(),
            Self::Token | Self::Report | Self::Version => size_of::<Self>(),
        }
    }

    /// The secret itself; none where it does not open, or the unit is not given it any more.
    pub(super) fn open(&self, keys: &Keys, urls: &Urls) -> Option<Secret> {
        match self {
            Self::Stored { sealed, aad } => keys.open(sealed, aad).ok(),
            Self::Token => urls.token.clone(),
            Self::Report => urls.report.clone(),
            Self::Version => Some(super::material::written(0)),
        }
    }
}
