//! The file as it was written: every key of contract section 2, none resolved.

use super::reader::{At, Reader};

type Text = Option<At<String>>;
type Bool = Option<At<bool>>;
type Number = Option<At<u32>>;
type Texts = Option<At<Vec<At<String>>>>;

/// Keys as people wrote them. `None` is "not said".
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub(super) data: Text,
    pub(super) profiles: Texts,
    pub(super) firmware_policies: Texts,
    pub(super) certs: Text,
    pub(super) public_url: Text,
    pub(super) public_http_url: Text,
    pub(super) public_tftp: Text,
    pub(super) public_aliases: Texts,
    pub(super) auto_publish: Bool,
    pub(super) user: Text,
    pub(super) store_url: Text,
    pub(super) listen: RawListen,
    pub(super) tls: Vec<RawCertificate>,
    pub(super) sites: Vec<RawSite>,
    pub(super) waivers: Vec<RawWaiver>,
    pub(super) pbxs: Vec<RawPbx>,
    pub(super) dhcp: RawDhcp,
    pub(super) max_blksize: Number,
    pub(super) rotate_on_swap: Bool,
    pub(super) crl: Text,
    pub(super) backup: RawBackup,
}

#[derive(Debug, Default)]
pub(super) struct RawListen {
    pub(super) https: Texts,
    pub(super) http: Texts,
    pub(super) tftp: Texts,
    pub(super) sip_pnp: Texts,
    pub(super) admin: Texts,
    pub(super) field: Texts,
    pub(super) trusted_proxies: Texts,
}

#[derive(Debug)]
pub(super) struct RawCertificate {
    pub(super) line: u32,
    pub(super) chain_file: Text,
    pub(super) key_file: Text,
}

#[derive(Debug)]
pub(super) struct RawSite {
    pub(super) line: u32,
    pub(super) name: Text,
    pub(super) prefixes: Texts,
    pub(super) timezone: Text,
    pub(super) nat: Bool,
    pub(super) expect: Number,
    pub(super) corroborate: Text,
    pub(super) keys_at_l2: Bool,
    pub(super) public_url: Text,
    pub(super) public_http_url: Text,
    pub(super) public_tftp: Text,
    pub(super) change_window: Text,
}

#[derive(Debug)]
pub(super) struct RawWaiver {
    pub(super) line: u32,
    pub(super) site: Text,
    pub(super) models: Texts,
    pub(super) allow: Text,
    pub(super) until: Text,
    pub(super) why: Text,
}

#[derive(Debug)]
pub(super) struct RawPbx {
    pub(super) line: u32,
    pub(super) name: Text,
    pub(super) kind: Text,
    pub(super) sip_server: Text,
    pub(super) backup: Text,
    pub(super) outbound_proxy: Text,
    pub(super) transport: Text,
    pub(super) srtp: Bool,
    pub(super) registrar_url: Text,
    pub(super) user: Text,
    pub(super) password_file: Text,
    pub(super) sites: Texts,
}

#[derive(Debug, Default)]
pub(super) struct RawDhcp {
    pub(super) mode: Text,
    pub(super) interface: Texts,
    pub(super) probe: Bool,
    pub(super) client_id: Bool,
    pub(super) serve: Text,
    pub(super) relays: Texts,
    pub(super) allow_other: Texts,
    pub(super) subnets: Vec<RawSubnet>,
}

#[derive(Debug)]
pub(super) struct RawSubnet {
    pub(super) line: u32,
    pub(super) subnet: Text,
    pub(super) pools: Texts,
    pub(super) exclude: Texts,
    pub(super) router: Text,
    pub(super) dns: Texts,
    pub(super) ntp: Texts,
    pub(super) domain: Text,
    pub(super) lease_time: Text,
    pub(super) site: Text,
    pub(super) options: Vec<(String, At<String>)>,
}

#[derive(Debug, Default)]
pub(super) struct RawBackup {
    pub(super) to: Text,
    pub(super) every: Text,
    pub(super) keep: Number,
}

