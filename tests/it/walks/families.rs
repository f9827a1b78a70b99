//! Walks 1, 3, 4 and 6 for each family of `walks.toml`: listed and armed at a site with a prefix,
//! unpacked, three restarts, a factory reset and `arm`. The unit plays its `boot.toml` and knows no
//! manifest; what it ends as is what its family can reach. `DIALTONE_VENDOR=name` walks one alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use dialtone::model::activation::Flag;
use dialtone::model::device::{Config, Lifecycle};
use dialtone::model::identity::{DeviceId, Mac};
use dialtone::simulate::{Again, Identity, Story, Unit};
use jiff::ToSpan as _;
use serde::Deserialize;

use super::commands::Shell;
use super::port::Port;
use super::scene::{Listed, Scene};
use crate::simulate_bench::{Server, conduct};

/// What a bare switch installs: it ends well.
pub(super) const IMAGE: &str = "#!/bin/sh\nexit 0\n";

/// How a factory unit of the family first meets us.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Meets {
    OwnCa,
    Public,
    Plain,
}

/// What a family is walked through, and what it ends as.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Walk {
    pub(super) family: String,
    pub(super) meets: Meets,
    state: String,
    proof: String,
    /// What the unit's requests prove at last.
    mark: String,
    /// A file takes away what it does not name.
    #[serde(default)]
    pub(super) resets: bool,
    /// It asks once, and then never again.
    #[serde(default)]
    once: bool,
    /// The MAC that asks is neither the printed one nor at a known distance from it: a lease is its own
    /// where the inventory has the one that asks.
    #[serde(default)]
    pub(super) elsewhere: bool,
    /// Its MAC, where another family's sample has the same one.
    #[serde(default)]
    mac: String,
    /// What DHCP hands out below the server's address.
    #[serde(default)]
    pointer: String,
    /// It has no account of a line: this file shows that it is up, or any account at all.
    #[serde(default)]
    up: String,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(default)]
    texts: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Walks {
    walk: Vec<Walk>,
}

/// The walks, each with its number.
pub(super) fn walks(chosen: impl Fn(&Walk) -> bool) -> Vec<(u8, Walk)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/vendors/walks.toml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let walks: Walks = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    let only = std::env::var("DIALTONE_VENDOR").unwrap_or_default();
    let walks = (1..).zip(walks.walk);
    walks
        .filter(|(_, walk)| walk.family.starts_with(&only) && chosen(walk))
        .collect()
}

/// One unit of the family, and its record.
struct Player<'a> {
    scene: &'a Scene,
    /// Where it hangs at a wire of its own and asks for its address; none: it was given one.
    port: Option<Port<'a>>,
    walk: Walk,
    id: DeviceId,
    who: Identity,
    unit: Unit,
    password: &'static str,
    stories: Vec<Story>,
}

impl<'a> Player<'a> {
    async fn new(scene: &'a Scene, port: Option<Port<'a>>, walk: &Walk, number: u8) -> Self {
        let conduct = conduct(&walk.family);
        let mut who = Identity::sample(&conduct).unwrap();
        if !walk.mac.is_empty() {
            who.mac = Mac::parse(&walk.mac).unwrap();
        }
        let mac = who.mac.bare();
        let pairs = |of: &BTreeMap<String, String>| -> Vec<(String, String)> {
            of.iter()
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect()
        };
        let (secrets, texts) = (pairs(&walk.secrets), pairs(&walk.texts));
        let borrowed = |of: &[(String, String)]| -> Vec<(&'static str, &'static str)> {
            let of = of.iter();
            of.map(|(name, text)| (&*name.clone().leak(), &*text.clone().leak()))
                .collect()
        };
        let mut around = scene.around(&format!("127.0.4.{number}"));
        scene.certify(walk.meets == Meets::Public);
        // A script that waits is watched for so long.
        around.longest = Duration::from_secs(600);
        around.public_roots = match walk.meets {
            Meets::Public => vec![scene.ca()],
            Meets::OwnCa | Meets::Plain => Vec::new(),
        };
        if let Some(port) = &port {
            around.public_roots.clone_from(&port.public_roots);
            (around.bind, around.pointer) = (None, None);
        } else {
            let base = match walk.meets {
                Meets::Public => scene.server.https(),
                Meets::OwnCa | Meets::Plain => scene.server.http(),
            };
            around.pointer = Some(format!("{base}{}", walk.pointer));
        }
        let unit = scene.unit_in(&walk.family, &mac, around);
        let asks = port.is_some() && walk.elsewhere;
        let mac = if asks {
            unit.says().unwrap().mac.bare()
        } else {
            mac
        };
        let phone = walk.up.is_empty() && !walk.once;
        let listed = Listed {
            family: &walk.family,
            model: &who.model,
            mac: Some(mac.as_str()),
            serial: Some(who.serial.as_str()).filter(|serial| !serial.is_empty()),
            account: phone.then_some(("214", "s3cret-of-214")),
            secrets: &borrowed(&secrets),
            texts: &borrowed(&texts),
        };
        let id = scene.list(&listed).await;
        Self {
            scene,
            port,
            walk: walk.clone(),
            id,
            who,
            unit,
            password: "s3cret-of-214",
            stories: Vec::new(),
        }
    }

