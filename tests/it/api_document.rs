//! `/api/openapi.json` against the routes and against docs/api.md.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use crate::api::{Server, raw};

/// What answers for ever, or with everything.
const ENDLESS: [&str; 2] = ["/events", "/backup"];

/// `GET /path` for every call of the document.
async fn calls(server: &Server) -> BTreeSet<(String, String)> {
    let path = "/api/openapi.json";
    let answer = raw(&server.socket, Method::GET, path, Vec::new(), &[]).await;
    let document: Value = answer.good();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["components"]["schemas"]["Problem"].is_object());
    let paths = document["paths"].as_object().unwrap();
    let mut calls = BTreeSet::new();
    for (path, item) in paths {
        let path = path.strip_prefix("/api/v1").expect("under /api/v1");
        for method in item.as_object().unwrap().keys() {
            calls.insert((method.to_uppercase(), path.to_owned()));
        }
    }
    calls
}

#[tokio::test]
async fn every_call_of_the_document_is_answered() {
    let server = Server::start();
    let calls = calls(&server).await;
    assert!(calls.len() > 50, "{}", calls.len());
    for (method, path) in calls {
        if ENDLESS.contains(&path.as_str()) {
            continue;
        }
        let at = path.replace(['{', '}'], "");
        let answer = server.call(method.parse().unwrap(), &at, None, &[]).await;
        let code = answer.body["code"].as_str().unwrap_or_default();
        assert_ne!(code, "method-not-allowed", "{method} {path}");
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(!detail.contains("nothing at"), "{method} {path}");
    }
}

/// Each call of docs/api.md is in the document, and each of the document is in docs/api.md.
#[tokio::test]
async fn the_page_and_the_document_name_the_same_calls() {
    let server = Server::start();
    let described = calls(&server).await;
    let page = std::fs::read_to_string("docs/api.md").unwrap();
    let page = page.split("## 7.").next().unwrap();
    let mut named = BTreeSet::new();
    for quoted in page.split('`').skip(1).step_by(2) {
        let Some((method, target)) = quoted.split_once(' ') else {
            continue;
        };
        if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
            continue;
        }
        let path = target.split('?').next().unwrap();
        // One route for what is done to a device; what is not built is none.
        let last = path.rsplit('/').next().unwrap();
        let path = match last {
            "arm" | "disarm" | "move" | "note" => "/devices/{name}/{action}",
            "swap" | "retry" => continue,
            _ => path,
        };
        named.insert((method.to_owned(), path.to_owned()));
    }
    assert_eq!(described, named);
}
