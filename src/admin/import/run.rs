//! One pass over a file: look at what it would do, or do it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::super::device::name_of;
use super::super::device_act::{Arm, arm_anew};
use super::super::device_fields::SecretChange;
use super::super::lens::kind_of;
use super::super::profile::Kind;
use super::super::{Actor, Admin, Code, Lens, Problem, TRIES};
use super::{ImportAsk, count, lost};
use crate::engine::import::draft::Draft;
use crate::engine::import::inventory::Inventory;
use crate::engine::import::plan::{Change, Claims, Outcome, Planned, Stored, Terms, plan};
use crate::engine::import::problem::{Code as Wrong, Findings, Found};
use crate::engine::import::words::Given;
use crate::engine::outlook::Block;
use crate::model::device::Device;
use crate::model::event::AlertKind;
use crate::model::identity::{DeviceId, Mac, Serial};
use crate::model::secret::Secret;
use crate::store::{Batch, Expect, Job, KnownAsk, Owner, StoreError, Write};

/// Devices of one transaction.
const BATCH: usize = 250;
/// Tries of a whole import whose rows others change meanwhile.
const WHOLE_TRIES: usize = 3;

/// A file, and what it is measured by.
pub(super) struct Run<'a> {
    pub(super) admin: &'a Admin,
    pub(super) inventory: &'a Inventory,
    pub(super) lens: &'a Lens,
    pub(super) terms: Terms,
    pub(super) ask: &'a ImportAsk,
    pub(super) actor: &'a Actor,
}

/// How a pass stands.
#[derive(Default)]
struct Pass {
    tally: Tally,
    claims: Claims,
    /// Kinds of units that have a revision by now.
    kinds: BTreeSet<Kind>,
}

/// What a pass found.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) create: u64,
    pub(super) update: u64,
    pub(super) unchanged: u64,
    /// Problems that the plan found; those of reading are the inventory's.
    pub(super) found: Vec<Found>,
    pub(super) warnings: Findings,
    /// Names of the units that each thing keeps from coming up.
    pub(super) not_today: BTreeMap<Block, Vec<String>>,
}

/// One device's rows, planned, with the device as it would be and the writes that make it so.
struct Step {
    planned: Planned,
    after: Option<Device>,
    writes: Vec<Write>,
}

