//! The least that a server of our stack can do: one fixed answer of 6 KB, no routing, no store, with the
//! same TLS provider, session tickets and number of threads as the real one.
//!
//! `floor PLAIN TLS CHAIN KEY` (addresses, then files in PEM) serves until it is killed; `THREADS` sets
//! the workers. Without arguments it does nothing, so that a run of all targets ends.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Trouble = Box<dyn std::error::Error>;

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: Arc<Vec<u8>>) {
    let mut head = Vec::with_capacity(2048);
    loop {
        let end = loop {
            if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read_buf(&mut head).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let last = head.get(..end).is_some_and(|head| {
            head.windows(17)
                .any(|word| word.eq_ignore_ascii_case(b"connection: close"))
        });
        head.drain(..end);
        if stream.write_all(&answer).await.is_err() {
            return;
        }
        drop(stream.flush().await);
        if last {
            drop(stream.shutdown().await);
            return;
        }
    }
}

fn acceptor(chain: &str, key: &str) -> Result<TlsAcceptor, Trouble> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(chain)?.collect();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain?, PrivateKeyDer::from_pem_file(key)?)?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn main() -> Result<(), Trouble> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plain, secure, chain, key] = arguments.as_slice() else {
        return Ok(());
    };
    let (plain, secure): (SocketAddr, SocketAddr) = (plain.parse()?, secure.parse()?);
    let tls = acceptor(chain, key)?;
    let mut answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 6144\r\n\r\n".to_vec();
    answer.extend((b'a'..=b'z').cycle().take(6144));
    let answer = Arc::new(answer);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = std::env::var("THREADS")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        runtime.worker_threads(threads);
    }
    runtime.enable_all().build()?.block_on(async {
        let (plain, secure) = (
            TcpListener::bind(plain).await?,
            TcpListener::bind(secure).await?,
        );
        loop {
            let answer = Arc::clone(&answer);
            tokio::select! {
                Ok((stream, _)) = plain.accept() => {
                    drop(stream.set_nodelay(true));
                    drop(tokio::spawn(serve(stream, answer)));
                }
                Ok((stream, _)) = secure.accept() => {
                    drop(stream.set_nodelay(true));
                    let tls = tls.clone();
                    drop(tokio::spawn(async move {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, answer).await;
                        }
                    }));
                }
            }
        }
    })
}
