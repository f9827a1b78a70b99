//! `render`: what a device would get, file by file, and where each value comes from.

use clap::Args;
use serde_json::Value;

use super::client::Call;
use super::exit::{Exit, Fail};
use super::globals::{DONE, Globals};
use super::out;

/// `render DEVICE [FILE]`.
#[derive(Args, Debug)]
pub(super) struct Render {
    device: String,
    /// An artefact's id, or a path; else all files
    file: Option<String>,
    /// As if it had proved so much: L0 to L4
    #[arg(long = "as", value_name = "LEVEL")]
    level: Option<String>,
    /// Show secrets; this is audited
    #[arg(long)]
    show_secrets: bool,
}

impl Render {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, Fail> {
        let session = globals.session()?;
        let call = Call::to(&["devices", &self.device, "render"])
            .maybe("file", self.file.as_deref())
            .maybe("as", self.level.as_deref())
            .flag("show_secrets", self.show_secrets);
        let rendered = session.get(&call)?;
        let out = session.out;
        if out.json {
            out.document(&rendered)?;
            return DONE;
        }
        let text = |value: &Value, key: &str| out::cell(value.get(key).unwrap_or(&Value::Null));
        let list = |key: &str| super::import::items(rendered.get(key).unwrap_or(&Value::Null));
        for file in list("files") {
            let part = if file.get("partial") == Some(&Value::Bool(true)) {
                ", part of it withheld"
            } else {
                ""
            };
            out::note(&format!(
                "--- {} ({}, {}{part})",
                text(&file, "path"),
                text(&file, "id"),
                text(&file, "which"),
            ));
            let body = file.get("body").and_then(Value::as_str).unwrap_or_default();
            out.raw(body.as_bytes())?;
            if !body.is_empty() && !body.ends_with('\n') {
                out.raw(b"\n")?;
            }
        }
        if self.file.is_none() {
            out::note("--- values");
            let values = list("values");
            let columns = [("NAME", "/name"), ("VALUE", "/value"), ("FROM", "/layer")];
            out.list(&values, &columns)?;
        }
        DONE
    }
}
