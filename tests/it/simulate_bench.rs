//! What the tests of simulated units share: Python's own file server, certificates, a clock that a
//! test moves.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dialtone::model::identity::Mac;
use dialtone::simulate::{Clock, Conduct, Identity, Made, Story, Surroundings, Unit};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

/// A file server that nobody here wrote; its log has the client's address and the path.
const SERVER: &str = r#"
import http.server, ssl, sys, os
folder, cert, log = sys.argv[1], sys.argv[2], open(sys.argv[3], "a", buffering=1)
class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def __init__(self, *args): super().__init__(*args, directory=folder)
    def log_request(self, code="-", size="-"):
        agent = self.headers.get("User-Agent", "")
        code = getattr(code, "value", code)
        log.write("%s %s %s %s\n" % (self.client_address[0], self.path, code, agent))
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
server.handle_error = lambda *args: None
if cert:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

pub(crate) struct Server {
    child: Child,
    pub(crate) base: String,
    folder: TempDir,
}

impl Server {
    pub(crate) fn plain() -> Self {
        Self::start("")
    }

    /// Over TLS, with a certificate for 127.0.0.1 of this CA.
    pub(crate) fn tls(ca: &Ca) -> Self {
        Self::start(&ca.server())
    }

    fn start(pem: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let served = folder.path().join("served");
        fs::create_dir(&served).unwrap();
        let cert = folder.path().join("cert.pem");
        fs::write(&cert, pem).unwrap();
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .arg(&served)
            .arg(if pem.is_empty() {
                "".as_ref()
            } else {
                cert.as_os_str()
            })
            .arg(folder.path().join("log"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        let scheme = if pem.is_empty() { "http" } else { "https" };
        let base = format!("{scheme}://127.0.0.1:{}/", line.trim());
        Self {
            child,
            base,
            folder,
        }
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        let path: PathBuf = self.folder.path().join("served").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn take_away(&self, name: &str) {
        fs::remove_file(self.folder.path().join("served").join(name)).unwrap();
    }

    /// `address path status agent` of each request so far.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A CA that lives as long as its test.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = date_time_ymd(2015, 1, 1);
        params.not_after = date_time_ymd(2045, 1, 1);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        Self {
            pem: own.pem(),
            der: own.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Certificate and key in PEM, for 127.0.0.1.
    fn server(&self) -> String {
        self.server_of(&["127.0.0.1", "prov.test"])
    }

    /// The same for these names.
    pub(crate) fn server_of(&self, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2015, 1, 1);
        params.not_after = date_time_ymd(2045, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        format!("{}{}{}", key.serialize_pem(), certificate.pem(), self.pem)
    }
}

/// A clock that stands until time passes on purpose.
pub(crate) struct TestClock(pub(crate) Mutex<Timestamp>);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("2026-11-23T12:00:00Z".parse().unwrap())))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn pass(&self, time: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let mut now = self.0.lock().unwrap();
        *now += SignedDuration::try_from(time).unwrap();
        Box::pin(std::future::ready(true))
    }
}

/// The conduct of a family of the fixtures.
pub(crate) fn conduct(family: &str) -> Arc<Conduct> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/vendors")
        .join(family)
        .join("boot.toml");
    let text = fs::read_to_string(&path).unwrap();
    let conduct = Conduct::parse(&text).unwrap_or_else(|problem| panic!("{family}: {problem}"));
    assert_eq!(conduct.family, family);
    Arc::new(conduct)
}

/// Nothing trusted, a registrar that takes every account.
pub(crate) fn surroundings(pointer: &str) -> Surroundings {
    Surroundings {
        pointer: Some(pointer.to_owned()),
        bind: Some("127.0.1.7".parse::<IpAddr>().unwrap()),
        client_certificate: None,
        public_roots: Vec::new(),
        vendor_roots: Vec::new(),
        registrar_ok: true,
        python: true,
        longest: Duration::from_secs(6 * 3600),
        clock: TestClock::new(),
    }
}

/// A unit of the conduct's own sample.
pub(crate) fn unit(family: &str, around: Surroundings) -> Unit {
    let conduct = conduct(family);
    let who = Identity::sample(&conduct).unwrap();
    Unit::factory(conduct, who, around).unwrap()
}

/// The same with another MAC.
pub(crate) fn unit_with(family: &str, mac: &str, around: Surroundings) -> Unit {
    let conduct = conduct(family);
    let mut who = Identity::sample(&conduct).unwrap();
    who.mac = Mac::parse(mac).unwrap();
    Unit::factory(conduct, who, around).unwrap()
}

/// The paths asked for in a story, without the base, each once in a row.
pub(crate) fn asked<'a>(story: &'a Story, base: &str) -> Vec<&'a str> {
    let urls = story.urls().into_iter();
    urls.map(|url| url.strip_prefix(base).unwrap_or(url))
        .collect()
}

/// Whether a step of the story took this URL.
pub(crate) fn took(story: &Story, url: &str) -> bool {
    story
        .steps
        .iter()
        .any(|step| step.url == url && step.made == Made::Taken)
}
