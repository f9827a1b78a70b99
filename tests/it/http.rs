//! The device listener over raw sockets, with a door that knows one file.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dialtone::answer::{Answer, Body, Delivery, Door, File, Refusal, Ticket, TlsFailure};
use dialtone::catalog::manifest::{HttpRefusal, TftpRefusal};
use dialtone::engine::facts::Facts;
use dialtone::model::identity::Channel;
use dialtone::net::admission::Admission;
use dialtone::net::limits::Limits;
use dialtone::net::listen::{Plane, Stop, bind, run};

#[derive(Clone)]
struct OneFile;

impl Door for OneFile {
    async fn answer(&self, facts: Facts) -> Answer {
        if facts.target.path == "a.cfg" {
            return Answer::File(File {
                body: Body::Bytes("0123456789".into()),
                media_type: "text/plain".to_owned(),
                etag: "tag".to_owned(),
                ticket: Ticket(1),
            });
        }
        Answer::Refuse(Refusal {
            http: HttpRefusal::NotFound,
            tftp: TftpRefusal::Error(1),
            retry_after: 0,
        })
    }

    async fn delivered(&self, _ticket: &Ticket, _how: Delivery, _bytes: u64) {}

    async fn handshake_failed(&self, _source: IpAddr, _why: TlsFailure) {}

    fn is_ours(&self, host: &str) -> bool {
        host == "ours"
    }
}

/// Sends the bytes and reads until the server closes.
fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("set");
    // A server that refuses early may close before all is written.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn b_hostile_heads_and_plain_requests_over_a_real_socket() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("made");
    let stop = Stop::default();
    let (address, served) = runtime.block_on(async {
        let listener = bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let address = listener.local_addr().expect("bound");
        let limits = Limits::default();
        let admission = Arc::new(Admission::strangers(&limits));
        let plane = Arc::new(Plane::new(OneFile, limits, admission));
        (
            address,
            tokio::spawn(run(listener, Channel::Http, plane, stop.clone())),
        )
    });
    let check = |bytes: &str, status: &str, holds: &str| {
        let answer = talk(address, bytes.as_bytes());
        assert!(
            answer.starts_with(status) && answer.to_lowercase().contains(holds),
            "{bytes:?}: {answer}"
        );
        answer
    };
    let get = "GET /a.cfg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    check(&format!("{get}\r\n"), "HTTP/1.1 200", "content-length: 10");
    check(
        &format!("{get}If-None-Match: \"tag\"\r\n\r\n"),
        "HTTP/1.1 304",
        "etag",
    );
    check(
        &format!("{get}Range: bytes=2-3\r\n\r\n"),
        "HTTP/1.1 206",
        "\r\n\r\n23",
    );
    check(
        &format!("{get}User-Agent: \u{1}\u{ff}\r\n\r\n"),
        "HTTP/1.1 200",
        "0123456789",
    );
    check("GET /a.cfg HTTP/1.0\r\n\r\n", "HTTP/1.", "0123456789");
    let head = check(
        &get.replace("GET", "HEAD").add("\r\n"),
        "HTTP/1.1 200",
        "content-length: 10",
    );
    assert!(!head.contains("0123"));
    let unknown = check(
        "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 404",
        "content-length",
    );
    assert!(!unknown.contains("Retry-After"));
    // B1, B2, B6, B10, B17, B18: refused, and the request behind is never handled.
    let behind = format!("{get}\r\n");
    for hostile in [
        "GET /a.cfg HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /a.cfg HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n",
        "GET /a.cfg HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET /a.cfg HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET http://evil/a.cfg HTTP/1.1\r\nHost: ours\r\n\r\n",
        "GET /a.cfg HTTP/1.1\nHost: x\n\n",
        "TRACE /a.cfg HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /a.cfg HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n01234",
    ] {
        let answer = check(
            &format!("{hostile}{behind}"),
            "HTTP/1.1 4",
            "connection: close",
        );
        assert!(!answer.contains("0123456789"), "{hostile:?}: {answer}");
    }
    for path in ["/../a.cfg", "/%2e%2e/a.cfg", "//a.cfg", "/a.cfg%00"] {
        let answer = talk(
            address,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        assert!(!answer.contains("0123456789"), "{path}: {answer}");
    }
    stop.drain.cancel();
    runtime.block_on(served).expect("it ends").expect("as told");
}

/// Appends, for one-line requests.
trait Add {
    fn add(self, more: &str) -> String;
}

impl Add for String {
    fn add(mut self, more: &str) -> String {
        self.push_str(more);
        self
    }
}
