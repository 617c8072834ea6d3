//! What a line expects to become of its event, and what was found.

use std::fmt;

use assize_wire::message::Answer;
use assize_wire::outcome::Status;

/// What a line says of its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How the event ends.
    pub status: Status,
    /// Why, if the line says it.
    pub reason: Option<u16>,
}

/// What an answer says, as far as something is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// How the event ended.
    pub status: Status,
    /// For a duplicate how the first submission ended; else equal to `status`.
    pub first_status: Status,
    /// Why, or 0; for a duplicate why the first submission ended so.
    pub reason: u16,
}

impl Expected {
    /// The outcomes that a line may name: those that the log decides.
    pub const STATUSES: [Status; 8] = [
        Status::Applied,
        Status::Rejected,
        Status::Duplicate,
        Status::Conflict,
        Status::Invalid,
        Status::Expired,
        Status::Full,
        Status::Fault,
    ];

    /// From the members of a line; the error says what is accepted.
    pub(super) fn parse(expect: Option<&str>, reason: Option<u16>) -> Result<Option<Expected>, String> {
        let Some(name) = expect else {
            return match reason {
                Some(_) => Err("there is a \"reason\" and no \"expect\" that it belongs to".to_owned()),
                None => Ok(None),
            };
        };
        let found = Expected::STATUSES.into_iter().find(|status| status.to_string() == name);
        let Some(status) = found else {
            let names = Expected::STATUSES.map(|status| status.to_string()).join(", ");
            return Err(format!("\"expect\" is '{name}'; accepted are {names}"));
        };
        match reason {
            Some(0) => Err("\"reason\" is 0; reasons begin at 1".to_owned()),
            Some(_) if !matches!(status, Status::Rejected | Status::Invalid) => {
                Err(format!("{name} has no \"reason\"; only rejected and invalid have one"))
            }
            reason => Ok(Some(Expected { status, reason })),
        }
    }

    /// Whether that is what was found. `again` stands for an event that was recorded by an earlier run: then what was
    /// expected of it is what its duplicate must say of the first submission.
    #[must_use]
    pub fn is_met(&self, found: &Found, again: bool) -> bool {
        let is_reason = self.reason.is_none_or(|reason| reason == found.reason);
        match again && self.status.is_recorded() {
            true => found.status == Status::Duplicate && found.first_status == self.status && is_reason,
            false => found.status == self.status && is_reason,
        }
    }
}

impl Found {
    pub(super) fn of(answer: &Answer<'_>) -> Found {
        Found { status: answer.status, first_status: answer.first_status, reason: answer.reason }
    }

    /// As it would have been told to whoever submitted it first.
    pub(super) fn first(self) -> Found {
        Found { status: self.first_status, ..self }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Some(reason) => write!(f, "{} ({reason})", self.status),
            None => self.status.fmt(f),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)?;
        if self.status != self.first_status {
            write!(f, " of {}", self.first_status)?;
        }
        match self.reason {
            0 => Ok(()),
            reason => write!(f, " ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(expect: &str, reason: Option<u16>) -> Expected {
        Expected::parse(Some(expect), reason).unwrap().unwrap()
    }

    fn found(status: Status, first_status: Status, reason: u16) -> Found {
        Found { status, first_status, reason }
    }

    /// DifferenceCounted: of a first run.
    #[test]
    fn an_outcome_is_met_by_its_status_and_by_the_reason_that_is_named() {
        let rejected = found(Status::Rejected, Status::Rejected, 5);
        assert!(expected("rejected", None).is_met(&rejected, false));
        assert!(expected("rejected", Some(5)).is_met(&rejected, false));
        assert!(!expected("rejected", Some(4)).is_met(&rejected, false));
        assert!(!expected("applied", None).is_met(&rejected, false));
        let duplicate = found(Status::Duplicate, Status::Applied, 0);
        assert!(expected("duplicate", None).is_met(&duplicate, false));
        assert!(!expected("applied", None).is_met(&duplicate, false));
    }

    #[test]
    fn a_second_run_expects_duplicates_of_what_the_first_one_did() {
        let of_applied = found(Status::Duplicate, Status::Applied, 0);
        let of_rejected = found(Status::Duplicate, Status::Rejected, 5);
        assert!(expected("applied", None).is_met(&of_applied, true));
        assert!(!expected("applied", None).is_met(&of_rejected, true));
        assert!(!expected("applied", None).is_met(&of_applied.first(), true));
        assert!(expected("rejected", Some(5)).is_met(&of_rejected, true));
        assert!(!expected("rejected", Some(4)).is_met(&of_rejected, true));
        assert!(expected("duplicate", None).is_met(&of_rejected, true));
        // Nothing was recorded of it: it is what it was.
        let conflict = found(Status::Conflict, Status::Conflict, 0);
        assert!(expected("conflict", None).is_met(&conflict, true));
    }

    #[test]
    fn what_cannot_be_expected_is_refused_in_words() {
        for (expect, reason, words) in [
            (Some("aplied"), None, "accepted are applied, rejected"),
            (Some("busy"), None, "accepted are"),
            (Some("applied"), Some(1), "only rejected and invalid"),
            (Some("rejected"), Some(0), "reasons begin at 1"),
            (None, Some(1), "no \"expect\""),
        ] {
            let error = Expected::parse(expect, reason).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(Expected::parse(None, None), Ok(None));
    }

    #[test]
    fn what_was_found_is_said_with_what_it_repeats() {
        assert_eq!(found(Status::Duplicate, Status::Rejected, 5).to_string(), "duplicate of rejected (5)");
        assert_eq!(expected("rejected", Some(5)).to_string(), "rejected (5)");
        assert_eq!(found(Status::Conflict, Status::Conflict, 0).to_string(), "conflict");
    }
}
