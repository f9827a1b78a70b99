//! Hostile-cases F3: power cuts under a store that is being written.
//!
//! A child commits to a store on an ext4 image and names each commit once it was acknowledged. At a
//! random moment the file system is shut down without flushing its log, so that everything that no
//! fsync made durable is lost. The store must open again, with each acknowledged commit in it.
//! It needs root (loop devices, mount) and mkfs.ext4, losetup, mount, umount and python3.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use dialtone::model::activation::{Check, CheckKind, Outcome};
use dialtone::model::device::{Config, Lifecycle, Status};
use dialtone::model::enrolment::Arming;
use dialtone::model::identity::{Assurance, BootId, Channel, DeviceId, LevelBy, Mac};
use dialtone::model::profile::Variables;
use dialtone::store::{Batch, Expect, Options, Store, Write};
use jiff::Timestamp;

/// Seeds of one plain run; of a full one.
const SEEDS: (u16, u16) = (50, 200);
/// Cuts that one file system lives through before it is made again.
const CUTS: u16 = 5;
/// Commits that are under way at once.
const TASKS: u8 = 6;
/// `EXT4_IOC_SHUTDOWN`, `_IOR('X', 125, __u32)`, with `EXT4_GOING_FLAGS_NOLOGFLUSH`. The crate
/// forbids unsafe code, so python makes the call.
const SHUTDOWN: &str = r#"
import fcntl, os, struct, sys, time
mounted = os.open(sys.argv[1], os.O_RDONLY)
print("ready", flush=True)
sys.stdin.readline()
time.sleep(int(sys.argv[2]) / 1e6)
fcntl.ioctl(mounted, 0x8004587D, struct.pack("I", 2))
print("cut", flush=True)
"#;

#[test]
fn sled_keeps_what_it_acknowledged() {
    run("sled:store");
}

fn run(url: &str) {
    let full = std::env::var("DIALTONE_FULL").is_ok_and(|value| value == "1");
    let seeds = std::env::var("DIALTONE_POWER_CUTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(if full { SEEDS.1 } else { SEEDS.0 });
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => panic!("the power-cut test cannot run here: {why}"),
    };
    let mut losses = Vec::new();
    let mut acknowledged = Acknowledged::default();
    let mut commits = 0;
    for seed in 0..seeds {
        if seed % CUTS == 0 {
            disk.format();
            acknowledged = Acknowledged::default();
        }
        commits += cut(&disk, url, seed, &mut acknowledged);
        let found = verify(&disk, url, &acknowledged);
        if !found.is_empty() {
            losses.push(format!("seed {seed}: {}", found.join("; ")));
            disk.format();
            acknowledged = Acknowledged::default();
        }
    }
    assert!(
        commits > u64::from(seeds) * 10,
        "the child hardly wrote: {commits}"
    );
    assert!(
        losses.is_empty(),
        "{url}: {} of {seeds} power cuts lost something ({commits} commits)\n{}",
        losses.len(),
        losses.join("\n")
    );
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{url}: {seeds} power cuts, {commits} acknowledged commits, nothing lost"
    )
    .unwrap();
}

/// Devices and the version of the status that was acknowledged last.
type Acknowledged = BTreeMap<u128, u64>;

/// Lets the child write, cuts the power, notes all that was acknowledged; says how many commits.
///
/// What the child acknowledges after the cut counts too: an fsync that says "done" is believed by
/// whoever waits for it. redb did not hold under this rule (docs/progress.md).
fn cut(disk: &Disk, url: &str, seed: u16, acknowledged: &mut Acknowledged) -> u64 {
    let mounted = disk.mount();
    let mut random = Random(u64::from(seed) + 1);
    let before = usize::try_from(random.below(300)).unwrap();
    let delay = random.below(4000);
    let mut power = Running::python(&disk.path(), delay);
    assert_eq!(power.line().as_deref(), Some("ready"));
    let mut writer = Running::child(&disk.path(), url, seed);
    let mut commits = Vec::new();
    while commits.len() < before {
        let line = writer.line();
        let line = line.unwrap_or_else(|| panic!("the child ended: {}", writer.errors()));
        commits.extend(Ack::read(&line));
    }
    power.say();
    let line = power.line().unwrap_or_else(|| panic!("{}", power.errors()));
    assert_eq!(line, "cut");
    writer.kill();
    while let Some(line) = writer.line() {
        commits.extend(Ack::read(&line));
    }
    drop(writer);
    drop(power);
    drop(mounted);
    for ack in &commits {
        let version = acknowledged.entry(ack.id).or_default();
        *version = ack.version.max(*version);
    }
    u64::try_from(commits.len()).unwrap()
}

