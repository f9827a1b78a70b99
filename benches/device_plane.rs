//! The device plane with a door that costs nothing: what guard, hyper and TLS cost by themselves.
//!
//! `cargo bench --bench device_plane -- serve 127.0.0.1:8081 127.0.0.1:8441 FOLDER` serves one
//! body of 6 KB at every name until it is killed, over HTTP and over HTTPS with certificates
//! under FOLDER; drive it with wrk or `bootstorm`. `THREADS` sets the workers. Without
//! `serve` it does nothing, so that a run of all targets ends.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use dialtone::answer::{Answer, Asked, Body, Delivery, Door, File, Ticket, TlsFailure};
use dialtone::engine::facts::Facts;
use dialtone::model::identity::Channel;
use dialtone::net::admission::Admission;
use dialtone::net::limits::Limits;
use dialtone::net::listen::{Plane, Stop, bind, run};
use dialtone::net::tls::Tls;
use dialtone::pki::Authority;

#[derive(Clone)]
struct OneFile(Bytes);

impl Door for OneFile {
    async fn answer(&self, _facts: Facts) -> Answer {
        Answer::File(File {
            body: Body::Bytes(self.0.clone()),
            media_type: "text/plain".to_owned(),
            etag: "0123456789abcdef".to_owned(),
            ticket: Ticket(1),
        })
    }

    async fn point(&self, _facts: Facts) -> Asked {
        Asked::default()
    }

    async fn delivered(&self, _ticket: &Ticket, _how: Delivery, _bytes: u64) {}

    async fn handshake_failed(&self, _source: IpAddr, _why: TlsFailure) {}

    fn is_ours(&self, _host: &str) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let mut rest = arguments.iter().skip_while(|word| *word != "serve");
    let (Some(_), Some(plain), Some(secure), Some(folder)) =
        (rest.next(), rest.next(), rest.next(), rest.next())
    else {
        return Ok(());
    };
    let (plain, secure): (SocketAddr, SocketAddr) = (plain.parse()?, secure.parse()?);
    let authority = Authority::open(&Path::new(folder).join("tls"))?;
    let (own, _) = authority.servers(&["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let (tls, _) = Tls::new(own, Vec::new())?;
    let limits = Limits {
        per_address: 4096,
        requests: u32::MAX,
        ..Limits::default()
    };
    let admission = Arc::new(Admission::strangers(&limits));
    let body: Vec<u8> = (b'a'..=b'z').cycle().take(6144).collect();
    let mut plane = Plane::new(OneFile(Bytes::from(body)), limits, admission);
    plane.tls = Some(Arc::new(tls));
    let plane = Arc::new(plane);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = std::env::var("THREADS")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        runtime.worker_threads(threads);
    }
    runtime.enable_all().build()?.block_on(async {
        let stop = Stop::default();
        let http = run(
            bind(plain)?,
            Channel::Http,
            Arc::clone(&plane),
            stop.clone(),
        );
        let https = run(bind(secure)?, Channel::Https, plane, stop);
        writeln!(std::io::stdout().lock(), "ready")?;
        tokio::try_join!(http, https)?;
        Ok(())
    })
}
