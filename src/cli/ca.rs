//! `ca …`: our own certificates, and the anchors of vendors.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::client::{Api, Call};
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals, read_file};

/// `ca …`.
#[derive(Args, Debug)]
pub(super) struct Ca {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Our certificates and the anchors that vendors are checked with
    Show {
        /// Print our CA in PEM and nothing else
        #[arg(long)]
        pem: bool,
    },
    /// Take a vendor's CA certificate as its anchor
    Trust {
        vendor: String,
        /// The certificate in PEM
        file: PathBuf,
        /// Its SHA-256 fingerprint, from the vendor and not from the file
        #[arg(long, value_name = "F")]
        fingerprint: String,
    },
}

impl Ca {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        let out = session.out;
        match self.verb {
            Verb::Show { pem } => {
                let all = session.get(&Call::to(&["ca"]))?;
                let list = |key: &str| super::import::items(all.get(key).unwrap_or(&Value::Null));
                if pem {
                    for own in list("certificates") {
                        let pem = own.get("pem").and_then(Value::as_str).unwrap_or_default();
                        out.raw(pem.as_bytes())?;
                    }
                } else if out.json {
                    out.document(&all)?;
                } else {
                    out.list(
                        &list("certificates"),
                        &[("OWN", "/subject"), ("FINGERPRINT", "/fingerprint")],
                    )?;
                    out.list(
                        &list("anchors"),
                        &[
                            ("VENDOR", "/vendor"),
                            ("SUBJECT", "/subject"),
                            ("UNTIL", "/not_after"),
                            ("SOURCE", "/source"),
                            ("FINGERPRINT", "/fingerprint"),
                        ],
                    )?;
                }
            }
            Verb::Trust {
                vendor,
                file,
                fingerprint,
            } => {
                let pem = String::from_utf8(read_file(&file)?)
                    .map_err(|_| Fail::usage("pem-invalid", "the file is not PEM"))?;
                let work = async |api: &Api| trust(api, &vendor, &pem, &fingerprint).await;
                let anchor = session.wait(work)?;
                out.record(
                    &anchor,
                    &[
                        ("vendor", "/vendor"),
                        ("subject", "/subject"),
                        ("until", "/not_after"),
                        ("fingerprint", "/fingerprint"),
                    ],
                )?;
            }
        }
        DONE
    }
}

/// Gives the server an anchor for a vendor; what it took.
pub(super) async fn trust(
    api: &Api,
    vendor: &str,
    pem: &str,
    fingerprint: &str,
) -> Result<Value, Fail> {
    let body = json!({"vendor": vendor, "pem": pem, "fingerprint": fingerprint});
    api.send(Method::POST, &Call::to(&["ca", "trust"]), Some(&body))
        .await
}
