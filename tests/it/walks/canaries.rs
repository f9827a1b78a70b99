//! What nobody may get: every name of every family that we ship, asked for on real sockets by curl,
//! from a place that proves nothing, and on a plain transport from the unit's own lease. No answer
//! holds a secret of the unit, its token or its report URL.

use dialtone::catalog::manifest::Family;
use dialtone::catalog::pattern::Found;
use dialtone::catalog::vocabulary::{Kind, Vocabulary};
use dialtone::model::identity::{Channel, DeviceId, Mac, Serial};

use super::scene::{Listed, Scene};
use crate::device_plane::foreign;
use crate::tftp_support::Client;

/// One listed unit, with a canary in every secret that the vocabulary knows.
struct Unit {
    id: DeviceId,
    family: String,
    known: Found,
    mac: String,
}

/// A unit of each family that makes files.
async fn list_all(scene: &Scene) -> Vec<Unit> {
    let catalog = scene.hub().catalog.load_full();
    let secrets = secrets(&catalog.vocabulary);
    let secrets: Vec<(&str, &str)> = secrets.iter().map(|name| (*name, "CANARY-value")).collect();
    let mut units = Vec::new();
    for vendor in catalog.vendors.values() {
        let own = vendor.oui.iter().next().cloned();
        for family in vendor.families.values() {
            let makes = family.artefacts.iter().any(|one| one.template.is_some());
            let Some(model) = family.models.first().filter(|_| makes) else {
                continue;
            };
            let oui = own.clone().unwrap_or_else(|| "02005e".to_owned());
            let mac = format!("{oui}{:06x}", units.len() + 1);
            let serial = format!("CNRY{:07}", units.len() + 1);
            let id = format!("{}/{}", vendor.id, family.id);
            let listed = Listed {
                family: &id,
                model,
                mac: Some(&mac),
                serial: Some(&serial),
                account: Some(("214", "CANARY-password")),
                secrets: &secrets,
                ..Listed::default()
            };
            let known = Found {
                mac: Some(Mac::parse(&mac).unwrap()),
                serial: Serial::parse(&serial).map(|serial| serial.as_str().to_owned()),
                model: Some(model.clone()),
                ..Found::default()
            };
            units.push(Unit {
                id: scene.list(&listed).await,
                family: id,
                known,
                mac,
            });
        }
    }
    assert!(units.len() >= 3, "{}", units.len());
    units
}

/// Names of the secrets that a device may have, but for those that units share by their form.
fn secrets(vocabulary: &Vocabulary) -> Vec<&str> {
    let all = vocabulary.0.iter();
    all.filter(|(_, variable)| variable.kind == Kind::Secret)
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Every name that a unit of this family could ask for.
fn names(family: &Family, known: &Found) -> Vec<String> {
    let artefacts = family.artefacts.iter();
    let paths = artefacts.flat_map(|artefact| &artefact.paths);
    paths.filter_map(|path| path.format(known)).collect()
}

/// Everything that one unit's names are answered with, from this address.
async fn answers(scene: &Scene, unit: &Unit, channel: Channel, ip: &str) -> String {
    let (vendor, family) = unit.family.split_once('/').unwrap();
    let catalog = scene.hub().catalog.load_full();
    let family = catalog.family(vendor, family).unwrap();
    if channel == Channel::Tftp {
        let server = scene.server.running.addresses.tftp[0];
        let mut text = String::new();
        for name in names(family, &unit.known) {
            let client = Client::at(&format!("{ip}:0"), server).await;
            if let Ok(file) = client.asks(&name, &[]).await {
                text.push_str(&String::from_utf8_lossy(&file));
            }
        }
        return text;
    }
    let base = if channel == Channel::Https {
        scene.server.https()
    } else {
        scene.server.http()
    };
    let urls: Vec<String> = names(family, &unit.known)
        .iter()
        .map(|name| format!("{base}{name}"))
        .collect();
    assert!(!urls.is_empty(), "{}: no names", unit.family);
    let mut words = vec!["-sik", "--interface", ip];
    words.extend(urls.iter().map(String::as_str));
    let output = foreign("curl", &words).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("HTTP/1."), "{}: {output:?}", unit.family);
    text
}

