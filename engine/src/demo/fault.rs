//! What became of a fault that was rehearsed.

use assize_shards::Rehearsal;

use super::status::Status;

/// A line that says whether the replica that committed the fault was found out. The last one commits it.
pub(super) fn tell_fault(fault: Rehearsal, replicas: &[Option<Status>]) -> String {
    let slot = fault.slot().0;
    let culprit = replicas.len().saturating_sub(1);
    let of_culprit = replicas.last().cloned().flatten();
    let ends_at = replicas.iter().flatten().map(|status| status.slots.chosen).max().unwrap_or(0);
    let what_came = match of_culprit {
        Some(Status { quarantine: Some(why), .. }) => format!("found out, and quarantined: {why}"),
        _ if ends_at < slot => format!(
            "never reached, since the log ends at slot {ends_at}: a smaller --batch or more --seconds make more slots"
        ),
        Some(Status { slots, .. }) if slots.published < ends_at => {
            let published = slots.published;
            format!(
                "it has published through slot {published}, the others, without it, through slot {ends_at}"
            )
        }
        // A read is the answer of one replica, unless it is to be verified.
        Some(_) => {
            "not found out by the end: no event has used what it changed, and no checkpoint compared it"
                .into()
        }
        None => "it does not say what became of it".to_owned(),
    };
    format!("Fault: {fault} at replica {culprit}: {what_came}\n")
}

#[cfg(test)]
mod tests {
    use assize_wire::Slot;

    use super::super::status::Slots;
    use super::*;

    fn status(chosen: u64, published: u64, quarantine: Option<&str>) -> Option<Status> {
        Some(Status { slots: Slots { chosen, published }, quarantine: quarantine.map(str::to_owned) })
    }

    #[test]
    fn what_became_of_a_fault_is_told_or_why_nothing_did() {
        let honest = status(9, 9, None);
        let told = |of_culprit| tell_fault(Rehearsal::Stall(Slot(7)), &[honest.clone(), of_culprit]);
        let found = told(status(9, 9, Some("it differs")));
        assert_eq!(found, "Fault: stall@7 at replica 1: found out, and quarantined: it differs\n");
        let behind = told(status(8, 6, None));
        assert!(behind.contains("through slot 6, the others, without it, through slot 9"), "{behind}");
        assert!(told(honest.clone()).contains("not found out"));
        assert!(told(None).contains("does not say"));
        let early = tell_fault(Rehearsal::WrongOutcome(Slot(10)), &[honest.clone(), honest.clone()]);
        assert!(early.contains("never reached, since the log ends at slot 9"), "{early}");
    }
}
