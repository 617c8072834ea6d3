//! Which path is what.

use std::time::SystemTime;

use assize_metrics::{CONTENT_TYPE, Identity, Scrape, exposition};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::bounded::bounded;
use crate::{
    About, Faces, Problem, Status, cluster, dashboard, entities, events, leadership, openapi, outcomes,
    process,
};

/// Every path that is served, each with the methods that it takes.
pub const ROUTES: &[(&str, &str)] = &[
    ("/", "GET"),
    ("/assets/{name}", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
    ("/v1/openapi.json", "GET"),
    ("/v1/status", "GET"),
    ("/v1/cluster", "GET"),
    ("/v1/leadership", "POST"),
    ("/v1/events", "POST"),
    ("/v1/entities/{domain}/{entity}", "GET"),
    ("/v1/outcomes", "GET"),
];

/// All of them.
pub(crate) fn router(faces: Faces) -> Router {
    Router::new()
        .route("/", get(dashboard::page))
        .route("/assets/{name}", get(dashboard::asset))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/openapi.json", get(openapi::document))
        .route("/v1/status", get(status))
        .route("/v1/cluster", get(cluster::cluster))
        .route("/v1/leadership", post(leadership::hand_over))
        .route("/v1/events", post(events::submit))
        .route("/v1/entities/{domain}/{entity}", get(entities::read))
        .route("/v1/outcomes", get(outcomes::follow))
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            Problem::method_not_allowed(method.as_str(), uri.path())
        })
        .fallback(|uri: Uri| async move { Problem::no_such_path(uri.path()) })
        // What stands above it has taken bodies in, and refused those that are too long for the configuration.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(faces.limits, bounded))
        .with_state(faces)
}

/// R2: whether whoever distributes requests may send some here.
async fn readyz(State(faces): State<Faces>) -> Response {
    let readings = faces.board.read();
    match readings.is_ready() {
        true => "ready\n".into_response(),
        false => Problem::not_ready(readings.is_quarantined()).into_response(),
    }
}

async fn metrics(State(faces): State<Faces>) -> Response {
    let About { cluster, replica, replicas, copies, version, began } = (*faces.about).clone();
    let identity = Identity { cluster, replica, replicas, copies, version };
    let process = process::numbers(SystemTime::now() - began.elapsed());
    match exposition(Scrape { identity, process, readings: faces.board.read() }) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => panic!("text cannot be written into memory: {error}"),
    }
}

async fn status(State(faces): State<Faces>) -> Json<Status> {
    Json(Status::of(&faces))
}
