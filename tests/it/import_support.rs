//! What the tests of imports share: names, files, and an inventory in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use dialtone::catalog::{Catalog, load};
use dialtone::engine::import::inventory::Inventory;
use dialtone::engine::import::plan::{Claims, Outcome, Stored, Terms, plan};
use dialtone::engine::import::problem::{FileProblem, Findings};
use dialtone::engine::import::words::Words;
use dialtone::model::device::Device;
use dialtone::model::identity::DeviceId;

use crate::store_sample::at;

/// Rows of the large file, and how many of them are bad.
pub(crate) const ROWS: usize = 1000;
pub(crate) const BAD: usize = 30;
/// What stands in for passwords; none of them may be seen anywhere.
pub(crate) const CANARY: &str = "CANARY-";

/// The shipped vendors.
pub(crate) fn catalog() -> Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    let made = CATALOG.get_or_init(|| {
        let files = load::read_folders(&[PathBuf::from("profiles")]).unwrap();
        Catalog::from_files(&files)
            .0
            .expect("the profiles are whole")
    });
    Arc::clone(made)
}

/// Those vendors, the sites hq and lab, one call server.
pub(crate) fn words() -> Words {
    let set = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    };
    Words {
        catalog: catalog(),
        sites: set(&["hq", "lab"]),
        pbxs: set(&["berlin"]),
    }
}

/// An inventory in memory: what the store is for the plan.
#[derive(Default)]
pub(crate) struct Shelf(
    pub(crate) Vec<(Device, BTreeMap<String, dialtone::model::secret::Secret>)>,
);

/// What a run told.
pub(crate) struct Told {
    pub(crate) inventory: Inventory,
    pub(crate) warnings: Findings,
    pub(crate) create: usize,
    pub(crate) update: usize,
    pub(crate) unchanged: usize,
}

impl Shelf {
    /// Plans a file, and puts what it plans on the shelf.
    pub(crate) fn import(&mut self, file: &[u8], maps: &[&str]) -> Result<Told, Vec<FileProblem>> {
        let maps: Vec<_> = maps
            .iter()
            .map(|map| map.split_once('=').expect("FIELD=COLUMN"))
            .map(|(field, column)| (field.to_owned(), column.to_owned()))
            .collect();
        let mut inventory = Inventory::open(file.to_vec(), &maps, words())?;
        let mut warnings = inventory.warnings.clone();
        let (mut create, mut update, mut unchanged) = (0, 0, 0);
        let terms = Terms {
            now: at(0),
            from: at(0),
            until: at(5_184_000),
        };
        let mut claims = Claims::default();
        for device in 0..inventory.len() {
            let stored: Vec<Stored> = self
                .0
                .iter()
                .map(|(device, secrets)| Stored {
                    device: device.clone(),
                    secrets: secrets.clone(),
                })
                .collect();
            let drafts = inventory.device(device);
            let stored: Vec<&Stored> = stored.iter().collect();
            let mut planned = plan(&inventory, drafts, &stored, terms);
            claims.check(&mut planned);
            planned
                .problems
                .into_iter()
                .for_each(|found| inventory.reject(found));
            planned
                .warnings
                .into_iter()
                .for_each(|found| warnings.add(found));
            match planned.outcome {
                Outcome::Create(change) => {
                    create += 1;
                    let id = DeviceId(u128::try_from(self.0.len()).unwrap() + 1);
                    claims.made(id, planned.rows[0]);
                    let made = Device {
                        id,
                        config: Arc::new(change.config),
                        status: Arc::default(),
                    };
                    self.0.push((made, change.secrets.into_iter().collect()));
                }
                Outcome::Update(old, change) => {
                    update += 1;
                    let (device, secrets) = self
                        .0
                        .iter_mut()
                        .find(|(device, _)| device.id == old.id)
                        .unwrap();
                    device.config = Arc::new(change.config);
                    secrets.extend(change.secrets);
                }
                Outcome::Unchanged(_) => unchanged += 1,
                Outcome::Nothing => {}
            }
        }
        Ok(Told {
            inventory,
            warnings,
            create,
            update,
            unchanged,
        })
    }

    /// Devices in a line each: MAC or serial, vendor/family/model, site, lines, variables.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(device, secrets)| shown(device, secrets))
            .collect()
    }
}

