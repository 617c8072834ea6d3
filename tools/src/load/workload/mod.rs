//! What is asked for, by domain: each part has its entities set up, draws events, takes from the answers what they
//! mean, and is held against what is read in the end.
//!
//! | file | is |
//! |---|---|
//! | `stock.rs` | the inventory's events |
//! | `fleet.rs` | the telemetry's events: reports, by lane in their order |
//! | `commands.rs` | the telemetry's commands of one lane, each from its issue to its end |
//! | `sensors.rs` | the telemetry's set-up, its books, and their comparison |

mod commands;
mod fleet;
mod sensors;
mod stock;

use assize_inventory::INVENTORY;
use assize_telemetry::TELEMETRY;
use assize_wire::DomainId;
use assize_wire::message::Answer;
use assize_wire::outcome::Status;
use serde::Serialize;

use self::fleet::Fleet;
use self::sensors::SensorBook;
pub use self::sensors::SensorBooks;
use self::stock::Stock;
use super::batch::Batch;
use super::books::{Books, read_quantities};
use super::error::LoadError;
use super::plan::LoadPlan;
use super::rng::Rng;
use super::setup::create_items;
use super::zipf::Ranks;
use crate::client::Client;

/// Which of the bundled domains' events are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Stock that is moved.
    Inventory,
    /// Devices that report and take commands.
    Telemetry,
    /// Both, one event in two.
    Both,
}

impl Workload {
    fn has_inventory(self) -> bool {
        self != Workload::Telemetry
    }

    fn has_telemetry(self) -> bool {
        self != Workload::Inventory
    }
}

/// What a run's entities are, and how they are shared out.
pub(super) struct Scene {
    workload: Workload,
    /// The warehouse of the items, and the device of the sensors.
    pub(super) warehouse: u64,
    ranks: Ranks,
    /// Sensors are shared out evenly: each lane, that is each connection and shard that go together, has its own.
    lanes: usize,
    sensors_each: usize,
}

impl Scene {
    pub(super) fn new(plan: &LoadPlan, warehouse: u64, shards: usize) -> Scene {
        let lanes = plan.connections.max(shards);
        Scene {
            workload: plan.workload,
            warehouse,
            ranks: Ranks::new(plan.skew, plan.accounts as u32),
            lanes,
            sensors_each: (plan.accounts / lanes).max(1),
        }
    }

    fn sensors(&self) -> usize {
        if self.workload.has_telemetry() { self.lanes * self.sensors_each } else { 0 }
    }

    /// Brings everything into being that is not there yet, and returns what there is.
    pub(super) fn set_up(&self, client: &mut Client, plan: &LoadPlan) -> Result<Told, LoadError> {
        let deltas = match self.workload.has_inventory() {
            true => create_items(client, plan, self.warehouse)?,
            false => Vec::new(),
        };
        Ok(Told { deltas, sensors: sensors::set_up(client, self.warehouse, self.sensors())? })
    }

    /// One thread's source of events.
    pub(super) fn drawer(&self, plan: &LoadPlan, begun: &Told) -> Drawer {
        let stock = self.workload.has_inventory();
        let fleet = self.workload.has_telemetry();
        Drawer {
            stock: stock.then(|| Stock::new(plan, self.ranks.clone(), self.warehouse)),
            fleet: fleet.then(|| {
                let ranks = Ranks::new(plan.skew, self.sensors_each as u32);
                Fleet::new(ranks, self.warehouse, self.lanes, &begun.sensors)
            }),
        }
    }

    /// Nothing told yet, of as many entities as there are.
    pub(super) fn nothing_told(&self, begun: &Told) -> Told {
        Told {
            deltas: vec![0; begun.deltas.len()],
            sensors: vec![SensorBook::default(); begun.sensors.len()],
        }
    }

    /// Reads everything back and compares.
    pub(super) fn close(
        &self,
        client: &mut Client,
        plan: &LoadPlan,
        told: &Told,
        contradictions: u64,
    ) -> Result<Books, LoadError> {
        let found = match self.workload.has_inventory() {
            true => read_quantities(client, plan, self.warehouse)?,
            false => Vec::new(),
        };
        let telemetry = match self.workload.has_telemetry() {
            true => Some(SensorBooks::close(
                self.warehouse,
                &told.sensors,
                &sensors::read(client, self.warehouse, told.sensors.len())?,
            )),
            false => None,
        };
        Ok(Books::close(self.warehouse, &told.deltas, &found, contradictions).with(telemetry))
    }
}

/// What the answers say: of each entity what was done to it, or what it is in all.
#[derive(Default)]
pub(super) struct Told {
    /// By item.
    pub(super) deltas: Vec<i64>,
    /// By sensor.
    pub(super) sensors: Vec<SensorBook>,
}

impl Told {
    pub(super) fn add(&mut self, other: &Told) {
        self.deltas.iter_mut().zip(&other.deltas).for_each(|(sum, more)| *sum += more);
        self.sensors.iter_mut().zip(&other.sensors).for_each(|(sum, more)| sum.add(more));
    }
}

/// One thread's source of events, and what their answers mean.
pub(super) struct Drawer {
    stock: Option<Stock>,
    fleet: Option<Fleet>,
}

impl Drawer {
    /// Appends an event's payload; returns whose it is.
    pub(super) fn draw(
        &mut self,
        rng: &mut Rng,
        batch: &mut Batch,
        payload: &mut Vec<u8>,
    ) -> (DomainId, u16) {
        match (&self.stock, &mut self.fleet) {
            (Some(stock), None) => stock.draw(rng, batch, payload),
            (Some(stock), Some(_)) if rng.next() >> 63 == 0 => stock.draw(rng, batch, payload),
            (_, Some(fleet)) => {
                fleet.draw(rng, batch.lane, payload);
                return (TELEMETRY, assize_telemetry::VERSION);
            }
            (None, None) => unreachable!("every workload is of a domain"),
        }
        (INVENTORY, assize_inventory::VERSION)
    }

    /// Books what the log decided of an event.
    pub(super) fn settle(&mut self, batch: &Batch, event: usize, answer: &Answer<'_>, told: &mut Told) {
        if answer.first_status == Status::Applied {
            for delta in batch.deltas(event) {
                told.deltas[delta.item as usize] += i64::from(delta.by);
            }
        }
        if let Some(fleet) = &mut self.fleet {
            fleet.settle(batch.lane, batch.event(event), answer, &mut told.sensors);
        }
    }
}
