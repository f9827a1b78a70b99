//! Simulated phones of each family against Python's file server and files written by hand from the
//! vendors' sheets: names and their order, how a file is read, what it leaves when it names less.

use dialtone::simulate::Unit;

use crate::simulate_bench::{Server, asked, surroundings, unit};

/// One family. `BASE` in a text is the server's address.
struct Case {
    family: &'static str,
    /// The files that a factory unit gets.
    files: &'static [(&'static str, &'static str)],
    /// The names that it asks for then.
    asks: &'static [&'static str],
    /// Its account is `214` with `s3&cret`; this file in place of that of the same name holds none.
    without: (&'static str, &'static str),
    keeps: bool,
    /// A file that stores another address and pins the unit to it; empty where it cannot be.
    pins: (&'static str, &'static str),
}

const CASES: [Case; 10] = [
    Case {
        family: "snom/desk",
        files: &[
            (
                "snomD785.htm",
                "<?xml version=\"1.0\"?><setting-files><file url=\"BASE{mac}.xml\"/></setting-files>",
            ),
            (
                "00041396D9B4.xml",
                "<settings><phone-settings e=\"2\"><user_active idx=\"1\" perm=\"R\">on</user_active>\
                 <user_name idx=\"1\">214</user_name><user_pass idx=\"1\">s3&amp;cret</user_pass>\
                 <user_host idx=\"1\">pbx.test</user_host></phone-settings>\
                 <functionKeys e=\"2\"><fkey idx=\"0\" context=\"1\">line</fkey></functionKeys></settings>",
            ),
        ],
        asks: &[
            "snomD785.htm",
            "00041396D9B4.xml",
            "snomD785-00041396D9B4.htm",
        ],
        without: (
            "00041396D9B4.xml",
            "<settings><phone-settings><language>Deutsch</language></phone-settings></settings>",
        ),
        keeps: true,
        pins: (
            "00041396D9B4.xml",
            "<settings><phone-settings><setting_server>BASEu/T/</setting_server>\
             <provisioning_order>redirection:stop</provisioning_order></phone-settings></settings>",
        ),
    },
    Case {
        family: "grandstream/grp",
        files: &[(
            "cfgc074ad0b63ee.xml",
            "<?xml version=\"1.0\"?><gs_provision version=\"1\"><mac>c074ad0b63ee</mac><config version=\"2\">\
             <item name=\"account.1.enable\">Yes</item><item name=\"account.1.sip.userid\">214</item>\
             <item name=\"account.1.sip.subscriber\"><part name=\"password\">s3&amp;cret</part></item>\
             </config></gs_provision>",
        )],
        asks: &["cfgc074ad0b63ee", "cfgc074ad0b63ee.xml"],
        without: (
            "cfgc074ad0b63ee.xml",
            "<gs_provision version=\"1\"><config version=\"2\"><item name=\"language.gui\">de</item></config></gs_provision>",
        ),
        keeps: true,
        pins: (
            "cfgc074ad0b63ee.xml",
            "<gs_provision version=\"1\"><config version=\"2\">\
             <item name=\"provisioning.config.serverPath\">HOSTu/T</item>\
             <item name=\"provisioning.config.protocol\">HTTP</item>\
             <item name=\"provisioning.override.dhcp.allowCommonOptions\">No</item>\
             <item name=\"provisioning.3cxAutoProvision\">No</item></config></gs_provision>",
        ),
    },
    Case {
        family: "fanvil/x",
        files: &[(
            "0c383e07e16c.cfg",
            "<sysConf><Version>2.0002</Version><sip><line index=\"1\"><EnableReg>1</EnableReg>\
             <PhoneNumber>214</PhoneNumber><RegisterPswd>s3&amp;cret</RegisterPswd></line></sip></sysConf>",
        )],
        asks: &["f0X4hw1.100.cfg", "0c383e07e16c.cfg"],
        without: (
            "0c383e07e16c.cfg",
            "<sysConf><Version>2.0003</Version><phone><display><DefaultLanguage>de</DefaultLanguage></display></phone></sysConf>",
        ),
        keeps: true,
        pins: (
            "0c383e07e16c.cfg",
            "<sysConf><Version>2.0010</Version><ap><FlashServerIP>BASEu/T</FlashServerIP>\
             <FlashFileName>Fanvil/$mac.cfg</FlashFileName><FlashProtocol>4</FlashProtocol>\
             <opt><DHCPOption>0</DHCPOption></opt><pnp><PNPEnable>0</PNPEnable></pnp></ap></sysConf>",
        ),
    },
    Case {
        family: "gigaset/nx70",
        files: &[(
            "7c2f80e0d605.xml",
            "<provisioning version=\"1.1\" productID=\"e2\"><nvm><oper name=\"add_hs\" value=\"00001\">\
             <param name=\"hs.RegStatus\" value=\"ToReg\"/></oper>\
             <param name=\"SipAccount.00001.UserName\" value=\"214\"/>\
             <param name=\"SipAccount.00001.AuthPassword\" value=\"s3&amp;cret\"/></nvm></provisioning>",
        )],
        asks: &["7c2f80e0d605.xml"],
        without: (
            "7c2f80e0d605.xml",
            "<provisioning version=\"1.1\"><nvm><param name=\"DmGlobal.0.TimeZone\" value=\"Europe/Berlin\"/></nvm></provisioning>",
        ),
        keeps: true,
        pins: ("", ""),
    },
    Case {
        family: "cisco/mpp",
        files: &[
            (
                "8841-3PCC.xml",
                "<flat-profile><Profile_Rule_B ua=\"na\">BASE$MA.xml</Profile_Rule_B></flat-profile>",
            ),
            (
                "00562b043615.xml",
                "<flat-profile><User_ID_1_>214</User_ID_1_><Password_1_>s3&amp;cret</Password_1_></flat-profile>",
            ),
        ],
        asks: &["8841-3PCC.xml", "00562b043615.xml"],
        without: (
            "00562b043615.xml",
            "<flat-profile><Locale>de-DE</Locale></flat-profile>",
        ),
        keeps: true,
        pins: (
            "00562b043615.xml",
            "<flat-profile><Profile_Rule>BASEu/T/$MA.xml</Profile_Rule><Profile_Rule_B></Profile_Rule_B>\
             <DHCP_Option_To_Use></DHCP_Option_To_Use></flat-profile>",
        ),
    },
    Case {
        family: "cisco/sep",
        files: &[(
            "SEP8843E157DDCC.cnf.xml",
            "<device><sipProfile><sipLines><line button=\"1\" lineIndex=\"1\"><featureID>9</featureID>\
             <name>214</name><authPassword>s3&amp;cret</authPassword></line></sipLines>\
             <dialTemplate>dialplan.xml</dialTemplate></sipProfile></device>",
        )],
        asks: &[
            "CTLSEP8843E157DDCC.tlv",
            "ITLSEP8843E157DDCC.tlv",
            "ITLFile.tlv",
            "SEP8843E157DDCC.cnf.xml",
        ],
        without: (
            "SEP8843E157DDCC.cnf.xml",
            "<device><deviceProtocol>SIP</deviceProtocol></device>",
        ),
        keeps: false,
        pins: ("", ""),
    },
    Case {
        family: "polycom/ucs",
        files: &[
            (
                "000000000000.cfg",
                "<APPLICATION APP_FILE_PATH=\"\" CONFIG_FILES=\"[PHONE_MAC_ADDRESS]-own.cfg, common.cfg\"/>",
            ),
            (
                "0004f2aabbcc-own.cfg",
                "<polycomConfig reg.1.address=\"214\" reg.1.auth.password=\"s3&amp;cret\" device.x=\"1\"/>",
            ),
        ],
        asks: &[
            "0004f2aabbcc.cfg",
            "000000000000.cfg",
            "0004f2aabbcc.cfg",
            "000000000000.cfg",
            "0004f2aabbcc-own.cfg",
            "common.cfg",
            "0004f2aabbcc-phone.cfg",
            "0004f2aabbcc-web.cfg",
            "0004f2aabbcc-directory.xml",
            "000000000000-directory.xml",
            "0004f2aabbcc-license.cfg",
        ],
        without: (
            "0004f2aabbcc-own.cfg",
            "<polycomConfig lcl.ml.lang=\"German_Germany\"/>",
        ),
        keeps: false,
        pins: (
            "0004f2aabbcc-own.cfg",
            "<a><b reg.1.address=\"214\" reg.1.auth.password=\"s3&amp;cret\" device.set=\"1\"/>\
             <c device.prov.serverType=\"HTTP\" device.prov.serverType.set=\"1\" \
             device.prov.serverName=\"HOSTu/T/\" device.prov.serverName.set=\"1\" \
             device.dhcp.bootSrvUseOpt=\"Static\" device.dhcp.bootSrvUseOpt.set=\"1\"/></a>",
        ),
    },
    Case {
        family: "aastra/sip",
        files: &[
            ("startup.cfg", "# all\ntime format: 1\n"),
            (
                "1400E91EDB52.cfg",
                "sip line1 user name: 214 # the first\n^SIP line1 password: s3&cret\nsip line1 registrar ip: pbx.test\n",
            ),
        ],
        asks: &[
            "startup.tuz",
            "startup.cfg",
            "6930.tuz",
            "6930.cfg",
            "1400E91EDB52.tuz",
            "1400E91EDB52.cfg",
        ],
        without: ("1400E91EDB52.cfg", "language: 1\n"),
        keeps: false,
        pins: (
            "1400E91EDB52.cfg",
            "sip line1 user name: 214\nsip line1 password: s3&cret\ndownload protocol: HTTP\n\
             http server: @NAME\nhttp port: @PORT\nhttp path: u/T\ndhcp config option override: -1\n",
        ),
    },
    Case {
        family: "avaya/j100",
        files: &[
            (
                "J100Supgrade.txt",
                "## all\nSET A 1\nGET $MACADDR.cfg\nSET B 1\n",
            ),
            (
                "c81fea83e85a.cfg",
                "SET FORCE_SIP_USERNAME \"214\"\nSET FORCE_SIP_PASSWORD s3&cret\n",
            ),
        ],
        asks: &["J100Supgrade.txt", "c81fea83e85a.cfg"],
        without: ("c81fea83e85a.cfg", "SET DATEFORMAT %d/%m\n"),
        keeps: false,
        pins: ("", ""),
    },
    Case {
        family: "panasonic/kx",
        files: &[
            (
                "KX-HDV230.cfg",
                "# Panasonic SIP Phone Standard Format File # DO NOT CHANGE\r\n\
                 CFG_STANDARD_FILE_PATH=\"BASEConfig{MAC}.cfg\"\r\n",
            ),
            (
                "Config0080F0C8C381.cfg",
                "# Panasonic SIP Phone Standard Format File #\r\nSIP_AUTHID_1=\"214\"\r\n\
                 SIP_PASS_1=\"s3&cret\"\r\nSIP_PASS_1=\"later\"\r\n",
            ),
        ],
        asks: &["KX-HDV230.cfg", "Config0080F0C8C381.cfg"],
        without: (
            "Config0080F0C8C381.cfg",
            "# Panasonic SIP Phone Standard Format File #\r\nNTP_ADDR=\"192.0.2.1\"\r\n",
        ),
        keeps: true,
        pins: (
            "Config0080F0C8C381.cfg",
            "# Panasonic SIP Phone Standard Format File #\r\nOPTION66_ENABLE=\"N\"\r\n\
             OPTION159_PROV_ENABLE=\"N\"\r\nOPTION160_PROV_ENABLE=\"N\"\r\nSIPPNP_PROV_ENABLE=\"N\"\r\n\
             CFG_STANDARD_FILE_PATH=\"BASEu/T/Config{MAC}.cfg\"\r\n",
        ),
    },
];

