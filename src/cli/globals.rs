//! Flags that every verb takes, and how a verb finds its configuration and its server.

use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::client::{Api, Call};
use super::exit::{Exit, Fail};
use super::out::Out;
use crate::config::{Config, Kind, Problem};

/// Where a configuration is looked for when nobody names one.
const PLACES: [&str; 2] = ["dialtone.toml", "/etc/dialtone/dialtone.toml"];

/// Flags of every verb, as typed.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Globals {
    /// Configuration file [default: $DIALTONE_CONFIG, ./dialtone.toml, /etc/dialtone/dialtone.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Data folder, in place of the configuration's
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Server to talk to: unix:PATH [default: $DIALTONE_SERVER, else the data folder's admin.sock]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) server: Option<String>,
    /// Print one JSON document on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Globals {
    /// The configuration file, if there is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let named = std::env::var_os("DIALTONE_CONFIG").filter(|value| !value.is_empty());
        self.config
            .clone()
            .or_else(|| named.map(PathBuf::from))
            .or_else(|| {
                let mut places = PLACES.iter().map(PathBuf::from);
                places.find(|place| place.is_file())
            })
    }

    /// The configuration, with `--data` over the file's; without a file, the defaults.
    pub(crate) fn configuration(&self) -> Result<Config, Fail> {
        let mut config = match self.file() {
            Some(file) => Config::read(&file).map_err(|problems| refused(&problems))?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        Ok(config)
    }

    /// The socket that the verb talks to.
    pub(crate) fn socket(&self) -> Result<PathBuf, Fail> {
        let from_env = || {
            let free = self.config.is_none() && self.data.is_none();
            let named = std::env::var("DIALTONE_SERVER").ok();
            named.filter(|server| free && !server.is_empty())
        };
        match self.server.clone().or_else(from_env) {
            Some(server) => match server.strip_prefix("unix:") {
                Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
                Some(_) | None => Err(Fail::not_built(format!("--server {server:?}")).next(
                    "run the verb on the server's machine: --server unix:PATH, or --data DIR",
                )),
            },
            None => match &self.data {
                Some(data) => Ok(data.join("admin.sock")),
                None => Ok(self.configuration()?.admin_socket()),
            },
        }
    }

    /// A session with the running server.
    pub(crate) fn session(&self) -> Result<Session, Fail> {
        Ok(Session {
            out: Out::new(self.json),
            api: Api::at(&self.socket()?),
            runtime: runtime()?,
        })
    }

    /// How this verb shows its output.
    pub(crate) fn out(&self) -> Out {
        Out::new(self.json)
    }
}

/// Problems of a configuration as one failure: exit 2.
pub(crate) fn refused(problems: &[Problem]) -> Fail {
    let unbuilt = problems
        .iter()
        .all(|problem| problem.kind == Kind::NotBuilt);
    let code = if unbuilt {
        "not-built"
    } else {
        "configuration"
    };
    let what = match problems.len() {
        1 => "the configuration has a problem".to_owned(),
        more => format!("the configuration has {more} problems"),
    };
    let mut fail = Fail::usage(code, what).next("mend the file, then `dialtone check`");
    fail.details = problems.iter().map(ToString::to_string).collect();
    fail
}

/// A runtime for one verb.
pub(crate) fn runtime() -> Result<Runtime, Fail> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fail::failed("runtime", error))
}

/// The API, call by call, for verbs that wait for each answer.
pub(crate) struct Session {
    pub(crate) out: Out,
    api: Api,
    runtime: Runtime,
}

impl Session {
    /// A GET.
    pub(crate) fn get(&self, call: &Call) -> Result<Value, Fail> {
        self.runtime.block_on(self.api.get(call))
    }

    /// Every item of a list.
    pub(crate) fn list(&self, call: &Call, most: Option<usize>) -> Result<Vec<Value>, Fail> {
        self.runtime.block_on(self.api.list(call, most))
    }

    /// A POST.
    pub(crate) fn post(&self, call: &Call, body: Option<&Value>) -> Result<Value, Fail> {
        self.send(Method::POST, call, body)
    }

    /// Any change.
    pub(crate) fn send(
        &self,
        method: Method,
        call: &Call,
        body: Option<&Value>,
    ) -> Result<Value, Fail> {
        self.runtime.block_on(self.api.send(method, call, body))
    }

    /// Posts a file.
    pub(crate) fn upload(&self, call: &Call, media: &str, bytes: Vec<u8>) -> Result<Value, Fail> {
        self.runtime.block_on(self.api.upload(call, media, bytes))
    }

    /// Runs something of the API to its end.
    pub(crate) fn wait<T>(
        &self,
        work: impl AsyncFnOnce(&Api) -> Result<T, Fail>,
    ) -> Result<T, Fail> {
        self.runtime.block_on(work(&self.api))
    }
}

/// Reads a file that a flag names; `-` is stdin.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Fail> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    match read {
        Ok(()) => Ok(bytes),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            Err(Fail::usage("unreadable", what))
        }
    }
}

/// The end of a verb that did all it was asked for.
pub(crate) const DONE: Result<Exit, Fail> = Ok(Exit::Done);
