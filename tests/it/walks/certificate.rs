//! Walk 5: a phone with a factory certificate, the same without it, and one that many share.

use std::path::Path;
use std::sync::Arc;

use dialtone::model::activation::State;
use dialtone::model::event::AlertKind;
use dialtone::model::identity::{Assurance, DeviceId, Mac};
use dialtone::simulate::{ClientCertificate, Unit};
use dialtone::store::Write;
use rcgen::{CertificateParams, DistinguishedName, DnType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::scene::{Listed, Scene};
use crate::device_plane::foreign;
use crate::tls::{TestCa, ca, pem_to_der, unit as names};

const FAMILY: &str = "yealink/sip-t4-t5";
const MAC: &str = "805ec0d57d72";
const OTHER: &str = "805ec0d57d73";
const IP: &str = "127.0.1.11";

/// The phone's maker says that every unit of this model carries a certificate.
pub(super) fn vendor_of_the_certified() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/yealink/vendor.toml");
    let text = std::fs::read_to_string(root).unwrap();
    let rule = "subject = { CN = \"{mac}\" }";
    assert!(text.contains(rule));
    text.replace(
        rule,
        &format!("{rule}\nshared = [{{ CN = \"generic\" }}]\nalways = [\"T46S\"]"),
    )
    .replace("issuer = { CN = \"Yealink Equipment Issuing CA\" }", "")
}

async fn scene() -> (Scene, TestCa, DeviceId) {
    let text = vendor_of_the_certified();
    let scene = Scene::with_profiles(&[("yealink/vendor.toml", text)]).await;
    let maker = anchored(&scene).await;
    let id = scene.list(&Listed::default()).await;
    (scene, maker, id)
}

/// The maker's CA, which a person vouched for.
pub(super) async fn anchored(scene: &Scene) -> TestCa {
    anchored_for(scene, "yealink").await
}

async fn anchored_for(scene: &Scene, vendor: &str) -> TestCa {
    let maker = ca(&format!("Device CA of {vendor}"));
    let anchor = Write::PutAnchor {
        vendor: vendor.to_owned(),
        der: pem_to_der(&maker.pem),
    };
    scene.write(vec![anchor]).await;
    maker
}

pub(super) fn certified(scene: &Scene, maker: &TestCa, name: &str) -> Arc<ClientCertificate> {
    signed(scene, maker, &names(name), name)
}

/// A certificate with these names, and its key.
fn signed(
    scene: &Scene,
    maker: &TestCa,
    names: &CertificateParams,
    name: &str,
) -> Arc<ClientCertificate> {
    maker.sign(names, scene.server.folder.path(), name);
    let read = |end: &str| std::fs::read(scene.server.path(&format!("{name}.{end}"))).unwrap();
    Arc::new(ClientCertificate {
        chain: vec![CertificateDer::from_pem_slice(&read("pem")).unwrap()],
        key: PrivateKeyDer::from_pem_slice(&read("key")).unwrap(),
    })
}

fn phone(scene: &Scene, certificate: Option<Arc<ClientCertificate>>) -> Unit {
    let mut around = scene.around(IP);
    around.client_certificate = certificate;
    around.public_roots = vec![scene.ca()];
    around.pointer = Some(scene.server.https());
    scene.unit_in(FAMILY, MAC, around)
}

#[tokio::test]
async fn walk_5_l3_at_first_contact_without_any_lease() {
    let (scene, maker, id) = scene().await;
    let mut phone = phone(&scene, Some(certified(&scene, &maker, MAC)));
    phone.boot_until_quiet(4).await;
    let told = scene.told(id).await;
    assert!(phone.account().is_some(), "{told:#?}");
    assert!(
        told.iter()
            .any(|line| line.contains("request pass served") && line.ends_with("L3")),
        "{told:#?}"
    );
    let device = scene.device(id).await;
    assert_eq!(device.status.activation.state, State::Active);
    // From then on it is this certificate's record.
    let bound = device.status.ratchet.certificate;
    phone.boot_until_quiet(2).await;
    let device = scene.device(id).await;
    assert_eq!(device.status.assurance, Assurance::L4);
    assert_eq!(device.status.ratchet.certificate, bound);
    assert!(bound.is_some() && scene.alerts(id).await.is_empty());
    scene.stop().await;
}

