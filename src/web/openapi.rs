//! `/api/openapi.json`: every call of the API, with its parameters and media types. The shapes of
//! records are docs/api.md's.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, header};
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    Content, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, Required, ResponseBuilder,
};

use super::State;

/// Method, path with its query, what it does.
const CALLS: &[(&str, &str, &str)] = &[
    (
        "GET",
        "/activation?since=&site=&device=&after=&limit=",
        "Activation checks, oldest first",
    ),
    (
        "GET",
        "/activation/summary?since=&site=",
        "Totals by state, model and site",
    ),
    ("GET", "/alerts", "What a person must look at"),
    (
        "DELETE",
        "/alerts/{kind}/{device}",
        "Take an alert away that was looked at",
    ),
    (
        "GET",
        "/audit?after=&limit=",
        "The audit trail, oldest first",
    ),
    (
        "GET",
        "/backup",
        "Everything, as `dialtone restore` reads it",
    ),
    ("GET", "/ca", "Our own CA, and the vendors' anchors"),
    ("POST", "/ca/trust", "Trust a vendor's CA"),
    (
        "GET",
        "/devices?site=&vendor=&family=&model=&state=&group=&profile=&lifecycle=&after=&limit=",
        "Devices",
    ),
    ("POST", "/devices", "Enter a device and arm it"),
    ("POST", "/devices:bulk", "Do one thing to many devices"),
    ("GET", "/devices/{name}", "One device"),
    ("PATCH", "/devices/{name}", "Change a device"),
    ("DELETE", "/devices/{name}", "Delete a device"),
    (
        "GET",
        "/devices/{name}/events?since=&after=&limit=",
        "A device's activation checks",
    ),
    (
        "GET",
        "/devices/{name}/render?file=&as=&show_secrets=",
        "What a device would get",
    ),
    (
        "GET",
        "/devices/{name}/trace",
        "A device's boots in plain words",
    ),
    (
        "POST",
        "/devices/{name}/{action}",
        "Arm, disarm, suspend, resume, release, retire, move, note",
    ),
    ("GET", "/dhcp", "How DHCP stands"),
    (
        "GET",
        "/dhcp/decisions",
        "The last decision for each client",
    ),
    ("GET", "/dhcp/leases?after=&limit=", "Leases"),
    ("GET", "/doctor?site=", "What is wrong, and what mends it"),
    ("GET", "/events?site=&kinds=", "What happens, as it happens"),
    (
        "POST",
        "/explain",
        "What the server would make of a request",
    ),
    ("GET", "/groups", "Groups"),
    ("GET", "/imports", "Imports"),
    (
        "POST",
        "/imports?filename=&atomic=&arm_for=&arm_from=&expect_changes=&map=",
        "Import a file",
    ),
    ("GET", "/imports/{job}", "One import"),
    (
        "GET",
        "/imports/{job}/report",
        "The rows that an import rejected",
    ),
    ("GET", "/pbxs", "Call servers"),
    (
        "PUT",
        "/pbxs/{name}",
        "Enter a call server, or put another in its place",
    ),
    ("DELETE", "/pbxs/{name}", "Take a call server away"),
    (
        "GET",
        "/profiles?coverage=",
        "Profiles, and which variables they read",
    ),
    (
        "GET",
        "/profiles/diff?vendor=&family=&profile=&from=&to=&device=",
        "What a revision changes",
    ),
    (
        "GET",
        "/profiles/history?vendor=&family=&profile=",
        "Revisions, newest first",
    ),
    (
        "GET",
        "/profiles/lint",
        "What is wrong in the profile folders",
    ),
    ("POST", "/profiles/publish", "Publish the folders' drafts"),
    ("GET", "/quarantine", "Units that asked and are not listed"),
    ("GET", "/sites", "Sites"),
    ("POST", "/sites", "Make a site"),
    ("GET", "/sites/{name}", "One site"),
    ("PATCH", "/sites/{name}", "Change a site"),
    ("DELETE", "/sites/{name}", "Take a site away"),
    ("GET", "/status?site=", "How things stand"),
    ("GET", "/vars", "Scopes of variables"),
    ("GET", "/vars/{layer}/{name}", "One scope"),
    ("PUT", "/vars/{layer}/{name}", "Replace a scope's variables"),
    (
        "PATCH",
        "/vars/{layer}/{name}",
        "Change a scope's variables",
    ),
    ("DELETE", "/vars/{layer}/{name}", "Take a scope away"),
    ("GET", "/vocabulary", "Variables that profiles may read"),
    ("GET", "/waivers?site=", "Waivers"),
    ("POST", "/waivers", "Add a waiver"),
    ("DELETE", "/waivers?site=&model=", "Take waivers away"),
];

