//! `dhcp …`: who has which address, and why; what another DHCP server tells units.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};
use super::out;
use super::snippet::Snippet;

/// `dhcp …`.
#[derive(Args, Debug)]
pub(super) struct Dhcp {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Leases that hold, our own and those observed
    Leases {
        /// With a line on each client's last decision, also of clients that got nothing
        #[arg(long)]
        why: bool,
    },
    /// What units are told, for a DHCP server that stands already
    Snippet(Snippet),
}

const COLUMNS: &[(&str, &str)] = &[
    ("ADDRESS", "/ip"),
    ("MAC", "/mac"),
    ("SOURCE", "/source"),
    ("UNTIL", "/until"),
    ("CIRCUIT", "/relay/circuit_id"),
    ("DEVICE", "/device"),
];

impl Dhcp {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        match self.verb {
            Verb::Leases { why } => leases(globals, why),
            Verb::Snippet(verb) => verb.run(globals),
        }
    }
}

fn leases(globals: &Globals, why: bool) -> Result<Exit, Fail> {
    let session = globals.session()?;
    let call = Call::to(&["dhcp", "leases"]).with("limit", "1000");
    let mut leases = session.list(&call, None)?;
    if !why {
        for lease in &mut leases {
            if let Value::Object(row) = lease {
                row.remove("why");
            }
        }
        session.out.list(&leases, COLUMNS)?;
        return DONE;
    }
    // Who has no lease is shown too: silence wants an explanation most of all.
    let decisions = session.list(&Call::to(&["dhcp", "decisions"]), None)?;
    for told in decisions {
        let mac = told.get("mac");
        if !leases.iter().any(|lease| lease.get("mac") == mac) {
            let mut row = json!({"ip": null, "source": null, "until": null});
            if let Value::Object(row) = &mut row {
                row.insert("mac".to_owned(), mac.cloned().unwrap_or_default());
                row.insert("why".to_owned(), told);
            }
            leases.push(row);
        }
    }
    if session.out.json {
        session.out.list(&leases, COLUMNS)?;
        return DONE;
    }
    for row in &leases {
        session.out.line(&explained(row))?;
    }
    DONE
}

/// One line: who, what it has, what it asked for last, what it was told, and why.
fn explained(row: &Value) -> String {
    let cell = |pointer: &str| out::cell(row.pointer(pointer).unwrap_or(&Value::Null));
    let has = match cell("/ip") {
        ip if ip.is_empty() || ip == "-" => "no lease".to_owned(),
        ip => format!("{ip} until {}", cell("/until")),
    };
    let why = match row.get("why") {
        Some(Value::Object(_)) => format!(
            "{} -> {}: {} ({})",
            cell("/why/asked"),
            cell("/why/answered"),
            cell("/why/text"),
            cell("/why/reason"),
        ),
        Some(_) | None => "nothing asked since the server started".to_owned(),
    };
    format!("{}  {has}  {why}", cell("/mac"))
}
