//! `GET /v1/entities/{domain}/{entity}`: an entity's state, and at which slot it holds (C8).

use assize_domain::Payload;
use assize_domain::notation::DomainName;
use assize_tools::client::{EntityRead, NewEvent};
use assize_wire::{DomainId, EntityId};
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::notation::{
    base64, domain_name, domain_of, entity_name, entity_of, inspected, inspection_of, state_shown,
};
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
    /// As linearizable, and more than that: an event in the log, whose outcome enough replicas computed alike before it
    /// was told. Costs what an event costs.
    Verified,
}

/// An entity that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntityAnswer {
    /// Its name.
    domain: String,
    /// Its name, or its id in hexadecimal.
    entity: String,
    consistency: ReadConsistency,
    /// A published slot at which this holds: the last one in which the entity's shard had a part, so that later changes
    /// are found after it. Slots of entities at home in different shards do not compare; of a verified read, its own.
    slot: u64,
    /// The state, in its domain's own words; `null` if that has no form in JSON.
    state: Value,
    /// The same in bytes, in base64.
    state_bytes: String,
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
    let domains = &faces.domains;
    let domain = domain_of(domains, &DomainName::Name(domain))?;
    let entity = entity_of(domains, domain, &entity)?;
    let within = faces.limits.request_timeout;
    let read = match consistency {
        ReadConsistency::Linearizable => {
            let read = timeout(within, faces.gateway.read(domain, entity)).await;
            read.map_err(|_| Problem::unanswered(within))?.map_err(Problem::of_gateway)?
        }
        ReadConsistency::Local => {
            let readings = faces.board.read();
            if !readings.is_ready() {
                return Err(Problem::not_ready(readings.cores.iter().any(|core| core.quarantined == 1)));
            }
            let read = timeout(within, faces.local.read(domain, entity)).await;
            read.map_err(|_| Problem::unanswered(within))?.map_err(|error| Problem::no_local_read(&error))?
        }
        ReadConsistency::Verified => verified(faces, domain, entity).await?,
    };
    let EntityRead { slot, state } = read;
    let name = entity_name(domains, domain, entity);
    let Some(bytes) = state else {
        return Err(Problem::no_such_entity(&domain_name(domains, domain), &name, slot));
    };
    Ok(EntityAnswer {
        domain: domain_name(domains, domain),
        entity: name,
        consistency,
        slot: slot.0,
        state: state_shown(domains, domain, entity, &bytes).unwrap_or_default(),
        state_bytes: base64(&bytes),
    })
}

/// Submits an event that reads (C8).
async fn verified(faces: &Faces, domain: DomainId, entity: EntityId) -> Result<EntityRead, Problem> {
    let Some(Payload { version, bytes }) = inspection_of(&faces.domains, domain, entity) else {
        return Err(Problem::no_verified_read(&domain_name(&faces.domains, domain)));
    };
    let within = faces.limits.request_timeout;
    let submitted =
        timeout(within, faces.gateway.submit(Vec::from([NewEvent::new(domain, version, bytes)]))).await;
    let submitted = submitted.map_err(|_| Problem::undecided(within))?.map_err(Problem::of_gateway)?;
    let [one] = &submitted[..] else { panic!("{} outcomes of one event", submitted.len()) };
    let reason = one.answer.as_ref().and_then(|answer| faces.domains.reason(domain, answer.reason));
    if let Some(problem) = Problem::of(one, reason) {
        return Err(problem);
    }
    let read = one.answer.as_ref().and_then(|answer| {
        let state = inspected(&faces.domains, domain, &answer.response)?;
        Some(EntityRead { slot: answer.position.slot, state })
    });
    read.ok_or_else(|| Problem::no_verified_read(&domain_name(&faces.domains, domain)))
}
