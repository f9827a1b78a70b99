//! `device …`: the inventory's units.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, Session};
use super::out::{self, Out};
use super::selection::Selection;
use super::settings::Settings;

/// Columns of a device in a list.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("MAC", "/mac"),
    ("SERIAL", "/serial"),
    ("VENDOR", "/vendor"),
    ("MODEL", "/model"),
    ("SITE", "/site"),
    ("STATE", "/activation/state"),
    ("LEVEL", "/activation/assurance"),
    ("NEXT STEP", "/activation/next_step"),
];

const RECORD: &[(&str, &str)] = &[
    ("id", "/id"),
    ("mac", "/mac"),
    ("serial", "/serial"),
    ("vendor", "/vendor"),
    ("family", "/family"),
    ("model", "/model"),
    ("site", "/site"),
    ("groups", "/groups"),
    ("user", "/user"),
    ("profile", "/profile"),
    ("variables", "/variables"),
    ("lifecycle", "/lifecycle"),
    ("note", "/note"),
    ("state", "/activation/state"),
    ("since", "/activation/since"),
    ("stage", "/activation/stage"),
    ("proof", "/activation/proof"),
    ("registration", "/activation/registration"),
    ("level", "/activation/assurance"),
    ("ceiling", "/activation/ceiling"),
    ("flags", "/activation/flags"),
    ("next step", "/activation/next_step"),
    ("armed until", "/window/armed_until"),
    ("window until", "/window/open_until"),
    ("servings", "/window/servings"),
    ("last address", "/seen/ip"),
    ("firmware", "/seen/firmware"),
    ("agent", "/seen/agent"),
    ("last seen", "/seen/at"),
    ("revision", "/activation/profile_revision"),
    ("target", "/activation/target_revision"),
];

/// `device …`.
#[derive(Args, Debug)]
pub(super) struct Device {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Devices, filtered
    List(List),
    /// One device
    Show { device: String },
    /// Enter a device and arm it
    Add(Add),
    /// Change what is wanted of a device
    Set(Set),
    /// Let units enrol anew: voids everything that the old ones were given
    Arm(Arm),
    /// Take an arming back
    Disarm(Selection),
    /// Give nothing to these units until they are resumed
    Suspend(Selection),
    /// Undo suspend
    Resume(Selection),
    /// Let units go: their next file takes pin, URL and CA out again
    Release(Selection),
    /// Take units out of service; released first where they still answer
    Retire(Selection),
    /// Move units to another site
    Move(Move),
    /// Take devices out of the inventory
    Delete(Selection),
    /// Write a note on units
    Note(Note),
    /// A device's activation checks
    Events(Events),
    /// One unit over all channels, in plain words
    Trace { device: String },
}

#[derive(Args, Debug)]
struct List {
    #[arg(long)]
    site: Option<String>,
    #[arg(long)]
    vendor: Option<String>,
    #[arg(long)]
    family: Option<String>,
    #[arg(long)]
    model: Option<String>,
    #[arg(long)]
    group: Option<String>,
    #[arg(long)]
    profile: Option<String>,
    #[arg(long)]
    state: Option<String>,
    #[arg(long)]
    lifecycle: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Args, Debug)]
struct Wanted {
    #[arg(long)]
    mac: Option<String>,
    #[arg(long)]
    serial: Option<String>,
    #[arg(long)]
    vendor: Option<String>,
    #[arg(long)]
    family: Option<String>,
    #[arg(long)]
    model: Option<String>,
    #[arg(long)]
    site: Option<String>,
    /// A group; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    #[arg(long)]
    user: Option<String>,
    #[arg(long)]
    profile: Option<String>,
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct Add {
    #[command(flatten)]
    wanted: Wanted,
    /// How long it may enrol, such as 60d
    #[arg(long, value_name = "T")]
    arm_for: Option<String>,
    /// From when on it may enrol
    #[arg(long, value_name = "T")]
    arm_from: Option<String>,
}

#[derive(Args, Debug)]
struct Set {
    device: String,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Args, Debug)]
struct Arm {
    #[command(flatten)]
    selection: Selection,
    /// Open the window now, not at the first corroborated request
    #[arg(long)]
    open: bool,
    /// You confirm this very unit: it may have Wi-Fi, VPN and SNMPv3 keys at L2
    #[arg(long)]
    keys: bool,
    /// How long, such as 30d
    #[arg(long = "for", value_name = "T")]
    duration: Option<String>,
    /// From when on
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// It may enrol although its kind carries a factory certificate
    #[arg(long)]
    without_certificate: bool,
}

#[derive(Args, Debug)]
struct Move {
    #[command(flatten)]
    selection: Selection,
    /// The site to move to; an empty text is none
    #[arg(long, value_name = "SITE")]
    to: String,
}

#[derive(Args, Debug)]
struct Note {
    #[command(flatten)]
    selection: Selection,
    /// The note; an empty text takes it away
    #[arg(long)]
    text: String,
}

