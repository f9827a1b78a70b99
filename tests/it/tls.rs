//! TLS for devices, driven by curl and openssl; certificates are made in the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use dialtone::answer::TlsFailure;
use dialtone::model::certificate::PeerCertificate;
use dialtone::model::identity::Channel;
use dialtone::net::limits::Limits;
use dialtone::net::tls::{CertificateFiles, Tls};
use dialtone::pki::{Anchors, Authority};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::device_plane::{PATIENCE, Server, Setup, foreign, read_to_end};

/// When every judgement of these tests is made.
const NOW: &str = "2026-11-23T00:00:00Z";

struct Bench {
    server: Server,
    tls: Arc<Tls>,
    folder: TempDir,
}

impl Bench {
    /// A listener with our own CA, the anchors under `folder/certs`, and these files.
    fn start(folder: TempDir, files: Vec<CertificateFiles>, limits: Limits) -> Self {
        let authority = Authority::open(&folder.path().join("tls")).unwrap();
        let names = ["prov.test".to_owned(), "127.0.0.1".to_owned()];
        let (own, _) = authority.servers(&names).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let (tls, problems) = Tls::new(own, files).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let tls = Arc::new(tls);
        let certs = folder.path().join("certs");
        let (anchors, problems) = Anchors::load(&certs, &[], Some(authority.certificate()));
        assert!(problems.is_empty(), "{problems:?}");
        let setup = Setup {
            limits,
            ..Setup::default()
        };
        let server = Server::start(setup, Channel::Https, |plane| {
            plane.tls = Some(Arc::clone(&tls));
            let now: Timestamp = NOW.parse().unwrap();
            plane.judge = Box::new(move |chain| anchors.judge(chain, now));
        });
        Self {
            server,
            tls,
            folder,
        }
    }

