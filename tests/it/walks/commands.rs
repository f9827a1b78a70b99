//! Walks 4 and 7 as people walk them: `dialtone` in a shell lists the unit, and the one command of
//! its next step, as it stands there, lets it come up.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dialtone::simulate::{Again, Clock, Identity, Unit};
use jiff::{SignedDuration, Span, Timestamp, ToSpan as _};
use serde_json::Value;

use super::scene::Scene;
use crate::device_plane::foreign;
use crate::simulate_bench::conduct;
use crate::support::TestClock;

/// A shell of a person on the server's machine.
#[derive(Clone)]
pub(super) struct Shell {
    socket: String,
}

impl Shell {
    pub(super) fn of(scene: &Scene) -> Self {
        let socket = &scene.server.running.addresses.admin_socket;
        Self {
            socket: format!("unix:{}", socket.display()),
        }
    }

    /// Runs a line; its words are the shell's, `dialtone` is ours.
    pub(super) async fn runs(&self, line: &str) -> String {
        let script = format!(
            "dialtone() {{ {} \"$@\"; }}; DIALTONE_SERVER='{}'; export DIALTONE_SERVER; {line}",
            env!("CARGO_BIN_EXE_dialtone"),
            self.socket
        );
        let output = foreign("sh", &["-c", &script]).await;
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) async fn activation(&self, unit: &str) -> Value {
        let shown = self
            .runs(&format!("dialtone device show {unit} --json"))
            .await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown["activation"].clone()
    }

    /// The command of the next step, and nothing else of it.
    pub(super) async fn next_command(&self, unit: &str) -> String {
        let activation = self.activation(unit).await;
        let step = activation["next_step"].as_str().unwrap_or_default();
        let (_, command) = step
            .split_once("Do: ")
            .unwrap_or_else(|| panic!("no command: {activation:#}"));
        command.split(" ;").next().unwrap_or(command).to_owned()
    }
}

#[tokio::test]
async fn walk_4_by_the_command_of_the_next_step() {
    let scene = Scene::by_prefix().await;
    let shell = Shell::of(&scene);
    let (mac, ip) = ("000e08d57d72", "127.0.1.31");
    let listed = shell
        .runs(&format!(
            "dialtone device add --mac {mac} --vendor cisco --model SPA942 --site hq --set \
             line.1.user=214 --set line.1.password=s3cret-of-214 --set line.1.server=pbx.test"
        ))
        .await;
    assert!(listed.contains("needs-waiver"), "{listed}");
    let mut phone = scene.unit("cisco/spa", mac, ip);
    phone.boot_until_quiet(4).await;
    assert!(phone.account().is_none());

    let command = shell.next_command(mac).await;
    assert!(command.starts_with("dialtone waiver add "), "{command}");
    shell.runs(&command).await;
    // It asks again by itself, as the step says.
    assert!(matches!(phone.wants_again(), Some(Again::After(_))));
    phone.wait().await.unwrap();
    let account = phone.account().unwrap_or_else(|| panic!("no account"));
    assert_eq!(account.password.expose(), "s3cret-of-214");
    let activation = shell.activation(mac).await;
    assert_eq!(
        (activation["state"].as_str(), activation["proof"].as_str()),
        (Some("served"), Some("none-possible")),
        "{activation:#}"
    );

    // A password that a person changes, and nothing else, reaches it.
    scene.pass(1.hours()).await;
    let line =
        "printf %s n3w-of-214 | dialtone device set 000e08d57d72 --set-file line.1.password=-";
    shell.runs(line).await;
    phone.boot_until_quiet(4).await;
    let account = phone.account().unwrap();
    assert_eq!(account.password.expose(), "n3w-of-214");
    scene.stop().await;
}

/// What happens while the unit waits: a future, once, when this much time has passed.
pub(super) struct Meanwhile<F> {
    clock: TestClock,
    begun: Timestamp,
    after: SignedDuration,
    done: AtomicBool,
    act: F,
    waited: Mutex<SignedDuration>,
}

