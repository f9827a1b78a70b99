//! Walk 5 by a lease of our own: a phone with a factory certificate, the same MAC without it, and a
//! certificate that many share.

use dialtone::model::activation::State;
use dialtone::model::event::AlertKind;
use dialtone::model::identity::{Assurance, Channel, LevelBy};

use super::super::certificate::{anchored, certified, vendor_of_the_certified};
use super::super::port::Port;
use super::super::scene::Listed;
use super::{NETWORK, Stage};
use crate::dhcp::wire::lab::Lab;
use crate::simulate_bench::Ca;

const FAMILY: &str = "yealink/sip-t4-t5";
const MAC: &str = "805ec0d57d72";

/// A server with a certificate that the factory trusts, and a maker all of whose phones carry one.
pub(super) fn certified_stage(lab: Lab, mode: &str) -> (Stage, Ca) {
    let public = Ca::new("Public Roots");
    let file = lab.path("server.pem");
    std::fs::write(&file, public.server_of(&["10.99.0.1"])).unwrap();
    let profiles = lab.path("profiles");
    std::fs::create_dir_all(profiles.join("yealink")).unwrap();
    let vendor = profiles.join("yealink/vendor.toml");
    std::fs::write(vendor, vendor_of_the_certified()).unwrap();
    let top = format!(
        "profiles = [{:?}, \"builtin:\"]\n",
        profiles.display().to_string()
    );
    let file = file.display();
    let more = format!(
        "interface = [\"eth0\"]\n{NETWORK}[tls]\ncertificate = [{{ chain_file = \"{file}\", key_file = \"{file}\" }}]\n"
    );
    (Stage::topped(lab, &top, mode, "", &more), public)
}

#[test]
fn walk_5_by_a_lease_of_our_own() {
    let mut lab = Lab::new();
    lab.host("c1", "sw", None);
    let (stage, public) = certified_stage(lab, "server");
    walk_5(&stage, &public, LevelBy::Lease);
    stage.stop();
}

/// The leases that are seen are of this kind.
pub(super) fn walk_5(stage: &Stage, public: &Ca, by: LevelBy) {
    let maker = stage.wait(anchored(&stage.scene));
    let id = stage.wait(stage.scene.list(&Listed::default()));
    let boots = |certificate| {
        let mut around = stage.scene.around("127.0.4.1");
        (around.bind, around.pointer) = (None, None);
        around.public_roots = vec![public.der.clone()];
        around.client_certificate = certificate;
        let mut phone = stage.scene.unit_in(FAMILY, MAC, around);
        Port::new(&stage.lab, "c1").boots(&mut phone);
        phone
    };
    let told = || stage.wait(stage.scene.told(id));

    // First somebody with a copied MAC; the lease is his, and it proves too little here.
    assert!(boots(None).account().is_none(), "{:#?}", told());
    let alerts = || stage.wait(stage.scene.alerts(id));
    assert_eq!(alerts(), [AlertKind::CertificateExpected]);
    let generic = certified(&stage.scene, &maker, "generic");
    assert!(boots(Some(generic)).account().is_none(), "{:#?}", told());

    let real = boots(Some(certified(&stage.scene, &maker, MAC)));
    let account = real.account().unwrap_or_else(|| panic!("{:#?}", told()));
    assert_eq!(account.password.expose(), "s3cret-of-214");
    let status = stage.wait(stage.scene.device(id)).status_now();
    assert_eq!(status.activation.state, State::Active, "{:#?}", told());
    // It is bound by the first whole serving, and may have asked again since.
    assert!(status.assurance >= Assurance::L3, "{:#?}", told());
    assert_eq!(alerts(), [AlertKind::CertificateExpected]);
    let checks = stage.wait(stage.scene.checks(id));
    assert!(checks.iter().any(|check| check.channel == Channel::Dhcp));
    assert!(checks.iter().any(|check| check.level_by == by));
}
