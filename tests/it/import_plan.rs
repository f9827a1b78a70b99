//! From a file to a plan: rows, devices, problems, and what the inventory holds afterwards.

use dialtone::engine::import::inventory::Inventory;
use proptest::prelude::*;

use crate::import_support::{BAD, CANARY, ROWS, Shelf, bad_rows, large, listed, words};

/// Imports files one after the other; what the inventory holds then, and what was wrong with the
/// last one.
fn check(files: &[&str], holds: &[&str], problems: &[&str]) {
    let mut shelf = Shelf::default();
    let mut told = None;
    for file in files {
        told = Some(
            shelf
                .import(file.as_bytes(), &[])
                .expect("the file is read"),
        );
    }
    assert_eq!(shelf.shown(), holds, "{files:?}");
    assert_eq!(
        listed(&told.unwrap().inventory.problems),
        problems,
        "{files:?}"
    );
}

/// A phone with MAC 001565000001 at hq.
const HEAD: &str = "mac,vendor,model,site,";
const PHONE: &str = "001565000001,yealink,T46S,hq,";
const SHOWN: &str = "001565000001 yealink/sip-t4-t5/T46S @hq";

#[test]
fn a_row_becomes_a_device() {
    fn one(more: &str, row: &str, shown: &str) {
        let file = format!("{HEAD}{more}\n{PHONE}{row}\n");
        check(&[&file], &[&format!("{SHOWN}{shown}")], &[]);
    }
    one("extension", "214", " 1:214");
    one(
        "extension,sip_user,sip_password",
        "214,u214,s3cret",
        " 1:u214:s3cret",
    );
    one("extension,sip_server", "214,berlin", " 1:214@berlin");
    one(
        "extension,sip_server",
        "214,pbx.example.net:5061",
        " 1:214@pbx.example.net:5061",
    );
    one("line,extension", "3,214", " 3:214");
    one(
        "extension,line2_sip_user,line2_sip_password",
        "214,215,x",
        " 1:214 2:215:x",
    );
    one("line2_sip_user", "215", " 2:215");
    one(
        "profile,groups",
        "Office-Phone,\"sales, floor-2\"",
        " profile=office-phone groups=sales+floor-2",
    );
    one("note", "\"one\ntwo\"", " note=\"one\\ntwo\"");
    one("display_name", "", "");
    // Formulas are texts, and come back from our own exports as they were.
    one("note", "=cmd|'/c calc'!A1", " note=\"=cmd|'/c calc'!A1\"");
    one("note", "'=SUM(A1)", " note=\"=SUM(A1)\"");
    one("extension", "+4930123456", " 1:+4930123456");
    one("extension", "'+4930123456", " 1:+4930123456");
    one("note", "\"\t=1\"", " note=\"=1\"");
}

