//! What a unit's own kind decides: a version that its files are not for, and a loader whose proof is
//! what it installed.

use dialtone::answer::{Answer, Body, Delivery, Door as _};
use dialtone::engine::facts::Facts;
use dialtone::engine::target;
use dialtone::model::activation::{Proof, State};
use dialtone::model::identity::Channel;
use dialtone::model::secret::Foreign;
use jiff::ToSpan as _;

use super::commands::Shell;
use super::scene::{Listed, Scene};

/// What a request gets, taken whole; none where it is refused.
async fn ask(scene: &Scene, path: &str, ip: u8, headers: &[(&str, &str)]) -> Option<String> {
    let mut facts = Facts::new(Channel::Http, target::parse(path.as_bytes()).unwrap());
    facts.source = Some([127, 0, 1, ip].into());
    for (name, value) in headers {
        let value = Foreign::new(value.as_bytes());
        facts.headers.push(((*name).to_owned(), value));
    }
    let Answer::File(file) = scene.service.answer(facts).await else {
        return None;
    };
    let Body::Bytes(bytes) = &file.body else {
        panic!("a file from disk");
    };
    let length = u64::try_from(bytes.len()).unwrap();
    let door = &scene.service;
    door.delivered(&file.ticket, Delivery::Whole, length).await;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

#[tokio::test]
async fn a_version_that_the_files_are_not_for_is_refused_and_told() {
    let scene = Scene::by_prefix().await;
    let shell = Shell::of(&scene);
    let snom = |version: &str| {
        let agent = format!("Mozilla/4.0 (compatible; snom320-SIP {version})");
        ("user-agent", agent)
    };
    let fanvil = |version: &str| {
        let agent = format!("Fanvil X6U {version} 0c383e557eb1");
        ("user-agent", agent)
    };
    let cumulus = |version: &str| ("cumulus-version", version.to_owned());
    let old = "0c383e557eb1";
    for (family, model, mac, path, said) in [
        (
            "snom/desk-3xx",
            "320",
            "000413741767",
            "/snom320-000413741767.htm",
            [snom("6.5.20"), snom("8.4.18")],
        ),
        (
            "fanvil/x",
            "X6U",
            old,
            "/0c383e557eb1.cfg",
            [fanvil("2.2.9"), fanvil("2.4.5")],
        ),
        (
            "cumulus/linux",
            "VX",
            "4438395578e1",
            "/cumulus/boot",
            [cumulus("4.4.5"), cumulus("5.1.0")],
        ),
    ] {
        let id = scene
            .list(&Listed {
                family,
                model,
                mac: Some(mac),
                ..Listed::default()
            })
            .await;
        scene.waive(model).await;
        // The public certificate that the family needs.
        scene.certify(true);
        let request = |(name, value): &(&'static str, String)| {
            let mut headers = vec![(*name, value.clone())];
            if *name == "cumulus-version" {
                headers.push(("cumulus-mgmt-mac", mac.to_owned()));
                headers.push(("cumulus-serial", String::new()));
            }
            headers
        };
        let mut given = Vec::new();
        for said in &said {
            let headers = request(said);
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            given.push(ask(&scene, path, 51, &headers).await.is_some());
            if given.len() == 1 {
                let step = shell.activation(mac).await["next_step"].clone();
                assert!(step.as_str().unwrap().contains("outside >="), "{step}");
            }
        }
        let told = scene.told(id).await;
        assert_eq!(given, [false, true], "{family}: {told:#?}");
        assert!(
            told[0].contains(" refused firmware-out-of-range "),
            "{told:#?}"
        );
        scene.pass(1.minutes()).await;
    }
    scene.stop().await;
}

#[tokio::test]
async fn a_loader_is_active_when_what_it_installed_asks() {
    let scene = Scene::by_lease().await;
    let (mac, serial) = ("443839557eb1", "CN0TESTSERIAL");
    let listed = Listed {
        family: "onie/onie",
        model: "dell_s6000_s1220",
        mac: Some(mac),
        account: None,
        secrets: &[],
        ..Listed::default()
    };
    let id = scene.list(&listed).await;
    scene.lease("127.0.1.52", mac).await;
    let loader = [
        ("onie-eth-addr", mac),
        ("onie-serial-number", serial),
        ("onie-machine", "dell_s6000_s1220"),
    ];
    let system = [
        ("cumulus-version", "5.1.0"),
        ("cumulus-mgmt-mac", mac),
        ("cumulus-serial", serial),
    ];
    let end = async |from: u8, headers: &[(&str, &str)], path: &str| {
        let given = ask(&scene, path, from, headers).await;
        assert!(given.is_some(), "{path}");
        let activation = scene.activation(id).await;
        (activation.state, activation.proof)
    };
    // Its installer is for everybody: from elsewhere it is no step of this one.
    let seen = end(53, &loader, "/onie-installer").await;
    assert_eq!(seen, (State::Seen, None));
    let served = end(52, &loader, "/onie-installer").await;
    assert_eq!(served, (State::Served, None), "{:#?}", scene.told(id).await);
    scene.pass(90.minutes()).await;
    let stalled = scene.activation(id).await;
    assert_eq!(
        (stalled.state, stalled.stage.as_deref()),
        (State::Stalled, Some("firmware"))
    );
    // Anybody can say its name.
    let copied = end(53, &system, "/cumulus/boot").await;
    assert_eq!(copied.0, State::Stalled);
    let active = end(52, &system, "/cumulus/boot").await;
    assert_eq!(
        active,
        (State::Active, Some(Proof::Firmware)),
        "{:#?}",
        scene.told(id).await
    );
    assert!(scene.alerts(id).await.is_empty());
    let step = Shell::of(&scene).activation(mac).await["next_step"].clone();
    assert!(
        step.as_str().unwrap().contains("--vendor V --model M"),
        "{step}"
    );
    scene.stop().await;
}
