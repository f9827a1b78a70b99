//! Reads a SUBSCRIBE for `ua-profile`, as units really send it (RFC 6080; the parsing table of the
//! phones sheet): `vendor` is also spelt `vender`, parameters are quoted or not, header names may be
//! short, and the MAC stands in the Request-URI, else in To, From or User-Agent.

use crate::engine::facts::PnpFacts;
use crate::model::identity::Mac;
use crate::model::secret::Foreign;

/// The largest message that is read, in octets: one datagram.
pub const MOST: usize = 4096;

/// Why a datagram is no SUBSCRIBE for us. It gets silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("no SIP SUBSCRIBE request")]
    NotSubscribe,
    #[error("no Event header for ua-profile")]
    NotUaProfile,
    #[error("longer than {MOST} octets")]
    TooLong,
}

/// Decodes one datagram.
pub fn parse(datagram: &[u8]) -> Result<PnpFacts, Malformed> {
    if datagram.len() > MOST {
        return Err(Malformed::TooLong);
    }
    let text = Foreign::latin1(datagram);
    let mut lines = text.split("\r\n").flat_map(|line| line.split('\n'));
    let request = lines
        .next()
        .and_then(|line| line.strip_prefix("SUBSCRIBE "));
    let Some((uri, "SIP/2.0")) = request.and_then(|line| line.rsplit_once(' ')) else {
        return Err(Malformed::NotSubscribe);
    };
    let headers: Vec<(String, &str)> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let header = |long: &str, short: &str| {
        headers
            .iter()
            .find(|(name, _)| name == long || name == short)
            .map(|(_, value)| *value)
    };
    let event = header("event", "o").ok_or(Malformed::NotUaProfile)?;
    let mut parts = event.split(';').map(str::trim);
    if !parts
        .next()
        .is_some_and(|package| package.eq_ignore_ascii_case("ua-profile"))
    {
        return Err(Malformed::NotUaProfile);
    }
    let mut facts = PnpFacts {
        call_id: header("call-id", "i").unwrap_or_default().to_owned(),
        agent: header("user-agent", "user-agent").map(|agent| Foreign::new(agent.as_bytes())),
        ..PnpFacts::default()
    };
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
        header("to", "t"),
        header("from", "f"),
        header("user-agent", "user-agent"),
    ];
    facts.mac = places.into_iter().flatten().find_map(mac_in);
    Ok(facts)
}

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
