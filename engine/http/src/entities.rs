//! `GET /v1/entities/{domain}/{entity}`: an entity's state, and at which slot it holds (C8).

use assize_tools::client::EntityRead;
use assize_wire::{DomainId, EntityId};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{Faces, Problem};

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadQuery {
    #[serde(default)]
    consistency: ReadConsistency,
}

/// How fresh it is to be, and how sure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadConsistency {
    /// Every event that was answered before is seen. Asks the leader.
    #[default]
    Linearizable,
    /// As of a slot that this replica has published, whichever that is.
    Local,
}

/// An entity that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntityAnswer {
    domain: u16,
    /// In hexadecimal.
    entity: String,
    consistency: ReadConsistency,
    /// A published slot at which this holds.
    slot: u64,
    /// The domain's bytes, in base64.
    state: String,
}

pub(crate) async fn read(
    State(faces): State<Faces>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<ReadQuery>, QueryRejection>,
) -> Response {
    match answer(&faces, path, query).await {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn answer(
    faces: &Faces,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<ReadQuery>, QueryRejection>,
) -> Result<EntityAnswer, Problem> {
    let Path((domain, entity)) = path.map_err(|error| Problem::malformed(error.body_text()))?;
    let Query(ReadQuery { consistency }) = query.map_err(|error| Problem::malformed(error.body_text()))?;
    let (domain, entity) = (domain_of(&domain)?, entity_of(&entity)?);
    let within = faces.limits.request_timeout;
    let read = match consistency {
        ReadConsistency::Linearizable => {
            let read = timeout(within, faces.gateway.read(domain, entity)).await;
            read.map_err(|_| Problem::unanswered(within))?.map_err(Problem::of_gateway)?
        }
        ReadConsistency::Local => {
            let read = timeout(within, faces.local.read(domain, entity)).await;
            read.map_err(|_| Problem::unanswered(within))?.map_err(|error| Problem::no_local_read(&error))?
        }
    };
    let EntityRead { slot, state } = read;
    let shown = format!("{:032x}", entity.0);
    let Some(state) = state else { return Err(Problem::no_such_entity(domain, &shown, slot)) };
    let state = STANDARD.encode(state);
    Ok(EntityAnswer { domain: domain.0, entity: shown, consistency, slot: slot.0, state })
}

fn domain_of(text: &str) -> Result<DomainId, Problem> {
    let number = text.parse().map(DomainId);
    number.map_err(|_| Problem::malformed(format!("{text} is not the number of a domain")))
}

/// An id is 128 bits, in hexadecimal.
fn entity_of(text: &str) -> Result<EntityId, Problem> {
    let digits = text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|_| digits).map(EntityId);
    id.ok_or_else(|| Problem::malformed(format!("{text} is not an entity's id: 1 to 32 hexadecimal digits")))
}
