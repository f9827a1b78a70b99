//! HTTP for devices: plain exchanges, hostile octets, limits. Names follow hostile-cases B.

use std::time::Duration;

use dialtone::answer::Delivery;
use dialtone::engine::facts::Method;
use dialtone::model::identity::Channel;
use dialtone::net::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::device_plane::{
    ETAG, Server, Setup, foreign, read_response, read_to_end, small, status,
};

pub(crate) fn get(rest: &str) -> String {
    format!("GET /a.cfg HTTP/1.1\r\nHost: prov.test\r\nConnection: close\r\n{rest}\r\n")
}

#[tokio::test]
async fn curl_gets_a_file_and_the_core_hears_of_its_end() {
    let server = Server::plain();
    let url = format!("http://{}/a.cfg?x=1", server.address);
    let output = foreign("curl", &["-sS", "-i", "-A", "Unit/1.0", &url]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("a response");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains(&format!("\r\netag: \"{ETAG}\"")), "{head}");
    assert!(head.contains("\r\ncontent-length: 6144"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: text/plain; charset=utf-8"),
        "{head}"
    );
    assert!(
        head.contains("\r\ndate: ") && !head.contains("server:"),
        "{head}"
    );
    assert_eq!(body.as_bytes(), small());
    let facts = server.asked().await;
    assert_eq!((facts.channel, facts.method), (Channel::Http, Method::Get));
    assert_eq!(
        (facts.target.path.as_str(), facts.target.query.as_str()),
        ("a.cfg", "x=1")
    );
    assert_eq!(facts.header("user-agent").unwrap().bytes(), b"Unit/1.0");
    assert_eq!(facts.source.unwrap().to_string(), "127.0.0.1");
    assert_eq!(facts.host.as_deref(), Some("127.0.0.1"));
    assert_eq!(server.delivered().await, (1, Delivery::Whole, 6144));
}

#[tokio::test]
async fn a_report_may_be_a_post_whose_body_nobody_reads() {
    let server = Server::plain();
    let post = |path: &str, octets: usize| {
        let url = format!("http://{}{path}", server.address);
        let body = "<x/>".repeat(octets / 4);
        async move {
            let words = [
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-d",
                &body,
                &url,
            ];
            String::from_utf8(foreign("curl", &words).await.stdout).unwrap()
        }
    };
    let path = format!("/r/{}/ok", "a".repeat(32));
    assert_eq!(post(&path, 400).await, "200");
    let facts = server.asked().await;
    assert_eq!(facts.method, Method::Get);
    assert!(facts.target.report.is_some());
    // More than a read's worth is thrown away as well.
    assert_eq!(post(&path, 40_000).await, "200");
    assert_eq!(post("/a.cfg", 400).await, "405");
}

#[tokio::test]
async fn python_reuses_a_connection() {
    let server = Server::plain();
    let script = format!(
        "import http.client as h\nc=h.HTTPConnection('127.0.0.1',{})\n\
         for p in ['/a.cfg','/none','/a.cfg']:\n  c.request('GET',p); r=c.getresponse(); print(r.status, len(r.read()), c.sock is not None)",
        server.address.port()
    );
    let output = foreign("python3", &["-c", &script]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "200 6144 True\n404 10 True\n200 6144 True\n");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_reported_one_by_one() {
    let server = Server::plain();
    let one = "GET /a.cfg HTTP/1.1\r\nHost: prov.test\r\n\r\n";
    let last = get("");
    let answer = server.raw(format!("{one}{one}{last}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3);
    let told: Vec<_> = server
        .heard()
        .await
        .iter()
        .map(|told| format!("{told:?}"))
        .collect();
    let kinds: Vec<_> = told
        .iter()
        .map(|told| told.split('(').next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "Asked",
            "Delivered",
            "Asked",
            "Delivered",
            "Asked",
            "Delivered"
        ]
    );
}

#[tokio::test]
async fn http_1_0_is_served_and_kept_only_if_asked() {
    let server = Server::plain();
    let answer = server.raw("GET /a.cfg HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        stream
            .write_all(b"GET /a.cfg HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .await
            .unwrap();
        let (head, body) = read_response(&mut stream).await;
        assert!(
            head.to_lowercase().contains("connection: keep-alive"),
            "{head}"
        );
        assert_eq!(body.len(), 6144);
    }
}

#[tokio::test]
async fn refusals_are_the_same_octets_for_every_name() {
    let server = Server::plain();
    let mut seen = Vec::new();
    for name in [
        "none",
        "001565aabbcc.cfg",
        "..%2f..%2fetc/passwd",
        "%00",
        "%c0%ae",
        "%zz",
    ] {
        let request = format!("GET /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = server.raw(request).await;
        let lines: Vec<_> = answer
            .lines()
            .filter(|line| !line.starts_with("Date: "))
            .collect();
        seen.push(lines.join("\n"));
    }
    assert!(seen[0].starts_with("HTTP/1.1 404"), "{}", seen[0]);
    assert!(seen.iter().all(|answer| *answer == seen[0]), "{seen:#?}");
    let busy = server.raw(get("").replace("/a.cfg", "/busy")).await;
    assert!(
        busy.starts_with("HTTP/1.1 503") && busy.contains("Retry-After: 5\r\n"),
        "{busy}"
    );
    assert_eq!(server.raw(get("").replace("/a.cfg", "/close")).await, "");
    let report = server
        .raw(get("").replace("/a.cfg", "/r/sssssssssss/registered"))
        .await;
    assert!(report.starts_with("HTTP/1.1 200") && report.contains("Content-Length: 0\r\n"));
    let gone = server.raw(get("").replace("/a.cfg", "/gone.bin")).await;
    assert!(gone.starts_with("HTTP/1.1 503"), "{gone}");
    assert_eq!(server.delivered().await.1, Delivery::Broken);
}

#[tokio::test]
async fn b4_a_slow_head_is_cut_off() {
    let limits = Limits {
        head_time: Duration::from_millis(150),
        first_byte: Duration::from_millis(150),
        idle: Duration::from_millis(150),
        ..Limits::default()
    };
    let server = Server::limited(limits);
    assert_eq!(server.raw("").await, "");
    assert_eq!(status(&server.raw("GET /a.cfg HT").await), "408");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /a.cfg HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_response(&mut stream).await.1.len(), 6144);
    assert_eq!(
        read_to_end(&mut stream).await,
        "",
        "an idle connection is closed"
    );
}

#[tokio::test]
async fn b4_a_reader_that_stops_reading_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let big = folder.path().join("big");
    let length = 64 * 1024 * 1024;
    std::fs::File::create(&big)
        .unwrap()
        .set_len(length)
        .unwrap();
    let limits = Limits {
        response_grace: Duration::from_millis(300),
        response_rate: 1 << 40,
        ..Limits::default()
    };
    let setup = Setup {
        limits,
        big: Some((big, length)),
    };
    let server = Server::start(setup, Channel::Http, |_| {});
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /big.bin HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let (ticket, how, bytes) = server.delivered().await;
    assert_eq!((ticket, how), (3, Delivery::Broken));
    assert!(bytes > 0 && bytes < length, "{bytes}");
}

#[tokio::test]
async fn b4_one_address_holds_so_many_connections_and_no_more() {
    let server = Server::limited(Limits {
        per_address: 3,
        ..Limits::default()
    });
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(b"GET /a.cfg HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        read_response(&mut stream).await;
        held.push(stream);
    }
    assert_eq!(server.raw("").await, "", "turned away");
    drop(held);
    // The places come back as soon as the server has seen the ends.
    loop {
        if status(&server.raw(get("")).await) == "200" {
            break;
        }
    }
}

#[tokio::test]
async fn b4_no_place_is_kept_between_requests_when_places_run_short() {
    let limits = Limits {
        connections: 4,
        ..Limits::default()
    };
    let server = Server::limited(limits);
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /a.cfg HTTP/1.1\r\n\r\n";
    first.write_all(request).await.unwrap();
    assert!(!read_response(&mut first).await.0.contains("close"));
    let second = TcpStream::connect(server.address).await.unwrap();
    second.writable().await.unwrap();
    // The second is admitted when the first is asked again, at the latest by then.
    loop {
        first.write_all(request).await.unwrap();
        if read_response(&mut first)
            .await
            .0
            .contains("Connection: close")
        {
            break;
        }
    }
    assert_eq!(read_to_end(&mut first).await, "");
}

#[tokio::test]
async fn b7_ranges() {
    let server = Server::plain();
    let check = async |range: &str, expect: &str, how: (Delivery, u64)| {
        let answer = server.raw(get(&format!("Range: {range}\r\n"))).await;
        assert_eq!(status(&answer), expect, "{range}");
        let (_, got, bytes) = server.delivered().await;
        assert_eq!((got, bytes), how, "{range}");
        answer
    };
    let answer = check("bytes=10-19", "206", (Delivery::Part, 10)).await;
    assert!(
        answer.contains("Content-Range: bytes 10-19/6144\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with(&String::from_utf8_lossy(&small()[10..20]).into_owned()));
    check("bytes=0-", "206", (Delivery::Whole, 6144)).await;
    let many = format!("bytes={}", "0-0,".repeat(2000));
    check(&many, "200", (Delivery::Whole, 6144)).await;
    let answer = check("bytes=-0", "416", (Delivery::Part, 0)).await;
    assert!(
        answer.contains("Content-Range: bytes */6144\r\n"),
        "{answer}"
    );
    check("bytes=9999999999-", "416", (Delivery::Part, 0)).await;
    check(
        "bytes=0-1\r\nIf-Range: \"other\"",
        "200",
        (Delivery::Whole, 6144),
    )
    .await;
    check(
        &format!("bytes=0-1\r\nIf-Range: \"{ETAG}\""),
        "206",
        (Delivery::Part, 2),
    )
    .await;
}

#[tokio::test]
async fn b7_firmware_is_streamed_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let big = folder.path().join("firmware");
    let bytes: Vec<u8> = (0..251).cycle().take(3_000_000).collect();
    std::fs::write(&big, &bytes).unwrap();
    let setup = Setup {
        big: Some((big, 3_000_000)),
        ..Setup::default()
    };
    let server = Server::start(setup, Channel::Http, |_| {});
    let got = folder.path().join("got");
    let url = format!("http://{}/big.bin", server.address);
    let to = got.to_str().unwrap();
    assert!(
        foreign("curl", &["-sS", "-o", to, &url])
            .await
            .status
            .success()
    );
    assert!(std::fs::read(&got).unwrap() == bytes, "the same octets");
    assert_eq!(server.delivered().await, (3, Delivery::Whole, 3_000_000));
    let part = ["-sS", "-r", "2999000-2999999", "-o", to, &url];
    assert!(foreign("curl", &part).await.status.success());
    assert!(
        std::fs::read(&got).unwrap() == bytes[2_999_000..],
        "the same octets"
    );
    assert_eq!(server.delivered().await, (3, Delivery::Part, 1000));
}

#[tokio::test]
async fn b8_encodings_are_ignored() {
    let server = Server::plain();
    let field = format!("Accept-Encoding: {}\r\n", "gzip;q=0,".repeat(1000));
    let answer = server.raw(get(&field)).await;
    assert_eq!(status(&answer), "200");
    assert!(
        !answer.to_lowercase().contains("content-encoding"),
        "{answer}"
    );
}

#[tokio::test]
async fn b14_the_host_is_never_reflected() {
    let server = Server::plain();
    let answer = server
        .raw(get("").replace("prov.test", "evil.example"))
        .await;
    assert_eq!(status(&answer), "200");
    assert!(!answer.contains("evil"), "{answer}");
}

#[tokio::test]
async fn b22_head_and_conditions() {
    let server = Server::plain();
    let head = server.raw(get("").replace("GET", "HEAD")).await;
    assert!(
        head.contains("Content-Length: 6144\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(server.delivered().await, (1, Delivery::Part, 0));
    let same = server
        .raw(get(&format!("If-None-Match: \"x\", W/\"{ETAG}\"\r\n")))
        .await;
    assert!(
        same.starts_with("HTTP/1.1 304") && same.ends_with("\r\n\r\n"),
        "{same}"
    );
    assert_eq!(server.delivered().await, (1, Delivery::Unchanged, 0));
    for other in [
        "If-None-Match: \"other\"",
        "If-None-Match: *",
        "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
    ] {
        assert_eq!(
            status(&server.raw(get(&format!("{other}\r\n"))).await),
            "200",
            "{other}"
        );
        assert_eq!(server.delivered().await, (1, Delivery::Whole, 6144));
    }
    let empty = server.raw(get("").replace("a.cfg", "empty.cfg")).await;
    assert!(empty.contains("Content-Length: 0\r\n"), "{empty}");
    assert_eq!(server.delivered().await, (2, Delivery::Whole, 0));
}

#[tokio::test]
async fn a19_forwarded_headers_of_a_stranger_are_ignored() {
    let server = Server::plain();
    server
        .raw(get(
            "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n",
        ))
        .await;
    assert_eq!(
        server.asked().await.source.unwrap().to_string(),
        "127.0.0.1"
    );
    let proxied = Server::start(Setup::default(), Channel::Http, |plane| {
        plane.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    });
    proxied
        .raw(get("X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n"))
        .await;
    assert_eq!(
        proxied.asked().await.source.unwrap().to_string(),
        "203.0.113.9"
    );
    let preamble = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x50\0\x51";
    assert_eq!(status(&proxied.raw(preamble).await), "400");
}

#[tokio::test]
async fn a_transfer_that_breaks_off_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let big = folder.path().join("big");
    let length = 64 * 1024 * 1024;
    std::fs::File::create(&big)
        .unwrap()
        .set_len(length)
        .unwrap();
    let setup = Setup {
        big: Some((big, length)),
        ..Setup::default()
    };
    let server = Server::start(setup, Channel::Http, |_| {});
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /big.bin HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(stream);
    let (_, how, bytes) = server.delivered().await;
    assert_eq!(how, Delivery::Broken);
    assert!(bytes < length);
}

#[tokio::test]
async fn f16_a_drain_finishes_what_is_at_work() {
    let server = Server::plain();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /a.cfg HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    read_response(&mut idle).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /wait.cfg HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    while server.asked().await.target.path != "wait.cfg" {}
    server.stop.drain.cancel();
    assert_eq!(read_to_end(&mut idle).await, "");
    server.door.release.notify_one();
    let answer = read_to_end(&mut busy).await;
    assert_eq!(status(&answer), "200");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert_eq!(server.delivered().await, (4, Delivery::Whole, 6144));
    let address = server.address;
    server.ended().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn f16_the_second_signal_ends_at_once() {
    let server = Server::plain();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /wait.cfg HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    server.asked().await;
    server.stop.drain.cancel();
    server.stop.now.cancel();
    server.ended().await.unwrap();
    assert_eq!(read_to_end(&mut busy).await, "");
}

#[tokio::test]
async fn who_finds_no_place_waits_for_it_and_is_served() {
    let limits = Limits {
        connections: 2,
        strangers_percent: 100,
        ..Limits::default()
    };
    let server = Server::limited(limits);
    // Both places are taken for as long as these do not say what they want.
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /a.cfg HTTP/1.1\r\n").await.unwrap();
        slow.push(stream);
    }
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(get("").as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    for stream in slow.iter_mut() {
        stream.write_all(b"\r\n").await.unwrap();
        assert_eq!(read_response(stream).await.1.len(), 6144);
    }
    for stream in &mut waiting {
        assert_eq!(status(&read_to_end(stream).await), "200");
    }
}
