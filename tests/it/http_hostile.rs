//! Hostile octets at the device listener. Names follow hostile-cases B.

use crate::device_plane::{Server, status};
use crate::http::get;

/// Each line is refused with this status, and no request of it, nor one after it, is handled.
async fn refused(cases: &[(&str, &str)]) {
    let server = Server::plain();
    for (octets, expect) in cases {
        let sent = format!("{octets}GET /smuggled HTTP/1.1\r\nHost: prov.test\r\n\r\n");
        let answer = server.raw(sent).await;
        assert_eq!(status(&answer), *expect, "{octets:?} -> {answer:?}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{octets:?} -> {answer:?}"
        );
        assert!(
            answer.contains("Connection: close"),
            "{octets:?} -> {answer:?}"
        );
        assert!(server.heard().await.is_empty(), "{octets:?} was handled");
    }
}

#[tokio::test]
async fn b1_two_lengths_are_refused() {
    let start = "GET /a.cfg HTTP/1.1\r\nHost: prov.test\r\n";
    let with = |fields: &str| format!("{start}{fields}\r\n");
    let cases = [
        with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        with("Content-Length: 5\r\nContent-Length: 6\r\n"),
        with("Content-Length: 5\r\nContent-Length: 5\r\n"),
        with("Transfer-Encoding : chunked\r\n"),
        with("Transfer-Encoding: xchunked\r\n"),
        with("Transfer-Encoding: chunked, identity\r\n"),
        with("Transfer-Encoding:\x0bchunked\r\n"),
        with("Content-Length: +5\r\n"),
        with("Content-Length: 0x5\r\n"),
        with("Content-Length: 5,5\r\n"),
        with("Content-Length: \r\n"),
        with("Content-Length: 99999999999999999999\r\n"),
        "GET /a.cfg HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
    ];
    let cases: Vec<_> = cases.iter().map(|case| (case.as_str(), "400")).collect();
    refused(&cases).await;
}

#[tokio::test]
async fn b2_bodies_folds_and_bare_line_ends() {
    let huge = format!(
        "GET /a.cfg HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF;{}\r\n",
        "x".repeat(1 << 20)
    );
    refused(&[
        (&huge, "413"),
        ("GET /a.cfg HTTP/1.1\nHost: prov.test\n\n", "400"),
        ("GET /a.cfg HTTP/1.1\r\nHost: prov.test\n\r\n", "400"),
        (
            "GET /a.cfg HTTP/1.1\r\nHost: prov.test\r\n folded\r\n\r\n",
            "400",
        ),
        ("GET /a.cfg HTTP/1.1\r\nX: a\rb\r\n\r\n", "400"),
        ("GET /a.cfg HTTP/1.1\r\nX: a\0b\r\n\r\n", "400"),
        ("GET /a.cfg HTTP/1.1\r\n: a\r\n\r\n", "400"),
        ("GET /a.cfg HTTP/1.1\r\nno colon\r\n\r\n", "400"),
    ])
    .await;
}

#[tokio::test]
async fn b3_oversized_and_odd_heads() {
    let line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64 * 1024));
    let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let field = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    let method = format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(10_000));
    let short_method = format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(40));
    refused(&[
        (&line, "414"),
        (&fields, "431"),
        (&field, "431"),
        (&method, "414"),
        (&short_method, "400"),
        ("GET /a.cfg\r\n\r\n", "400"),
        ("GET /a.cfg HTTP/2.0\r\n\r\n", "505"),
        ("GET /a.cfg HTTP/1.1x\r\n\r\n", "400"),
        ("GET  /a.cfg HTTP/1.1\r\n\r\n", "400"),
        ("GET /a b.cfg HTTP/1.1\r\n\r\n", "400"),
        ("GET a.cfg HTTP/1.1\r\n\r\n", "400"),
        ("GET prov.test:80 HTTP/1.1\r\n\r\n", "400"),
        ("GET * HTTP/1.1\r\n\r\n", "400"),
        (
            "GET http://evil/a.cfg HTTP/1.1\r\nHost: prov.test\r\n\r\n",
            "400",
        ),
        ("GET http://x@prov.test/a.cfg HTTP/1.1\r\n\r\n", "400"),
        ("GET ftp://prov.test/a.cfg HTTP/1.1\r\n\r\n", "400"),
        ("\r\n\r\n", "400"),
        ("\x16\x03\x01\x02", "400"),
    ])
    .await;
    let server = Server::plain();
    let ours = get("").replace("/a.cfg", "http://PROV.test:80/a.cfg");
    assert_eq!(status(&server.raw(ours).await), "200");
    assert_eq!(server.asked().await.host.as_deref(), Some("prov.test"));
}

