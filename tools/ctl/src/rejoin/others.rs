//! What the other replicas say of one whose disk was lost: before it is formatted, that it is gone; afterwards, how far
//! it is.

use std::thread;
use std::time::Duration;

use assize_node::agreed::Agreed;
use serde_json::{Value, json};

use crate::cli::Where;
use crate::exit::{Ended, Exit};
use crate::print::Printer;
use crate::remote::{Cluster, shown};

/// Those that the command line names.
pub(super) struct Others {
    /// Each for itself: what one says is not what another would.
    each: Vec<(String, Cluster)>,
    replica: u8,
    cluster: String,
}

impl Others {
    pub(super) fn at(http: &[String], replica: u8, agreed: &Agreed) -> Result<Others, Ended> {
        let one = |address: &String| {
            let at = Where { http: vec![address.clone()], timeout: ANSWERED_WITHIN };
            Ok((address.clone(), Cluster::at(&at)?))
        };
        let each = http.iter().map(one).collect::<Result<_, Ended>>()?;
        Ok(Others { each, replica, cluster: agreed.cluster.to_string() })
    }

    /// Whoever answers must be of the cluster, and not be connected to the replica: then its disk is not lost, or there
    /// is a new one already. Somebody must answer.
    pub(super) fn check_that_it_is_gone(&self) -> Result<(), Ended> {
        let mut said = Vec::new();
        let mut any = false;
        for (address, other) in &self.each {
            match other.document("/v1/status") {
                Ok(status) => {
                    self.check(address, &status)?;
                    any = true;
                }
                Err(Ended::Unanswered(one)) => said.extend(one),
                Err(error) => said.push((address.clone(), error.to_string())),
            }
        }
        match any {
            true => Ok(()),
            false => Err(Ended::Unanswered(said)),
        }
    }

    fn check(&self, address: &str, status: &Value) -> Result<(), Ended> {
        let Others { replica, cluster, .. } = self;
        let other = shown(&status["replica"]);
        if status["cluster"].as_str() != Some(cluster) {
            let theirs = shown(&status["cluster"]);
            return Err(Ended::No(format!(
                "replica {other} at {address} is of cluster {theirs}, and what is agreed here is of cluster {cluster}: nothing \
                 was formatted"
            )));
        }
        if status["replica"] == json!(replica) {
            return Err(Ended::No(format!(
                "replica {replica} runs, and answers at {address}: nothing was formatted. One that is wrong but has its disk is \
                 rebuilt (assize rebuild); one whose disk is lost is stopped first"
            )));
        }
        let connected = status["connected"].as_array().into_iter().flatten();
        if connected.into_iter().any(|connected| *connected == json!(replica)) {
            return Err(Ended::No(format!(
                "replica {replica} runs: replica {other} at {address} is connected to it. Nothing was formatted. Is it the right \
                 number in the configuration? One whose disk is lost is stopped first"
            )));
        }
        Ok(())
    }

    /// Tells how far it is whenever that changes, until it stands where the others do.
    pub(super) fn watch(&self, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
        let mut before: Option<Stage> = None;
        loop {
            let seen = self.each.iter().find_map(|(_, other)| other.document("/v1/cluster").ok());
            let stage = match seen {
                Some(seen) => Stage::of(self.replica, &seen).after(before.as_ref()),
                None => Stage::NobodyAnswers,
            };
            if before.as_ref() != Some(&stage) {
                let value = json!({"replica": self.replica, "stage": stage.name(), "slots": stage.slots()});
                printer.answer(&value, || stage.text(self.replica))?;
                printer.finish()?;
            }
            if stage == Stage::Back {
                return Ok(Exit::Success);
            }
            before = Some(stage);
            // Nobody tells when it is back: whoever watches asks.
            thread::sleep(LOOKED_EVERY);
        }
    }
}

/// How far a replica is that comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// None of the others answers just now.
    NobodyAnswers,
    /// It was not started yet, or is not reached by the one that was asked.
    NotReached,
    /// It was reached before, and is not just now.
    Away,
    /// It reads what is on its disk.
    Starts,
    /// It has no vote yet, and nothing of the log: it fetches another replica's checkpoint.
    TakesOver,
    /// It has no vote yet, and knows so much of the log as chosen.
    Rejoins { chosen: u64, of: u64 },
    /// It has its vote, and executes what it missed.
    CatchesUp { published: u64, of: u64 },
    /// It refuses to go on, with the reason.
    Quarantined(String),
    /// It stands where the others do.
    Back,
}

impl Stage {
    fn of(replica: u8, seen: &Value) -> Stage {
        let replicas = || seen["replicas"].as_array().into_iter().flatten();
        let slot = |of: &Value, name: &str| of["status"]["slots"][name].as_u64().unwrap_or_default();
        let Some(own) = replicas().find(|of| of["replica"] == json!(replica) && of["reached"] == true) else {
            return Stage::NotReached;
        };
        let of = replicas().map(|of| slot(of, "chosen")).max().unwrap_or_default();
        match own["status"]["state"].as_str() {
            Some("quarantined") => Stage::Quarantined(shown(&own["status"]["quarantine"])),
            Some("rejoining") => match slot(own, "chosen") {
                0 => Stage::TakesOver,
                chosen => Stage::Rejoins { chosen, of },
            },
            Some("recovering") => Stage::Starts,
            Some("leading" | "following") if own["status"]["ready"] == true => Stage::Back,
            _ => Stage::CatchesUp { published: slot(own, "published"), of },
        }
    }