    fn plain() -> Self {
        Self::start(tempfile::tempdir().unwrap(), Vec::new(), Limits::default())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// curl that trusts our CA and names the host.
    async fn curl(&self, more: &[&str]) -> Output {
        let port = self.server.address.port();
        let url = format!("https://prov.test:{port}/a.cfg");
        let resolve = format!("prov.test:{port}:127.0.0.1");
        let ca = self.path("ca.pem");
        let mut arguments = vec![
            "-sS",
            "-f",
            "--resolve",
            &resolve,
            "--cacert",
            &ca,
            "-o",
            "/dev/null",
        ];
        arguments.extend(["-w", "%{http_code} %{size_download}"]);
        arguments.extend(more);
        arguments.push(&url);
        foreign("curl", &arguments).await
    }

    async fn s_client(&self, more: &[&str]) -> String {
        let connect = self.server.address.to_string();
        let mut arguments = vec!["s_client", "-connect", &connect];
        arguments.extend(more);
        let output = foreign("openssl", &arguments).await;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text
    }

    /// A GET by openssl; its words and the response.
    async fn request(&self, options: &str) -> String {
        let script = format!(
            "printf 'GET /a.cfg HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n' | \
             openssl s_client -connect {} -ign_eof {options} 2>&1",
            self.server.address
        );
        said(&foreign("sh", &["-c", &script]).await)
    }

    /// The certificate that the core saw, after a request with this one.
    async fn shown(&self, chain: &str, key: &str) -> PeerCertificate {
        let (chain, key) = (self.path(chain), self.path(key));
        let output = self.curl(&["--cert", &chain, "--key", &key]).await;
        assert!(output.status.success(), "{output:?}");
        self.server
            .asked()
            .await
            .certificate
            .expect("a certificate")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn curl_over_each_version_and_key() {
    let bench = Bench::plain();
    for more in [
        &["--tlsv1.3"][..],
        &["--tlsv1.2", "--tls-max", "1.2"],
        &[
            "--tls-max",
            "1.2",
            "--ciphers",
            "ECDHE-RSA-AES128-GCM-SHA256",
        ],
        &[
            "--tls-max",
            "1.2",
            "--ciphers",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
        ],
        &["--http2"],
    ] {
        let output = bench.curl(more).await;
        assert_eq!(said(&output), "200 6144", "{more:?} {output:?}");
        let facts = bench.server.asked().await;
        assert_eq!(facts.channel, Channel::Https);
        assert!(facts.certificate.is_none());
    }
}

#[tokio::test]
async fn the_key_is_what_the_client_can_check() {
    let bench = Bench::plain();
    let ca = bench.path("ca.pem");
    for (more, expect) in [
        (&["-tls1_2"][..], "id-ecPublicKey"),
        (&["-tls1_3"], "id-ecPublicKey"),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
            "rsaEncryption",
        ),
        (
            &["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:RSA+SHA256"],
            "rsaEncryption",
        ),
    ] {
        let mut arguments = vec!["-servername", "prov.test", "-showcerts", "-CAfile", &ca];
        arguments.extend(more);
        let text = bench.s_client(&arguments).await;
        assert!(
            text.contains("Verify return code: 0 (ok)"),
            "{more:?} {text}"
        );
        let kind = if expect == "rsaEncryption" {
            "2048 (bit)"
        } else {
            "256 (bit)"
        };
        assert!(
            text.contains(expect) || text.contains(kind),
            "{more:?} {text}"
        );
    }
}

#[tokio::test]
async fn sessions_are_resumed() {
    let bench = Bench::plain();
    let text = bench.s_client(&["-tls1_2", "-reconnect"]).await;
    assert!(text.matches("Reused, TLSv1.2").count() >= 4, "{text}");
    let session = bench.path("session");
    let first = bench.request(&format!("-tls1_3 -sess_out {session}")).await;
    assert!(first.contains("New, TLSv1.3"), "{first}");
    let second = bench.request(&format!("-tls1_3 -sess_in {session}")).await;
    assert!(second.contains("Reused, TLSv1.3"), "{second}");
    assert!(!second.contains("Early data was accepted"));
}

/// A CA and what it signs, on disk.
pub(crate) struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

pub(crate) fn ca(name: &str) -> TestCa {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let pem = params.self_signed(&key).unwrap().pem();
    TestCa {
        issuer: Issuer::new(params, key),
        pem,
    }
}

pub(crate) fn unit(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

impl TestCa {
    /// Writes `<stem>.pem` and `<stem>.key`.
    pub(crate) fn sign(&self, params: &CertificateParams, folder: &Path, stem: &str) {
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        fs::write(folder.join(format!("{stem}.pem")), pem).unwrap();
        fs::write(folder.join(format!("{stem}.key")), key.serialize_pem()).unwrap();
    }

    fn anchor(&self, folder: &Path, vendor: &str) {
        let folder = folder.join("certs").join(vendor);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("root.pem"), &self.pem).unwrap();
        let der = pem_to_der(&self.pem);
        let digest = dialtone::pki::read(&der).fingerprint.unwrap();
        fs::write(folder.join("SOURCE"), format!("made in a test\n{digest}\n")).unwrap();
    }
}

pub(crate) fn pem_to_der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn a_client_certificate_is_judged_and_never_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let (vendor, stranger) = (ca("Vendor Root"), ca("Nobody"));
    vendor.anchor(folder.path(), "acme");
    stranger.sign(&unit("001565aabbcc"), folder.path(), "foreign");
    vendor.sign(&unit("001565aabbcc"), folder.path(), "good");
    let mut old = unit("001565aabbcc");
    old.not_after = date_time_ymd(2026, 11, 22);
    vendor.sign(&old, folder.path(), "expired");
    stranger.sign(&old, folder.path(), "foreign-expired");
    let mut early = unit("001565aabbcc");
    early.not_before = date_time_ymd(2027, 1, 1);
    vendor.sign(&early, folder.path(), "early");
    let mut two = unit("001565aabbcc");
    two.distinguished_name = rcgen::DistinguishedName::new();
    two.distinguished_name
        .push(DnType::CommonName, "001565aabbcc\0.evil");
    vendor.sign(&two, folder.path(), "nul");
    let key = KeyPair::generate().unwrap();
    let own = unit("001565aabbcc").self_signed(&key).unwrap().pem();
    fs::write(folder.path().join("self.pem"), own).unwrap();
    fs::write(folder.path().join("self.key"), key.serialize_pem()).unwrap();
    for name in ["small", "sha1"] {
        let at = |suffix: &str| {
            folder
                .path()
                .join(format!("{name}{suffix}"))
                .to_str()
                .unwrap()
                .to_owned()
        };
        let (bits, digest) = if name == "small" {
            ("rsa:1024", "-sha256")
        } else {
            ("rsa:2048", "-sha1")
        };
        let made = foreign(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                bits,
                digest,
                "-nodes",
                "-subj",
                "/CN=001565aabbcc",
                "-keyout",
                &at(".key"),
                "-out",
                &at(".pem"),
            ],
        )
        .await;
        assert!(made.status.success());
    }
    let bench = Bench::start(folder, Vec::new(), Limits::default());
    let good = bench.shown("good.pem", "good.key").await;
    assert_eq!(
        (good.verified.as_slice(), good.trouble.as_deref()),
        (&["acme".to_owned()][..], None)
    );
    assert_eq!(
        good.subject.values("CN").collect::<Vec<_>>(),
        ["001565aabbcc"]
    );
    assert_eq!(
        good.issuer.unwrap().values("CN").collect::<Vec<_>>(),
        ["Vendor Root"]
    );
    assert!(good.fingerprint.is_some() && !good.own);
    for (stem, trouble) in [
        ("foreign", "no-anchor"),
        ("foreign-expired", "no-anchor"),
        ("expired", "expired"),
        ("early", "not-yet-valid"),
        ("self", "self-signed"),
        ("nul", "malformed"),
        ("sha1", "weak"),
    ] {
        let seen = bench
            .shown(&format!("{stem}.pem"), &format!("{stem}.key"))
            .await;
        assert_eq!(seen.trouble.as_deref(), Some(trouble), "{stem}");
        assert!(seen.verified.is_empty() && !seen.own, "{stem}");
        assert_eq!(trouble == "malformed", seen.subject.0.is_empty(), "{stem}");
    }
    // A unit with a short key is of the time before PSS and TLS 1.3; curl would not load it.
    let (chain, key) = (bench.path("small.pem"), bench.path("small.key"));
    let lax = format!(
        "-tls1_2 -cipher DEFAULT:@SECLEVEL=0 -client_sigalgs RSA+SHA256 -cert {chain} -key {key}"
    );
    let text = bench.request(&lax).await;
    assert!(text.contains("HTTP/1.1 200"), "{text}");
    let seen = bench.server.asked().await.certificate.unwrap();
    assert_eq!(seen.trouble.as_deref(), Some("weak"));
}