fn shown(device: &Device, secrets: &BTreeMap<String, dialtone::model::secret::Secret>) -> String {
    let config = &device.config;
    let mut text = config.mac.map_or_else(String::new, |mac| mac.bare());
    if let Some(serial) = &config.serial {
        write!(text, " sn={serial}").unwrap();
    }
    write!(
        text,
        " {}/{}/{}",
        config.vendor, config.family, config.model
    )
    .unwrap();
    if let Some(site) = &config.site {
        write!(text, " @{site}").unwrap();
    }
    if config.profile != "default" {
        write!(text, " profile={}", config.profile).unwrap();
    }
    if !config.groups.is_empty() {
        write!(text, " groups={}", config.groups.join("+")).unwrap();
    }
    if !config.note.is_empty() {
        write!(text, " note={:?}", config.note).unwrap();
    }
    for (name, value) in &config.variables.0 {
        write!(text, " {name}={value:?}").unwrap();
    }
    for line in &config.lines {
        write!(text, " {}:{}", line.n, line.user).unwrap();
        let password = secrets.get(&format!("line.{}.password", line.n));
        assert_eq!(line.has_password, password.is_some(), "line {}", line.n);
        if let Some(password) = password {
            write!(text, ":{}", password.expose()).unwrap();
        }
        let at = line.pbx.as_ref().or(line.server.as_ref());
        write!(
            text,
            "{}",
            at.map_or_else(String::new, |at| format!("@{at}"))
        )
        .unwrap();
        for (mark, place) in [("p", line.port), ("h", line.handset)] {
            write!(
                text,
                "{}",
                place.map_or_else(String::new, |n| format!("/{mark}{n}"))
            )
            .unwrap();
        }
        if let Some(ipei) = &line.ipei {
            write!(text, "/{ipei}").unwrap();
        }
    }
    text
}

/// Findings as `code column: rows`, the most frequent first.
pub(crate) fn listed(findings: &Findings) -> Vec<String> {
    let groups = findings.groups();
    let one = |(code, column, group): &(
        dialtone::engine::import::problem::Code,
        Option<&str>,
        &dialtone::engine::import::problem::Group,
    )| {
        let rows: Vec<String> = group.rows.iter().map(u32::to_string).collect();
        format!(
            "{} {}: {}",
            code.as_str(),
            column.unwrap_or("-"),
            rows.join(" ")
        )
    };
    groups.iter().map(one).collect()
}

/// What is wrong with a bad row of [`large`]: its column and what replaces the right cell.
const KINDS: [(&str, usize, &str); 5] = [
    ("mac-damaged", 0, "1.56E+11"),
    ("mac-invalid", 0, "00:15:65:zz:00:01"),
    ("model-unknown", 2, "T46Q"),
    ("site-unknown", 3, "hamburg"),
    ("number-damaged", 4, "Mar-01"),
];

/// The rows of [`large`] that are bad, with their kinds, by the spreadsheet's numbers.
pub(crate) fn bad_rows() -> BTreeMap<u32, &'static str> {
    let every = ROWS / BAD;
    (0..BAD)
        .map(|n| {
            (
                u32::try_from(n * every + 7).unwrap(),
                KINDS[n % KINDS.len()].0,
            )
        })
        .collect()
}

/// A file of [`ROWS`] rows, [`BAD`] of them bad, of five kinds; `corrected` has none that is bad.
pub(crate) fn large(corrected: bool) -> String {
    let bad = bad_rows();
    let mut text = "\u{feff}MAC-Adresse;Hersteller;Modell;Standort;Nebenstelle;Anzeigename;SIP-Passwort;Raum\r\n".to_owned();
    for n in 0..ROWS {
        let row = u32::try_from(n + 2).unwrap();
        let mut cells = [
            format!("00:15:65:00:{:02x}:{:02x}", n / 256, n % 256),
            "Yealink".to_owned(),
            ["T46S", "SIP-T48S", "t54w"][n % 3].to_owned(),
            "hq".to_owned(),
            (2000 + n).to_string(),
            format!("Büro {n}"),
            format!("{CANARY}{n}"),
            format!("R{n}"),
        ];
        if let Some(kind) = bad.get(&row).filter(|_| !corrected) {
            let (_, column, cell) = KINDS.iter().find(|(code, _, _)| code == kind).unwrap();
            cells[*column] = (*cell).to_owned();
        }
        writeln!(text, "{}\r", cells.join(";")).unwrap();
    }
    text
}

/// A file of so many phones at hq, all of them right.
pub(crate) fn good(rows: usize) -> String {
    let mut text = "mac,vendor,model,site,extension,sip_password\n".to_owned();
    for n in 0..rows {
        let (high, low) = (n / 256, n % 256);
        writeln!(
            text,
            "00156501{high:02x}{low:02x},yealink,T46S,hq,{},{CANARY}{n}",
            2000 + n
        )
        .unwrap();
    }
    text
}
