//! What outcomes returned, in the words of their domains. A stream of outcomes does not say which domain each is of.

use assize_domain::{DomainRegistry, Verdict};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The domains of a cluster, if all of them are in this program.
pub(super) struct Words<'a> {
    domains: Option<&'a DomainRegistry>,
}

impl<'a> Words<'a> {
    /// `status` is as a replica of the cluster tells it. Where a domain is not known here, what it returned could be
    /// taken for another one's.
    pub(super) fn of(status: &Value, domains: &'a DomainRegistry) -> Words<'a> {
        let known = |domain: &Value| {
            let id = domain["id"].as_u64();
            domains.iter().any(|known| id == Some(known.id().0.into()))
        };
        let all = status["domains"].as_array().is_some_and(|all| all.iter().all(known));
        Words { domains: all.then_some(domains) }
    }

    /// What an outcome returned: as the only domain that it can be of says it, else in base64; nothing if that is
    /// nothing. And the reason, in words where there are some.
    pub(super) fn response(&self, outcome: &Value) -> Option<String> {
        let response = outcome["response"].as_str().filter(|response| !response.is_empty())?;
        Some(self.decoded(outcome, response).map_or_else(|| response.to_owned(), |value| value.to_string()))
    }

    fn decoded(&self, outcome: &Value, response: &str) -> Option<Value> {
        let verdict = match outcome["status"].as_str()? {
            "applied" => Verdict::Applied,
            "rejected" => Verdict::Rejected(reason_of(outcome)?),
            _ => return None,
        };
        let bytes = STANDARD.decode(response).ok()?;
        let mut found: Option<(_, Value)> = None;
        // Of versions of one domain the newest that reads it is taken.
        for domain in self.domains?.iter() {
            let Some(value) =
                domain.notation().and_then(|known| known.response_to_json(verdict, None, &bytes))
            else {
                continue;
            };
            if found.as_ref().is_some_and(|(id, _)| *id != domain.id()) {
                return None;
            }
            found = Some((domain.id(), value));
        }
        found.map(|(_, value)| value)
    }

    /// The reason as a number and in words: those of each domain that it can be of.
    pub(super) fn reason(&self, outcome: &Value) -> Option<String> {
        let number = reason_of(outcome)?;
        let mut words: Vec<(&str, &str)> = Vec::new();
        for domain in self.domains.into_iter().flat_map(DomainRegistry::iter) {
            let said = self.domains.and_then(|domains| domains.reason(domain.id(), number));
            if let Some(said) = said.filter(|said| !words.contains(&(domain.name(), said))) {
                words.push((domain.name(), said));
            }
        }
        Some(match &words[..] {
            [] => format!("reason {number}"),
            [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => {
                format!("{first} (reason {number})")
            }
            several => {
                let each = several.iter().map(|(name, words)| format!("{words} in {name}"));
                format!("{} (reason {number})", each.collect::<Vec<_>>().join(", or "))
            }
        })
    }
}

fn reason_of(outcome: &Value) -> Option<u16> {
    outcome["reason"].as_u64().and_then(|reason| reason.try_into().ok())
}

#[cfg(test)]
mod tests {
    use assize_inventory::InventoryDomain;
    use assize_telemetry::TelemetryDomain;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_response_is_told_in_its_domains_words_where_it_can_only_be_of_one() {
        let mut domains = DomainRegistry::new();
        domains.register(InventoryDomain).expect("the first");
        let of = |status: &Value, domains: &DomainRegistry| {
            let outcome = json!({"status": "applied", "response": "ZAAAAAAAAAA="});
            Words::of(status, domains).response(&outcome)
        };
        let status = json!({"domains": [{"id": 1}]});
        let decoded = Some("{\"quantities\":[100]}".to_owned());
        assert_eq!(of(&status, &domains), decoded);
        let as_it_is = Some("ZAAAAAAAAAA=".to_owned());
        assert_eq!(of(&json!({"domains": [{"id": 1}, {"id": 77}]}), &domains), as_it_is, "one is not known");
        assert_eq!(of(&Value::Null, &domains), as_it_is, "nobody said which there are");
        domains.register(TelemetryDomain).expect("the second");
        assert_eq!(of(&status, &domains), decoded, "of telemetry it cannot be");
        let words = Words::of(&status, &domains);
        assert_eq!(words.response(&json!({"status": "duplicate", "response": ""})), None);
        assert_eq!(words.reason(&json!({"status": "applied"})), None);
        let reason = words.reason(&json!({"reason": 1})).expect("words of both");
        assert!(
            reason.contains(" in inventory, or ") && reason.ends_with(" in telemetry (reason 1)"),
            "{reason}"
        );
        assert_eq!(words.reason(&json!({"reason": 999})).as_deref(), Some("reason 999"));
    }
}
