//! `device release` and `device retire`: the next file takes pin, URL and CA out again, and leaves the
//! unit what it has.

use jiff::ToSpan as _;

use super::commands::Shell;
use super::scene::{Listed, Scene};

const FAMILY: &str = "yealink/sip-t4-t5";
const URL: &str = "static.auto_provision.server.url";
/// Whether the network's DHCP says where it asks.
const BY_DHCP: &str = "static.auto_provision.dhcp_option.enable";

#[tokio::test]
async fn a_unit_that_is_let_go_keeps_its_account_and_nothing_of_us() {
    let scene = Scene::by_lease().await;
    let shell = Shell::of(&scene);
    for (verb, mac, ip) in [
        ("release", "805ec0d57d72", "127.0.1.13"),
        ("retire", "805ec0d57d73", "127.0.1.14"),
    ] {
        let listed = Listed {
            mac: Some(mac),
            ..Listed::default()
        };
        let id = scene.list(&listed).await;
        scene.lease(ip, mac).await;
        let mut phone = scene.unit(FAMILY, mac, ip);
        phone.boot_until_quiet(6).await;
        assert!(phone.account().is_some(), "{:#?}", scene.told(id).await);
        assert!(phone.setting(URL).contains("/u/"), "{}", phone.setting(URL));
        assert_eq!(phone.setting(BY_DHCP), "0");
        assert!(phone.given_cas() > 0);

        shell.runs(&format!("dialtone device {verb} {mac}")).await;
        // It is asked for at its token URL alone.
        phone.around.pointer = None;
        scene.pass(20.minutes()).await;
        phone.boot_until_quiet(3).await;
        let told = scene.told(id).await;
        assert_eq!(phone.setting(URL), "", "{verb}: {told:#?}");
        assert_eq!(phone.setting(BY_DHCP), "1", "{verb}");
        assert_eq!(phone.given_cas(), 0, "{verb}");
        assert!(phone.account().is_some(), "{verb}");
        assert!(scene.alerts(id).await.is_empty(), "{verb}: {told:#?}");
    }
    scene.stop().await;
}
