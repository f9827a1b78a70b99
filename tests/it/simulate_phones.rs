//! Simulated phones against Python's file server and files written by hand from the vendors'
//! sheets: what the unit does is shown here, without a line of our server.

use dialtone::simulate::{Again, Failure};

use crate::simulate_bench::{Ca, Server, asked, surroundings, took, unit, unit_with};

const DESK: &str = "yealink/sip-t4-t5";
const SPA: &str = "cisco/spa";

fn device_file(more: &str) -> String {
    format!(
        "#!version:1.0.0.1\naccount.1.enable = 1\naccount.1.user_name = 214\n\
         account.1.password = s3cret\naccount.1.sip_server.1.address = pbx.test\n{more}"
    )
}

#[tokio::test]
async fn a_factory_phone_asks_every_name_three_times_and_then_has_its_account() {
    let server = Server::plain();
    server.put("805ec0d57d72.cfg", &device_file(""));
    let mut phone = unit(DESK, surroundings(&server.base));
    let story = phone.boot().await;
    let names = [
        "805ec0d57d72.boot",
        "y000000000000.boot",
        "y000000000066.cfg",
        "805ec0d57d72.cfg",
    ];
    assert_eq!(asked(&story, &server.base), names);
    assert_eq!(story.steps.len(), 10);
    let account = phone.account().unwrap();
    assert_eq!(account.user, "214");
    assert_eq!(account.password.expose(), "s3cret");
    assert_eq!(story.registered, Some(true));
    let agent = "127.0.1.7 /805ec0d57d72.cfg 200 Yealink SIP-T46S 66.86.0.15 80:5e:c0:d5:7d:72";
    assert_eq!(server.log().last().unwrap(), agent);

    let story = phone.boot().await;
    assert!(story.changed.is_empty(), "the same bytes are no action");
    assert_eq!(phone.wants_again(), None);
}

#[tokio::test]
async fn a_boot_file_replaces_what_follows_and_a_later_file_wins() {
    let server = Server::plain();
    let boot = "#!version:1.0.0.1\ninclude:config \"a.cfg\"\n[T48S]include:config \"no.cfg\"\n\
                include:config sub/b.cfg\n";
    server.put("805ec0d57d72.boot", boot);
    server.put("a.cfg", &device_file("lang.gui = English\n"));
    server.put("sub/b.cfg", "#!version:1.0.0.1\nlang.gui = German\n");
    let mut phone = unit(DESK, surroundings(&server.base));
    let story = phone.boot().await;
    assert_eq!(
        asked(&story, &server.base),
        ["805ec0d57d72.boot", "a.cfg", "sub/b.cfg"]
    );
    assert_eq!(phone.setting("lang.gui"), "German");
}

#[tokio::test]
async fn what_is_not_named_is_kept_unless_the_boot_file_overwrites() {
    let server = Server::plain();
    server.put("805ec0d57d72.cfg", &device_file("static.x = 1\n"));
    let mut phone = unit(DESK, surroundings(&server.base));
    phone.boot().await;
    server.put("805ec0d57d72.cfg", "#!version:1.0.0.1\nlang.gui = German\n");
    phone.boot().await;
    assert!(phone.account().is_some(), "kept");

    let boot = "#!version:1.0.0.1\noverwrite_mode = 1\ninclude:config \"b.cfg\"\n";
    server.put("805ec0d57d72.boot", boot);
    server.put("b.cfg", "#!version:1.0.0.1\nlang.gui = French\n");
    phone.boot().await;
    assert_eq!(phone.account(), None, "overwritten");
    assert_eq!(phone.setting("static.x"), "1");
}