/// Paths whose answer is no JSON.
const MEDIA: &[(&str, &str)] = &[
    ("/backup", "application/octet-stream"),
    ("/events", "text/event-stream"),
    ("/imports/{job}/report", "text/csv"),
];

/// The route of this subject.
pub(crate) fn routes() -> Router<State> {
    Router::new().route("/api/openapi.json", get(document))
}

async fn document() -> Response {
    let text = described().to_json().unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    let media = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

fn described() -> OpenApi {
    let mut paths = Paths::new();
    for (method, target, summary) in CALLS {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method = match *method {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "PATCH" => HttpMethod::Patch,
            "DELETE" => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        let what = operation(&method, path, query, summary);
        paths.add_path_operation(format!("/api/v1{path}"), vec![method], what);
    }
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let problem = ["type", "title", "code", "detail", "hint"]
        .into_iter()
        .fold(ObjectBuilder::new(), |problem, key| {
            problem.property(key, text()).required(key)
        });
    let info = InfoBuilder::new()
        .title("dialtone")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("The shapes of records are described in docs/api.md."))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(
            ComponentsBuilder::new().schema("Problem", problem).build(),
        ))
        .build()
}

fn operation(method: &HttpMethod, path: &str, query: &str, summary: &str) -> Operation {
    let changes = *method != HttpMethod::Get && path != "/explain";
    let object = || Content::new(Some(ObjectBuilder::new()));
    let media = MEDIA.iter().find(|(other, _)| *other == path);
    let media = media.map_or("application/json", |(_, media)| media);
    let good = ResponseBuilder::new().description("It went well");
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let wrong = ResponseBuilder::new()
        .description("Why it did not")
        .content("application/problem+json", problem);
    let mut operation = OperationBuilder::new()
        .summary(Some(summary))
        .response("2XX", good.content(media, object()))
        .response("default", wrong);
    let named = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?;
        name.strip_suffix('}')
    });
    for name in named {
        operation = operation.parameter(parameter(name, ParameterIn::Path));
    }
    let asked = query.split('&').filter_map(|pair| pair.split('=').next());
    for name in asked.filter(|name| !name.is_empty()) {
        operation = operation.parameter(parameter(name, ParameterIn::Query));
    }
    if changes {
        operation = operation
            .parameter(parameter("dry_run", ParameterIn::Query))
            .parameter(parameter("If-Match", ParameterIn::Header));
    }
    if *method == HttpMethod::Post {
        operation = operation.parameter(parameter("Idempotency-Key", ParameterIn::Header));
    }
    if !matches!(method, HttpMethod::Get | HttpMethod::Delete) {
        let media = match path {
            "/imports" => "text/csv",
            _ => "application/json",
        };
        let body = RequestBodyBuilder::new().content(media, object()).build();
        operation = operation.request_body(Some(body));
    }
    operation.build()
}

fn parameter(name: &str, place: ParameterIn) -> Parameter {
    let required = match place {
        ParameterIn::Path => Required::True,
        ParameterIn::Query | ParameterIn::Header | ParameterIn::Cookie => Required::False,
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