fn filled(text: &str, server: &Server) -> String {
    let host = server.base.strip_prefix("http://").unwrap();
    let (name, port) = host.trim_end_matches('/').split_once(':').unwrap();
    text.replace("BASE", &server.base)
        .replace("HOST", host)
        .replace("@NAME", name)
        .replace("@PORT", port)
}

fn served(case: &Case) -> (Server, Unit) {
    let server = Server::plain();
    for (name, text) in case.files {
        server.put(name, &filled(text, &server));
    }
    let unit = unit(case.family, surroundings(&server.base));
    (server, unit)
}

fn has_account(unit: &Unit) -> bool {
    unit.account()
        .is_some_and(|account| account.user == "214" && account.password.expose() == "s3&cret")
}

#[tokio::test]
async fn each_family_asks_its_names_and_reads_its_account() {
    for case in &CASES {
        let (server, mut unit) = served(case);
        let story = unit.boot().await;
        assert_eq!(asked(&story, &server.base), case.asks, "{}", case.family);
        assert!(has_account(&unit), "{}: {story:#?}", case.family);
        assert_eq!(story.registered, Some(true), "{}", case.family);
    }
}

#[tokio::test]
async fn a_file_that_names_less_takes_the_account_only_where_the_family_resets() {
    for case in &CASES {
        let (server, mut unit) = served(case);
        unit.boot().await;
        let (name, text) = case.without;
        server.put(name, &filled(text, &server));
        unit.boot().await;
        assert_eq!(has_account(&unit), case.keeps, "{}", case.family);
    }
}