    /// What it is after another one: whoever was seen once was started.
    fn after(self, before: Option<&Stage>) -> Stage {
        match (self, before) {
            (Stage::NotReached, Some(before))
                if !matches!(before, Stage::NotReached | Stage::NobodyAnswers) =>
            {
                Stage::Away
            }
            (stage, _) => stage,
        }
    }

    /// For programs.
    fn name(&self) -> &'static str {
        match self {
            Stage::NobodyAnswers => "nobody_answers",
            Stage::NotReached => "not_reached",
            Stage::Away => "away",
            Stage::Starts => "starting",
            Stage::TakesOver => "taking_over",
            Stage::Rejoins { .. } => "rejoining",
            Stage::CatchesUp { .. } => "catching_up",
            Stage::Quarantined(_) => "quarantined",
            Stage::Back => "back",
        }
    }

    /// How far, and of how much.
    fn slots(&self) -> Option<[u64; 2]> {
        match self {
            Stage::Rejoins { chosen: at, of } | Stage::CatchesUp { published: at, of } => Some([*at, *of]),
            _ => None,
        }
    }

    fn text(&self, replica: u8) -> String {
        match self {
            Stage::NobodyAnswers => "none of the others answers: waiting".to_owned(),
            Stage::NotReached => format!("replica {replica} is not reached by the others yet: start it"),
            Stage::Away => format!(
                "replica {replica} is not reached just now: it starts again by itself with the checkpoint that it fetched"
            ),
            Stage::Starts => format!("replica {replica} reads what is on its disk"),
            Stage::TakesOver => {
                format!("replica {replica} rejoins, without a vote: it fetches another replica's checkpoint")
            }
            Stage::Rejoins { chosen, of } => {
                format!("replica {replica} rejoins, without a vote: slot {chosen} of {of} is here")
            }
            Stage::CatchesUp { published, of } => {
                format!(
                    "replica {replica} has its vote, and executes what it missed: slot {published} of {of}"
                )
            }
            Stage::Quarantined(reason) => format!("replica {replica} is QUARANTINED: {reason}"),
            Stage::Back => {
                format!("replica {replica} is back: it has its vote and stands where the others do")
            }
        }
    }
}

/// A replica answers at once, or is not well.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Replicas ask each other at most every 400 ms.
const LOOKED_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(own: Value) -> Value {
        json!({"replicas": [
            {"replica": 0, "reached": true, "status": {"state": "leading", "ready": true, "slots": {"chosen": 90}}}, own,
        ]})
    }

    /// ReplicaBack, and what comes before it.
    #[test]
    fn how_far_it_is_follows_from_what_it_says_of_itself() {
        let of = |state: &str, ready: bool| {
            let status = json!({"state": state, "ready": ready, "quarantine": "slot 7", "slots": {"chosen": 80, "published": 70}});
            Stage::of(1, &seen(json!({"replica": 1, "reached": true, "status": status})))
        };
        assert_eq!(of("rejoining", true), Stage::Rejoins { chosen: 80, of: 90 });
        assert_eq!(of("recovering", false), Stage::Starts);
        assert_eq!(of("following", false), Stage::CatchesUp { published: 70, of: 90 });
        assert_eq!(of("following", true), Stage::Back);
        assert_eq!(of("leading", true), Stage::Back);
        assert_eq!(of("quarantined", false), Stage::Quarantined("slot 7".to_owned()));
        let gone = json!({"replica": 1, "reached": false, "status": {"state": "following", "ready": true}});
        assert_eq!(Stage::of(1, &seen(gone)), Stage::NotReached, "what it said last is of the lost disk");
        let empty =
            json!({"replica": 1, "reached": true, "status": {"state": "rejoining", "slots": {"chosen": 0}}});
        assert_eq!(Stage::of(1, &seen(empty)), Stage::TakesOver);
        assert_eq!(Stage::NotReached.after(Some(&Stage::NobodyAnswers)), Stage::NotReached);
        assert_eq!(
            Stage::NotReached.after(Some(&Stage::TakesOver)),
            Stage::Away,
            "nobody starts a second one"
        );
        assert_eq!(Stage::NotReached.after(Some(&Stage::Away)), Stage::Away);
    }

    /// RejoinRefused: whoever is not gone, or is of another cluster.
    #[test]
    fn who_is_connected_is_not_gone() {
        let others = Others { each: Vec::new(), replica: 1, cluster: "c1".to_owned() };
        let check =
            |status: Value| others.check("a:1", &status).map_err(|error| (error.exit(), error.to_string()));
        let of = |replica: u8, connected: &[u8]| json!({"cluster": "c1", "replica": replica, "connected": connected});
        assert!(check(of(0, &[2])).is_ok());
        for (status, words) in [
            (of(0, &[1, 2]), "replica 0 at a:1 is connected to it"),
            (of(1, &[]), "replica 1 runs, and answers at a:1"),
            (json!({"cluster": "c2", "replica": 0, "connected": []}), "is of cluster c2"),
        ] {
            let Err((exit, said)) = check(status) else { panic!("it passes: {words}") };
            assert!(exit == Exit::No && said.contains(words), "{said}");
        }
        assert!(matches!(others.check_that_it_is_gone(), Err(Ended::Unanswered(_))), "nobody says so");
    }
}