#[tokio::test]
async fn b6_names_never_leave_the_table() {
    let server = Server::plain();
    for name in [
        "/p/..%2f..%2fetc/passwd",
        "/p/%252e%252e/x",
        "/..\\..",
        "//etc/passwd",
        "/p/%00",
        "/p/.%2e/",
        "/C:\\x",
        "/%c0%ae%c0%ae/",
        &format!("/{}", "x".repeat(4000)),
    ] {
        let answer = server.raw(get("").replace("/a.cfg", name)).await;
        assert_eq!(status(&answer), "404", "{name}");
    }
}

#[tokio::test]
async fn b9_b10_only_get_and_head() {
    refused(&[
        (
            "PUT /a.cfg HTTP/1.1\r\nContent-Length: 5000000000\r\n\r\n",
            "405",
        ),
        (
            "POST /a.cfg HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "405",
        ),
        ("PROPFIND /a.cfg HTTP/1.1\r\n\r\n", "405"),
        ("TRACE /a.cfg HTTP/1.1\r\nX-Secret: CANARY\r\n\r\n", "405"),
        ("CONNECT prov.test:80 HTTP/1.1\r\n\r\n", "405"),
        ("OPTIONS * HTTP/1.1\r\n\r\n", "405"),
        ("get /a.cfg HTTP/1.1\r\n\r\n", "405"),
        ("GET /a.cfg HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "413"),
    ])
    .await;
    let server = Server::plain();
    let answer = server
        .raw("TRACE / HTTP/1.1\r\nX-Secret: CANARY\r\n\r\n")
        .await;
    assert!(
        answer.contains("Allow: GET, HEAD\r\n") && !answer.contains("CANARY"),
        "{answer}"
    );
}

#[tokio::test]
async fn b17_two_codings_and_a_pipelined_request() {
    refused(&[(
        "GET /a.cfg HTTP/1.1\r\nHost: prov.test\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400",
    )])
    .await;
}

#[tokio::test]
async fn b18_hosts() {
    refused(&[
        (
            "GET /a.cfg HTTP/1.1\r\nHost: prov.test\r\nHost: prov.test\r\n\r\n",
            "400",
        ),
        (
            "GET http://evil/x HTTP/1.1\r\nHost: prov.test\r\n\r\n",
            "400",
        ),
        ("GET /a.cfg HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
    ])
    .await;
    let server = Server::plain();
    let none = server
        .raw("GET /a.cfg HTTP/1.1\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&none), "200");
    assert_eq!(server.asked().await.host, None);
}

#[tokio::test]
async fn b19_an_agent_is_octets() {
    let server = Server::plain();
    let mut request = b"GET /a.cfg HTTP/1.1\r\nConnection: close\r\nUser-Agent: ".to_vec();
    let agent: Vec<u8> = (0x80..=0xff).chain(1..9).chain([0x1b, 0x7f]).collect();
    request.extend(&agent);
    request.extend(b"\r\n\r\n");
    assert_eq!(status(&server.raw(&request).await), "200");
    let facts = server.asked().await;
    assert_eq!(facts.header("user-agent").unwrap().bytes(), agent);
}

#[tokio::test]
async fn b20_a_body_that_never_comes() {
    refused(&[("GET /a.cfg HTTP/1.1\r\nContent-Length: 10\r\n\r\nab", "413")]).await;
}

#[tokio::test]
async fn b21_bare_line_feeds_are_refused_everywhere() {
    refused(&[
        ("GET /a.cfg HTTP/1.0\n\n", "400"),
        ("\nGET /a.cfg HTTP/1.0\r\n\r\n", "400"),
    ])
    .await;
}