#[tokio::test]
async fn our_own_certificate_is_known_also_after_a_resumption() {
    let folder = tempfile::tempdir().unwrap();
    drop(Authority::open(&folder.path().join("tls")).unwrap());
    let pem = fs::read_to_string(folder.path().join("tls/ca.pem")).unwrap();
    let key = fs::read_to_string(folder.path().join("tls/ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&key).unwrap()).unwrap();
    TestCa { issuer, pem }.sign(&unit("device-1"), folder.path(), "own");
    let bench = Bench::start(folder, Vec::new(), Limits::default());
    let seen = bench.shown("own.pem", "own.key").await;
    assert!(
        seen.own && seen.verified.is_empty() && seen.trouble.is_none(),
        "{seen:?}"
    );
    let (chain, key, session) = (
        bench.path("own.pem"),
        bench.path("own.key"),
        bench.path("s"),
    );
    for option in ["-sess_out", "-sess_in"] {
        let text = bench
            .request(&format!("-cert {chain} -key {key} {option} {session}"))
            .await;
        assert_eq!(option == "-sess_in", text.contains("Reused"), "{text}");
        let certificate = bench.server.asked().await.certificate;
        assert!(
            certificate.is_some_and(|certificate| certificate.own),
            "{option}"
        );
    }
}

#[tokio::test]
async fn a14_a_chain_too_deep_or_too_large_ends_the_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let root = ca("Root");
    root.sign(&unit("001565aabbcc"), folder.path(), "deep");
    let chain = folder.path().join("deep.pem");
    let leaf = fs::read_to_string(&chain).unwrap();
    let many: String = (0..12).map(|n| ca(&format!("Link {n}")).pem).collect();
    fs::write(&chain, format!("{leaf}{many}")).unwrap();
    let mut wide = unit("001565aabbcc");
    wide.subject_alt_names = (0..400)
        .map(|n| rcgen::SanType::DnsName(format!("{n}.example").try_into().unwrap()))
        .collect();
    root.sign(&wide, folder.path(), "wide");
    let mut huge = unit("001565aabbcc");
    huge.distinguished_name
        .push(DnType::CommonName, "x".repeat(64 * 1024));
    root.sign(&huge, folder.path(), "huge");
    let bench = Bench::start(folder, Vec::new(), Limits::default());
    for stem in ["deep", "huge"] {
        let (chain, key) = (
            bench.path(&format!("{stem}.pem")),
            bench.path(&format!("{stem}.key")),
        );
        let output = bench.curl(&["--cert", &chain, "--key", &key]).await;
        assert!(!output.status.success(), "{stem}");
    }
    assert_eq!(
        bench.shown("wide.pem", "wide.key").await.trouble.as_deref(),
        Some("malformed")
    );
}

#[tokio::test]
async fn b11_old_and_odd_hellos() {
    let bench = Bench::plain();
    for more in [
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
    ] {
        let text = bench.s_client(more).await;
        assert!(text.contains("no peer certificate"), "{text}");
        assert_eq!(
            bench.server.handshake_failure().await,
            TlsFailure::TooOld,
            "{more:?}"
        );
    }
    let mut stream = TcpStream::connect(bench.server.address).await.unwrap();
    stream
        .write_all(b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10")
        .await
        .unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert_eq!(bench.server.handshake_failure().await, TlsFailure::TooOld);
    for name in ["wrong.test", "127.0.0.1"] {
        let text = bench.s_client(&["-servername", name]).await;
        assert!(
            text.contains("-----BEGIN CERTIFICATE-----"),
            "{name}: {text}"
        );
    }
    let text = bench.s_client(&["-servername", &"a".repeat(255)]).await;
    assert!(text.contains("alert illegal parameter"), "{text}");
    let text = bench.s_client(&["-noservername", "-alpn", "junk,h2"]).await;
    assert!(text.contains("No ALPN negotiated"), "{text}");
    let mut stream = TcpStream::connect(bench.server.address).await.unwrap();
    stream
        .write_all(b"GET /a.cfg HTTP/1.1\r\nHost: prov.test\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(!answer.contains("HTTP"), "{answer}");
}

#[tokio::test]
async fn a_client_that_rejects_us_is_an_activation_check() {
    let bench = Bench::plain();
    let url = format!("https://{}/a.cfg", bench.server.address);
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let (option, value) = version.split_once('=').unwrap_or((version, "-sS"));
        let output = foreign("curl", &["-sS", option, value, &url]).await;
        assert!(!output.status.success());
        let why = bench.server.handshake_failure().await;
        assert_eq!(why, TlsFailure::ClientRejectsCertificate, "{version}");
    }
    // Year 2128: our certificate has ended, says the unit, so its clock is wrong.
    let ca = bench.path("ca.pem");
    for version in ["-tls1_2", "-tls1_3"] {
        let clock = [
            "-CAfile",
            &ca,
            "-verify_return_error",
            "-attime",
            "5000000000",
            version,
        ];
        bench.s_client(&clock).await;
        assert_eq!(
            bench.server.handshake_failure().await,
            TlsFailure::ClockWrong,
            "{version}"
        );
    }
}

#[tokio::test]
async fn b12_a_silent_handshake_is_cut_off_and_holds_no_permit() {
    let limits = Limits {
        handshake_time: std::time::Duration::from_millis(400),
        handshakes: 1,
        ..Limits::default()
    };
    let bench = Bench::start(tempfile::tempdir().unwrap(), Vec::new(), limits);
    let mut silent = Vec::new();
    for start in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(bench.server.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        silent.push(stream);
    }
    let output = bench.curl(&[]).await;
    assert_eq!(said(&output), "200 6144", "{output:?}");
    for stream in &mut silent {
        assert_eq!(read_to_end(stream).await, "");
    }
}

#[tokio::test]
async fn f15_a_certificate_is_read_again_and_a_half_written_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let public = ca("Public CA");
    let mut params = unit("prov.test");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("prov.test".try_into().unwrap())];
    public.sign(&params, folder.path(), "public");
    fs::write(folder.path().join("public-ca.pem"), &public.pem).unwrap();
    let files = CertificateFiles {
        chain_file: folder.path().join("public.pem"),
        key_file: folder.path().join("public.key"),
    };
    let bench = Bench::start(folder, vec![files.clone()], Limits::default());
    let subject = async || bench.s_client(&["-servername", "prov.test"]).await;
    let first = bench.tls.shown()[0].certificate.clone();
    let text = subject().await;
    assert!(
        text.contains("issuer=CN=Public CA") || text.contains("issuer=CN = Public CA"),
        "{text}"
    );
    let other = bench.s_client(&["-servername", "other.test"]).await;
    assert!(
        other.contains("Public CA"),
        "nobody's name gets the admin's certificate: {other}"
    );

    // Half a chain, half a key, the key of another: each time the old one stays.
    let (chain, key) = (
        fs::read(&files.chain_file).unwrap(),
        fs::read(&files.key_file).unwrap(),
    );
    let broken: [(&PathBuf, &[u8]); 4] = [
        (&files.chain_file, &chain[..chain.len() / 2]),
        (&files.chain_file, b""),
        (&files.key_file, &key[..key.len() / 2]),
        (
            &files.key_file,
            KeyPair::generate()
                .unwrap()
                .serialize_pem()
                .leak()
                .as_bytes(),
        ),
    ];
    for (file, bytes) in broken {
        let whole = fs::read(file).unwrap();
        fs::write(file, bytes).unwrap();
        assert_eq!(bench.tls.reload().len(), 1, "{}", file.display());
        assert_eq!(bench.tls.shown()[0].certificate, first);
        fs::write(file, whole).unwrap();
    }
    fs::remove_file(&files.key_file).unwrap();
    assert_eq!(bench.tls.reload().len(), 1);
    assert!(subject().await.contains("Public CA"));

    // A whole new pair is shown without a restart, found by the watch alone.
    let stop = CancellationToken::new();
    let every = std::time::Duration::from_millis(20);
    let watch = tokio::spawn(Arc::clone(&bench.tls).watch(every, stop.clone(), |_| {}));
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Renewed");
    public.sign(&params, bench.folder.path(), "public");
    let renewed = async {
        while !subject().await.contains("Renewed") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed)
        .await
        .expect("the new certificate is shown");
    stop.cancel();
    watch.await.unwrap();
}