#[tokio::test]
async fn a_private_ca_is_refused_until_a_file_brought_it() {
    let ca = Ca::new("a private CA");
    let secure = Server::tls(&ca);
    secure.put("u/TOKEN/805ec0d57d72.cfg", &device_file(""));
    secure.put("805ec0d57d72.cfg", &device_file(""));

    let mut phone = unit(DESK, surroundings(&secure.base));
    let story = phone.boot().await;
    let Some(Failure::Untrusted(_)) = story.tls_failure() else {
        panic!("{story:?}");
    };
    assert_eq!(phone.account(), None);

    // The bootstrap over plain HTTP: CA, HTTPS address, and no more of the pointer.
    let plain = Server::plain();
    plain.put("ca.pem", &ca.pem);
    let bootstrap = format!(
        "#!version:1.0.0.1\nstatic.trusted_certificates.url = {}ca.pem\n\
         static.security.ca_cert = 2\nstatic.auto_provision.server.url = {}u/TOKEN/\n\
         static.auto_provision.dhcp_option.enable = 0\nstatic.auto_provision.pnp_enable = 0\n",
        plain.base, secure.base
    );
    plain.put("805ec0d57d72.cfg", &bootstrap);
    let mut phone = unit(DESK, surroundings(&plain.base));
    let first = phone.boot().await;
    assert!(took(&first, &format!("{}ca.pem", plain.base)));
    assert!(matches!(first.again, Some(Again::Now(_))), "{first:?}");
    assert_eq!((phone.account(), phone.given_cas()), (None, 1));
    let stories = phone.boot_until_quiet(5).await;
    assert_eq!(stories.len(), 1);
    let urls = stories[0].urls();
    assert!(
        urls.iter().all(|url| url.starts_with(&secure.base)),
        "{urls:?}"
    );
    assert!(phone.account().is_some());

    // Pinned: with the server away it keeps its account and asks nobody else.
    drop(secure);
    let story = phone.boot().await;
    assert!(
        !story
            .steps
            .iter()
            .any(|step| step.url.starts_with(&plain.base))
    );
    assert!(phone.account().is_some());
    assert_eq!(story.registered, Some(true));

    phone.factory_reset();
    assert_eq!((phone.account(), phone.given_cas()), (None, 0));
    let story = phone.boot().await;
    assert!(took(&story, &format!("{}805ec0d57d72.cfg", plain.base)));
}

#[tokio::test]
async fn a_ca_that_cannot_be_fetched_or_is_not_listed_is_not_trusted() {
    let ca = Ca::new("a private CA");
    let secure = Server::tls(&ca);
    secure.put("805ec0d57d72.cfg", &device_file(""));
    let plain = Server::plain();
    let file = |list: &str| {
        format!(
            "#!version:1.0.0.1\nstatic.trusted_certificates.url = {}ca.pem\n\
             static.security.ca_cert = {list}\nstatic.auto_provision.server.url = {}\n\
             static.auto_provision.dhcp_option.enable = 0\nstatic.auto_provision.pnp_enable = 0\n",
            plain.base, secure.base
        )
    };
    plain.put("805ec0d57d72.cfg", &file("2"));
    let mut phone = unit(DESK, surroundings(&plain.base));
    phone.boot_until_quiet(3).await;
    assert_eq!((phone.account(), phone.given_cas()), (None, 0));

    plain.put("ca.pem", &ca.pem);
    plain.put("805ec0d57d72.cfg", &file("0"));
    let mut phone = unit(DESK, surroundings(&plain.base));
    phone.boot_until_quiet(3).await;
    assert_eq!((phone.account(), phone.given_cas()), (None, 1));
}

#[tokio::test]
async fn a_public_certificate_is_trusted_at_once_and_a_name_only_when_told() {
    let root = Ca::new("a public root");
    let secure = Server::tls(&root);
    secure.put("805ec0d57d72.cfg", &device_file(""));
    let mut around = surroundings(&secure.base);
    around.public_roots = vec![root.der.clone()];
    let mut phone = unit(DESK, around.clone());
    phone.boot().await;
    assert!(phone.account().is_some());

    // localhost is not in the certificate: the factory phone does not look at the name.
    let elsewhere = secure.base.replace("127.0.0.1", "localhost");
    around.pointer = Some(elsewhere);
    secure.put(
        "805ec0d57d72.cfg",
        &device_file("static.security.cn_validation = 1\n"),
    );
    let mut phone = unit(DESK, around);
    phone.boot().await;
    assert!(phone.account().is_some());
    let story = phone.boot().await;
    assert!(
        matches!(story.tls_failure(), Some(Failure::Untrusted(_))),
        "{story:?}"
    );
}

#[tokio::test]
async fn it_reports_by_its_settings_with_its_own_words() {
    let server = Server::plain();
    let reports = format!(
        "action_url.registered = {0}r/S/ok?mac=$mac&who=$active_user\n\
         action_url.register_failed = {0}r/S/failed?mac=$mac\n",
        server.base
    );
    server.put("805ec0d57d72.cfg", &device_file(&reports));
    server.put("r/S/ok", "");
    let mut phone = unit(DESK, surroundings(&server.base));
    let story = phone.boot().await;
    assert!(story.reported);
    let last = server.log().pop().unwrap();
    assert!(
        last.contains("/r/S/ok?mac=805ec0d57d72&who=214 200"),
        "{last}"
    );

    phone.around.registrar_ok = false;
    let story = phone.boot().await;
    assert_eq!((story.registered, story.reported), (Some(false), false));
    let last = server.log().pop().unwrap();
    assert!(last.contains("/r/S/failed?mac=805ec0d57d72 404"), "{last}");
}