#[derive(Args, Debug)]
struct Events {
    device: String,
    /// From this time on
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Device {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        let none = json!({});
        match self.verb {
            Verb::List(list) => {
                let devices = session.list(&list.call(), list.limit)?;
                session.out.list(&devices, COLUMNS)?;
                DONE
            }
            Verb::Show { device } => {
                let device = session.get(&Call::to(&["devices", &device]))?;
                show(session.out, &device)?;
                DONE
            }
            Verb::Add(add) => {
                let mut body = add.wanted.body(&session)?;
                put(&mut body, "arm_for", add.arm_for.as_deref());
                put(&mut body, "arm_from", add.arm_from.as_deref());
                let call = Call::to(&["devices"]).flag("dry_run", add.wanted.dry_run);
                let device = session.post(&call, Some(&Value::Object(body)))?;
                show(session.out, &device)?;
                DONE
            }
            Verb::Set(set) => {
                let body = Value::Object(set.wanted.body(&session)?);
                let call = Call::to(&["devices", &set.device]).flag("dry_run", set.wanted.dry_run);
                let device = session.send(Method::PATCH, &call, Some(&body))?;
                show(session.out, &device)?;
                DONE
            }
            Verb::Arm(arm) => {
                let mut options = Map::new();
                put(&mut options, "for", arm.duration.as_deref());
                put(&mut options, "from", arm.from.as_deref());
                for (key, on) in [
                    ("open", arm.open),
                    ("keys", arm.keys),
                    ("without_certificate", arm.without_certificate),
                ] {
                    if on {
                        options.insert(key.to_owned(), json!(true));
                    }
                }
                arm.selection.act(&session, "arm", &Value::Object(options))
            }
            Verb::Disarm(all) => all.act(&session, "disarm", &none),
            Verb::Suspend(all) => all.act(&session, "suspend", &none),
            Verb::Resume(all) => all.act(&session, "resume", &none),
            Verb::Release(all) => all.act(&session, "release", &none),
            Verb::Retire(all) => all.act(&session, "retire", &none),
            Verb::Delete(all) => all.act(&session, "delete", &none),
            Verb::Move(to) => {
                let site = Some(to.to.as_str()).filter(|site| !site.is_empty());
                to.selection.act(&session, "move", &json!({"site": site}))
            }
            Verb::Note(note) => {
                let options = json!({"text": note.text});
                note.selection.act(&session, "note", &options)
            }
            Verb::Events(events) => {
                let call = Call::to(&["devices", &events.device, "events"])
                    .maybe("since", events.since.as_deref());
                let checks = session.list(&call, events.limit)?;
                session.out.list(&checks, super::activation::COLUMNS)?;
                DONE
            }
            Verb::Trace { device } => {
                let trace = session.get(&Call::to(&["devices", &device, "trace"]))?;
                show_trace(session.out, &trace)?;
                DONE
            }
        }
    }
}

impl List {
    fn call(&self) -> Call {
        Call::to(&["devices"])
            .maybe("site", self.site.as_deref())
            .maybe("vendor", self.vendor.as_deref())
            .maybe("family", self.family.as_deref())
            .maybe("model", self.model.as_deref())
            .maybe("group", self.group.as_deref())
            .maybe("profile", self.profile.as_deref())
            .maybe("state", self.state.as_deref())
            .maybe("lifecycle", self.lifecycle.as_deref())
            .with("limit", "1000")
    }
}

impl Wanted {
    fn body(&self, session: &Session) -> Result<Map<String, Value>, Fail> {
        let mut body = Map::new();
        put(&mut body, "mac", self.mac.as_deref());
        put(&mut body, "serial", self.serial.as_deref());
        put(&mut body, "vendor", self.vendor.as_deref());
        put(&mut body, "family", self.family.as_deref());
        put(&mut body, "model", self.model.as_deref());
        put(&mut body, "site", self.site.as_deref());
        put(&mut body, "user", self.user.as_deref());
        put(&mut body, "profile", self.profile.as_deref());
        put(&mut body, "note", self.note.as_deref());
        if !self.groups.is_empty() {
            body.insert("groups".to_owned(), json!(self.groups));
        }
        self.settings.put_into(session, &mut body)?;
        Ok(body)
    }
}

/// Puts a text where one was given.
pub(super) fn put(body: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        body.insert(key.to_owned(), json!(text));
    }
}

/// One device, with its lines and keys.
pub(super) fn show(out: Out, device: &Value) -> Result<(), Fail> {
    out.record(device, RECORD)?;
    if out.json {
        return Ok(());
    }
    for (key, columns) in [
        (
            "lines",
            &[
                ("LINE", "/n"),
                ("USER", "/user"),
                ("DISPLAY", "/display"),
                ("PBX", "/pbx"),
                ("STATE", "/state"),
            ][..],
        ),
        (
            "keys",
            &[
                ("PAGE", "/page"),
                ("KEY", "/n"),
                ("TYPE", "/type"),
                ("VALUE", "/value"),
                ("LABEL", "/label"),
            ][..],
        ),
    ] {
        let items = device.get(key).and_then(Value::as_array);
        if let Some(items) = items.filter(|items| !items.is_empty()) {
            out.line(&out::table(items, columns))?;
        }
    }
    Ok(())
}

fn show_trace(out: Out, trace: &Value) -> Result<(), Fail> {
    if out.json {
        return out.document(trace);
    }
    let text = |value: &Value, key: &str| out::cell(value.get(key).unwrap_or(&Value::Null));
    let boots = trace.get("boots").and_then(Value::as_array);
    for boot in boots.into_iter().flatten() {
        out.line(&format!(
            "boot {} from {}",
            text(boot, "boot"),
            text(boot, "began")
        ))?;
        let steps = boot.get("steps").and_then(Value::as_array);
        for step in steps.into_iter().flatten() {
            out.line(&format!("  {}  {}", text(step, "at"), text(step, "text")))?;
        }
    }
    out.line(&format!("next: {}", text(trace, "next_step")))
}
