//! Reads a SUBSCRIBE for `ua-profile`, as units really send it (RFC 6080; the parsing table of the
//! phones sheet): `vendor` is also spelt `vender`, parameters are quoted or not, header names may be
//! short, and the MAC stands in the Request-URI, else in To, From or User-Agent.

use super::message::{Malformed, Message};
use crate::engine::facts::PnpFacts;
use crate::model::identity::Mac;
use crate::model::secret::Foreign;

/// What a datagram says of the unit that sent it.
pub fn parse(datagram: &[u8]) -> Result<PnpFacts, Malformed> {
    facts(&Message::read(datagram)?)
}

/// What a SUBSCRIBE says of the unit that sent it. One without an Event header says what its URI
/// says; whoever answers looks at [`is_answerable`] too.
pub fn facts(message: &Message) -> Result<PnpFacts, Malformed> {
    let Some(("SUBSCRIBE", uri)) = message.request() else {
        return Err(Malformed::NotSubscribe);
    };
    let agent = message.header("user-agent");
    let mut facts = PnpFacts {
        call_id: message.header("call-id").unwrap_or_default().to_owned(),
        agent: agent.map(|agent| Foreign::new(agent.as_bytes())),
        ..PnpFacts::default()
    };
    let mut parts = message.header("event").unwrap_or(UA_PROFILE).split(';');
    let package = parts.next().unwrap_or_default().trim();
    if !package.eq_ignore_ascii_case(UA_PROFILE) {
        return Err(Malformed::NotUaProfile);
    }
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"').to_owned();
        match key.trim().to_ascii_lowercase().as_str() {
            "vendor" | "vender" => facts.vendor = Some(value),
            "model" => facts.model = Some(value),
            "version" => facts.version = Some(value),
            _ => {}
        }
    }
    let places = [
        Some(uri),
        message.header("to"),
        message.header("from"),
        agent,
    ];
    facts.mac = places.into_iter().flatten().find_map(mac_in);
    Ok(facts)
}

/// Whether a SUBSCRIBE can be answered: it asks for `ua-profile` and takes a URL, its length is
/// right, and every header that an answer needs is there (RFC 3261 section 8.1.1).
pub fn is_answerable(message: &Message) -> Result<(), Malformed> {
    if message.header("event").is_none() {
        return Err(Malformed::NotUaProfile);
    }
    if !message.is_whole() {
        return Err(Malformed::Length);
    }
    let accepts = |value: &str| {
        let mut types = value
            .split(',')
            .map(|one| one.split(';').next().unwrap_or_default());
        types.any(|one| matches!(one.trim(), "application/url" | "application/*" | "*/*"))
    };
    let mut accept = message.all("accept").peekable();
    if accept.peek().is_some() && !accept.any(accepts) {
        return Err(Malformed::NotAccepted);
    }
    let needed = ["via", "from", "to", "call-id", "cseq"];
    let there = |name: &&'static str| message.header(name).is_some_and(|value| !value.is_empty());
    if needed.iter().all(there) {
        Ok(())
    } else {
        Err(Malformed::Incomplete)
    }
}

/// The event package of RFC 6080.
const UA_PROFILE: &str = "ua-profile";

/// `MAC`, then `%3a`, `:`, `=` or nothing, then twelve hex digits.
fn mac_in(text: &str) -> Option<Mac> {
    text.match_indices("MAC").find_map(|(at, mark)| {
        let rest = text.get(at + mark.len()..)?;
        let marks = ["%3a", "%3A", ":", "="];
        let digits = marks
            .iter()
            .find_map(|mark| rest.strip_prefix(mark))
            .unwrap_or(rest);
        let longer = digits.as_bytes().get(12).is_some_and(u8::is_ascii_hexdigit);
        if longer {
            None
        } else {
            Mac::parse(digits.get(..12)?).ok()
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mac_is_found_in_each_form() {
        for (uri, expect) in [
            (
                "sip:MAC%3a805e0c4d796d@224.0.1.75",
                Some("80:5e:0c:4d:79:6d"),
            ),
            (
                "sip:MAC%3AC074AD112233@224.0.1.75",
                Some("c0:74:ad:11:22:33"),
            ),
            ("sip:MAC=00304fa99948@224.0.1.75", Some("00:30:4f:a9:99:48")),
            ("sip:MAC00304fa99948@x", Some("00:30:4f:a9:99:48")),
            ("sip:MAC00304fa999480@x", None),
            ("sip:224.0.1.75:5060", None),
        ] {
            let message =
                format!("SUBSCRIBE {uri} SIP/2.0\r\no: ua-profile;vender=\"A\";model=B\r\n\r\n");
            let facts = parse(message.as_bytes()).unwrap();
            assert_eq!(
                facts.mac.map(|mac| mac.to_string()).as_deref(),
                expect,
                "{uri}"
            );
            assert_eq!(
                (facts.vendor.as_deref(), facts.model.as_deref()),
                (Some("A"), Some("B"))
            );
        }
    }

    proptest! {
        #[test]
        fn no_datagram_makes_a_panic(datagram in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _facts = parse(&datagram);
        }
    }
}
