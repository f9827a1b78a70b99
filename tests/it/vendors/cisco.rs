//! SPA phones and adapters: plain transports alone, one flat profile, nothing ever empty.

use dialtone::catalog::revision::Which;
use dialtone::model::access::Grant;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{Case, Settings, cases, check_kept};

/// Elements by their path, as a unit reads them: the last of two wins.
fn read(text: &str) -> Settings {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut settings = Settings::new();
    let mut leaf = String::new();
    let mut fresh = false;
    loop {
        match reader.read_event().expect("XML") {
            Event::Start(element) => {
                path.push(element.name().as_ref().to_owned());
                leaf.clear();
                fresh = true;
            }
            Event::End(_) => {
                if fresh {
                    settings.insert(path.join("/"), leaf.trim().to_owned());
                }
                fresh = false;
                path.pop();
            }
            Event::Text(more) => leaf.push_str(&more),
            Event::GeneralRef(_) => leaf.push('&'),
            Event::Eof => break,
            Event::Empty(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => panic!("not in a flat profile"),
        }
    }
    assert!(path.is_empty());
    settings
}

#[test]
fn a_greater_file_holds_what_a_lesser_one_does() {
    for case in cases("cisco") {
        let case = Case::new("cisco", &case);
        if case.family().id != "spa" {
            continue;
        }
        check_kept(&case, read);
        let model = case.render("model-config", Which::Normal, Grant::ALL, false);
        let device = case.render("device-config", Which::Normal, Grant::ALL, false);
        let device = read(&device.unwrap());
        for name in read(&model.unwrap()).keys() {
            assert!(device.contains_key(name), "{name}");
        }
    }
}

/// A unit that cannot open HTTPS with us has no token, no pin and no bootstrap: it keeps the shared
/// plain address.
#[test]
fn it_is_never_given_a_token() {
    let case = Case::new("cisco", "full");
    for artefact in &case.family().artefacts {
        assert!(artefact.bootstrap.is_none());
        let text = case
            .render(&artefact.id, Which::Normal, Grant::ALL, false)
            .unwrap();
        assert!(
            !text.contains("https://prov") && !text.contains("TOKEN"),
            "{}",
            artefact.id
        );
    }
}

#[test]
fn release_takes_our_rule_out_and_leaves_the_account() {
    let case = Case::new("cisco", "full");
    let text = case
        .render("device-config", Which::Normal, Grant::ALL, true)
        .unwrap();
    let settings = read(&text);
    assert_eq!(settings["flat-profile/Profile_Rule_B"], "");
    assert!(!text.contains("User_ID") && !text.contains("prov.example.net"));
}