/// One acknowledged commit, as the child named it.
pub(crate) struct Ack {
    pub(crate) id: u128,
    pub(crate) version: u64,
}

impl Ack {
    fn write(id: DeviceId, version: u64) {
        let line = format!("ack {} {version}\n", id.0);
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .unwrap();
    }

    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("ack ")?.split(' ');
        Some(Self {
            id: words.next()?.parse().ok()?,
            version: words.next()?.parse().ok()?,
        })
    }
}

/// Opens the store and names what is not as it was acknowledged.
fn verify(disk: &Disk, url: &str, acknowledged: &Acknowledged) -> Vec<String> {
    let _mounted = disk.mount();
    let mut options = options(&disk.path(), url);
    // Opened or refused: never started anew once something was acknowledged.
    options.create = acknowledged.is_empty();
    let store = match Store::open(&options) {
        Ok(store) => store,
        Err(error) => return vec![format!("does not open: {error}")],
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut lost = Vec::new();
        for (id, version) in acknowledged {
            match store.device(DeviceId(*id)).await {
                Ok(Some(device)) if device.status.version >= *version => {}
                Ok(Some(device)) => lost.push(format!(
                    "{id:x}: version {version} was acknowledged, {} is there",
                    device.status.version
                )),
                Ok(None) => lost.push(format!("{id:x} is gone")),
                Err(error) => lost.push(format!("{id:x}: {error}")),
            }
        }
        for problem in store.check().await.unwrap().problems {
            lost.push(format!("check: {problem}"));
        }
        lost.truncate(5);
        lost
    })
}

fn options(dir: &Path, url: &str) -> Options {
    Options {
        url: url.to_owned(),
        spare_bytes: 0,
        // Small, so that much is folded while it is written.
        journal_bytes: 48 << 10,
        ..Options::new(dir)
    }
}

/// The writing process: this test binary again.
#[test]
fn writer_child() {
    let Ok(dir) = std::env::var("DIALTONE_CUT_DIR") else {
        return;
    };
    let url = std::env::var("DIALTONE_CUT_URL").unwrap();
    let seed = std::env::var("DIALTONE_CUT_SEED").unwrap().parse().unwrap();
    let store = Store::open(&options(Path::new(&dir), &url)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(write(store.clone(), seed, task)))
            .collect();
        for task in tasks {
            drop(task.await);
        }
    });
}

/// Adds devices and changes older ones, until the disk fails.
async fn write(store: Store, seed: u16, task: u8) {
    let id = |n: u16| DeviceId(u128::from(seed) << 32 | u128::from(task) << 16 | u128::from(n));
    let mut versions: Vec<u64> = Vec::new();
    for n in 0..u16::MAX {
        let put = Write::PutConfig {
            id: id(n),
            config: Box::new(config(seed, task, n)),
            expect: Expect::New,
            tokens: Vec::new(),
        };
        let writes = vec![put, status(id(n), n, 0), check(id(n), n)];
        let Ok(committed) = store.commit(Batch::now(writes)).await else {
            return;
        };
        versions.push(committed.versions[1]);
        Ack::write(id(n), committed.versions[1]);
        // Rows that change again and again make the engine use its space again.
        for old in [n / 2, n / 3] {
            let at = usize::from(old);
            let again = Batch::now(vec![status(id(old), n, versions[at])]);
            let Ok(committed) = store.commit(again).await else {
                return;
            };
            versions[at] = committed.versions[0];
            Ack::write(id(old), versions[at]);
        }
        if store
            .commit(Batch::soon(vec![check(id(n), n)]))
            .await
            .is_err()
        {
            return;
        }
    }
}

