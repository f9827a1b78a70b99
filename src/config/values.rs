//! The small languages inside configuration texts: URLs, addresses, times. Pure; each error is a
//! sentence for the person who wrote the text.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, time};
use jiff::tz::TimeZone;

/// A base URL of that scheme, ended by `/`. No query, no fragment, no user.
pub fn base_url(text: &str, scheme: &str) -> Result<String, String> {
    let uri: http::Uri = text
        .parse()
        .map_err(|_| format!("{text:?} is not a URL such as {scheme}://prov.example.net"))?;
    if uri.scheme_str() != Some(scheme) {
        return Err(format!("{text:?} does not begin with {scheme}://"));
    }
    let Some(authority) = uri.authority() else {
        return Err(format!("{text:?} names no host"));
    };
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(format!("{text:?} is not just a host, a port and a path"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(format!("{text:?} has a query or a fragment"));
    }
    let path = uri.path().trim_end_matches('/');
    Ok(format!("{scheme}://{authority}{path}/"))
}

/// A host name or an address, without scheme and port.
pub fn host(text: &str) -> Result<String, String> {
    let address = text.parse::<std::net::IpAddr>().is_ok();
    let name = !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
    if address || name {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is not a host name or an address"))
    }
}

/// An address to listen on, such as `127.0.0.1:8443` or `[::]:0`.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not ADDRESS:PORT, such as 0.0.0.0:443 or [::]:443"))
}

/// `90s`, `15m`, `72h`, `60d`, `8w`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 90s, 15m, 72h, 60d or 8w");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let count: u32 = text
        .get(..text.len() - 1)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(wrong)?;
    Ok(Duration::from_secs(
        u64::from(count).saturating_mul(seconds),
    ))
}

/// A moment, or a date: then the end of that day in UTC.
pub fn until(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || format!("{text:?} is not a date such as 2027-03-31 or a time with its zone");
    let date: Date = text.parse().map_err(|_| wrong())?;
    date.to_datetime(time(23, 59, 59, 0))
        .to_zoned(TimeZone::UTC)
        .map(|zoned| zoned.timestamp())
        .map_err(|_| wrong())
}

/// An IANA zone name.
pub fn timezone(text: &str) -> Result<String, String> {
    TimeZone::get(text)
        .map(|_| text.to_owned())
        .map_err(|_| format!("{text:?} is not a time zone such as Europe/Berlin"))
}

/// A name of a site, a call server or a profile: it becomes part of URLs and of keys.
pub fn name(text: &str) -> Result<String, String> {
    let good = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !text.starts_with(['.', '-', '_']);
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a name of 1 to 64 letters, digits and - _ ., begun by a letter or digit"
        ))
    }
}

/// `Mon-Thu 20:00-05:00`, days also as `Mon,Wed`; empty is none.
pub fn change_window(text: &str) -> Result<String, String> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    if text.is_empty() {
        return Ok(String::new());
    }
    let days_good = |days: &str| {
        days.split(',')
            .all(|part| part.split('-').count() <= 2 && part.split('-').all(|d| DAYS.contains(&d)))
    };
    let clock_good = |clock: &str| {
        clock.split_once(':').is_some_and(|(hour, minute)| {
            let two = hour.len() == 2 && minute.len() == 2;
            let hour: Option<u8> = hour.parse().ok();
            let minute: Option<u8> = minute.parse().ok();
            two && hour.is_some_and(|h| h < 24) && minute.is_some_and(|m| m < 60)
        })
    };
    let good = text.split_once(' ').is_some_and(|(days, hours)| {
        days_good(days)
            && hours
                .split_once('-')
                .is_some_and(|(from, to)| clock_good(from) && clock_good(to))
    });
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is not a window such as \"Mon-Thu 20:00-05:00\""
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: ToString>(got: Result<T, String>, expect: Option<&str>) {
        assert_eq!(
            got.as_ref().ok().map(ToString::to_string).as_deref(),
            expect,
            "{:?}",
            got.err()
        );
    }

    #[test]
    fn a_base_url_ends_in_a_slash_and_holds_no_more() {
        for (text, expect) in [
            ("https://a.example", Some("https://a.example/")),
            ("https://a.example/", Some("https://a.example/")),
            (
                "https://a.example:8443/prov",
                Some("https://a.example:8443/prov/"),
            ),
            ("https://[::1]:1/", Some("https://[::1]:1/")),
            ("http://a.example", None),
            ("https://u:p@a.example", None),
            ("https://a.example/?x", None),
            ("https://a.example/#x", None),
            ("a.example", None),
            ("", None),
            ("https://", None),
        ] {
            check(base_url(text, "https"), expect);
        }
    }

    #[test]
    fn durations_and_ends_are_read() {
        assert_eq!(duration("72h"), Ok(Duration::from_secs(259_200)));
        for bad in ["", "h", "1", "1y", "-1h", "1.5h", "ü"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        check(until("2027-03-31"), Some("2027-03-31T23:59:59Z"));
        check(
            until("2027-03-31T10:00:00+02:00"),
            Some("2027-03-31T08:00:00Z"),
        );
        check(until("soon"), None);
    }

    #[test]
    fn names_and_windows_are_held_to_their_form() {
        check(name("hq-1.b_c"), Some("hq-1.b_c"));
        for bad in ["", ".", "../x", "a/b", "ä", "_x", &"a".repeat(65)] {
            check(name(bad), None);
        }
        check(
            change_window("Mon-Thu 20:00-05:00"),
            Some("Mon-Thu 20:00-05:00"),
        );
        check(
            change_window("Sat,Sun 00:00-23:59"),
            Some("Sat,Sun 00:00-23:59"),
        );
        for bad in ["Mon", "Mon 8-9", "Mo 08:00-09:00", "Mon 24:00-01:00"] {
            check(change_window(bad), None);
        }
    }
}