    /// Whether it works as it should.
    fn is_up(&self) -> bool {
        if !self.walk.up.is_empty() {
            return self.unit.file(&self.walk.up).is_some();
        }
        let account = self.unit.account();
        account.is_some_and(|account| self.walk.once || account.password.expose() == self.password)
    }

    /// Switched on until it rests, and written down.
    async fn boots(&mut self) {
        let stories = match &self.port {
            Some(port) => port.boots(&mut self.unit),
            None => self.unit.boot_until_quiet(6).await,
        };
        self.stories.extend(stories);
    }

    /// Switched off and on until it is up, at most six times, with a while in between; a unit that
    /// asks again by itself does.
    async fn comes_up(&mut self) -> bool {
        for _ in 0..6 {
            self.boots().await;
            for _ in 0..3 {
                if !self.is_up() && matches!(self.unit.wants_again(), Some(Again::After(_))) {
                    let story = match &self.port {
                        Some(port) => port.waits(&mut self.unit),
                        None => self.unit.wait().await,
                    };
                    self.stories.extend(story);
                }
            }
            if self.is_up() {
                return true;
            }
            self.scene.pass(20.minutes()).await;
        }
        false
    }

    /// The name that its lines show.
    async fn displays(&self, name: Option<&str>) {
        let now = self.scene.now();
        let change = |config: &mut Config| {
            config.changed_at = now;
            for line in &mut config.lines {
                line.display = name.map(str::to_owned);
            }
        };
        self.scene.change(self.id, change).await;
    }

    /// What the server says of it, and what it did itself.
    async fn told(&self) -> String {
        let mut text = format!("{}\n", self.walk.family);
        for line in self.scene.told(self.id).await {
            writeln!(text, "{line}").unwrap();
        }
        for story in &self.stories {
            writeln!(text, "boot:").unwrap();
            for step in &story.steps {
                writeln!(text, "  {} {:?} {:?}", step.url, step.status, step.made).unwrap();
            }
            let changed: Vec<&String> = story.changed.iter().take(12).collect();
            writeln!(
                text,
                "  changed {changed:?} again {:?} {:?}",
                story.again, story.notes
            )
            .unwrap();
        }
        text
    }
}

