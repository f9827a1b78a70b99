//! Sealed values of a unit: read at once for one rendering, and kept sealed with what else goes into its
//! skeleton, so that a unit that asks again costs no read. What is opened lives for one rendering.

use std::collections::BTreeMap;

use super::{Inner, Trouble};
use crate::catalog::inputs::{Filled, Inputs, Urls};
use crate::catalog::revision::{Hole, LineText, Skeleton, text_of};
use crate::engine::resolve::{self, Values};
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

    /// What goes into a skeleton's holes, in their order, of the inputs that fit it. `None` where one of
    /// it is not there.
    pub(super) async fn fillings(
        &self,
        found: &Values,
        skeleton: &Skeleton,
        inputs: &Inputs<'_>,
    ) -> Result<Option<Vec<Filling>>, Trouble> {
        let mut fillings = Vec::with_capacity(skeleton.wanted().len());
        for hole in skeleton.wanted() {
            let (owner, field) = match hole {
                Hole::Token => {
                    fillings.push(Filling::Token);
                    continue;
                }
                Hole::Version => {
                    fillings.push(Filling::Version);
                    continue;
                }
                Hole::Report => {
                    fillings.push(Filling::Report);
                    continue;
                }
                Hole::Value(name) if is_secret(inputs, name) => match found.get(name) {
                    Some(found) => (self.owner(found), name.clone()),
                    None => return Ok(None),
                },
                Hole::Line(at, LineText::Password) => match inputs.lines.get(*at) {
                    Some(line) => (self.device.clone(), line_field(line.n)),
                    None => return Ok(None),
                },
                Hole::Key(..) | Hole::Line(..) | Hole::Unit(_) | Hole::Value(_) => {
                    let Some(text) = text_of(inputs, hole) else {
                        return Ok(None);
                    };
                    fillings.push(Filling::Plain(text.into()));
                    continue;
                }
            };
            let Some(sealed) = self.sealed(&owner, &field).await? else {
                return Ok(None);
            };
            let aad = owner.aad(&field).into();
            fillings.push(Filling::Stored { sealed, aad });
        }
        Ok(Some(fillings))
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

fn is_secret(inputs: &Inputs<'_>, name: &str) -> bool {
    match inputs.values.get(name) {
        Some(Filled::Secret(_)) => true,
        Some(Filled::Plain(_)) | None => false,
    }
}

/// What goes into one hole.
pub(super) enum Filling {
    /// A text that is no secret.
    Plain(Box<str>),
    /// A value as the store has it, and what it is bound to.
    Stored {
        sealed: Sealed,
        aad: Box<str>,
    },
    Token,
    Report,
    /// No secret: the number that the rest of the file decides.
    Version,
}

impl Filling {
    /// Memory that it takes, in octets.
    pub(super) fn size(&self) -> usize {
        let held = match self {
            Self::Plain(text) => text.len(),
            Self::Stored { sealed, aad } => sealed.bytes.len() + aad.len(),
            Self::Token | Self::Report | Self::Version => 0,
        };
        size_of::<Self>() + held
    }

    /// The text itself; none where it does not open, or the unit is not given it any more.
    pub(super) fn open(&self, keys: &Keys, urls: &Urls) -> Option<Opened<'_>> {
        Some(Opened::Secret(match self {
            Self::Plain(text) => return Some(Opened::Plain(text)),
            Self::Stored { sealed, aad } => keys.open(sealed, aad).ok()?,
            Self::Token => urls.token.clone()?,
            Self::Report => urls.report.clone()?,
            Self::Version => super::material::written(0),
        }))
    }
}

/// A text for a hole, for as long as it takes to fill it.
pub(super) enum Opened<'a> {
    Plain(&'a str),
    Secret(Secret),
}

impl AsRef<str> for Opened<'_> {
    fn as_ref(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}