#[tokio::test]
async fn another_certificate_for_a_bound_record_gets_nothing_until_it_is_armed() {
    let (scene, maker, id) = scene().await;
    let mut first = phone(&scene, Some(certified(&scene, &maker, MAC)));
    first.boot_until_quiet(4).await;
    assert!(first.account().is_some(), "{:#?}", scene.told(id).await);
    let bound = scene.device(id).await.status.ratchet.certificate;
    // The maker certified another key for the same MAC.
    let mut second = phone(&scene, Some(certified(&scene, &maker, MAC)));
    second.boot_until_quiet(4).await;
    assert!(second.account().is_none(), "{:#?}", scene.told(id).await);
    assert_eq!(scene.alerts(id).await, [AlertKind::OtherCertificate]);
    assert_eq!(scene.device(id).await.status.ratchet.certificate, bound);
    // As `device arm` does it.
    scene.arm(id).await;
    second.boot_until_quiet(4).await;
    assert!(second.account().is_some(), "{:#?}", scene.told(id).await);
    let fresh = scene.device(id).await.status.ratchet.certificate;
    assert!(fresh.is_some() && fresh != bound);
    scene.stop().await;
}

/// A record that was entered anew beside the one that the phone is bound to: it is the phone's by the
/// names of its certificate, and no more than that.
#[tokio::test]
async fn a_certificate_that_is_bound_to_another_record_proves_l3_and_is_told() {
    let (scene, maker, id) = scene().await;
    let own = certified(&scene, &maker, MAC);
    phone(&scene, Some(own.clone())).boot_until_quiet(4).await;
    let bound = scene.device(id).await.status.ratchet.certificate;
    assert!(bound.is_some(), "{:#?}", scene.told(id).await);
    let other = Mac::parse(OTHER).unwrap();
    scene.change(id, |config| config.mac = Some(other)).await;
    let anew = scene.list(&Listed::default()).await;
    let mut again = phone(&scene, Some(own));
    for _ in 0..2 {
        again.boot_until_quiet(4).await;
        let told = scene.told(anew).await;
        assert!(again.account().is_some(), "{told:#?}");
        let status = scene.device(anew).await.status_now();
        let proven = (status.assurance, status.ratchet.certificate);
        assert_eq!(proven, (Assurance::L3, None), "{told:#?}");
        assert_eq!(scene.alerts(anew).await, [AlertKind::CertMacMismatch]);
    }
    assert_eq!(scene.device(id).await.status.ratchet.certificate, bound);
    scene.stop().await;
}

#[tokio::test]
async fn walk_5_the_same_mac_without_it_is_refused_and_alarmed() {
    let (scene, maker, id) = scene().await;
    scene.lease(IP, MAC).await;
    let mut thief = phone(&scene, None);
    thief.boot_until_quiet(4).await;
    assert!(thief.account().is_none(), "{:#?}", scene.told(id).await);
    assert_eq!(scene.alerts(id).await, [AlertKind::CertificateExpected]);
    // The real one comes up all the same.
    let mut real = phone(&scene, Some(certified(&scene, &maker, MAC)));
    real.boot_until_quiet(4).await;
    assert!(real.account().is_some(), "{:#?}", scene.told(id).await);
    scene.stop().await;
}

#[tokio::test]
async fn walk_5_a_certificate_that_many_share_proves_nothing() {
    let (scene, maker, id) = scene().await;
    let mut phone = phone(&scene, Some(certified(&scene, &maker, "generic")));
    phone.boot_until_quiet(4).await;
    assert!(phone.account().is_none(), "{:#?}", scene.told(id).await);
    // Nor does one of a CA that nobody vouches for.
    let stranger = ca("Somebody's CA");
    let mut phone = self::phone(&scene, Some(certified(&scene, &stranger, MAC)));
    phone.boot_until_quiet(4).await;
    assert!(phone.account().is_none(), "{:#?}", scene.told(id).await);
    scene.stop().await;
}