fn config(seed: u16, task: u8, n: u16) -> Config {
    let ([s1, s2], [n1, n2]) = (seed.to_be_bytes(), n.to_be_bytes());
    Config {
        mac: Some(Mac::new([2, s1, s2, task, n1, n2]).unwrap()),
        serial: None,
        vendor: "acme".to_owned(),
        family: "desk".to_owned(),
        model: "D1".to_owned(),
        site: Some("hq".to_owned()),
        groups: Vec::new(),
        user: None,
        profile: "default".to_owned(),
        variables: Variables::default(),
        lines: Vec::new(),
        keys: Vec::new(),
        lifecycle: Lifecycle::Listed,
        arming: Arming {
            generation: 1,
            from: Timestamp::UNIX_EPOCH,
            until: Timestamp::MAX,
            open_at: None,
            keys: false,
            without_certificate: false,
            exposed: Vec::new(),
        },
        note: "x".repeat(usize::from(n % 400)),
        changed_at: Timestamp::UNIX_EPOCH,
        created_at: Timestamp::UNIX_EPOCH,
        release: false,
        version: 0,
    }
}

fn status(id: DeviceId, n: u16, expect: u64) -> Write {
    let status = Status {
        given: vec![format!("line.{n}.password")],
        ..Status::default()
    };
    Write::PutStatus {
        id,
        status: Box::new(status),
        expect,
    }
}

fn check(device: DeviceId, n: u16) -> Write {
    Write::AddCheck(Check {
        seq: 0,
        at: Timestamp::UNIX_EPOCH,
        device,
        boot: BootId(u64::from(n)),
        channel: Channel::Https,
        kind: CheckKind::Delivery,
        outcome: Outcome::Pass,
        path: Some("u/~/file.cfg".to_owned()),
        assurance: Assurance::L2,
        level_by: LevelBy::Token,
        revision: None,
        digest: None,
        bytes: Some(6000),
        ip: None,
        reason: "served".to_owned(),
        text: String::new(),
    })
}

/// An ext4 image on a loop device, and where it is mounted.
struct Disk {
    folder: tempfile::TempDir,
    device: String,
}

impl Disk {
    fn new() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root, for loop devices and mounts".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let image = folder.path().join("image");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(256 << 20).map_err(|error| error.to_string())?;
        std::fs::create_dir(folder.path().join("mounted")).map_err(|error| error.to_string())?;
        let device = command("losetup", &["-f", "--show", path(&image)])?;
        let disk = Self { folder, device };
        disk.try_format()?;
        command("mount", &["-t", "ext4", &disk.device, path(&disk.path())])?;
        command("umount", &[path(&disk.path())])?;
        command("python3", &["-c", ""])?;
        Ok(disk)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn try_format(&self) -> Result<String, String> {
        command(
            "mkfs.ext4",
            &["-q", "-F", "-E", "lazy_itable_init=1", &self.device],
        )
    }

    fn format(&self) {
        self.try_format().unwrap();
    }

    fn mount(&self) -> Mounted {
        command("mount", &["-t", "ext4", &self.device, path(&self.path())]).unwrap();
        Mounted(self.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(command("losetup", &["-d", &self.device]));
    }
}

/// Unmounts when it goes.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // A thread of the engine may have a file open for a moment after its store is gone.
        if !(0..1000).any(|_| command("umount", &[path(&self.0)]).is_ok()) {
            drop(command("umount", &["-l", path(&self.0)]));
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

fn command(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(format!("{program}: {errors}"))
    }
}

/// A process that is spoken to, and killed when it goes.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn python(dir: &Path, delay: u64) -> Self {
        let mut command = Command::new("python3");
        command.args(["-I", "-S", "-c", SHUTDOWN, path(dir), &delay.to_string()]);
        Self::start(command)
    }

    pub(crate) fn child(dir: &Path, url: &str, seed: u16) -> Self {
        let seed = seed.to_string();
        let told = [
            ("DIALTONE_CUT_DIR", path(dir)),
            ("DIALTONE_CUT_URL", url),
            ("DIALTONE_CUT_SEED", &seed),
        ];
        Self::test("power_cut::writer_child", &told)
    }

    /// A test of this binary, as a process that is told something.
    pub(crate) fn test(name: &str, told: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]);
        command.envs(told.iter().copied());
        Self::start(command)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        Self { child, lines }
    }

    fn say(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    pub(crate) fn line(&mut self) -> Option<String> {
        self.lines.recv().ok()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        drop(self.child.kill());
        if let Some(errors) = &mut self.child.stderr {
            errors.read_to_string(&mut text).unwrap();
        }
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A seeded sequence (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left {
                self.0 << shift
            } else {
                self.0 >> shift
            };
        }
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % most.max(1)
    }
}
