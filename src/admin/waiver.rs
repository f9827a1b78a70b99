//! Waivers: models at a site that may have credentials over a plain transport, until a day and for a
//! reason.

use super::device_fields::{Spell, check_text, unknown_site};
use super::error::nearest;
use super::{Actor, Admin, Ask, Code, FieldError, Lens, Problem, time};
use crate::catalog::Catalog;
use crate::model::site::Waiver;
use crate::store::{Batch, Write};

/// Models of one waiver.
const MOST: usize = 200;

/// A waiver as people write it.
#[derive(Clone, Debug, Default)]
pub struct WaiverWanted {
    pub site: String,
    pub models: Vec<String>,
    pub until: String,
    pub why: String,
}

impl Admin {
    /// Every waiver, of one site or of all.
    pub fn waivers(&self, site: Option<&str>) -> Result<Vec<Waiver>, Problem> {
        let settings = self.hub().store.settings()?;
        let all = settings.waivers.iter();
        Ok(all
            .filter(|waiver| site.is_none_or(|site| waiver.site == site))
            .cloned()
            .collect())
    }

    /// Adds a waiver, or replaces day and reason of one for the same models.
    pub async fn waive(
        &self,
        actor: &Actor,
        wanted: &WaiverWanted,
        ask: &Ask,
    ) -> Result<Waiver, Problem> {
        let lens = self.lens().await?;
        let waiver = read(&lens, wanted)?;
        if !lens.settings.waivers.contains(&waiver) {
            self.waiver_not_written(&waiver)?;
        }
        if ask.dry_run {
            return Ok(waiver);
        }
        let detail = format!(
            "{} until {}: {}",
            waiver.models.join(" "),
            waiver.until,
            waiver.why
        );
        let subject = format!("site {}", waiver.site);
        let writes = vec![
            Write::PutWaiver(waiver.clone()),
            self.audit(actor, "waiver.add", subject, detail),
        ];
        self.hub().store.commit(Batch::now(writes)).await?;
        Ok(waiver)
    }

    /// Takes the waivers of a site away, or what they say of one model. Gives what is gone.
    pub async fn unwaive(
        &self,
        actor: &Actor,
        site: &str,
        model: Option<&str>,
        ask: &Ask,
    ) -> Result<Vec<Waiver>, Problem> {
        let catalog = self.hub().catalog.load_full();
        let model = model.map(|model| listed(&catalog, model).unwrap_or_else(|| model.to_owned()));
        let (mut gone, mut writes) = (Vec::new(), Vec::new());
        for waiver in self.waivers(Some(site))? {
            let (taken, left): (Vec<String>, Vec<String>) = waiver
                .models
                .iter()
                .cloned()
                .partition(|named| model.as_ref().is_none_or(|model| model == named));
            if taken.is_empty() {
                continue;
            }
            self.waiver_not_written(&waiver)?;
            writes.push(Write::RemoveWaiver {
                site: waiver.site.clone(),
                models: waiver.models.clone(),
            });
            if !left.is_empty() {
                writes.push(Write::PutWaiver(Waiver {
                    models: left,
                    ..waiver.clone()
                }));
            }
            gone.push(Waiver {
                models: taken,
                ..waiver
            });
        }
        if gone.is_empty() {
            return Err(Problem::new(Code::NotFound, "there is no such waiver")
                .hint("all of them: dialtone waiver list"));
        }
        if !ask.dry_run {
            let detail = model.unwrap_or_default();
            writes.push(self.audit(actor, "waiver.remove", format!("site {site}"), detail));
            self.hub().store.commit(Batch::now(writes)).await?;
        }
        Ok(gone)
    }
}

fn read(lens: &Lens, wanted: &WaiverWanted) -> Result<Waiver, Problem> {
    let mut errors = Vec::new();
    errors.extend(unknown_site(lens, &wanted.site));
    let mut models = Vec::new();
    for model in &wanted.models {
        match listed(&lens.catalog, model) {
            Some(model) => models.push(model),
            None => {
                let what = format!("no vendor has a model {model:?}");
                let vendors = lens.catalog.vendors.values();
                let known = vendors
                    .flat_map(|vendor| vendor.families.values())
                    .flat_map(|family| family.models.iter().map(String::as_str));
                let hint = nearest(model, known);
                errors.push(FieldError::new("models", Code::ModelUnknown, what).hint(hint));
            }
        }
    }
    if models.is_empty() && errors.is_empty() {
        let what = "a waiver names models, or *";
        errors.push(FieldError::new("models", Code::MissingField, what));
    }
    if models.len() > MOST {
        let what = format!("a waiver names at most {MOST} models; * means all");
        errors.push(FieldError::new("models", Code::ValueInvalid, what));
    }
    let until = match time("until", &wanted.until) {
        Ok(until) if until <= lens.now => {
            let what = format!("{until} is over");
            errors.push(FieldError::new("until", Code::TimeInvalid, what));
            None
        }
        Ok(until) => Some(until),
        Err(error) => {
            errors.push(error);
            None
        }
    };
    if wanted.why.trim().is_empty() {
        let what = "a waiver needs a reason";
        errors.push(FieldError::new("why", Code::MissingField, what));
    } else if let Err(why) = check_text(&wanted.why, Spell::Text) {
        errors.push(FieldError::new("why", Code::ValueInvalid, why));
    }
    Problem::unless_clean(errors)?;
    Ok(Waiver {
        site: wanted.site.clone(),
        models: sorted(models),
        until: until.unwrap_or(lens.now),
        why: wanted.why.trim().to_owned(),
    })
}

/// One waiver for each site and set of models, so the set has one order.
pub(crate) fn sorted(mut models: Vec<String>) -> Vec<String> {
    models.sort();
    models.dedup();
    models
}

/// A model in its vendor's spelling; `*` is all.
pub(crate) fn listed(catalog: &Catalog, model: &str) -> Option<String> {
    if model.trim() == "*" {
        return Some("*".to_owned());
    }
    let vendors = catalog.vendors.values();
    let mut families = vendors.flat_map(|vendor| vendor.families.values());
    families.find_map(|family| family.model(model.trim()).map(str::to_owned))
}
