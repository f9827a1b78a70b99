//! Sites: places with prefixes and a clock.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;

use super::device::Select;
use super::{Actor, Admin, Ask, Changed, Code, FieldError, Problem, TRIES};
use crate::config::values;
use crate::model::profile::Layer;
use crate::model::site::{Corroborate, Site};
use crate::store::{Batch, Filter, StoreError, Write};

/// What is wanted of a site; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct SiteChange {
    pub prefixes: Option<Vec<String>>,
    pub timezone: Option<String>,
    pub nat: Option<bool>,
    pub expect: Option<u32>,
    /// `lease` or `prefix`.
    pub corroborate: Option<String>,
    pub keys_at_l2: Option<bool>,
    pub public_url: Option<Option<String>>,
    pub public_http_url: Option<Option<String>>,
    pub public_tftp: Option<Option<String>>,
    pub change_window: Option<String>,
}

/// A site, and how many devices are there.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteView {
    pub site: Site,
    pub devices: u64,
}

impl Admin {
    /// Every site, by name.
    pub async fn sites(&self) -> Result<Vec<SiteView>, Problem> {
        let counts = self.devices_by_site().await?;
        let settings = self.hub().store.settings()?;
        let sites = settings.sites.values();
        Ok(sites
            .map(|site| SiteView {
                devices: counts.get(&site.name).copied().unwrap_or_default(),
                site: site.clone(),
            })
            .collect())
    }

    /// One site.
    pub async fn site(&self, name: &str) -> Result<SiteView, Problem> {
        let settings = self.hub().store.settings()?;
        let site = settings.sites.get(name);
        let site = site
            .ok_or_else(|| Problem::not_found("site", name))?
            .clone();
        let counts = self.devices_by_site().await?;
        Ok(SiteView {
            devices: counts.get(name).copied().unwrap_or_default(),
            site,
        })
    }

    async fn devices_by_site(&self) -> Result<BTreeMap<String, u64>, Problem> {
        let mut counts = BTreeMap::new();
        self.each_row(&Select::default(), |device| {
            if let Some(site) = &device.config.site {
                *counts.entry(site.clone()).or_default() += 1;
            }
        })
        .await?;
        Ok(counts)
    }

    /// Makes a site.
    pub async fn create_site(
        &self,
        actor: &Actor,
        name: &str,
        change: &SiteChange,
        ask: &Ask,
    ) -> Result<SiteView, Problem> {
        values::name(name).map_err(|why| FieldError::new("name", Code::ValueInvalid, why))?;
        if self.hub().store.settings()?.sites.contains_key(name) {
            let what = format!("there is a site {name:?} already");
            return Err(FieldError::new("name", Code::NameTaken, what)
                .hint(format!("change it with: dialtone site set {name}"))
                .into());
        }
        let site = laid_over(Site::new(name), change, self.hub().now())?;
        self.site_as_written(&site)?;
        let site = self.put_site(actor, "site.add", site, ask).await;
        match site {
            Ok(Some(site)) => Ok(SiteView { site, devices: 0 }),
            Ok(None) => {
                let what = format!("there is a site {name:?} already");
                Err(FieldError::new("name", Code::NameTaken, what).into())
            }
            Err(problem) => Err(problem),
        }
    }

    /// Changes a site.
    pub async fn set_site(
        &self,
        actor: &Actor,
        name: &str,
        change: &SiteChange,
        ask: &Ask,
    ) -> Result<Changed<SiteView>, Problem> {
        for _ in 0..TRIES {
            let old = self.site(name).await?;
            ask.fits(old.site.version)?;
            let site = laid_over(old.site.clone(), change, self.hub().now())?;
            if site == old.site {
                return Ok(Changed {
                    record: old,
                    changed: false,
                });
            }
            self.site_as_written(&site)?;
            if let Some(site) = self.put_site(actor, "site.set", site, ask).await? {
                let devices = old.devices;
                return Ok(Changed {
                    record: SiteView { site, devices },
                    changed: true,
                });
            }
        }
        Err(Problem::new(Code::Conflict, format!("site {name}")).hint("try again"))
    }

