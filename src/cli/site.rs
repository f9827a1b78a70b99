//! `site …`: places with prefixes and a clock.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::client::Call;
use super::device::put;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "/name"),
    ("PREFIXES", "/prefixes"),
    ("TIME ZONE", "/timezone"),
    ("NAT", "/nat"),
    ("CORROBORATE", "/corroborate"),
    ("DEVICES", "/devices"),
];

const RECORD: &[(&str, &str)] = &[
    ("name", "/name"),
    ("prefixes", "/prefixes"),
    ("timezone", "/timezone"),
    ("nat", "/nat"),
    ("expect", "/expect"),
    ("corroborate", "/corroborate"),
    ("prefix doubted", "/prefix_doubt"),
    ("keys at L2", "/keys_at_l2"),
    ("public url", "/public_url"),
    ("public http url", "/public_http_url"),
    ("public tftp", "/public_tftp"),
    ("devices", "/devices"),
];

/// `site …`.
#[derive(Args, Debug)]
pub(super) struct Site {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All sites
    List,
    /// One site
    Show { name: String },
    /// Make a site
    Add(Wanted),
    /// Change a site; what is not named stays
    Set(Wanted),
    /// Take a site away; only where no device is
    Remove { name: String },
}

#[derive(Args, Debug)]
struct Wanted {
    name: String,
    /// A prefix of its network; may be given several times; replaces all
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<String>,
    /// IANA zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// One address is many units: true or false
    #[arg(long, value_name = "BOOL")]
    nat: Option<bool>,
    /// Units expected, for caps
    #[arg(long, value_name = "N")]
    expect: Option<u32>,
    /// What ties an address to a unit: lease or prefix (shown red)
    #[arg(long, value_name = "BY")]
    corroborate: Option<String>,
    /// Give keys at L2 (shown red): true or false
    #[arg(long, value_name = "BOOL")]
    keys_at_l2: Option<bool>,
    /// HTTPS base of this site, if other than the global one; empty: the global one
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// HTTP base of this site; empty: the global one
    #[arg(long, value_name = "URL")]
    public_http_url: Option<String>,
    /// TFTP host of this site; empty: the global one
    #[arg(long, value_name = "HOST")]
    public_tftp: Option<String>,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Wanted {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if !self.prefixes.is_empty() {
            body.insert("prefixes".to_owned(), json!(self.prefixes));
        }
        put(&mut body, "timezone", self.timezone.as_deref());
        put(&mut body, "corroborate", self.corroborate.as_deref());
        for (key, url) in [
            ("public_url", &self.public_url),
            ("public_http_url", &self.public_http_url),
            ("public_tftp", &self.public_tftp),
        ] {
            if let Some(url) = url {
                let url = Some(url).filter(|url| !url.is_empty());
                body.insert(key.to_owned(), json!(url));
            }
        }
        for (key, value) in [
            ("nat", self.nat.map(Value::from)),
            ("expect", self.expect.map(Value::from)),
            ("keys_at_l2", self.keys_at_l2.map(Value::from)),
        ] {
            if let Some(value) = value {
                body.insert(key.to_owned(), value);
            }
        }
        body
    }
}

impl Site {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        let site = match self.verb {
            Verb::List => {
                let sites = session.list(&Call::to(&["sites"]), None)?;
                session.out.list(&sites, COLUMNS)?;
                return DONE;
            }
            Verb::Show { name } => session.get(&Call::to(&["sites", &name]))?,
            Verb::Add(wanted) => {
                let mut body = wanted.body();
                put(&mut body, "name", Some(&wanted.name));
                let call = Call::to(&["sites"]).flag("dry_run", wanted.dry_run);
                session.post(&call, Some(&Value::Object(body)))?
            }
            Verb::Set(wanted) => {
                let call = Call::to(&["sites", &wanted.name]).flag("dry_run", wanted.dry_run);
                session.send(Method::PATCH, &call, Some(&Value::Object(wanted.body())))?
            }
            Verb::Remove { name } => {
                session.send(Method::DELETE, &Call::to(&["sites", &name]), None)?
            }
        };
        session.out.record(&site, RECORD)?;
        DONE
    }
}