#[tokio::test]
async fn a_power_cut_before_the_last_file_changes_nothing() {
    let server = Server::plain();
    server.put(
        "y000000000066.cfg",
        "#!version:1.0.0.1\nlang.gui = German\n",
    );
    server.put("805ec0d57d72.cfg", &device_file(""));
    for requests in 0..8 {
        let mut phone = unit(DESK, surroundings(&server.base));
        phone.power_cut_after(requests);
        let story = phone.boot().await;
        assert_eq!(
            (story.cut, phone.setting("lang.gui")),
            (true, ""),
            "{requests}"
        );
        phone.boot().await;
        assert!(phone.account().is_some());
    }
}

#[tokio::test]
async fn a_poll_asks_again_and_takes_what_changed() {
    let server = Server::plain();
    let poll =
        "static.auto_provision.repeat.enable = 1\nstatic.auto_provision.repeat.minutes = 5\n";
    server.put("805ec0d57d72.cfg", &format!("#!version:1.0.0.1\n{poll}"));
    let mut phone = unit(DESK, surroundings(&server.base));
    let story = phone.boot().await;
    assert_eq!(
        story.again,
        Some(Again::After(std::time::Duration::from_secs(300)))
    );
    server.put("805ec0d57d72.cfg", &device_file(poll));
    let story = phone.wait().await.unwrap();
    assert_eq!(story.registered, Some(true));
    assert!(phone.account().is_some());
}

#[tokio::test]
async fn an_spa_follows_its_rules_keeps_the_rest_and_restarts_on_a_change() {
    let server = Server::plain();
    let first = format!(
        "<flat-profile><Profile_Rule_B>{}$MA.xml</Profile_Rule_B>\
         <DHCP_Option_To_Use></DHCP_Option_To_Use></flat-profile>",
        server.base
    );
    server.put("spa504G.cfg", &first);
    let own = "<flat-profile><User_ID_1_>214</User_ID_1_><Password_1_ ua=\"na\">s3&amp;cret\
               </Password_1_><Proxy_1_>pbx.test</Proxy_1_></flat-profile>";
    server.put("8843e157ddcc.xml", own);
    let mut phone = unit(SPA, surroundings(&server.base));
    let stories = phone.boot_until_quiet(5).await;
    assert_eq!(
        asked(&stories[0], &server.base),
        ["spa504G.cfg", "8843e157ddcc.xml"]
    );
    let account = phone.account().unwrap();
    assert_eq!(
        (account.user.as_str(), account.password.expose()),
        ("214", "s3&cret")
    );
    let last = server.log().pop().unwrap();
    let agent = "Cisco/SPA504G-7.5.6 (8843E157DDCC)(CBT141100HR)";
    assert_eq!(last, format!("127.0.1.7 /8843e157ddcc.xml 200 {agent}"));

    // With no DHCP option to use and a rule without a host there is nobody to ask.
    assert_eq!(stories.len(), 2);
    assert!(stories[1].steps.is_empty(), "{:?}", stories[1]);
    assert!(phone.account().is_some());
}

#[tokio::test]
async fn an_spa_that_is_refused_keeps_everything_and_tries_later() {
    let server = Server::plain();
    let pointer = format!("{}$MA.xml", server.base);
    let own =
        "<flat-profile><User_ID_1_>214</User_ID_1_><Password_1_>a</Password_1_></flat-profile>";
    server.put("000e08000001.xml", own);
    let mut phone = unit_with(SPA, "000e08000001", surroundings(&pointer));
    let stories = phone.boot_until_quiet(5).await;
    assert_eq!(stories.len(), 2);
    assert!(phone.account().is_some());
    server.take_away("000e08000001.xml");
    let story = phone.boot().await;
    assert_eq!(
        story.again,
        Some(Again::After(std::time::Duration::from_secs(3600)))
    );
    assert!(phone.account().is_some());
}

#[tokio::test]
async fn an_spa_cannot_open_https_of_today() {
    let ca = Ca::new("a private CA");
    let secure = Server::tls(&ca);
    let mut phone = unit(SPA, surroundings(&secure.base));
    let story = phone.boot().await;
    assert!(
        matches!(story.tls_failure(), Some(Failure::Tls(_))),
        "{story:?}"
    );
    assert!(secure.log().is_empty());
}
