//! Variables: schema < global < tenant < site < group < profile < model < user < device. Every
//! value knows where it came from; no secret is opened here.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::known::Needs;
use crate::catalog::manifest::fold;
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

/// What a listed unit sees.
pub fn of_unit(
    config: &Config,
    scopes: &Scopes,
    profile: &SiteProfile,
    vocabulary: &Vocabulary,
) -> Values {
    let mut values = defaults(vocabulary);
    shared(&mut values, config.site.as_deref(), scopes);
    for group in &config.groups {
        row(&mut values, Layer::Group, group, scopes);
    }
    put(&mut values, Layer::Profile, "", &profile.variables);
    let wanted = fold(&config.model);
    let models = profile.models.iter();
    for (_, variables) in models.filter(|(model, _)| fold(model) == wanted) {
        put(&mut values, Layer::Model, "", variables);
    }
    if let Some(user) = &config.user {
        row(&mut values, Layer::User, user, scopes);
    }
    put(&mut values, Layer::Device, "", &config.variables);
    values.retain(|name, _| vocabulary.0.contains_key(name));
    values
}

/// What a stranger at a site may see: public values only.
pub fn of_stranger(
    site: Option<&str>,
    scopes: &Scopes,
    profile: &SiteProfile,
    vocabulary: &Vocabulary,
) -> Values {
    let mut values = defaults(vocabulary);
    shared(&mut values, site, scopes);
    put(&mut values, Layer::Profile, "", &profile.variables);
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
    let mut values = defaults(vocabulary);
    shared(&mut values, site, scopes);
    put(&mut values, Layer::Profile, "", &profile.variables);
    let open = |name: &String| {
        let variable = vocabulary.0.get(name);
        variable.is_some_and(|variable| variable.class <= Class::Site)
    };
    values.retain(|name, found| open(name) && found.resolved.value != Value::Secret);
    values
}

/// The highest class among the values that are set and that a template reads, and when a person
/// last changed a layer that the unit sees.
pub fn needs(
    config: &Config,
    values: &Values,
    scopes: &Scopes,
    vocabulary: &Vocabulary,
    reads: impl Fn(&str) -> bool,
    published: Option<Timestamp>,
) -> Needs {
    let mut class = Class::Public;
    for (name, found) in values.iter().filter(|(name, _)| reads(name)) {
        // What nobody set is nobody's secret.
        let set = found.resolved.layer != Layer::Schema;
        if let Some(variable) = vocabulary.0.get(name).filter(|_| set) {
            class = class.max(variable.class);
        }
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

fn defaults(vocabulary: &Vocabulary) -> Values {
    let mut values = Values::new();
    for (name, variable) in &vocabulary.0 {
        if let Some(value) = &variable.default {
            set(&mut values, Layer::Schema, "", name, value);
        }
    }
    values
}

fn shared(values: &mut Values, site: Option<&str>, scopes: &Scopes) {
    row(values, Layer::Global, "", scopes);
    row(values, Layer::Tenant, TENANT, scopes);
    row(values, Layer::Tenant, "", scopes);
    if let Some(site) = site {
        row(values, Layer::Site, site, scopes);
    }
}

fn row(values: &mut Values, layer: Layer, name: &str, scopes: &Scopes) {
    if let Some(scope) = scopes.get(&(layer, name.to_owned())) {
        put(values, layer, name, &scope.variables);
    }
}

fn put(values: &mut Values, layer: Layer, scope: &str, variables: &Variables) {
    for (name, value) in &variables.0 {
        set(values, layer, scope, name, value);
    }
}

fn set(values: &mut Values, layer: Layer, scope: &str, name: &str, value: &Value) {
    let found = Found {
        resolved: Resolved {
            value: value.clone(),
            layer,
        },
        scope: scope.to_owned(),
    };
    values.insert(name.to_owned(), found);
}
