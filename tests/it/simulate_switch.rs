//! A simulated switch against Python's file server and scripts written by hand: it plays what it
//! gets, and every trap of the vendor's sheet is there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dialtone::simulate::{Again, Clock, Surroundings};
use jiff::{SignedDuration, Timestamp};

use crate::simulate_bench::{Ca, Server, surroundings, unit};

const SWITCH: &str = "arista/eos";

/// A first script as the sheet describes it: CA, the unit's serial, a loop on HTTPS.
fn first(ca: &str, base: &str) -> String {
    format!(
        r#"#!/bin/bash
set -u
work=/tmp/x; ca=$work/ca.pem
up() {{ local seconds rest; read -r seconds rest < /proc/uptime; echo "${{seconds%%.*}}"; }}
show() {{ FastCli -p 15 -c "show version | json" | sed -n "s/.*\"$1\": *\"\([A-Za-z0-9._:-]*\)\".*/\1/p"; }}
mkdir -p "$work" || exit 1
cat > "$ca" <<'END' || exit 1
{ca}END
born=$(date -d "$(openssl x509 -in "$ca" -noout -startdate 2>/dev/null | cut -d= -f2)" +%s)
if [ "$(date +%s)" -lt "$born" ]; then
  told=$(curl -sI {base}ztp/one | tr -d '\r' | sed -n 's/^[Dd]ate: //p')
  [ -n "$told" ] && date -s "$told" > /dev/null
fi
end=$(( $(up) + 900 ))
while [ "$(up)" -lt "$end" ]; do
  if curl -fsS --cacert "$ca" -H "X-Mac: $(show systemMacAddress)" -o "$work/next" "{base}ztp/$(show serialNumber)"; then
    exec /bin/bash "$work/next"
  fi
  echo "waiting" >&2
  sleep 30
done
exit 1
"#
    )
}

/// A second script: it puts the configuration in place in its last line.
fn second(base: &str) -> String {
    format!(
        r#"#!/bin/bash
set -eu
trap 'code=$?; if [ $code -ne 0 ]; then rm -f /mnt/flash/new; fi' EXIT
cp /tmp/x/ca.pem /mnt/flash/ca.pem
curl -fsS --cacert /mnt/flash/ca.pem --retry 3 -o /mnt/flash/new {base}u/TOKEN/config
[ "$(tail -n 1 /mnt/flash/new)" = end ]
mv /mnt/flash/new /mnt/flash/startup-config
"#
    )
}

fn configuration(base: &str) -> String {
    format!(
        "hostname s1\nusername admin privilege 15 role network-admin secret sha512 $6$x\n\
         snmp-server user u g v3 auth sha a priv aes b\nevent-handler up\n   trigger on-boot\n   \
         action bash curl -fsS --cacert /mnt/flash/ca.pem --retry 2 -o /dev/null {base}r/S/ok\n   \
         delay 60\n!\nend\n"
    )
}

/// A TLS server with all three files.
fn served(ca: &Ca) -> Server {
    let server = Server::tls(ca);
    server.put("ztp/WTW23490441", &second(&server.base));
    server.put("u/TOKEN/config", &configuration(&server.base));
    server.put("r/S/ok", "");
    server
}

#[tokio::test]
async fn it_plays_both_scripts_reloads_and_reports() {
    let ca = Ca::new("a private CA");
    let secure = served(&ca);
    let plain = Server::plain();
    plain.put("boot", &first(&ca.pem, &secure.base));
    let mut switch = unit(SWITCH, surroundings(&format!("{}boot", plain.base)));
    let stories = switch.boot_until_quiet(5).await;
    assert_eq!(stories.len(), 2, "{stories:#?}");
    let notes: Vec<&String> = stories.iter().flat_map(|story| &story.notes).collect();
    assert!(notes.is_empty(), "{notes:?}");
    assert!(stories[1].reported);
    let account = switch.account().unwrap();
    assert_eq!(
        (account.user.as_str(), account.password.expose()),
        ("admin", "$6$x")
    );
    assert!(
        switch
            .settings()
            .keys()
            .any(|line| line.starts_with("snmp-server user u"))
    );

    // The headers of ZTP go to the first fetch only; the script sends its own.
    assert!(plain.log()[0].contains("/boot 200"));
    let asked = secure.log();
    assert!(
        asked.iter().all(|line| line.ends_with("curl/7.61.1")),
        "{asked:?}"
    );
    assert!(asked.last().unwrap().contains("/r/S/ok 200"));

    // It asks once and never again.
    let before = plain.log().len();
    let again = switch.boot().await;
    assert_eq!((plain.log().len(), again.reported), (before, true));
    assert_eq!(switch.wants_again(), None);
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused_and_the_loop_ends_after_its_time() {
    let ca = Ca::new("a private CA");
    let secure = served(&Ca::new("another CA"));
    let plain = Server::plain();
    plain.put("boot", &first(&ca.pem, &secure.base));
    let mut switch = unit(SWITCH, surroundings(&format!("{}boot", plain.base)));
    let story = switch.boot().await;
    assert!(story.tls_failure().is_some());
    assert_eq!(story.steps.len(), 1 + 30);
    assert_eq!(story.again, Some(Again::After(Duration::from_secs(30))));
    assert!(
        story
            .notes
            .iter()
            .any(|note| note == "the script ended with 1")
    );
    assert!(switch.account().is_none());
}

/// A clock whose passing is heard.
struct Heard {
    now: Mutex<Timestamp>,
    heard: Box<dyn Fn(SignedDuration) + Send + Sync>,
    begun: Timestamp,
}

impl Clock for Heard {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn pass(&self, time: Duration) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        let mut now = self.now.lock().unwrap();
        *now += SignedDuration::try_from(time).unwrap();
        (self.heard)(now.duration_since(self.begun));
        Box::pin(std::future::ready(true))
    }
}

