//! The lease door with a store of its own.

use std::net::Ipv4Addr;

use dialtone::engine::lease::{Ask, Why};
use dialtone::model::dhcp::{Dhcp, Kind, Mode};
use dialtone::model::identity::{DeviceId, Mac};
use dialtone::service::leases::LeaseDesk;
use tokio_util::sync::CancellationToken;

use crate::api::Server;

/// A listed unit that takes up another server's offer.
fn takes(number: u16) -> Ask {
    let [high, low] = number.to_be_bytes();
    Ask {
        kind: Kind::Request,
        mac: Mac::new([2, 0, 0, 0, high, low]).unwrap(),
        client: Vec::new(),
        serial: None,
        source: Ipv4Addr::UNSPECIFIED,
        ciaddr: None,
        giaddr: None,
        requested: Some(Ipv4Addr::new(10, 99, high, low)),
        to_us: Some(false),
        link: None,
        subnet: None,
        port: None,
        via: Vec::new(),
        trusted: false,
        unit: Some(DeviceId(u128::from(number))),
        recognised: true,
        reserved: None,
        least: 0,
    }
}

/// With a slow disk nothing is noted that will not be written: memory and store say the same.
#[tokio::test]
async fn what_is_observed_is_written_or_not_noted() {
    let server = Server::start();
    let plan = Dhcp {
        mode: Mode::Observe,
        ..Dhcp::default()
    };
    let (desk, writer) = LeaseDesk::open(server.hub.clone(), plan).await.unwrap();
    let link = ["10.99.0.0/16".parse().unwrap()];
    let (mut noted, mut refused) = (0_usize, 0_usize);
    // Nobody writes yet.
    for number in 1..6000 {
        let ask = takes(number);
        desk.observe(&ask, &link);
        let board = server.hub.dhcp.lock().unwrap();
        let why = board.of(ask.mac).unwrap().why;
        noted += usize::from(why == Why::Observed);
        refused += usize::from(why == Why::Overload);
    }
    assert!(refused > 0, "{noted}");
    assert_eq!(noted + refused, 5999);
    let stop = CancellationToken::new();
    stop.cancel();
    writer.run(stop).await;
    assert_eq!(server.hub.store.leases().await.unwrap().len(), noted);
}
