//! Variables: schema < global < tenant < site < group < profile < model < user < device. Every
//! value knows where it came from; no secret is opened here.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::known::Needs;
use crate::catalog::manifest::fold;
use crate::catalog::revision::Revision;
use crate::catalog::site_profile::SiteProfile;
use crate::catalog::vocabulary::Vocabulary;
use crate::model::access::Class;
use crate::model::device::{Config, TENANT};
use crate::model::profile::{Layer, Resolved, Scope, Value, Variables};

/// Rows of variables by layer and name.
pub type Scopes = BTreeMap<(Layer, String), Scope>;

/// A resolved value, and the row that holds it where it is secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub resolved: Resolved,
    /// Name of the scope's row; empty for layers that are none.
    pub scope: String,
}

/// Values by their names in the vocabulary.
pub type Values = BTreeMap<String, Found>;

/// A layer, the name of its row (empty for layers that are none), and what it sets.
type Set<'a> = (Layer, &'a str, &'a Variables);

/// What a listed unit's values come from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    pub config: &'a Config,
    pub scopes: &'a Scopes,
    pub profile: &'a SiteProfile,
    pub vocabulary: &'a Vocabulary,
}

impl<'a> Sources<'a> {
    /// Of a unit that is rendered from this revision.
    pub fn of(config: &'a Config, scopes: &'a Scopes, revision: &'a Revision) -> Self {
        Self {
            config,
            scopes,
            profile: &revision.profile,
            vocabulary: &revision.vocabulary,
        }
    }

    /// From the lowest; the schema's defaults are below all of them.
    fn layers(&self) -> Vec<Set<'a>> {
        let (config, scopes) = (self.config, self.scopes);
        let mut layers = shared(config.site.as_deref(), scopes);
        for group in &config.groups {
            layers.extend(row(Layer::Group, group, scopes));
        }
        layers.push((Layer::Profile, "", &self.profile.variables));
        let models = self.profile.models.iter();
        let own = models.filter(|(model, _)| fold(model) == fold(&config.model));
        layers.extend(own.map(|(_, variables)| (Layer::Model, "", variables)));
        if let Some(user) = &config.user {
            layers.extend(row(Layer::User, user, scopes));
        }
        layers.push((Layer::Device, "", &config.variables));
        layers
    }

    /// What the unit sees.
    pub fn values(&self) -> Values {
        let mut values = of_layers(self.vocabulary, self.layers());
        values.retain(|name, _| self.vocabulary.0.contains_key(name));
        values
    }

    /// The highest class among the values that are set and that a template reads, and when a person
    /// last changed a layer that the unit sees.
    pub fn needs(&self, reads: impl Fn(&str) -> bool, published: Option<Timestamp>) -> Needs {
        let (config, scopes) = (self.config, self.scopes);
        let mut class = Class::Public;
        let layers = self.layers();
        // What nobody set is nobody's secret.
        let set = layers.iter().flat_map(|(_, _, set)| set.0.keys());
        for name in set.filter(|name| reads(name)) {
            let variable = self.vocabulary.0.get(name);
            class = class.max(variable.map_or(Class::Public, |variable| variable.class));
        }
        let lines = !config.lines.is_empty() && reads("lines");
        let keys = !config.keys.is_empty() && reads("keys");
        if lines || keys {
            class = class.max(Class::Credential);
        }
        // Looked up, for there may be as many rows as there are places and people.
        let all = |layer: Layer| {
            let rows = scopes.range((layer, String::new())..);
            rows.take_while(move |((of, _), _)| *of == layer)
                .map(|(_, scope)| scope)
        };
        let one = |layer: Layer, name: &String| scopes.get(&(layer, name.clone()));
        let groups = config.groups.iter();
        let own = [
            config.site.as_ref().and_then(|name| one(Layer::Site, name)),
            config.user.as_ref().and_then(|name| one(Layer::User, name)),
        ];
        let changed = all(Layer::Global)
            .chain(all(Layer::Tenant))
            .chain(own.into_iter().flatten())
            .chain(groups.filter_map(|name| one(Layer::Group, name)))
            .filter_map(|scope| scope.changed_at)
            .chain([config.changed_at])
            .chain(published)
            .max();
        Needs {
            class,
            changed_at: changed,
        }
    }
}

/// What a stranger at a site may see: public values only.
pub fn of_stranger(
    site: Option<&str>,
    scopes: &Scopes,
    profile: &SiteProfile,
    vocabulary: &Vocabulary,
) -> Values {
    let mut layers = shared(site, scopes);
    layers.push((Layer::Profile, "", &profile.variables));
    let mut values = of_layers(vocabulary, layers);
    let public = |name: &String| {
        let variable = vocabulary.0.get(name);
        variable.is_some_and(|variable| variable.class == Class::Public)
    };
    values.retain(|name, found| public(name) && found.resolved.value != Value::Secret);
    values
}

/// What replies to units at a site are made of: public and site values. They are seen by everybody
/// on its segment, as every DHCP reply is.
pub fn of_site(
    site: Option<&str>,
    scopes: &Scopes,
    profile: &SiteProfile,
    vocabulary: &Vocabulary,
) -> Values {
    let mut layers = shared(site, scopes);
    layers.push((Layer::Profile, "", &profile.variables));
    let mut values = of_layers(vocabulary, layers);
    let open = |name: &String| {
        let variable = vocabulary.0.get(name);
        variable.is_some_and(|variable| variable.class <= Class::Site)
    };
    values.retain(|name, found| open(name) && found.resolved.value != Value::Secret);
    values
}

/// The schema's defaults, and over them what the layers set, one after the other.
fn of_layers(vocabulary: &Vocabulary, layers: Vec<Set<'_>>) -> Values {
    let mut values = Values::new();
    let mut set = |layer: Layer, scope: &str, name: &String, value: &Value| {
        let found = Found {
            resolved: Resolved {
                value: value.clone(),
                layer,
            },
            scope: scope.to_owned(),
        };
        values.insert(name.clone(), found);
    };
    for (name, variable) in &vocabulary.0 {
        if let Some(value) = &variable.default {
            set(Layer::Schema, "", name, value);
        }
    }
    for (layer, scope, variables) in layers {
        for (name, value) in &variables.0 {
            set(layer, scope, name, value);
        }
    }
    values
}

/// The rows that all units of a site see.
fn shared<'a>(site: Option<&'a str>, scopes: &'a Scopes) -> Vec<Set<'a>> {
    let rows = [
        (Layer::Global, ""),
        (Layer::Tenant, TENANT),
        (Layer::Tenant, ""),
    ];
    let rows = rows.into_iter().chain(site.map(|site| (Layer::Site, site)));
    rows.filter_map(|(layer, name)| row(layer, name, scopes))
        .collect()
}

fn row<'a>(layer: Layer, name: &'a str, scopes: &'a Scopes) -> Option<Set<'a>> {
    let scope = scopes.get(&(layer, name.to_owned()))?;
    Some((layer, name, &scope.variables))
}