#[tokio::test]
async fn a_certificate_of_one_phone_on_the_path_of_another_is_refused_and_alarmed() {
    let (scene, maker, id) = scene().await;
    let other = scene
        .list(&Listed {
            mac: Some(OTHER),
            account: Some(("215", "s3cret-of-215")),
            ..Listed::default()
        })
        .await;
    certified(&scene, &maker, OTHER);
    let file = |end: &str| {
        scene
            .server
            .path(&format!("{OTHER}.{end}"))
            .display()
            .to_string()
    };
    let trust = scene.server.path("data/ca/ca.pem").display().to_string();
    let url = format!("{}{MAC}.cfg", scene.server.https());
    let (cert, key) = (file("pem"), file("key"));
    let arguments = [
        "-s",
        "-o",
        "/dev/stdout",
        "-w",
        "%{http_code}",
        "--cacert",
        &trust,
        "--cert",
        &cert,
        "--key",
        &key,
        &url,
    ];
    let output = foreign("curl", &arguments).await;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.ends_with("404"), "{shown}");
    for unit in [id, other] {
        assert_eq!(scene.alerts(unit).await, [AlertKind::CertMacMismatch]);
    }
    scene.stop().await;
}

/// As shipped: a maker all of whose phones carry a certificate, with their names in three parts of its
/// subject. One that another maker's CA signed says nothing of them, though that CA is loaded too
/// (hostile-cases A10).
#[tokio::test]
async fn walk_5_of_a_maker_as_shipped_takes_its_own_ca_and_no_other_s() {
    let (mac, serial) = ("00562b043615", "FCH2122D0AB");
    let scene = Scene::by_lease().await;
    let maker = anchored_for(&scene, "cisco").await;
    let other = anchored_for(&scene, "yealink").await;
    let listed = Listed {
        family: "cisco/mpp",
        model: "8841",
        mac: Some(mac),
        serial: Some(serial),
        ..Listed::default()
    };
    let id = scene.list(&listed).await;
    scene.lease(IP, mac).await;
    let subject = |serial: &str| {
        let mut names = names("");
        names.distinguished_name = DistinguishedName::new();
        let name = &mut names.distinguished_name;
        name.push(DnType::OrganizationalUnitName, "CP-8841-3PCC");
        name.push(DnType::LocalityName, serial);
        name.push(DnType::StateOrProvinceName, mac);
        names
    };
    let boots = async |certificate| {
        let mut around = scene.around(IP);
        around.client_certificate = certificate;
        around.public_roots = vec![scene.ca()];
        around.pointer = Some(scene.server.https());
        let mut phone = scene.unit_in("cisco/mpp", mac, around);
        phone.boot_until_quiet(4).await;
        phone
            .account()
            .map(|account| account.password.expose().to_owned())
    };
    for certificate in [
        None,
        Some(signed(&scene, &other, &subject(serial), "another")),
        Some(signed(&scene, &maker, &subject("ciscogeneric"), "generic")),
    ] {
        assert_eq!(
            boots(certificate).await,
            None,
            "{:#?}",
            scene.told(id).await
        );
    }
    let alerts = scene.alerts(id).await;
    assert!(
        alerts.contains(&AlertKind::CertificateExpected),
        "{alerts:?}"
    );
    let own = signed(&scene, &maker, &subject(serial), "own");
    let password = boots(Some(own)).await;
    let told = scene.told(id).await;
    assert_eq!(password.as_deref(), Some("s3cret-of-214"), "{told:#?}");
    assert_eq!(scene.device(id).await.status.assurance, Assurance::L3);
    scene.stop().await;
}
