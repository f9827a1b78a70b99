//! What devices would get otherwise: two revisions rendered for the same devices, line by line.
//! Secrets are masked in both, so only what the revisions do differently shows.

use super::device::Select;
use super::lens::kind_of;
use super::preview::Secrets;
use super::profile::{Kind, Which};
use super::revisions::Open;
use super::{Admin, Code, FieldError, Lens, Problem};
use crate::catalog::manifest::ArtefactScope;
use crate::catalog::revision::Which as Template;
use crate::model::access::Grant;
use crate::model::device::Device;
use crate::model::identity::{DeviceId, Digest};
use crate::store::Filter;

use std::sync::Arc;

/// Devices that are rendered, and those whose lines are shown.
const RENDERED: usize = 500;
const SHOWN: usize = 20;
/// Lines of one file that are shown.
const LINES: usize = 400;
/// Cells of the table that finds the common lines.
const CELLS: usize = 4_000_000;

/// What is compared.
#[derive(Clone, Debug, Default)]
pub struct DiffAsk {
    pub which: Which,
    /// What is published, where not given.
    pub from: Option<Digest>,
    /// The draft, where not given.
    pub to: Option<Digest>,
    /// By any of its names; else all of those kinds.
    pub device: Option<String>,
}

/// How devices' files differ.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Where it is one pair of revisions.
    pub from: Option<Digest>,
    pub to: Option<Digest>,
    pub devices: Vec<DeviceDiff>,
    pub changed: usize,
    pub unchanged: usize,
    /// Devices that were not compared.
    pub more: usize,
}

/// How one device's files differ.
#[derive(Clone, Debug)]
pub struct DeviceDiff {
    pub id: DeviceId,
    pub mac: Option<String>,
    /// Path, and lines that begin with `-` or `+`.
    pub files: Vec<(String, Vec<String>)>,
}

/// One kind's two revisions.
struct Pair {
    kind: Kind,
    from: Option<Arc<Open>>,
    to: Arc<Open>,
}

impl Admin {
    /// Compares.
    pub async fn diff(&self, ask: &DiffAsk) -> Result<Diff, Problem> {
        let lens = self.lens().await?;
        self.known(&lens, &ask.which)?;
        let device = match &ask.device {
            Some(name) => Some(self.find(name).await?),
            None => None,
        };
        let pairs = self.pairs(&lens, ask, device.as_ref()).await?;
        let mut diff = Diff::default();
        if let [pair] = pairs.as_slice() {
            diff.from = pair.from.as_ref().map(|open| open.revision.digest);
            diff.to = Some(pair.to.revision.digest);
        }
        let mut left = RENDERED;
        for pair in pairs {
            let devices = match &device {
                Some(device) => vec![device.clone()],
                None => {
                    let (devices, more) = self.of_kind(&pair.kind, &mut left).await?;
                    diff.more += more;
                    devices
                }
            };
            for device in devices {
                self.compare(&lens, &pair, &device, &mut diff).await?;
                tokio::task::yield_now().await;
            }
        }
        Ok(diff)
    }

    /// Devices of a kind, as many as are left to render; and how many there are besides.
    async fn of_kind(
        &self,
        kind: &Kind,
        left: &mut usize,
    ) -> Result<(Vec<Device>, usize), Problem> {
        let (mut devices, mut more) = (Vec::new(), 0);
        let select = Select {
            filter: Filter {
                vendor: Some(kind.0.clone()),
                family: Some(kind.1.clone()),
                profile: Some(kind.2.clone()),
                ..Filter::default()
            },
            lifecycle: None,
        };
        self.each_row(&select, |device| {
            if *left > 0 {
                *left -= 1;
                devices.push(device);
            } else {
                more += 1;
            }
        })
        .await?;
        Ok((devices, more))
    }

    /// The revisions to compare: of the device's kind, or of every kind that is meant and differs.
    async fn pairs(
        &self,
        lens: &Lens,
        ask: &DiffAsk,
        device: Option<&Device>,
    ) -> Result<Vec<Pair>, Problem> {
        let which = match device.map(|device| kind_of(&device.config)) {
            Some((vendor, family, profile)) => Which {
                vendor: Some(vendor),
                family: Some(family),
                profile: Some(profile),
            },
            None => ask.which.clone(),
        };
        let all = self.profiles().await?;
        let meant: Vec<_> = all
            .into_iter()
            .filter(|row| which.takes(&row.kind))
            .collect();
        let named = ask.from.is_some() || ask.to.is_some();
        if named && meant.len() != 1 {
            let what = "from and to are revisions of one kind: name its vendor, family and profile";
            return Err(FieldError::new("vendor", Code::MissingField, what).into());
        }
        let mut pairs = Vec::new();
        for row in meant {
            let published = || row.published.as_ref().map(|row| row.digest);
            let from = match ask.from.or_else(published) {
                Some(digest) => Some(self.stored(digest).await?),
                None => None,
            };
            let to = match ask.to {
                Some(digest) => self.stored(digest).await?,
                None => {
                    let (vendor, family, profile) = &row.kind;
                    let draft = lens.catalog.draft(vendor, family, profile);
                    let Some(draft) = draft else { continue };
                    self.open(&draft.bytes)?
                }
            };
            let same = from.as_ref().map(|open| open.revision.digest) == Some(to.revision.digest);
            if same && !named && device.is_none() {
                continue;
            }
            pairs.push(Pair {
                kind: row.kind,
                from,
                to,
            });
        }
        Ok(pairs)
    }

