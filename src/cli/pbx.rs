//! `pbx …`: call servers that units register at.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, Session};

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "/name"),
    ("SIP SERVER", "/sip_server"),
    ("BACKUP", "/backup"),
    ("OUTBOUND PROXY", "/outbound_proxy"),
    ("TRANSPORT", "/transport"),
    ("SRTP", "/srtp"),
    ("SITES", "/sites"),
];

/// `pbx …`.
#[derive(Args, Debug)]
pub(super) struct Pbx {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All call servers
    List,
    /// One call server
    Show { name: String },
    /// Enter a call server
    Add(Wanted),
    /// Change a call server; what is not named stays
    Set(Wanted),
    /// Take a call server away
    Remove { name: String },
}

#[derive(Args, Debug)]
struct Wanted {
    name: String,
    /// Registrar's name or address
    #[arg(long, value_name = "HOST")]
    sip_server: Option<String>,
    /// Registrar to fall back to
    #[arg(long, value_name = "HOST")]
    backup: Option<String>,
    #[arg(long, value_name = "HOST")]
    outbound_proxy: Option<String>,
    /// udp, tcp or tls
    #[arg(long)]
    transport: Option<String>,
    /// true or false
    #[arg(long, value_name = "BOOL")]
    srtp: Option<bool>,
    /// A site that uses it; may be given several times; replaces all
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Pbx {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        match self.verb {
            Verb::List => {
                let all = session.list(&Call::to(&["pbxs"]), None)?;
                session.out.list(&all, COLUMNS)?;
            }
            Verb::Show { name } => show(&session, &one(&session, &name)?)?,
            Verb::Add(wanted) => {
                let new = json!({"name": wanted.name, "sites": []});
                show(&session, &wanted.put(&session, new)?)?;
            }
            Verb::Set(wanted) => {
                let old = one(&session, &wanted.name)?;
                show(&session, &wanted.put(&session, old)?)?;
            }
            Verb::Remove { name } => {
                let gone = session.send(Method::DELETE, &Call::to(&["pbxs", &name]), None)?;
                show(&session, &gone)?;
            }
        }
        DONE
    }
}

impl Wanted {
    fn put(&self, session: &Session, mut pbx: Value) -> Result<Value, Fail> {
        if let Value::Object(body) = &mut pbx {
            for (key, value) in [
                ("sip_server", &self.sip_server),
                ("backup", &self.backup),
                ("outbound_proxy", &self.outbound_proxy),
                ("transport", &self.transport),
            ] {
                if let Some(value) = value {
                    let value = Some(value).filter(|value| !value.is_empty());
                    body.insert(key.to_owned(), json!(value));
                }
            }
            if let Some(srtp) = self.srtp {
                body.insert("srtp".to_owned(), json!(srtp));
            }
            if !self.sites.is_empty() {
                body.insert("sites".to_owned(), json!(self.sites));
            }
        }
        let call = Call::to(&["pbxs", &self.name]).flag("dry_run", self.dry_run);
        session.send(Method::PUT, &call, Some(&pbx))
    }
}

fn one(session: &Session, name: &str) -> Result<Value, Fail> {
    let all = session.list(&Call::to(&["pbxs"]), None)?;
    let found = all
        .into_iter()
        .find(|pbx| pbx.get("name").and_then(Value::as_str) == Some(name));
    found.ok_or_else(|| {
        Fail::failed("not-found", format!("no call server is named {name:?}"))
            .next("see `dialtone pbx list`")
    })
}

fn show(session: &Session, pbx: &Value) -> Result<(), Fail> {
    session.out.record(
        pbx,
        &[
            ("name", "/name"),
            ("sip server", "/sip_server"),
            ("backup", "/backup"),
            ("outbound proxy", "/outbound_proxy"),
            ("transport", "/transport"),
            ("srtp", "/srtp"),
            ("sites", "/sites"),
        ],
    )
}
