//! `Idempotency-Key`: what is sent twice is done once.

use http::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Server, desk};

const SECOND: &str = "idempotency-replayed";

async fn post(server: &Server, key: &str, path: &str, body: Value) -> Answer {
    let headers = [("idempotency-key", key)];
    server.call(Method::POST, path, Some(body), &headers).await
}

#[tokio::test]
async fn the_same_request_has_the_same_answer_and_is_done_once() {
    let server = Server::start();
    let make = async |key: &str, mac: &str| post(&server, key, "/devices", desk(mac)).await;
    let first = make("k1", "001565000001").await;
    assert_eq!(first.status, 201);
    assert!(!first.headers.contains_key(SECOND));
    let again = make("k1", "001565000001").await;
    assert_eq!(again.headers[SECOND], "true");
    assert_eq!(
        (again.status, &again.headers["etag"], &again.bytes),
        (first.status, &first.headers["etag"], &first.bytes)
    );
    let trail = server.hub.store.audit(0, 100).await.unwrap();
    let made = trail.iter().filter(|entry| entry.action == "device.add");
    assert_eq!(made.count(), 1);

    // Another request, by body or by place.
    let told = make("k1", "001565000002").await;
    let told = told.fails(422, "idempotency-key-reused");
    assert_eq!(told["errors"][0]["field"], "Idempotency-Key");
    post(&server, "k1", "/sites", desk("001565000001"))
        .await
        .fails(422, "idempotency-key-reused");
    // What was wrong is an answer as well.
    let wrong = make("k2", "001565000001").await;
    wrong.fails(409, "mac-taken");
    server.delete("/devices/001565000001").await.good();
    let wrong = make("k2", "001565000001").await;
    assert_eq!(wrong.headers[SECOND], "true");
    wrong.fails(409, "mac-taken");
    make("k3", "001565000001").await.good();

    make("", "001565000003").await.fails(422, "value-invalid");
    make(&"k".repeat(256), "001565000003")
        .await
        .fails(422, "value-invalid");
    // A day later it is a new request.
    let day = 24 * 3600;
    server.clock.store(day, std::sync::atomic::Ordering::SeqCst);
    make("k1", "001565000001").await.fails(409, "mac-taken");
}

/// The second does not begin while the first is at work.
#[tokio::test]
async fn a_key_holds_while_it_is_used() {
    let server = Server::start();
    let make = async || post(&server, "k", "/sites", json!({"name": "hq"})).await;
    let both = tokio::join!(make(), make());
    let replayed = |answer: &Answer| answer.headers.contains_key(SECOND);
    assert_eq!(
        (both.0.status, both.0.status),
        (both.1.status, 201.try_into().unwrap())
    );
    assert_ne!(replayed(&both.0), replayed(&both.1));
}