#[tokio::test]
async fn what_comes_while_it_waits_is_taken_at_once() {
    let ca = Ca::new("a private CA");
    let secure = Arc::new(Server::tls(&ca));
    let plain = Server::plain();
    plain.put("boot", &first(&ca.pem, &secure.base));
    let begun: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let later = Arc::clone(&secure);
    let clock = Arc::new(Heard {
        now: Mutex::new(begun),
        begun,
        heard: Box::new(move |passed| {
            if passed == SignedDuration::from_secs(300) {
                later.put("ztp/WTW23490441", &second(&later.base));
                later.put("u/TOKEN/config", &configuration(&later.base));
                later.put("r/S/ok", "");
            }
        }),
    });
    let around = Surroundings {
        clock,
        ..surroundings(&format!("{}boot", plain.base))
    };
    let mut switch = unit(SWITCH, around);
    let stories = switch.boot_until_quiet(3).await;
    assert_eq!(
        stories[0].notes,
        ["waiting", "curl: (22) the server answered 404"]
            .map(String::from)
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
    assert!(stories[1].reported, "{stories:#?}");
}

#[tokio::test]
async fn a_clock_before_the_ca_is_set_from_the_plain_answer() {
    let ca = Ca::new("a private CA");
    let secure = served(&ca);
    let plain = Server::plain();
    let script = first(&ca.pem, &secure.base).replace(
        &format!("curl -sI {}", secure.base),
        &format!("curl -sI {}", plain.base),
    );
    plain.put("boot", &script);
    let mut switch = unit(SWITCH, surroundings(&format!("{}boot", plain.base)));
    switch.set_clock("1970-01-01T00:10:00Z".parse().unwrap());
    let stories = switch.boot_until_quiet(3).await;
    assert!(switch.account().is_some(), "{stories:#?}");
}

#[tokio::test]
async fn the_traps_of_the_sheet_are_there() {
    let plain = Server::plain();
    let pointer = format!("{}boot", plain.base);
    let expect_again = Some(Again::After(Duration::from_secs(30)));

    // Not given: it stays in ZTP.
    let mut switch = unit(SWITCH, surroundings(&pointer));
    assert_eq!(switch.boot().await.again, expect_again);
    // Carriage returns: it cannot be run.
    plain.put(
        "boot",
        "#!/bin/bash\r\necho x > /mnt/flash/startup-config\r\n",
    );
    assert_eq!(switch.boot().await.again, expect_again);
    assert_eq!(switch.file("/mnt/flash/startup-config"), None);
    // A script that ends well without a configuration begins again.
    plain.put("boot", "#!/bin/bash\necho x > /tmp/startup-config\n");
    let stories = switch.boot_until_quiet(3).await;
    assert_eq!(stories.len(), 3);
    // A command of the CLI that reloads at once.
    plain.put(
        "boot",
        "#!/bin/bash\nFastCli -p 15 -c 'zerotouch cancel'\necho x > /mnt/flash/never\n",
    );
    let story = switch.boot().await;
    assert!(matches!(story.again, Some(Again::Now(_))));
    assert_eq!(switch.file("/mnt/flash/never"), None);
    // A configuration that a failed script left behind ends ZTP all the same.
    plain.put(
        "boot",
        "#!/bin/bash\necho hostname x > /mnt/flash/startup-config\nexit 1\n",
    );
    switch.boot().await;
    let story = switch.boot().await;
    assert!(story.steps.is_empty());
    assert_eq!(story.changed, ["hostname"]);
    // An unknown program fails as such.
    switch.factory_reset();
    plain.put("boot", "#!/bin/bash\nset -e\nfrobnicate\n");
    let story = switch.boot().await;
    assert_eq!(
        story.notes,
        ["frobnicate: command not found", "the script ended with 127"]
    );
    // A configuration in place of a script is kept as it is, without a question.
    plain.put("boot", "hostname y\n");
    let stories = switch.boot_until_quiet(3).await;
    assert_eq!(
        (stories.len(), stories[1].changed.as_slice()),
        (2, &["hostname".to_owned()][..])
    );
}

#[tokio::test]
async fn a_power_cut_leaves_what_outlives_the_power() {
    let ca = Ca::new("a private CA");
    let secure = served(&ca);
    let plain = Server::plain();
    plain.put("boot", &first(&ca.pem, &secure.base));
    for requests in 0..3 {
        let mut switch = unit(SWITCH, surroundings(&format!("{}boot", plain.base)));
        switch.power_cut_after(requests);
        assert!(switch.boot().await.cut);
        assert_eq!(switch.file("/mnt/flash/startup-config"), None);
        switch.boot_until_quiet(3).await;
        assert!(switch.account().is_some(), "{requests}");
    }
}
