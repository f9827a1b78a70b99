//! Variables of everything in a scope: global, tenant, site, group, user.

use std::collections::BTreeMap;

use super::device_fields::{Given, SecretChange, unknown_site};
use super::variables::{self, Row};
use super::{Actor, Admin, Ask, Changed, Code, FieldError, Lens, Problem, TRIES};
use crate::catalog::vocabulary::Variable;
use crate::config::values;
use crate::model::dhcp::KEPT_ADDRESS;
use crate::model::profile::{Layer, Scope, Value, Variables};
use crate::store::{Batch, Owner, StoreError, Write};

/// How a scope's variables are changed. Not `Debug`: secrets are in it.
pub enum ScopeChange {
    /// What is not named goes.
    Replace(BTreeMap<String, Option<Given>>),
    /// What is not named stays; `None` takes away.
    Merge(BTreeMap<String, Option<Given>>),
    /// The whole row goes.
    Remove,
}

/// A scope by the words of a path; `_` where the layer has no names.
pub fn scope_of(layer: &str, name: &str) -> Result<(Layer, String), Problem> {
    let unknown = || {
        Problem::not_found("scope", &format!("{layer}/{name}"))
            .hint("scopes are global/_, tenant/_, site/NAME, group/NAME and user/NAME")
    };
    let layer = Layer::parse(layer).ok_or_else(unknown)?;
    match layer {
        Layer::Global | Layer::Tenant if name == "_" => Ok((layer, String::new())),
        Layer::Site | Layer::Group | Layer::User => {
            let name = values::name(name)
                .map_err(|why| FieldError::new("name", Code::ValueInvalid, why))?;
            Ok((layer, name))
        }
        Layer::Global
        | Layer::Tenant
        | Layer::Schema
        | Layer::Profile
        | Layer::Model
        | Layer::Device => Err(unknown()),
    }
}

impl Admin {
    /// Every scope in which something is set.
    pub fn scopes(&self) -> Result<Vec<Scope>, Problem> {
        let settings = self.hub().store.settings()?;
        Ok(settings.scopes.values().cloned().collect())
    }

    /// One scope; an empty one where nothing is set.
    pub fn scope(&self, layer: Layer, name: &str) -> Result<Scope, Problem> {
        let settings = self.hub().store.settings()?;
        let found = settings.scopes.get(&(layer, name.to_owned()));
        Ok(found.cloned().unwrap_or_else(|| empty(layer, name)))
    }

    /// The vocabulary, by name.
    pub fn vocabulary(&self) -> Vec<(String, Variable)> {
        let catalog = self.hub().catalog.load();
        let words = catalog.vocabulary.0.iter();
        words
            .map(|(name, variable)| (name.clone(), variable.clone()))
            .collect()
    }

    /// Changes a scope. Removed, the record is as it was.
    pub async fn set_scope(
        &self,
        actor: &Actor,
        layer: Layer,
        name: &str,
        change: &ScopeChange,
        ask: &Ask,
    ) -> Result<Changed<Scope>, Problem> {
        for _ in 0..TRIES {
            let lens = self.lens().await?;
            let old = self.scope(layer, name)?;
            ask.fits(old.version)?;
            if layer == Layer::Site
                && let Some(error) = unknown_site(&lens, name)
            {
                return Err(error.into());
            }
            if let Some(changed) = self.set_once(actor, &lens, old, change, ask).await? {
                return Ok(changed);
            }
        }
        Err(Problem::new(Code::Conflict, "the scope was changed meanwhile").hint("try again"))
    }

