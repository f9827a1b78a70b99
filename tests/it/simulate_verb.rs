//! `dialtone simulate` against Python's file server.

use std::process::Output;

use serde_json::Value;

use crate::device_plane::foreign;
use crate::simulate_bench::Server;

const PHONE: &str = "#!version:1.0.0.1\naccount.1.enable = 1\naccount.1.user_name = 214\n\
                     account.1.password = s3cret\n";

async fn simulate(words: &[&str]) -> Output {
    let mut all = vec!["simulate"];
    all.extend(words);
    foreign(env!("CARGO_BIN_EXE_dialtone"), &all).await
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn many_phones_boot_beside_each_other() {
    let server = Server::plain();
    for last in 0x72..0x76 {
        server.put(&format!("805ec0d57d{last:x}.cfg"), PHONE);
    }
    let family = "yealink/sip-t4-t5";
    let words = |count: &'static str| {
        let base = server.base.clone();
        async move {
            simulate(&[
                "--json",
                "--server",
                &base,
                "--family",
                family,
                "--count",
                count,
                "--source-from",
                "127.0.3.1",
                "--parallel",
                "3",
                "--patience",
                "0",
            ])
            .await
        }
    };
    let output = words("4").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = document(&output);
    assert_eq!(
        (told["up"].as_u64(), told["count"].as_u64()),
        (Some(4), Some(4))
    );
    assert_eq!(told["units"][3]["mac"], "80:5e:c0:d5:7d:75");
    assert_eq!(told["units"][3]["account"], "214");
    assert!(told["latency_ms"]["p99"].as_f64() >= told["latency_ms"]["p50"].as_f64());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains("s3cret"), "passwords are not printed");
    let log = server.log();
    for place in 1..=4 {
        let address = format!("127.0.3.{place} ");
        assert!(
            log.iter().any(|line| line.starts_with(&address)),
            "{address}"
        );
    }

    let output = words("5").await;
    assert_eq!(output.status.code(), Some(1));
    let told = document(&output);
    assert_eq!(told["units"][4]["up"], false);
    assert_eq!(told["units"][4]["why"], "not given");
}

#[tokio::test]
async fn a_single_one_tells_its_steps() {
    let server = Server::plain();
    server.put("u/CAPABILITY/805ec0d57d72.cfg", PHONE);
    let base = format!("{}u/CAPABILITY/", server.base);
    let family = "yealink/sip-t4-t5";
    let output = simulate(&["--server", &base, "--family", family, "--patience", "0"]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text.contains("/u/~/805ec0d57d72.cfg 200"), "{text}");
    assert!(text.contains("1 of 1 units came up"), "{text}");
    assert!(!text.contains("CAPABILITY"), "{text}");
}

#[tokio::test]
async fn a_switch_is_pointed_at_the_whole_name() {
    let server = Server::plain();
    let script =
        "#!/bin/bash\necho 'username a privilege 15 secret b' > /mnt/flash/startup-config\n";
    server.put("mine/start", script);
    let pointer = format!("{}mine/start", server.base);
    let output = simulate(&["--server", &pointer, "--family", "arista/eos", "--json"]).await;
    assert_eq!(document(&output)["units"][0]["account"], "a", "{output:?}");

    // A folder: the name comes from the manifest.
    server.put("ztp/bootstrap", script);
    let output = simulate(&["--server", &server.base, "--family", "arista/eos", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[tokio::test]
async fn a_family_without_a_conduct_is_self_consistent_only() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = folder.path().join("profiles/example");
    std::fs::create_dir_all(vendor.join("box")).unwrap();
    std::fs::write(
        vendor.join("vendor.toml"),
        "vendor = \"example\"\nnames = [\"Example\"]\noui = [\"00aabb\"]\n[[recognise]]\n\
         channel = \"http\"\nagent = \"Example {model} {firmware} {mac:colon}\"\n",
    )
    .unwrap();
    let family = "family = \"box\"\nlabel = \"Box\"\nreach = \"full\"\nmodels = [\"B1\"]\n\
                  asks = \"every boot\"\n[transport]\nfirst = [\"http\"]\n\
                  trusts = \"own\"\nafter = \"same\"\ntls = \"1.2\"\n[sources]\norder = [\"dhcp\"]\n\
                  pin = false\nceiling = \"L1\"\n[absent]\nmeans = \"reset\"\n\
                  [refusal]\nhttp = 503\n[[artefact]]\nid = \"own\"\nkind = \"device-config\"\n\
                  paths = [\"box-{mac:upper}.json\"]\nscope = \"unit\"\norder = 1\nformat = \"json\"\n";
    std::fs::write(vendor.join("box/family.toml"), family).unwrap();
    let schema = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/schema.toml");
    std::fs::copy(schema, folder.path().join("profiles/schema.toml")).unwrap();
    let config = folder.path().join("dialtone.toml");
    let text = format!("profiles = [{:?}]\n", folder.path().join("profiles"));
    std::fs::write(&config, text).unwrap();

    let server = Server::plain();
    server.put("box-00AABB000001.json", "{}");
    let config = config.to_str().unwrap();
    let words = [
        "--config",
        config,
        "--server",
        &server.base,
        "--family",
        "example/box",
    ];
    let output = simulate(&words).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("self-consistent only"), "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let last = server.log().pop().unwrap();
    assert!(
        last.ends_with("200 Example B1 1.0 00:aa:bb:00:00:01"),
        "{last}"
    );
    server.take_away("box-00AABB000001.json");
    assert_eq!(simulate(&words).await.status.code(), Some(1));
}

#[tokio::test]
async fn wrong_words_are_told() {
    for (words, code) in [
        (
            &["--server", "unix:/x"][..],
            "none of http://, https:// and tftp://",
        ),
        (&["--family", "no/such"], "there is no family"),
        (&["--count", "0"], "--count"),
        (&["--boot", "/nowhere"], "cannot be read"),
        (&["--mac-from", "x", "--family", "cisco/spa"], "hexadecimal"),
    ] {
        let output = simulate(words).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(code), "{words:?}: {said}");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}
