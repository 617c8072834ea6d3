//! The vouchers in JSON: what people and `curl` write and read. The log holds the bytes.

use alloc::format;
use alloc::string::String;

use assize_domain::notation::{Members, number_from_text, number_to_json, only_member, text_from_json};
use assize_domain::{EntityId, Notation, NotationError, Payload, Verdict};
use serde_json::{Value, json};

use crate::{VERSION, Voucher, VoucherEvent, Vouchers};

impl Notation for Vouchers {
    fn event_from_json(&self, json: &Value) -> Result<Payload, NotationError> {
        let (kind, members) = only_member(json, &["issue", "redeem", "move", "inspect"])?;
        let event = read_event(kind, members).map_err(|error| error.within(kind))?;
        Ok(Payload { version: VERSION, bytes: event.encode() })
    }

    fn event_to_json(&self, version: u16, payload: &[u8]) -> Option<Value> {
        let event = VoucherEvent::parse(payload).filter(|_| version == VERSION)?;
        Some(match event {
            VoucherEvent::Issue { voucher, amount, expires_s } => {
                let (amount, expires_s) = (number_to_json(amount), number_to_json(expires_s));
                json!({"issue": {"voucher": name(voucher), "amount": amount, "expires_s": expires_s}})
            }
            VoucherEvent::Redeem { voucher, amount } => {
                json!({"redeem": {"voucher": name(voucher), "amount": number_to_json(amount)}})
            }
            VoucherEvent::Move { from, to, amount } => {
                json!({"move": {"from": name(from), "to": name(to), "amount": number_to_json(amount)}})
            }
            VoucherEvent::Inspect { voucher } => json!({"inspect": {"voucher": name(voucher)}}),
        })
    }

    fn entity_from_text(&self, text: &str) -> Result<EntityId, NotationError> {
        let Some(number) = text.strip_prefix("voucher:") else {
            return Err(NotationError::new("not a voucher; accepted is voucher:NUMBER, such as voucher:7"));
        };
        number_from_text(number).map(EntityId).map_err(|error| error.within("number"))
    }

    fn entity_to_text(&self, entity: EntityId) -> String {
        name(entity)
    }

    fn state_to_json(&self, _entity: EntityId, state: &[u8]) -> Option<Value> {
        let Voucher { left, expires_s } = Voucher::parse(state)?;
        Some(json!({"left": number_to_json(left), "expires_s": number_to_json(expires_s)}))
    }

    fn response_to_json(
        &self,
        _verdict: Verdict,
        _event: Option<(u16, &[u8])>,
        response: &[u8],
    ) -> Option<Value> {
        // No two of them are as long, so the event is not needed.
        if response.is_empty() {
            return Some(Value::Null);
        }
        if let Some(state) = self.inspected(response) {
            let state = state.map(|state| self.state_to_json(EntityId(0), state));
            return Some(json!({"state": state.unwrap_or_default()}));
        }
        let (amounts, rest) = response.as_chunks::<8>();
        match amounts {
            _ if !rest.is_empty() => None,
            [left] => Some(json!({"left": number_to_json(u64::from_le_bytes(*left))})),
            [from, to] => {
                let [from, to] = [from, to].map(|left| number_to_json(u64::from_le_bytes(*left)));
                Some(json!({"from": from, "to": to}))
            }
            _ => None,
        }
    }

    fn inspection(&self, entity: EntityId) -> Option<Payload> {
        Some(Payload { version: VERSION, bytes: VoucherEvent::Inspect { voucher: entity }.encode() })
    }

    fn inspected<'a>(&self, response: &'a [u8]) -> Option<Option<&'a [u8]>> {
        match response {
            [0] => Some(None),
            [1, state @ ..] if state.len() == Voucher::BYTES => Some(Some(state)),
            _ => None,
        }
    }
}

fn read_event(kind: &str, json: &Value) -> Result<VoucherEvent, NotationError> {
    match kind {
        "issue" => {
            let members = Members::of(json, &["voucher", "amount", "expires_s"])?;
            let voucher = members.read("voucher", voucher)?;
            let (amount, expires_s) = (members.number("amount")?, members.number("expires_s")?);
            Ok(VoucherEvent::Issue { voucher, amount, expires_s })
        }
        "redeem" => {
            let members = Members::of(json, &["voucher", "amount"])?;
            let (voucher, amount) = (members.read("voucher", voucher)?, members.number("amount")?);
            Ok(VoucherEvent::Redeem { voucher, amount })
        }
        "move" => {
            let members = Members::of(json, &["from", "to", "amount"])?;
            let (from, to) = (members.read("from", voucher)?, members.read("to", voucher)?);
            Ok(VoucherEvent::Move { from, to, amount: members.number("amount")? })
        }
        _ => {
            Ok(VoucherEvent::Inspect { voucher: Members::of(json, &["voucher"])?.read("voucher", voucher)? })
        }
    }
}

fn voucher(json: &Value) -> Result<EntityId, NotationError> {
    Vouchers.entity_from_text(text_from_json(json)?)
}

fn name(voucher: EntityId) -> String {
    format!("voucher:{}", voucher.0)
}
