//! The books: what the engine's answers say every item must hold, against what it holds. Those of the sensors are in
//! `workload/sensors.rs`.

use std::fmt;

use assize_inventory::{INVENTORY, ItemState, item_id};
use assize_wire::EntityId;
use serde::Serialize;

use super::error::LoadError;
use super::plan::LoadPlan;
use super::workload::SensorBooks;
use crate::client::Client;

/// Whether the books balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    /// Every item and sensor holds exactly what the answers say, no answer contradicted another, none is missing.
    pub ok: bool,
    /// Units that must be there.
    pub expected_total: i64,
    /// Units that are there.
    pub found_total: i64,
    /// Items below zero.
    pub negative_entities: u64,
    /// Items that hold something else than expected, or cannot be read.
    pub wrong_entities: u64,
    /// Resubmissions answered with something else than the first answer.
    pub contradictions: u64,
    /// The first wrong item, if any: its id, what it must hold, what it holds.
    pub first_wrong: Option<WrongItem>,
    /// Those of the sensors, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<SensorBooks>,
}

/// An item whose quantity is not what the answers say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongItem {
    /// The entity, in hexadecimal.
    pub entity: String,
    /// What the answers say.
    pub expected: i64,
    /// What was read; nothing if it is absent or unreadable.
    pub found: Option<i64>,
}

impl Books {
    /// Compares, item by item.
    pub(super) fn close(
        warehouse: u64,
        expected: &[i64],
        found: &[Option<i64>],
        contradictions: u64,
    ) -> Books {
        let wrong = |item: &usize| found[*item] != Some(expected[*item]);
        let wrong_entities = (0..expected.len()).filter(wrong).count() as u64;
        let first_wrong = (0..expected.len()).find(wrong).map(|item| WrongItem {
            entity: item_id(warehouse, item as u64).to_string(),
            expected: expected[item],
            found: found[item],
        });
        let negative_entities = found.iter().flatten().filter(|quantity| **quantity < 0).count() as u64;
        Books {
            ok: wrong_entities == 0 && negative_entities == 0 && contradictions == 0,
            expected_total: expected.iter().sum(),
            found_total: found.iter().flatten().sum(),
            negative_entities,
            wrong_entities,
            contradictions,
            first_wrong,
            telemetry: None,
        }
    }

    /// The books of items and sensors together.
    pub(super) fn with(self, telemetry: Option<SensorBooks>) -> Books {
        let ok = self.ok && telemetry.as_ref().is_none_or(|sensors| sensors.ok);
        Books { ok, telemetry, ..self }
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ok {
            f.write_str("balanced")?;
            if self.telemetry.is_none() || self.found_total != 0 {
                write!(f, "; {} units, every one where the answers say", self.found_total)?;
            }
            return match &self.telemetry {
                Some(sensors) => write!(
                    f,
                    "; {} readings of {} sensors, every one counted once",
                    sensors.found_readings, sensors.sensors
                ),
                None => Ok(()),
            };
        }
        write!(
            f,
            "WRONG: {} units expected, {} found; {} items differ, {} are negative, {} answers contradict",
            self.expected_total,
            self.found_total,
            self.wrong_entities,
            self.negative_entities,
            self.contradictions
        )?;
        if let Some(wrong) = &self.first_wrong {
            write!(f, "; the first: {} must hold {}, found {:?}", wrong.entity, wrong.expected, wrong.found)?;
        }
        if let Some(sensors) = self.telemetry.as_ref().filter(|sensors| !sensors.ok) {
            write!(
                f,
                "; {} readings expected, {} found; {} sensors differ, {} alarms contradict their reading",
                sensors.expected_readings,
                sensors.found_readings,
                sensors.wrong_sensors,
                sensors.wrong_alarms
            )?;
            sensors.first_wrong.iter().try_for_each(|wrong| write!(f, "; the first: {wrong}"))?;
        }
        Ok(())
    }
}

/// Reads every item's quantity; nothing where it is absent or its bytes are not an item's. A quantity that no `i64`
/// holds comes out negative, which is how a stock below zero would look.
pub(super) fn read_quantities(
    client: &mut Client,
    plan: &LoadPlan,
    warehouse: u64,
) -> Result<Vec<Option<i64>>, LoadError> {
    let ids: Vec<EntityId> = (0..plan.accounts as u64).map(|sku| item_id(warehouse, sku)).collect();
    let states = client
        .read(INVENTORY, &ids)
        .map_err(|source| LoadError::Client { doing: "reading the items", source })?;
    let quantity = |state: Option<Vec<u8>>| {
        let state = state?;
        let item = ItemState::parse(&state)?;
        Some(item.quantity.cast_signed())
    };
    Ok(states.into_iter().map(quantity).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_unit_is_seen_even_where_the_totals_agree() {
        assert!(Books::close(1, &[5, 7], &[Some(5), Some(7)], 0).ok);
        let moved = Books::close(1, &[5, 7], &[Some(6), Some(6)], 0);
        assert!(!moved.ok && moved.expected_total == moved.found_total && moved.wrong_entities == 2);
        assert!(!Books::close(1, &[5, 7], &[Some(5), None], 0).ok);
        assert!(!Books::close(1, &[5, 0], &[Some(5), None], 0).ok);
        assert_eq!(Books::close(1, &[5], &[Some(-1)], 0).negative_entities, 1);
        assert!(!Books::close(1, &[5], &[Some(5)], 1).ok);
    }
}