/// From the box to the end, and back again; at a port of a wire, where there is one.
pub(super) async fn walk_in(scene: &Scene, port: Option<Port<'_>>, walk: &Walk, number: u8) {
    let mut player = Player::new(scene, port, walk, number).await;
    if walk.meets == Meets::Plain {
        player.boots().await;
        assert!(!player.is_up(), "{}", player.told().await);
        let activation = player.scene.activation(player.id).await;
        let needs = activation.flags.contains(&Flag::NeedsWaiver);
        assert!(needs, "{}", player.told().await);
        let shell = Shell::of(player.scene);
        let command = shell.next_command(&player.who.mac.bare()).await;
        assert!(
            command.starts_with("dialtone waiver add "),
            "{}: {command}",
            walk.family
        );
        shell.runs(&command).await;
        player.scene.pass(20.minutes()).await;
    }
    assert!(player.comes_up().await, "{}", player.told().await);

    // Three restarts, each with what it has and without an alarm.
    for _ in 0..3 {
        player.scene.pass(20.minutes()).await;
        player.boots().await;
        assert!(player.is_up(), "{}", player.told().await);
    }
    let told = player.told().await;
    let device = player.scene.device(player.id).await;
    let status = device.status_now();
    let proof = status.activation.proof.map_or("-", |proof| proof.as_str());
    assert_eq!(
        (
            status.activation.state.as_str(),
            proof,
            status.ratchet.mark.as_str()
        ),
        (walk.state.as_str(), walk.proof.as_str(), walk.mark.as_str()),
        "{told}"
    );
    let alerts = player.scene.alerts(player.id).await;
    assert!(alerts.is_empty(), "{alerts:?} {told}");

    if !walk.once && walk.up.is_empty() {
        // A password that a person changes reaches it.
        player
            .scene
            .secret(player.id, "line.1.password", "n3w-of-214")
            .await;
        player.password = "n3w-of-214";
        player.scene.pass(20.minutes()).await;
        assert!(player.comes_up().await, "{}", player.told().await);
    }

    // A factory reset: nothing until it is armed again.
    player.scene.pass(1.hours()).await;
    player.unit.factory_reset();
    player.stories.clear();
    player.boots().await;
    assert!(
        !player.is_up() || walk.mark == "L0",
        "{}",
        player.told().await
    );
    player.scene.pass(20.minutes()).await;
    player.scene.arm(player.id).await;
    player.unit.factory_reset();
    assert!(player.comes_up().await, "{}", player.told().await);
    // By its next start the end of the last delivery is written down.
    player.boots().await;
    let activation = player.scene.activation(player.id).await;
    assert_eq!(
        activation.state.as_str(),
        walk.state,
        "{}",
        player.told().await
    );
}

#[tokio::test]
async fn each_family_comes_up_keeps_what_it_has_and_comes_back() {
    let scene = Scene::by_prefix().await;
    let images = Server::plain();
    images.put("nos", IMAGE);
    scene.offers_image(&format!("{}nos", images.base)).await;
    for (number, own) in walks(|_| true) {
        walk_in(&scene, None, &own, number).await;
    }
    scene.stop().await;
}

/// Locked, or with a file that cannot be made: a family that resets keeps its account.
pub(super) async fn walk_6_in(scene: &Scene, port: Option<Port<'_>>, walk: &Walk, number: u8) {
    let mut player = Player::new(scene, port, walk, number).await;
    if walk.meets == Meets::Plain {
        player.scene.waive(&player.who.model).await;
    }
    assert!(player.comes_up().await, "{}", player.told().await);
    let id = player.id;
    for lifecycle in [Lifecycle::Suspended, Lifecycle::Listed] {
        player
            .scene
            .change(id, |config| config.lifecycle = lifecycle)
            .await;
        player.scene.pass(1.hours()).await;
        player.boots().await;
        assert!(player.is_up(), "{lifecycle:?} {}", player.told().await);
    }
    // A value that no format of the families carries.
    player.displays(Some("a\u{1}\nb")).await;
    player.boots().await;
    assert!(player.is_up(), "{}", player.told().await);
    let told = player.scene.told(id).await;
    let failed = told.iter().any(|line| line.contains("render-error"));
    assert!(failed, "{}", player.told().await);
    player.displays(None).await;
    player.scene.pass(1.hours()).await;
    player.boots().await;
    assert!(player.is_up(), "{}", player.told().await);
}

#[tokio::test]
async fn walk_6_each_family_that_resets_keeps_its_account() {
    let scene = Scene::by_prefix().await;
    for (number, own) in walks(|walk| walk.resets) {
        walk_6_in(&scene, None, &own, number).await;
    }
    scene.stop().await;
}