#[tokio::test]
async fn with_every_file_missing_it_keeps_what_it_has() {
    for case in &CASES {
        let (server, mut unit) = served(case);
        unit.boot().await;
        for (name, _) in case.files {
            server.take_away(name);
        }
        unit.boot().await;
        assert!(has_account(&unit), "{}", case.family);
    }
}

#[tokio::test]
async fn a_pinned_unit_asks_nobody_else() {
    for case in CASES.iter().filter(|case| !case.pins.0.is_empty()) {
        let (server, mut unit) = served(case);
        unit.boot().await;
        let (name, text) = case.pins;
        server.put(name, &filled(text, &server));
        unit.boot_until_quiet(3).await;
        let story = unit.boot().await;
        let urls = story.urls();
        let pinned = format!("{}u/T/", server.base);
        assert!(
            !urls.is_empty() && urls.iter().all(|url| url.starts_with(&pinned)),
            "{}: {urls:#?}",
            case.family
        );
        assert!(has_account(&unit), "{}", case.family);
        unit.factory_reset();
        let story = unit.boot().await;
        assert!(!story.urls()[0].starts_with(&pinned), "{}", case.family);
    }
}

#[tokio::test]
async fn a_file_of_another_unit_and_one_of_the_same_version_are_not_taken() {
    let (server, mut phone) = served(&CASES[1]);
    let other = CASES[1].files[0].1.replace("c074ad0b63ee", "c074ad0b63ef");
    server.put("cfgc074ad0b63ee.xml", &other);
    phone.boot().await;
    assert_eq!(phone.account(), None);

    let (server, mut phone) = served(&CASES[2]);
    phone.boot().await;
    let same = CASES[2].files[0].1.replace("s3&amp;cret", "other");
    server.put("0c383e07e16c.cfg", &same);
    phone.boot().await;
    assert!(has_account(&phone), "the version is not higher");
}