#[test]
fn a_bad_row_is_rejected_with_all_that_is_wrong() {
    fn bad(more: &str, row: &str, problems: &[&str]) {
        let file = format!("{more}\n{row}\n");
        check(&[&file], &[], problems);
    }
    let head = "mac,serial,vendor,model,site,profile,extension,line,sip_server,user";
    bad(head, ",,yealink,T46S,hq,,,,,", &["mac-missing -: 2"]);
    bad(head, "00156,,yealink,T46S,,,,,,", &["mac-invalid mac: 2"]);
    bad(
        head,
        "ffffffffffff,,yealink,T46S,,,,,,",
        &["mac-invalid mac: 2"],
    );
    bad(
        head,
        "1565000001,,yealink,T46S,,,,,,",
        &["mac-damaged mac: 2"],
    );
    bad(
        head,
        "1.56E+11,,yealink,T46S,,,,,,",
        &["mac-damaged mac: 2"],
    );
    bad(
        head,
        ",a b,yealink,T46S,,,,,,",
        &["serial-invalid serial: 2"],
    );
    bad(
        head,
        ",１２３,yealink,T46S,,,,,,",
        &["serial-invalid serial: 2"],
    );
    bad(
        head,
        ",4.1E+11,yealink,T46S,,,,,,",
        &["serial-damaged serial: 2"],
    );
    bad(head, "001565000001,,,,,,,,,", &["vendor-missing vendor: 2"]);
    bad(
        head,
        "001565000001,,yealink,,,,,,,",
        &["model-missing model: 2"],
    );
    bad(
        head,
        "001565000001,,yaelink,T46S,,,,,,",
        &["vendor-unknown vendor: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46X,,,,,,",
        &["model-unknown model: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,hamburg,,,,,",
        &["site-unknown site: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,night,,,,",
        &["profile-unknown profile: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,Mar-01,,,",
        &["number-damaged extension: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,2 1 4,,,",
        &["line-invalid -: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,214,0,,",
        &["line-invalid line: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,214,1.5,,",
        &["line-invalid line: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,214,17,,",
        &["too-many-lines line: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,214,,a b,",
        &["line-invalid sip_server: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,,,,An na",
        &["value-invalid user: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,#N/A,,,,,,",
        &["cell-damaged model: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,\"2\t14\",,,",
        &["text-invalid extension: 2"],
    );
    bad(
        head,
        "001565000001,,yealink,T46S,,,,,,,,x",
        &["row-width -: 2"],
    );
    bad(
        "mac,vendor,model,sip_password",
        "001565000001,yealink,T46S,x",
        &["line-invalid -: 2"],
    );
    // All at once.
    bad(
        head,
        "zz,,yealink,T4,hamburg,,Mar-01,,,",
        &[
            "mac-invalid mac: 2",
            "model-unknown model: 2",
            "number-damaged extension: 2",
            "site-unknown site: 2",
        ],
    );
}

#[test]
fn rows_of_one_mac_are_one_device() {
    let head = "mac,vendor,model,site,line,port,handset,ipei,extension";
    let file = |rows: &[&str]| format!("{head}\n{}\n", rows.join("\n"));
    let p = "00:15:65:00:00:01,yealink,T46S,hq";
    let more = "001565000001,,,";
    let row = |start: &str, rest: &str| format!("{start},{rest}");
    let lines = |rows: &[(&str, &str)], holds: &str, problems: &[&str]| {
        let rows: Vec<String> = rows.iter().map(|(start, rest)| row(start, rest)).collect();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        check(&[&file(&rows)], &[&format!("{SHOWN}{holds}")], problems);
    };
    lines(&[(p, "1,,,,214"), (p, "2,,,,215")], " 1:214 2:215", &[]);
    lines(&[(p, "1,,,,214"), (more, "2,,,,215")], " 1:214 2:215", &[]);
    lines(
        &[(p, ",2,,,214"), (p, ",1,,,215")],
        " 1:215/p1 2:214/p2",
        &[],
    );
    lines(
        &[(p, ",,1,,214"), (p, ",,3,,215")],
        " 1:214/h1 3:215/h3",
        &[],
    );
    lines(
        &[(p, ",,,A1,214"), (p, ",,,B2,215")],
        " 1:214/A1 2:215/B2",
        &[],
    );
    lines(
        &[(p, "1,1,,,214"), (p, "1,2,,,215")],
        " 1:214/p1 2:215/p2",
        &[],
    );
    lines(&[(p, ",5060,,,214")], " 1:214/p5060", &[]);
    // The second is an error.
    lines(
        &[(p, "1,,,,214"), (p, "1,,,,215")],
        " 1:214",
        &["duplicate-row -: 3"],
    );
    lines(
        &[(p, ",,,,214"), (p, ",,,,214")],
        " 1:214",
        &["duplicate-row -: 3"],
    );
    lines(&[(p, ",,,,"), (p, ",,,,")], "", &["duplicate-row -: 3"]);
    lines(
        &[
            (p, "1,,,,214"),
            ("001565000001,yealink,T48S,hq", "2,,,,215"),
        ],
        " 1:214",
        &["device-fields-differ model: 3"],
    );
    // One bad row does not take the others with it.
    lines(
        &[(p, "1,,,,214"), (p, "99,,,,215"), (p, "2,,,,216")],
        " 1:214 2:216",
        &["too-many-lines line: 3"],
    );
}

#[test]
fn serials_name_devices_too() {
    let head = "mac,serial,vendor,model,line,extension\n";
    let file = |rows: &str| format!("{head}{rows}");
    let one = file(",S1,yealink,T46S,1,214\n,S1,,,2,215\n");
    check(&[&one], &[" sn=S1 yealink/sip-t4-t5/T46S 1:214 2:215"], &[]);
    let both = file("001565000001,S1,yealink,T46S,1,214\n,S1,,,2,215\n001565000001,,,,3,216\n");
    let shown = "001565000001 sn=S1 yealink/sip-t4-t5/T46S 1:214 2:215 3:216";
    check(&[&both], &[shown], &[]);
    // The MAC comes later.
    check(&[&one, &both], &[shown], &[]);
    let stolen = file("001565000001,S1,yealink,T46S,,\n001565000002,S1,yealink,T46S,,\n");
    let first = "001565000001 sn=S1 yealink/sip-t4-t5/T46S";
    check(&[&stolen], &[first], &["serial-conflict -: 3"]);
    let other = file("001565000001,S2,yealink,T46S,,\n");
    check(&[&stolen, &other], &[first], &["serial-conflict serial: 2"]);
    let other = file("001565000002,S1,yealink,T46S,,\n");
    check(&[&stolen, &other], &[first], &["mac-conflict mac: 2"]);
    // Two vendors may have one number.
    let two = file(",S1,yealink,T46S,,\n,S1,cisco,SPA942,,\n");
    check(
        &[&two],
        &[" sn=S1 yealink/sip-t4-t5/T46S", " sn=S1 cisco/spa/SPA942"],
        &[],
    );
    let unsaid = file(",S1,,,1,214\n");
    check(
        &[&two, &unsaid],
        &[" sn=S1 yealink/sip-t4-t5/T46S", " sn=S1 cisco/spa/SPA942"],
        &["vendor-missing vendor: 2"],
    );
}

#[test]
fn what_a_file_does_not_say_stays() {
    let first = format!("{HEAD}extension,sip_password,note\n{PHONE}214,CANARY-1,old\n");
    let second =
        "mac,line,extension,sip_password,note\n001565000001,1,,,new\n001565000001,2,215,***,\n";
    let shown = format!("{SHOWN} note=\"new\" 1:214:CANARY-1 2:215");
    check(&[&first, second], &[&shown], &[]);
    let mut shelf = Shelf::default();
    for (file, expect) in [
        (first.as_str(), (1, 0, 0)),
        (&first, (0, 0, 1)),
        (second, (0, 1, 0)),
        (second, (0, 0, 1)),
    ] {
        let told = shelf.import(file.as_bytes(), &[]).unwrap();
        assert_eq!((told.create, told.update, told.unchanged), expect, "{file}");
    }
}

#[test]
fn warnings_reject_nothing() {
    fn check(file: &str, warnings: &[&str]) {
        let told = Shelf::default().import(file.as_bytes(), &[]).unwrap();
        assert_eq!(listed(&told.inventory.problems), Vec::<String>::new());
        assert_eq!(listed(&told.warnings), warnings, "{file}");
    }
    let head = format!("{HEAD}profile,");
    check(
        &format!("{head}extension,room\n{PHONE},214,R1\n"),
        &["column-unknown room: 1"],
    );
    check(&format!("{head}extension\n{PHONE},\n"), &["no-lines -: 2"]);
    check(
        &format!("{HEAD}extension\n{PHONE}214\n"),
        &["default-profile -: 1"],
    );
    check(
        &format!("{head}extension\n{PHONE},214\n001565000002,yealink,T46S,hq,,214\n"),
        &["extension-twice extension: 2 3"],
    );
    check(
        &format!(
            "{head}extension,sip_server\n{PHONE},214,a\n001565000002,yealink,T46S,hq,,214,b\n"
        ),
        &[],
    );
    check(&format!("{head}extension\n{PHONE},4930123456\n"), &[]);
    check(
        &format!("{head}extension\n{PHONE},493012345678\n"),
        &["plus-lost extension: 2"],
    );
    check(
        "mac,vendor,model,profile,extension\n000e08000001,yealink,T46S,,214\n",
        &["no-site -: 2", "vendor-other mac: 2"],
    );
}

#[test]
fn columns_become_variables_where_that_is_asked() {
    let file = format!("{HEAD}Sprache,Admin\n{PHONE}de-DE,CANARY-1\n");
    let maps = ["var.locale=Sprache", "var.admin_password=Admin"];
    let mut shelf = Shelf::default();
    let told = shelf.import(file.as_bytes(), &maps).unwrap();
    assert_eq!((told.create, told.inventory.rejected()), (1, 0));
    assert_eq!(
        shelf.shown(),
        [format!(
            "{SHOWN} admin_password=Secret locale=Text(\"de-DE\")"
        )]
    );
    assert_eq!(shelf.0[0].1["admin_password"].expose(), "CANARY-1");
    let again = shelf.import(file.as_bytes(), &maps).unwrap();
    assert_eq!((again.update, again.unchanged), (0, 1));
    // Another secret is a change; the mask is none.
    let other = file.replace("CANARY-1", "CANARY-2");
    assert_eq!(shelf.import(other.as_bytes(), &maps).unwrap().update, 1);
    let kept = file.replace("CANARY-1", "***");
    assert_eq!(shelf.import(kept.as_bytes(), &maps).unwrap().unchanged, 1);
    // A value of another kind is a problem of the row; a name that is none, of the file.
    let told = shelf.import(file.as_bytes(), &["var.vlan_id=Sprache"]);
    let told = told.unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(
        listed(&told.inventory.problems),
        ["value-invalid Sprache: 2"]
    );
    let wrong = shelf.import(file.as_bytes(), &["var.lokale=Sprache"]);
    assert!(wrong.err().unwrap()[0].hint.contains("locale"));
}

#[test]
fn a_changed_model_is_another_unit_and_told() {
    let file = |model: &str| format!("{HEAD}extension\n001565000001,yealink,{model},hq,214\n");
    let mut shelf = Shelf::default();
    shelf.import(file("T46S").as_bytes(), &[]).unwrap();
    let told = shelf.import(file("T48S").as_bytes(), &[]).unwrap();
    assert_eq!((told.update, told.unchanged), (1, 0));
    assert!(listed(&told.warnings).contains(&"armed-anew -: 2".to_owned()));
    let told = shelf.import(file("SIP-T48S").as_bytes(), &[]).unwrap();
    assert_eq!((told.update, told.unchanged), (0, 1));
}

#[test]
fn a_thousand_rows_with_thirty_bad_ones() {
    let mut shelf = Shelf::default();
    let told = shelf.import(large(false).as_bytes(), &[]).unwrap();
    let inventory = &told.inventory;
    assert_eq!(inventory.rows(), ROWS);
    assert_eq!(
        (told.create, told.update, told.unchanged),
        (ROWS - BAD, 0, 0)
    );
    assert_eq!(inventory.rejected(), BAD);
    let groups = listed(&inventory.problems);
    assert_eq!(groups.len(), 5, "{groups:?}");
    for (row, code) in bad_rows() {
        let group = groups.iter().find(|group| group.starts_with(code)).unwrap();
        assert!(
            group.split([' ', ':']).any(|word| word == row.to_string()),
            "{row} {group}"
        );
    }
    let (report, left) = inventory.report(usize::MAX);
    assert_eq!((report.lines().count(), left), (BAD + 1, 0));
    let mut lines = report.lines();
    let head = lines.next().unwrap();
    assert!(head.starts_with("MAC-Adresse;") && head.ends_with(";Raum;error_code;error_text"));
    let damaged = lines.next().unwrap();
    assert!(
        damaged.starts_with("1.56E+11;Yealink;T54W;hq;2005;Büro 5;")
            || damaged.starts_with("1.56E+11;Yealink;")
    );
    assert!(damaged.contains(";mac-damaged;"), "{damaged}");
    assert!(damaged.contains("format the column as text"), "{damaged}");
    // Nothing that is told holds a password.
    for (_, _, group) in inventory.problems.groups() {
        for found in &group.items {
            assert!(!found.told().contains(CANARY), "{found:?}");
        }
    }
    // Again: nothing changes. Then the corrected file: only what failed.
    let again = shelf.import(large(false).as_bytes(), &[]).unwrap();
    assert_eq!(
        (again.create, again.update, again.unchanged),
        (0, 0, ROWS - BAD)
    );
    let rest = shelf.import(large(true).as_bytes(), &[]).unwrap();
    assert_eq!(
        (rest.create, rest.update, rest.unchanged),
        (BAD, 0, ROWS - BAD)
    );
    assert_eq!(rest.inventory.rejected(), 0);
}

#[test]
fn the_report_is_a_file_that_can_be_corrected() {
    let file = format!(
        "{HEAD}extension,note,sip_password\n001565000001,yealink,T46Q,hq,+49301,=1+1,-CANARY-1\n002,yealink,T46S,hq,,'=2,\n"
    );
    let mut shelf = Shelf::default();
    let told = shelf.import(file.as_bytes(), &[]).unwrap();
    let (report, _) = told.inventory.report(usize::MAX);
    assert!(report.contains(",'+49301,'=1+1,'-CANARY-1,"), "{report}");
    let corrected = report
        .replace("T46Q", "T46S")
        .replace("002,", "001565000002,");
    let told = shelf.import(corrected.as_bytes(), &[]).unwrap();
    assert_eq!(told.create, 2, "{corrected}");
    assert_eq!(
        shelf.shown(),
        [
            format!("{SHOWN} note=\"=1+1\" 1:+49301:-CANARY-1"),
            "001565000002 yealink/sip-t4-t5/T46S @hq note=\"=2\"".to_owned(),
        ]
    );
    // A report that would be too long says how much is left.
    let (short, left) = Shelf::default()
        .import(file.as_bytes(), &[])
        .unwrap()
        .inventory
        .report(360);
    assert_eq!((short.lines().count(), left), (2, 1), "{short}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(Inventory::open(bytes, &[], words()));
    }

    #[test]
    fn any_rows_are_planned_and_planned_again_change_nothing(
        rows in proptest::collection::vec(
            (
                prop_oneof![Just("001565000001"), Just("001565000002"), Just(""), Just("1.5E+11")],
                prop_oneof![Just("S1"), Just("S2"), Just("")],
                prop_oneof![Just("yealink"), Just("cisco"), Just("")],
                prop_oneof![Just("T46S"), Just("SPA942"), Just("SIP-T46S"), Just("")],
                "[0-9a ]{0,3}", "[0-3]?", "[0-3]?", "[ab]?", "[!-~]{0,3}",
            ),
            1..12,
        )
    ) {
        let mut file = "mac;serial;vendor;model;extension;line;port;ipei;note\n".to_owned();
        for (mac, serial, vendor, model, extension, line, port, ipei, note) in rows {
            let note = note.replace(['"', ';'], "");
            file.push_str(&format!(
                "{mac};{serial};{vendor};{model};{extension};{line};{port};{ipei};{note}\n"
            ));
        }
        let mut shelf = Shelf::default();
        if let Ok(first) = shelf.import(file.as_bytes(), &[]) {
            // A rejected row may find its device in the inventory the second time.
            if first.inventory.rejected() > 0 {
                shelf.import(file.as_bytes(), &[]).unwrap();
            }
            let before = shelf.shown();
            let again = shelf.import(file.as_bytes(), &[]).unwrap();
            prop_assert_eq!(shelf.shown(), before, "{}", file);
            prop_assert_eq!((again.create, again.update), (0, 0), "{}", file);
        }
    }
}