impl Run<'_> {
    /// Plans all of it.
    pub(super) async fn look(&self) -> Result<Tally, Problem> {
        let mut pass = Pass::default();
        for range in self.batches() {
            for step in self.steps(range, &mut pass.claims).await? {
                self.add(&mut pass.tally, step);
            }
        }
        Ok(pass.tally)
    }

    /// Does all of it, a batch at a time.
    pub(super) async fn commit(&self, job: &mut Job) -> Result<Tally, Problem> {
        let mut pass = Pass::default();
        for range in self.batches() {
            let mut steps = self.steps(range.clone(), &mut pass.claims).await?;
            let mut writes = self.writes_of(&pass, &mut steps);
            job.done = count(range.end);
            job.updated = self.admin.hub().now();
            if !writes.is_empty() {
                writes.push(Write::PutJob(job.clone()));
            }
            match self.store(writes).await {
                Ok(()) => steps
                    .into_iter()
                    .for_each(|step| self.add_done(&mut pass, step)),
                Err(error) if lost(&error) => {
                    for at in range {
                        self.commit_one(at, &mut pass).await?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pass.tally)
    }

    /// Does all of it in one transaction.
    pub(super) async fn commit_whole(&self, job: &mut Job) -> Result<Tally, Problem> {
        for _ in 0..WHOLE_TRIES {
            let mut pass = Pass::default();
            let mut done = Vec::new();
            let mut writes = Vec::new();
            for range in self.batches() {
                let mut steps = self.steps(range, &mut pass.claims).await?;
                writes.extend(self.writes_of(&pass, &mut steps));
                self.published(&mut pass, &steps);
                done.extend(steps);
            }
            job.updated = self.admin.hub().now();
            let found = done.iter().any(|step| !step.planned.problems.is_empty());
            match self.store(writes).await {
                // Somebody made a row bad between the plan and now.
                _ if found => break,
                Ok(()) => {
                    done.into_iter()
                        .for_each(|step| self.add_done(&mut pass, step));
                    return Ok(pass.tally);
                }
                Err(error) if lost(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::new(
            Code::Conflict,
            "the same devices are changed by somebody else",
        )
        .hint("nothing was stored: try again"))
    }

    /// One device, until nobody is faster.
    async fn commit_one(&self, at: usize, pass: &mut Pass) -> Result<(), Problem> {
        let mut last = None;
        for _ in 0..TRIES {
            let mut steps = self.steps(at..at + 1, &mut pass.claims).await?;
            let writes = self.writes_of(pass, &mut steps);
            match self.store(writes).await {
                Ok(()) => {
                    steps.into_iter().for_each(|step| self.add_done(pass, step));
                    return Ok(());
                }
                Err(error) if lost(&error) => last = Some((error, steps)),
                Err(error) => return Err(error.into()),
            }
            tokio::task::yield_now().await;
        }
        for (error, step) in last
            .into_iter()
            .flat_map(|(error, steps)| steps.into_iter().map(move |step| (error.clone(), step)))
        {
            let serial = matches!(
                &error,
                StoreError::Taken {
                    field: "serial",
                    ..
                }
            );
            let code = if serial {
                Wrong::SerialConflict
            } else {
                Wrong::MacConflict
            };
            let rows = step.planned.rows.iter();
            pass.tally
                .found
                .extend(rows.map(|row| Found::row(code, *row, error.to_string())));
        }
        Ok(())
    }

    async fn store(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let store = &self.admin.hub().store;
        store.commit(Batch::now(writes)).await.map(drop)
    }

    fn batches(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let all = self.inventory.len();
        (0..all)
            .step_by(BATCH)
            .map(move |from| from..(from + BATCH).min(all))
    }

    /// Plans some devices against what the store holds now.
    async fn steps(&self, range: Range<usize>, claims: &mut Claims) -> Result<Vec<Step>, Problem> {
        let drafts: Vec<Vec<Draft>> = range.map(|at| self.inventory.device(at)).collect();
        let shelf = self.shelf(&drafts).await?;
        let plans = drafts.into_iter().map(|drafts| {
            let stored = shelf.of(&drafts);
            let mut planned = plan(self.inventory, drafts, &stored, self.terms);
            claims.check(&mut planned);
            self.step(planned)
        });
        plans.collect()
    }

    fn step(&self, mut planned: Planned) -> Result<Step, Problem> {
        let mut writes = Vec::new();
        let after = match &mut planned.outcome {
            Outcome::Nothing => None,
            Outcome::Unchanged(device) => Some((**device).clone()),
            Outcome::Create(change) => {
                // A dry run makes nothing that needs an id.
                let id = match self.ask.dry_run {
                    true => DeviceId(0),
                    false => self.admin.fresh_id()?,
                };
                self.write(id, change, Expect::New, &mut writes)?;
                Some(Device {
                    id,
                    config: Arc::new(change.config.clone()),
                    status: Arc::default(),
                })
            }
            Outcome::Update(device, change) => {
                if change.another {
                    let arm = Arm {
                        duration: self.ask.arm_for.clone(),
                        from: self.ask.arm_from.clone(),
                        ..Arm::default()
                    };
                    let status = device.status_now();
                    arm_anew(&mut change.config, &status, &arm, self.terms.now)?;
                    writes.push(Write::UnpinCertificates { device: device.id });
                    // What was alarmed of the other unit is over.
                    let device = device.id;
                    writes.extend(AlertKind::ALL.map(|kind| Write::RemoveAlert { kind, device }));
                }
                for (field, _) in &change.secrets {
                    change.config.arming.exposed.retain(|name| name != field);
                }
                let expect = Expect::Version(device.config.version);
                self.write(device.id, change, expect, &mut writes)?;
                Some(Device {
                    id: device.id,
                    config: Arc::new(change.config.clone()),
                    status: Arc::clone(&device.status),
                })
            }
        };
        Ok(Step {
            planned,
            after,
            writes,
        })
    }

    /// All rows of one device.
    fn write(
        &self,
        id: DeviceId,
        change: &Change,
        expect: Expect,
        writes: &mut Vec<Write>,
    ) -> Result<(), Problem> {
        if self.ask.dry_run {
            return Ok(());
        }
        writes.insert(0, self.admin.put(id, &change.config, expect));
        let (owner, keys) = (Owner::Device(id), &self.admin.hub().keys);
        for (field, secret) in &change.secrets {
            let sealed = SecretChange::of(&owner, field.clone(), Some(secret), keys)?;
            writes.push(sealed.write(id));
        }
        Ok(())
    }

    fn add(&self, tally: &mut Tally, step: Step) {
        match &step.planned.outcome {
            Outcome::Create(_) => tally.create += 1,
            Outcome::Update(..) => tally.update += 1,
            Outcome::Unchanged(_) => tally.unchanged += 1,
            Outcome::Nothing => {}
        }
        tally.found.extend(step.planned.problems);
        for found in step.planned.warnings {
            tally.warnings.add(found);
        }
        if let Some(device) = &step.after
            && let Err(block) = self.lens.outlook(device)
        {
            let names = tally.not_today.entry(block).or_default();
            names.push(match device.config.mac {
                Some(mac) => mac.to_string(),
                None => name_of(device.id, &device.config),
            });
        }
    }

    /// What a batch stores; the first units of a kind come with its revision.
    fn writes_of(&self, pass: &Pass, steps: &mut [Step]) -> Vec<Write> {
        let mut kinds = pass.kinds.clone();
        let mut writes = Vec::new();
        for step in steps {
            let own = std::mem::take(&mut step.writes);
            if let Some(device) = step.after.as_ref().filter(|_| !own.is_empty())
                && kinds.insert(kind_of(&device.config))
            {
                let config = &device.config;
                writes.extend(self.admin.first_publication(self.actor, self.lens, config));
            }
            writes.extend(own);
        }
        writes
    }

    fn published(&self, pass: &mut Pass, steps: &[Step]) {
        let changed = steps.iter().filter(|step| {
            matches!(
                &step.planned.outcome,
                Outcome::Create(_) | Outcome::Update(..)
            )
        });
        let devices = changed.filter_map(|step| step.after.as_ref());
        pass.kinds
            .extend(devices.map(|device| kind_of(&device.config)));
    }

    /// Counts a step that is stored, and tells whoever listens.
    fn add_done(&self, pass: &mut Pass, step: Step) {
        if let (Outcome::Create(_) | Outcome::Update(..), Some(device)) =
            (&step.planned.outcome, &step.after)
        {
            self.admin.listed(device);
            let row = step.planned.rows.first().copied();
            pass.kinds.insert(kind_of(&device.config));
            pass.claims.made(device.id, row.unwrap_or_default());
        }
        self.add(&mut pass.tally, step);
    }

    /// What the store holds of the devices that some rows may mean.
    async fn shelf(&self, drafts: &[Vec<Draft>]) -> Result<Shelf, Problem> {
        let hub = self.admin.hub();
        let units = || drafts.iter().flatten().map(|draft| &draft.unit);
        let ask = KnownAsk {
            macs: units().filter_map(|unit| unit.mac).collect(),
            serials: units().filter_map(|unit| unit.serial.clone()).collect(),
            ..KnownAsk::default()
        };
        let known = hub.store.known(&ask).await?;
        let secrets = drafts.iter().flatten().any(says_secret);
        let mut shelf = Shelf::default();
        for device in known.by_mac.into_iter().chain(known.by_serial) {
            let id = device.id;
            if shelf.devices.contains_key(&id) {
                continue;
            }
            let config = &device.config;
            if let Some(mac) = config.mac {
                shelf.macs.insert(mac, id);
            }
            if let Some(serial) = &config.serial {
                shelf.serials.entry(serial.clone()).or_default().push(id);
            }
            let opened = match secrets {
                true => self.open(id).await?,
                false => BTreeMap::new(),
            };
            let stored = Stored {
                device,
                secrets: opened,
            };
            shelf.devices.insert(id, stored);
        }
        Ok(shelf)
    }

    /// The secrets of a device, to compare with.
    async fn open(&self, id: DeviceId) -> Result<BTreeMap<String, Secret>, Problem> {
        let hub = self.admin.hub();
        let owner = Owner::Device(id);
        let mut opened = BTreeMap::new();
        for (field, sealed) in hub.store.secrets(&owner).await? {
            let secret = hub.keys.open(&sealed, &owner.aad(&field))?;
            opened.insert(field, secret);
        }
        Ok(opened)
    }
}

/// Stored devices by what rows may call them.
#[derive(Default)]
struct Shelf {
    devices: BTreeMap<DeviceId, Stored>,
    macs: HashMap<Mac, DeviceId>,
    serials: HashMap<Serial, Vec<DeviceId>>,
}

impl Shelf {
    fn of(&self, drafts: &[Draft]) -> Vec<&Stored> {
        let units = || drafts.iter().map(|draft| &draft.unit);
        let by_mac = units().filter_map(|unit| self.macs.get(&unit.mac?));
        let by_serial = units().filter_map(|unit| self.serials.get(unit.serial.as_ref()?));
        let mut ids: Vec<DeviceId> = by_mac.chain(by_serial.flatten()).copied().collect();
        ids.sort();
        ids.dedup();
        ids.iter().filter_map(|id| self.devices.get(id)).collect()
    }
}

/// Whether a row gives a secret.
fn says_secret(draft: &Draft) -> bool {
    let accounts = draft.numbered.values().chain([&draft.account]);
    let mut values = draft.unit.variables.values();
    accounts
        .into_iter()
        .any(|account| account.password.is_some())
        || values.any(|given| matches!(given, Given::Secret(_)))
}
