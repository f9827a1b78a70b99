//! A handshake of TLS 1.0, as an old unit begins it. No library here speaks it, so it is played as
//! far as the server's first answer: a refusal is what a server of today gives.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The suites that such a unit offers: RSA key exchange with CBC and RC4.
const SUITES: [u16; 4] = [0x0035, 0x002f, 0x0005, 0x000a];

/// What the server said to a ClientHello of TLS 1.0.
pub(super) async fn knock(stream: &mut TcpStream, name: &str) -> String {
    if let Err(error) = stream.write_all(&hello(name)).await {
        return format!("the server broke off: {error}");
    }
    let mut head = [0_u8; 7];
    match stream.read_exact(&mut head).await {
        Ok(_) => match head {
            [0x15, _, _, _, _, level, code] => format!("alert {code} at level {level}"),
            [0x16, ..] => "the server would speak TLS 1.0, which is not played on".to_owned(),
            _ => "no TLS".to_owned(),
        },
        Err(error) => format!("the server broke off: {error}"),
    }
}

/// A ClientHello of TLS 1.0 without extensions; the name only seasons the random octets.
fn hello(name: &str) -> Vec<u8> {
    let mut body = vec![0x03, 0x01];
    body.extend(name.bytes().chain(std::iter::repeat(0x5a)).take(32));
    body.push(0);
    let suites: Vec<u8> = SUITES
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    body.extend(length(suites.len()));
    body.extend(suites);
    body.extend([1, 0]);
    let mut handshake = vec![1, 0];
    handshake.extend(length(body.len()));
    handshake.extend(body);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend(length(handshake.len()));
    record.extend(handshake);
    record
}

/// Two octets; the messages here are far below 64 KB.
fn length(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes()
}
