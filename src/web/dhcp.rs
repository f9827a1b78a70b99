//! Leases: docs/api.md section 4.

use std::net::IpAddr;
use std::sync::PoisonError;

use axum::Router;
use axum::extract::State as Extract;
use axum::routing::get;
use serde_json::{Value, json};

use super::State;
use super::answer::{Answer, Reply};
use super::call::Call;
use crate::admin::dhcp::Leased;
use crate::admin::{Code, Problem};
use crate::engine::lease::board::Told;
use crate::model::lease::{LeaseSource, RelayPort};

/// The routes of this subject.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/dhcp", get(standing))
        .route("/dhcp/leases", get(leases))
        .route("/dhcp/decisions", get(decisions))
}

async fn leases(Extract(state): Extract<State>, call: Call) -> Reply {
    let words = call.words(&["after", "limit"])?;
    let after = words.get("after").map(str::parse::<IpAddr>).transpose();
    let after = after.map_err(|_| {
        Problem::new(
            Code::QueryInvalid,
            "after: this is not the `next` of a page",
        )
    })?;
    let page = state.admin.leases(after, words.limit()?);
    Ok(Answer::page(&page.await?, leased))
}

async fn decisions(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    Ok(Answer::list(state.admin.dhcp_decisions().iter().map(told)))
}

async fn standing(Extract(state): Extract<State>, call: Call) -> Reply {
    call.words(&[])?;
    let board = state.admin.hub().dhcp.lock();
    let board = board.unwrap_or_else(PoisonError::into_inner);
    let pools = board.filled.iter().map(|pool| {
        let net = pool.net.to_string();
        json!({"subnet": net, "site": pool.site, "total": pool.total, "taken": pool.taken})
    });
    let others = board.rivals.iter().map(|(interface, rival)| {
        json!({
            "interface": interface,
            "server": rival.server.to_string(),
            "mac": rival.mac.map(|mac| mac.to_string()),
            "first": rival.first.to_string(),
            "last": rival.last.to_string(),
            "count": rival.count,
        })
    });
    Ok(Answer::ok(json!({
        "mode": board.mode.as_str(),
        "pools": pools.collect::<Vec<Value>>(),
        "other_servers": others.collect::<Vec<Value>>(),
        "answers": board.answers,
        "dropped": board.bad,
    })))
}

fn leased(row: &Leased) -> Value {
    let lease = &row.lease;
    json!({
        "ip": lease.ip.to_string(),
        "mac": lease.mac.to_string(),
        "serial": lease.serial.as_ref().map(ToString::to_string),
        "device": row.device.map(|id| id.to_string()),
        "source": match lease.source {
            LeaseSource::Own => "own",
            LeaseSource::Observed => "observed",
        },
        "since": lease.since.to_string(),
        "until": lease.until.to_string(),
        "relay": lease.port.as_ref().map(port),
        "why": row.why.as_ref().map(told),
    })
}

fn told(told: &Told) -> Value {
    json!({
        "at": told.at.to_string(),
        "mac": told.mac.to_string(),
        "asked": told.asked.as_str(),
        "answered": told.answered,
        "ip": told.ip.map(|ip| ip.to_string()),
        "giaddr": told.relay.map(|ip| ip.to_string()),
        "relay": told.port.as_ref().map(port),
        "listed": told.listed,
        "recognised": told.recognised,
        "reason": told.why.as_str(),
        "text": told.why.text(),
    })
}

/// Whatever a relay says stays octets.
fn port(port: &RelayPort) -> Value {
    let hex =
        |octets: &[u8]| -> String { octets.iter().map(|octet| format!("{octet:02x}")).collect() };
    json!({"circuit_id": hex(&port.circuit), "remote_id": hex(&port.remote)})
}