    async fn stored(&self, digest: Digest) -> Result<Arc<Open>, Problem> {
        let found = self.revision(digest).await?;
        found.ok_or_else(|| Problem::not_found("revision", &digest.to_string()))
    }

    async fn compare(
        &self,
        lens: &Lens,
        pair: &Pair,
        device: &Device,
        diff: &mut Diff,
    ) -> Result<(), Problem> {
        let before = match &pair.from {
            Some(open) => self.files(lens, open, device).await?,
            None => Vec::new(),
        };
        let after = self.files(lens, &pair.to, device).await?;
        let mut names: Vec<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        let of = |files: &[(String, String)], name: &String| {
            let found = files.iter().find(|(file, _)| file == name);
            found.map(|(_, body)| body.clone()).unwrap_or_default()
        };
        let mut files = Vec::new();
        for name in names {
            let lines = differing(&of(&before, name), &of(&after, name));
            if !lines.is_empty() {
                files.push((name.clone(), lines));
            }
        }
        if files.is_empty() {
            diff.unchanged += 1;
            return Ok(());
        }
        diff.changed += 1;
        if diff.devices.len() < SHOWN {
            diff.devices.push(DeviceDiff {
                id: device.id,
                mac: device.config.mac.map(|mac| mac.to_string()),
                files,
            });
        }
        Ok(())
    }

    /// Every file of a device with everything granted, secrets masked. What cannot be rendered is
    /// shown as the reason why.
    async fn files(
        &self,
        lens: &Lens,
        open: &Open,
        device: &Device,
    ) -> Result<Vec<(String, String)>, Problem> {
        let revision = &open.revision;
        let filling = self
            .filling(lens, device, revision, Secrets::Masked)
            .await?;
        let mut files = Vec::new();
        for artefact in &revision.family.artefacts {
            if artefact.template.is_none() {
                continue;
            }
            let grant = match artefact.scope {
                ArtefactScope::Unit => Grant::ALL,
                ArtefactScope::Family => Grant {
                    site: true,
                    ..Grant::PUBLIC
                },
            };
            let given = (Template::Normal, grant);
            let made = self.rendered(lens, device, revision, &filling, &artefact.id, given);
            let body = match made {
                Ok(made) => String::from_utf8_lossy(&made.bytes).into_owned(),
                Err(error) => format!("cannot be rendered: {error}"),
            };
            files.push((super::preview::path_of(artefact, device), body));
        }
        Ok(files)
    }
}

/// The lines that differ, in order: `-` those that go, `+` those that come.
fn differing(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (
        old.get(same..).unwrap_or_default(),
        new.get(same..).unwrap_or_default(),
    );
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail.take_while(|(a, b)| a == b).count();
    let old = old.get(..old.len() - tail).unwrap_or_default();
    let new = new.get(..new.len() - tail).unwrap_or_default();
    let mut lines = if old.len().saturating_mul(new.len()) > CELLS {
        let gone = old.iter().map(|line| format!("-{line}"));
        gone.chain(new.iter().map(|line| format!("+{line}")))
            .collect()
    } else {
        walk(old, new)
    };
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines.push("… and more".to_owned());
    }
    lines
}

/// Longest common subsequence, from the table's end to its beginning.
fn walk(old: &[&str], new: &[&str]) -> Vec<String> {
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    let at = |row: usize, column: usize| row * width + column;
    for (row, a) in old.iter().enumerate().rev() {
        for (column, b) in new.iter().enumerate().rev() {
            let of = |cell: usize| common.get(cell).copied().unwrap_or_default();
            let best = if a == b {
                of(at(row + 1, column + 1)) + 1
            } else {
                of(at(row + 1, column)).max(of(at(row, column + 1)))
            };
            if let Some(cell) = common.get_mut(at(row, column)) {
                *cell = best;
            }
        }
    }
    let of = |row: usize, column: usize| common.get(at(row, column)).copied().unwrap_or_default();
    let (mut row, mut column) = (0, 0);
    let mut lines = Vec::new();
    loop {
        match (old.get(row), new.get(column)) {
            (Some(a), Some(b)) if a == b => {
                row += 1;
                column += 1;
            }
            (Some(a), Some(_)) if of(row + 1, column) >= of(row, column + 1) => {
                lines.push(format!("-{a}"));
                row += 1;
            }
            (Some(a), None) => {
                lines.push(format!("-{a}"));
                row += 1;
            }
            (_, Some(b)) => {
                lines.push(format!("+{b}"));
                column += 1;
            }
            (None, None) => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        fn check(before: &str, after: &str, expect: &[&str]) {
            assert_eq!(differing(before, after), expect, "{before} {after}");
        }
        check("a\nb\nc", "a\nb\nc", &[]);
        check("a\nb\nc", "a\nx\nc", &["-b", "+x"]);
        check("", "a\nb", &["+a", "+b"]);
        check("a\nb\nc\nd", "b\nd\ne", &["-a", "-c", "+e"]);
        check("a", "", &["-a"]);
        let long: String = (0..5000).map(|n| format!("{n}\n")).collect();
        assert_eq!(differing(&long, "").len(), LINES + 1);
    }
}
