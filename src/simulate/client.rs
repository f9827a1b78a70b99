//! One request as a unit makes it: its own source address, its own trust, bounded in time and size.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, SupportedProtocolVersion};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::belief::{Belief, Verifier};
use super::conduct::Version;
use super::old_tls;
use super::tftp;

/// The most octets of a file that a unit takes.
const LARGEST: usize = 16 * 1024 * 1024;
/// The longest wait for a connection with its handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest wait for a whole answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("not a URL that can be asked: {0}")]
    Url(String),
    #[error("no connection: {0}")]
    Connect(String),
    /// The unit does not trust the server.
    #[error("the unit does not trust the server: {0}")]
    Untrusted(String),
    #[error("no TLS connection: {0}")]
    Tls(String),
    #[error("no whole answer: {0}")]
    Broken(String),
    #[error("no answer within the time limit")]
    TimedOut,
    #[error("more than {LARGEST} octets")]
    TooLarge,
}

impl Failure {
    /// Whether the server could not be reached at all, so that its other files cannot be either.
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            Self::Url(_) | Self::Connect(_) | Self::Untrusted(_) | Self::Tls(_) => true,
            Self::Broken(_) | Self::TimedOut | Self::TooLarge => false,
        }
    }
}

/// A factory certificate with its key, offered to any server that asks for one.
#[derive(Debug)]
pub struct ClientCertificate {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What came.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Status line and headers, as they are written.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

/// A client that asks as one unit.
#[derive(Debug)]
pub(super) struct Client {
    bind: Option<IpAddr>,
    tls: Version,
    certificate: Option<Arc<ClientCertificate>>,
    /// The configuration of the last belief: it holds the tickets of earlier connections.
    config: Option<(Belief, Timestamp, Arc<ClientConfig>)>,
}

impl Client {
    pub(super) fn new(
        bind: Option<IpAddr>,
        tls: Version,
        certificate: Option<Arc<ClientCertificate>>,
    ) -> Self {
        Self {
            bind,
            tls,
            certificate,
            config: None,
        }
    }

    /// Takes over what is around the unit now.
    pub(super) fn surround(
        &mut self,
        bind: Option<IpAddr>,
        certificate: Option<Arc<ClientCertificate>>,
    ) {
        let same = match (&self.certificate, &certificate) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            self.config = None;
        }
        self.bind = bind;
        self.certificate = certificate;
    }

    /// Asks one URL.
    pub(super) async fn ask(
        &mut self,
        asked: &Asked,
        belief: &Belief,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        let url = &asked.url;
        let bad = |why: &str| Failure::Url(format!("{url}: {why}"));
        let uri: Uri = url.parse().map_err(|_| bad("it cannot be read"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some("tftp") => return tftp::read(&uri, self.bind).await,
            Some(_) | None => return Err(bad("none of http, https and tftp")),
        };
        let host = uri.host().ok_or_else(|| bad("no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let request = request(&uri, asked).map_err(|why| bad(&why))?;
        let opened = async {
            let mut stream = self.connect(host, port).await?;
            if !secure {
                return Ok(Stream::Plain(stream));
            }
            if self.tls == Version::V10 {
                return Err(Failure::Tls(old_tls::knock(&mut stream, host).await));
            }
            let name = ServerName::try_from(host.to_owned()).map_err(|_| bad("no host name"))?;
            let config = self.configuration(belief, now)?;
            let connection = TlsConnector::from(config).connect(name, stream).await;
            connection
                .map(|stream| Stream::Tls(Box::new(stream)))
                .map_err(|error| handshake(&error))
        };
        let stream = timeout(CONNECT, opened)
            .await
            .map_err(|_| Failure::Connect("it took too long".to_owned()))??;
        let answer = async {
            match stream {
                Stream::Plain(stream) => exchange(stream, request).await,
                Stream::Tls(stream) => exchange(*stream, request).await,
            }
        };
        timeout(ANSWER, answer)
            .await
            .map_err(|_| Failure::TimedOut)?
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Failure> {
        let broken = |error: io::Error| Failure::Connect(format!("{host}:{port}: {error}"));
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(broken)?.collect();
        let address = addresses
            .iter()
            .find(|address| {
                self.bind
                    .is_none_or(|bind| bind.is_ipv4() == address.is_ipv4())
            })
            .copied()
            .ok_or_else(|| Failure::Connect(format!("{host}: no address")))?;
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }
        .map_err(broken)?;
        if let Some(bind) = self.bind {
            socket.bind(SocketAddr::new(bind, 0)).map_err(broken)?;
        }
        socket.connect(address).await.map_err(broken)
    }

    /// The TLS side of a belief, kept while neither it nor the clock moves.
    fn configuration(
        &mut self,
        belief: &Belief,
        now: Timestamp,
    ) -> Result<Arc<ClientConfig>, Failure> {
        if let Some((known, at, config)) = &self.config
            && known == belief
            && *at == now
        {
            return Ok(Arc::clone(config));
        }
        let broken = |error: rustls::Error| Failure::Tls(error.to_string());
        let versions: &[&SupportedProtocolVersion] = match self.tls {
            Version::V10 | Version::V12 => &[&rustls::version::TLS12],
            Version::V13 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(broken)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(belief, now)));
        let config = match &self.certificate {
            Some(own) => builder
                .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
                .map_err(broken)?,
            None => builder.with_no_client_auth(),
        };
        let config = Arc::new(config);
        self.config = Some((belief.clone(), now, Arc::clone(&config)));
        Ok(config)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// A request in origin form.
fn request(uri: &Uri, asked: &Asked) -> Result<Request<Full<Bytes>>, String> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(asked.method.as_str())
        .uri(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(asked.body.clone())))
        .map_err(|error| error.to_string())?;
    for (name, value) in &asked.headers {
        let name: HeaderName = name.parse().map_err(|_| format!("header {name:?}"))?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("header value {value:?}"))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// Sends the request and takes the whole body.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| Failure::Broken(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let driven = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let head = head(&response);
        let body = Limited::new(response.into_body(), LARGEST);
        let body = body.collect().await.map_err(|error| {
            if error.downcast_ref::<LengthLimitError>().is_some() {
                Failure::TooLarge
            } else {
                Failure::Broken(error.to_string())
            }
        })?;
        Ok(Answer {
            status,
            head,
            body: body.to_bytes().to_vec(),
        })
    }
    .await;
    driven.abort();
    answer
}

/// Status line and headers, as they are written.
fn head<B>(response: &Response<B>) -> String {
    let mut text = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text
}

/// What broke a handshake: the unit's own doubt, or anything else.
fn handshake(error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => Failure::Untrusted(format!("{why:?}")),
        Some(other) => Failure::Tls(other.to_string()),
        None => Failure::Tls(error.to_string()),
    }
}
