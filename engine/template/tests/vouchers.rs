//! What holds of the vouchers: their rules, and that they come to the same on every replica.

use assize_domain::{DomainRegistry, EntityId, StreamTime};
use assize_kit::{Books, Dice, Draft, Kit, Status};
use serde_json::{Value, json};
use vouchers::{Reason, VOUCHERS, Voucher, VoucherEvent, Vouchers};

fn domains() -> DomainRegistry {
    let mut domains = DomainRegistry::new();
    domains.register(Vouchers).expect("its number and name are free");
    domains
}

/// Submits an event at a second of stream time: how it ended, and why.
fn submit(books: &mut Books, second: u64, event: Value) -> (Status, u16) {
    let draft = Draft::from_json(&Vouchers, &event).expect("an event");
    let ending = books.submit(&draft, StreamTime(second * 1_000_000_000));
    (ending.status, ending.reason)
}

#[test]
fn a_voucher_is_redeemed_in_parts_until_it_expires() {
    let mut books = Books::new(domains());
    let issue = json!({"issue": {"voucher": "voucher:7", "amount": 50, "expires_s": 100}});
    let redeem = json!({"redeem": {"voucher": "voucher:7", "amount": 20}});
    assert_eq!(submit(&mut books, 10, redeem.clone()), (Status::Rejected, Reason::UnknownVoucher.number()));
    assert_eq!(submit(&mut books, 10, issue.clone()), (Status::Applied, 0));
    assert_eq!(submit(&mut books, 11, issue), (Status::Rejected, Reason::AlreadyIssued.number()));
    assert_eq!(submit(&mut books, 99, redeem.clone()), (Status::Applied, 0));
    assert_eq!(submit(&mut books, 100, redeem), (Status::Rejected, Reason::Expired.number()));
    let state = books.state(VOUCHERS, EntityId(7)).and_then(Voucher::parse);
    assert_eq!(state, Some(Voucher { left: 30, expires_s: 100 }));
}

/// An event over few vouchers, so that events meet; some of them expire soon.
fn draw(dice: &mut Dice, now: StreamTime) -> Draft {
    let [voucher, to] = [dice.below(12), dice.below(12)].map(|number| EntityId(number.into()));
    let amount = if dice.once_in(20) { u64::MAX } else { dice.below(100) };
    let expires_s = now.0 / 1_000_000_000 + dice.below(100_000);
    let event = match dice.below(5) {
        0 | 1 => VoucherEvent::Issue { voucher, amount, expires_s },
        2 => VoucherEvent::Redeem { voucher, amount: amount / 2 },
        3 => VoucherEvent::Move { from: voucher, to, amount: amount / 2 },
        _ => VoucherEvent::Inspect { voucher },
    };
    Draft::new(&Vouchers, event.encode())
}

#[test]
fn the_same_events_come_to_the_same_on_every_replica() {
    let report = Kit::new(domains).check(draw).unwrap();
    for reason in Reason::ALL {
        assert!(report.rejected(VOUCHERS, reason.number()) > 0, "never rejected: {reason}");
    }
}