    /// `None` where somebody was faster.
    async fn set_once(
        &self,
        actor: &Actor,
        lens: &Lens,
        old: Scope,
        change: &ScopeChange,
        ask: &Ask,
    ) -> Result<Option<Changed<Scope>>, Problem> {
        let owner = Owner::Scope(old.layer, old.name.clone());
        let subject = format!("{} {}", old.layer.as_str(), old.name);
        let (scope, secrets) = match change {
            ScopeChange::Remove => {
                let there = old.version > 0;
                if there && !ask.dry_run {
                    let writes = vec![
                        Write::RemoveScope {
                            layer: old.layer,
                            name: old.name.clone(),
                        },
                        self.audit(actor, "var.remove", subject.trim(), "all"),
                    ];
                    self.hub().store.commit(Batch::now(writes)).await?;
                }
                return Ok(Some(Changed {
                    record: old,
                    changed: there,
                }));
            }
            ScopeChange::Replace(named) => self.replaced(lens, &old, named, &owner)?,
            ScopeChange::Merge(named) => self.merged(lens, &old, named, &owner)?,
        };
        let mut kept: Vec<SecretChange> = Vec::new();
        for secret in secrets {
            if self.hub().store.secret(&owner, &secret.field).await? != secret.sealed {
                kept.push(secret);
            }
        }
        if scope.variables == old.variables && kept.is_empty() {
            return Ok(Some(Changed {
                record: old,
                changed: false,
            }));
        }
        let mut scope = Scope {
            changed_at: Some(lens.now),
            ..scope
        };
        if ask.dry_run {
            return Ok(Some(Changed {
                record: scope,
                changed: true,
            }));
        }
        let detail = differing(&old.variables, &scope.variables, &kept);
        let mut writes = vec![Write::PutScope(scope.clone())];
        writes.extend(kept.into_iter().map(|secret| Write::PutSecret {
            owner: owner.clone(),
            field: secret.field,
            sealed: secret.sealed,
        }));
        writes.push(self.audit(actor, "var.set", subject.trim(), detail));
        match self.hub().store.commit(Batch::now(writes)).await {
            Ok(committed) => {
                scope.version = super::device::version(&committed);
                Ok(Some(Changed {
                    record: scope,
                    changed: true,
                }))
            }
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn merged(
        &self,
        lens: &Lens,
        old: &Scope,
        named: &BTreeMap<String, Option<Given>>,
        owner: &Owner,
    ) -> Result<(Scope, Vec<SecretChange>), Problem> {
        let row = Row {
            owner,
            keys: &self.hub().keys,
            lens,
        };
        let (mut secrets, mut errors) = (Vec::new(), Vec::new());
        if matches!(named.get(KEPT_ADDRESS), Some(Some(_))) {
            let what = "an address is kept for one unit, and this is set for many";
            let field = format!("variables.{KEPT_ADDRESS}");
            let hint = format!("dialtone device set UNIT --set {KEPT_ADDRESS}=ADDRESS");
            errors.push(FieldError::new(&field, Code::ValueInvalid, what.to_owned()).hint(hint));
        }
        let mut scope = old.clone();
        variables::merge(&mut scope.variables, named, &row, &mut secrets, &mut errors)?;
        Problem::unless_clean(errors)?;
        Ok((scope, secrets))
    }

    fn replaced(
        &self,
        lens: &Lens,
        old: &Scope,
        named: &BTreeMap<String, Option<Given>>,
        owner: &Owner,
    ) -> Result<(Scope, Vec<SecretChange>), Problem> {
        let (mut scope, mut secrets) = self.merged(lens, old, named, owner)?;
        let set = |name: &String| matches!(named.get(name), Some(Some(_)));
        for (name, value) in &old.variables.0 {
            if !set(name) && *value == Value::Secret && !named.contains_key(name) {
                secrets.push(SecretChange::gone(name.clone()));
            }
        }
        scope.variables.0.retain(|name, _| set(name));
        Ok((scope, secrets))
    }
}

fn empty(layer: Layer, name: &str) -> Scope {
    Scope {
        layer,
        name: name.to_owned(),
        variables: Variables::default(),
        changed_at: None,
        version: 0,
    }
}

/// Names of the variables that differ; never their values.
fn differing(old: &Variables, new: &Variables, secrets: &[SecretChange]) -> String {
    let mut names: Vec<&str> = secrets.iter().map(|secret| secret.field.as_str()).collect();
    for name in old.0.keys().chain(new.0.keys()) {
        if old.0.get(name) != new.0.get(name) {
            names.push(name);
        }
    }
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