impl RawConfig {
    /// Reads every known key and tells the others.
    pub(super) fn read(top: Reader<'_, '_>) -> Self {
        let store = top.table("store");
        let tls = top.table("tls");
        let tftp = top.table("tftp");
        let policy = top.table("policy");
        let raw = Self {
            data: top.text("data"),
            profiles: top.texts("profiles"),
            firmware_policies: top.texts("firmware_policies"),
            certs: top.text("certs"),
            public_url: top.text("public_url"),
            public_http_url: top.text("public_http_url"),
            public_tftp: top.text("public_tftp"),
            public_aliases: top.texts("public_aliases"),
            auto_publish: top.bool("auto_publish"),
            user: top.text("user"),
            store_url: store.as_ref().and_then(|table| table.text("url")),
            listen: top.table("listen").map(RawListen::read).unwrap_or_default(),
            tls: tls
                .as_ref()
                .map(|table| each(table.tables("certificate"), RawCertificate::read))
                .unwrap_or_default(),
            sites: each(top.tables("site"), RawSite::read),
            waivers: each(top.tables("waiver"), RawWaiver::read),
            pbxs: each(top.tables("pbx"), RawPbx::read),
            dhcp: top.table("dhcp").map(RawDhcp::read).unwrap_or_default(),
            max_blksize: tftp.as_ref().and_then(|table| table.number("max_blksize")),
            rotate_on_swap: policy
                .as_ref()
                .and_then(|table| table.bool("rotate_on_swap")),
            crl: policy.as_ref().and_then(|table| table.text("crl")),
            backup: top.table("backup").map(RawBackup::read).unwrap_or_default(),
        };
        for table in [store, tls, tftp, policy].into_iter().flatten() {
            table.finish();
        }
        top.finish();
        raw
    }
}

fn each<'s, 't, T>(tables: Vec<Reader<'s, 't>>, read: impl Fn(Reader<'s, 't>) -> T) -> Vec<T> {
    tables.into_iter().map(read).collect()
}

impl RawListen {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            https: table.texts("https"),
            http: table.texts("http"),
            tftp: table.texts("tftp"),
            sip_pnp: table.texts("sip_pnp"),
            admin: table.texts("admin"),
            field: table.texts("field"),
            trusted_proxies: table.texts("trusted_proxies"),
        };
        table.finish();
        raw
    }
}

impl RawCertificate {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            line: table.line(),
            chain_file: table.text("chain_file"),
            key_file: table.text("key_file"),
        };
        table.finish();
        raw
    }
}

impl RawSite {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            line: table.line(),
            name: table.text("name"),
            prefixes: table.texts("prefixes"),
            timezone: table.text("timezone"),
            nat: table.bool("nat"),
            expect: table.number("expect"),
            corroborate: table.text("corroborate"),
            keys_at_l2: table.bool("keys_at_l2"),
            public_url: table.text("public_url"),
            public_http_url: table.text("public_http_url"),
            public_tftp: table.text("public_tftp"),
            change_window: table.text("change_window"),
        };
        table.finish();
        raw
    }
}

impl RawWaiver {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            line: table.line(),
            site: table.text("site"),
            models: table.texts("models"),
            allow: table.text("allow"),
            until: table.text("until"),
            why: table.text("why"),
        };
        table.finish();
        raw
    }
}

impl RawPbx {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            line: table.line(),
            name: table.text("name"),
            kind: table.text("kind"),
            sip_server: table.text("sip_server"),
            backup: table.text("backup"),
            outbound_proxy: table.text("outbound_proxy"),
            transport: table.text("transport"),
            srtp: table.bool("srtp"),
            registrar_url: table.text("registrar_url"),
            user: table.text("user"),
            password_file: table.text("password_file"),
            sites: table.texts("sites"),
        };
        table.finish();
        raw
    }
}

impl RawDhcp {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            mode: table.text("mode"),
            interface: table.texts("interface"),
            probe: table.bool("probe"),
            client_id: table.bool("client_id"),
            serve: table.text("serve"),
            relays: table.texts("relays"),
            allow_other: table.texts("allow_other"),
            subnets: each(table.tables("subnet"), RawSubnet::read),
        };
        table.finish();
        raw
    }
}

impl RawSubnet {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            line: table.line(),
            subnet: table.text("subnet"),
            pools: table.texts("pools"),
            exclude: table.texts("exclude"),
            router: table.text("router"),
            dns: table.texts("dns"),
            ntp: table.texts("ntp"),
            domain: table.text("domain"),
            lease_time: table.text("lease_time"),
            site: table.text("site"),
            options: table.table("options").map(Reader::free).unwrap_or_default(),
        };
        table.finish();
        raw
    }
}

impl RawBackup {
    fn read(table: Reader<'_, '_>) -> Self {
        let raw = Self {
            to: table.text("to"),
            every: table.text("every"),
            keep: table.number("keep"),
        };
        table.finish();
        raw
    }
}