impl<F> Meanwhile<F> {
    pub(super) fn new(scene: &Scene, after: SignedDuration, act: F) -> Self {
        Self {
            clock: scene.server.clock.clone(),
            begun: scene.now(),
            after,
            done: AtomicBool::new(false),
            act,
            waited: Mutex::new(SignedDuration::ZERO),
        }
    }

    /// How long all waits were together.
    pub(super) fn waited(&self) -> SignedDuration {
        *self.waited.lock().unwrap()
    }
}

impl<F, R> Clock for Meanwhile<F>
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = ()> + Send,
{
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn pass(&self, time: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move {
            let millis = i64::try_from(time.as_millis()).unwrap();
            self.clock.pass(Span::new().milliseconds(millis));
            let passed = self.clock.now().duration_since(self.begun);
            *self.waited.lock().unwrap() = passed;
            if passed >= self.after && !self.done.swap(true, Ordering::SeqCst) {
                (self.act)().await;
            }
            true
        })
    }
}

/// A switch that is listed by hand and asks for the first time; after `after` somebody reads its
/// next step and does what it says. Gives what the unit saw.
async fn walk_7(after: SignedDuration) {
    let scene = Scene::by_prefix().await;
    let shell = Shell::of(&scene);
    let (mac, serial) = ("2cdde9f6f99b", "WTW23490441");
    shell
        .runs(&format!(
            "dialtone device add --mac {mac} --serial {serial} --vendor arista --model CCS-710P-16P \
             --site hq --set hostname=sw-1 --set admin_password=adm1n-of-it --set \
             snmp_v3_user=watcher --set snmp_v3_auth=auth-of-it-1 --set snmp_v3_priv=priv-of-it-1"
        ))
        .await;
    let confirms = {
        let shell = shell.clone();
        move || {
            let shell = shell.clone();
            async move {
                let command = shell.next_command(mac).await;
                assert!(command.ends_with("--keys"), "{command}");
                shell.runs(&command).await;
            }
        }
    };
    let clock = Arc::new(Meanwhile::new(&scene, after, confirms));
    let conduct = conduct("arista/eos");
    let who = Identity::sample(&conduct).unwrap();
    let mut around = scene.around("127.0.1.32");
    around.pointer = Some(format!("{}ztp/bootstrap", scene.server.http()));
    around.clock = clock.clone();
    let mut switch = Unit::factory(conduct, who, around).unwrap();
    if after.is_zero() {
        clock.pass(Duration::ZERO).await;
    }

    let mut stories = vec![switch.boot().await];
    for _ in 0..60 {
        match switch.wait().await {
            Some(story) => stories.push(story),
            None => break,
        }
    }
    let account = switch.account();
    let account = account.unwrap_or_else(|| panic!("no configuration: {stories:#?}"));
    assert_eq!(account.password.expose(), "adm1n-of-it");
    let user = "snmp-server user watcher ";
    assert!(switch.settings().keys().any(|line| line.starts_with(user)));
    let activation = shell.activation(mac).await;
    assert_eq!(activation["state"], "active", "{activation:#}");
    assert_eq!(
        activation["flags"].as_array().map(Vec::len),
        Some(0),
        "{activation:#}"
    );
    // What nobody confirmed was on no disk of the switch until then.
    let waited = clock.waited();
    assert!(
        waited >= after && waited < after + SignedDuration::from_mins(40),
        "{waited}"
    );
    scene.stop().await;
}

#[tokio::test]
async fn walk_7_confirmed_by_the_command_before() {
    walk_7(SignedDuration::ZERO).await;
}

#[tokio::test]
async fn walk_7_confirmed_by_the_command_while_its_script_waits() {
    walk_7(SignedDuration::from_mins(7)).await;
}

#[tokio::test]
async fn walk_7_confirmed_by_the_command_after_three_hours() {
    walk_7(SignedDuration::from_hours(3)).await;
}