    /// `None` where somebody was faster.
    async fn put_site(
        &self,
        actor: &Actor,
        action: &str,
        mut site: Site,
        ask: &Ask,
    ) -> Result<Option<Site>, Problem> {
        if ask.dry_run {
            return Ok(Some(site));
        }
        let audit = self.audit(actor, action, format!("site {}", site.name), summary(&site));
        let writes = vec![Write::PutSite(site.clone()), audit];
        match self.hub().store.commit(Batch::now(writes)).await {
            Ok(committed) => {
                site.version = super::device::version(&committed);
                Ok(Some(site))
            }
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a site away, with its waivers and its variables. Only where no device is.
    pub async fn remove_site(
        &self,
        actor: &Actor,
        name: &str,
        ask: &Ask,
    ) -> Result<SiteView, Problem> {
        let old = self.site(name).await?;
        ask.fits(old.site.version)?;
        self.site_not_written(name)?;
        if old.devices > 0 {
            let what = format!("{} devices are at {name}", old.devices);
            return Err(Problem::new(Code::InUse, what).hint(format!(
                "move them first: dialtone device move --site {name} --to SITE"
            )));
        }
        if ask.dry_run {
            return Ok(old);
        }
        let settings = self.hub().store.settings()?;
        let mut writes = vec![Write::RemoveSite(name.to_owned())];
        let waivers = settings.waivers.iter().filter(|waiver| waiver.site == name);
        writes.extend(waivers.map(|waiver| Write::RemoveWaiver {
            site: waiver.site.clone(),
            models: waiver.models.clone(),
        }));
        if settings
            .scopes
            .contains_key(&(Layer::Site, name.to_owned()))
        {
            writes.push(Write::RemoveScope {
                layer: Layer::Site,
                name: name.to_owned(),
            });
        }
        writes.push(self.audit(actor, "site.remove", format!("site {name}"), ""));
        self.hub().store.commit(Batch::now(writes)).await?;
        Ok(old)
    }

    /// How many devices are in each group.
    pub async fn groups(&self) -> Result<BTreeMap<String, u64>, Problem> {
        let mut counts = BTreeMap::new();
        self.each_row(&Select::default(), |device| {
            for group in &device.config.groups {
                *counts.entry(group.clone()).or_default() += 1;
            }
        })
        .await?;
        Ok(counts)
    }

    /// Shows every row that is selected to `take`.
    pub(crate) async fn each_row(
        &self,
        select: &Select,
        mut take: impl FnMut(crate::model::device::Device),
    ) -> Result<(), Problem> {
        let mut after = None;
        loop {
            let (devices, more) = self.selected(select, after, 1000).await?;
            after = devices.last().map(|device| device.id);
            devices.into_iter().for_each(&mut take);
            if !more {
                return Ok(());
            }
        }
    }

    /// Rows of one site.
    pub(crate) fn at(site: Option<&str>) -> Select {
        Select {
            filter: Filter {
                site: site.map(str::to_owned),
                ..Filter::default()
            },
            lifecycle: None,
        }
    }
}

/// The site with what is wanted of it; everything that is wrong is told at once.
fn laid_over(mut site: Site, change: &SiteChange, now: Timestamp) -> Result<Site, Problem> {
    let mut errors = Vec::new();
    if let Some(prefixes) = &change.prefixes {
        site.prefixes.clear();
        for text in prefixes {
            match prefix(text) {
                Ok(prefix) if site.prefixes.contains(&prefix) => {}
                Ok(prefix) => site.prefixes.push(prefix),
                Err(why) => errors.push(wrong("prefixes", why)),
            }
        }
    }
    let mut read = |field: &str, read: Result<(), String>| {
        errors.extend(read.err().map(|why| wrong(field, why)));
    };
    if let Some(text) = &change.timezone {
        read(
            "timezone",
            values::timezone(text).map(|zone| site.timezone = zone),
        );
    }
    if let Some(word) = &change.corroborate {
        match word.as_str() {
            "lease" => {
                site.corroborate = Corroborate::Lease;
                site.doubt = None;
            }
            // Said of a prefix that is believed no more, it is believed again.
            "prefix" => {
                if !site.believes_prefix() {
                    site.believed_since = Some(now);
                }
                site.corroborate = Corroborate::Prefix;
                site.doubt = None;
            }
            other => read(
                "corroborate",
                Err(format!("{other:?} is neither lease nor prefix")),
            ),
        }
    }
    let url = |text: &Option<String>, scheme: &str| match text {
        Some(text) => values::base_url(text, scheme).map(Some),
        None => Ok(None),
    };
    if let Some(text) = &change.public_url {
        read(
            "public_url",
            url(text, "https").map(|url| site.public_url = url),
        );
    }
    if let Some(text) = &change.public_http_url {
        read(
            "public_http_url",
            url(text, "http").map(|url| site.public_http_url = url),
        );
    }
    if let Some(text) = &change.public_tftp {
        let host = text.as_deref().map(values::host).transpose();
        read("public_tftp", host.map(|host| site.public_tftp = host));
    }
    if change
        .change_window
        .as_deref()
        .is_some_and(|text| !text.is_empty())
    {
        let what = "changes are served when units ask: windows for them are not built yet";
        errors.push(FieldError::new("change_window", Code::NotBuilt, what));
    }
    site.nat = change.nat.unwrap_or(site.nat);
    site.expect = change.expect.unwrap_or(site.expect);
    site.keys_at_l2 = change.keys_at_l2.unwrap_or(site.keys_at_l2);
    Problem::unless_clean(errors)?;
    Ok(site)
}

fn wrong(field: &str, why: String) -> FieldError {
    FieldError::new(field, Code::ValueInvalid, why)
}

/// A prefix, or one address.
fn prefix(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let net: Option<IpNet> = text.parse().ok();
    let net = net.or_else(|| text.parse().ok().map(|ip: std::net::IpAddr| ip.into()));
    match net {
        Some(net) if net.trunc() == net => Ok(net),
        Some(net) => Err(format!("{text:?} has host bits; it means {}", net.trunc())),
        None => Err(format!(
            "{text:?} is not a prefix such as 10.1.0.0/16 or fd00::/64"
        )),
    }
}

/// What of a site is worth a line in the audit trail.
fn summary(site: &Site) -> String {
    let prefixes: Vec<String> = site.prefixes.iter().map(ToString::to_string).collect();
    let corroborate = match site.corroborate {
        Corroborate::Lease => "lease",
        Corroborate::Prefix => "prefix",
    };
    format!(
        "prefixes {}; nat {}; corroborate {corroborate}; keys_at_l2 {}",
        prefixes.join(" "),
        site.nat,
        site.keys_at_l2
    )
}