fn check(scene: &Scene, unit: &Unit, text: &str, place: &str) {
    let keys = &scene.hub().keys;
    let token = keys.unit_token(unit.id, 1);
    let report = keys.report_secret(unit.id, 1);
    for secret in ["CANARY", token.expose(), report.expose(), "/u/", "/r/"] {
        assert!(!text.contains(secret), "{} {place}: {text}", unit.family);
    }
}

/// Phones whose files have one shape, or nearly: each has its own texts in its file, at first and again,
/// and none of another's.
#[tokio::test]
async fn units_that_share_a_skeleton_get_their_own_texts_and_no_other() {
    let scene = Scene::by_lease().await;
    let mut units = Vec::new();
    for n in 1..=5 {
        let mac = format!("805ec00000{n:02x}");
        // The fourth has one text less, and so another shape.
        let voicemail = format!("*97{n}{n}{n}");
        let texts = [("voicemail_number", voicemail.as_str())];
        let texts = if n == 4 { &[][..] } else { &texts[..] };
        let (user, password) = (format!("user-{n}-ü"), format!("CANARY;{n} <&'"));
        let admin = format!("CANARY\"{n}");
        let listed = Listed {
            mac: Some(&mac),
            account: Some((&user, &password)),
            secrets: &[("admin_password", &admin)],
            texts,
            ..Listed::default()
        };
        let id = scene.list(&listed).await;
        let ip = format!("127.0.4.{n}");
        scene.lease(&ip, &mac).await;
        let keys = &scene.hub().keys;
        let mut own = vec![user, password, admin];
        own.push(keys.unit_token(id, 1).expose().to_owned());
        own.push(keys.report_secret(id, 1).expose().to_owned());
        own.extend((n != 4).then_some(voicemail));
        units.push((ip, mac, own));
    }
    let fetch = async |ip: &str, mac: &str| {
        let url = format!("{}{mac}.cfg", scene.server.https());
        let output = foreign("curl", &["-sk", "--interface", ip, &url]).await;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut bare = Vec::new();
    for _ in 0..2 {
        for (ip, mac, own) in &units {
            let mut file = fetch(ip, mac).await;
            for (other, _, texts) in &units {
                for text in texts {
                    assert_eq!(file.contains(text), ip == other, "{ip} {text}: {file}");
                }
            }
            for text in own {
                file = file.replace(text, "~");
            }
            bare.push(file);
        }
    }
    let [one, two, three, four, five, again @ ..] = bare.as_slice() else {
        panic!("ten files");
    };
    assert_eq!([one, two, three], [five, five, five]);
    assert!(!four.contains("voice_mail.number.1") && one.contains("voice_mail.number.1 = ~"));
    assert_eq!(again, &bare[..5]);
    scene.stop().await;
}

/// Switches and routers: no account is in what they ask for.
const WITHOUT: [&str; 8] = [
    "arista/eos",
    "cisco/ios-xe",
    "cisco/nx-os",
    "cumulus/linux",
    "juniper/junos",
    "juniper/junos-evo",
    "onie/onie",
    "sonic/sonic",
];

#[tokio::test]
async fn no_answer_at_l0_and_none_on_a_plain_transport_holds_a_secret() {
    let scene = Scene::by_lease().await;
    let units = list_all(&scene).await;
    let mut by_tftp = 0;
    for unit in &units {
        for channel in [Channel::Http, Channel::Https, Channel::Tftp] {
            let text = answers(&scene, unit, channel, "127.0.2.1").await;
            check(&scene, unit, &text, "at L0");
        }
    }
    // Corroborated, armed, and no waiver.
    for (n, unit) in units.iter().enumerate() {
        let ip = format!("127.0.3.{}", n + 1);
        scene.lease(&ip, &unit.mac).await;
        for channel in [Channel::Http, Channel::Tftp] {
            let text = answers(&scene, unit, channel, &ip).await;
            check(&scene, unit, &text, "on a plain transport");
            by_tftp += usize::from(channel == Channel::Tftp && !text.is_empty());
        }
    }
    assert!(by_tftp > 0, "nobody was told anything by TFTP");
    // What was looked for is there where it may be: over HTTPS, for each family that opens it.
    let mut kept = Vec::new();
    for (n, unit) in units.iter().enumerate() {
        let ip = format!("127.0.3.{}", n + 1);
        let text = answers(&scene, unit, Channel::Https, &ip).await;
        if !text.contains("CANARY-password") {
            kept.push(unit.family.as_str());
        }
    }
    assert_eq!(kept, WITHOUT);
    scene.stop().await;
}
