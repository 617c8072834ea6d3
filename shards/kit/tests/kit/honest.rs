//! What a domain that keeps its promises comes to.

use assize_domain::{EngineReason, EntityId, StreamTime};
use assize_kit::{Books, Kit};
use assize_wire::outcome::Status;

use super::counters::{COUNTERS, MALFORMED, Wrong, ZERO, add, draw, made};

/// CheckPassed.
#[test]
fn a_domain_that_keeps_its_promises_passes_and_the_report_says_what_it_came_to() {
    let report = Kit::new(made(Wrong::Nothing, 1)).seeds(5).check(draw).unwrap();
    assert_eq!((report.events, report.faults()), (5 * 200, 0));
    assert_eq!((report.runs, report.restarts), (5 * 5 * 3, 5 * 5));
    assert!(report.applied() > 500 && report.rejected(COUNTERS, ZERO) > 0, "{report}");
    assert!(report.borrowed > 1000, "{report}");
    // Spoiled on purpose.
    for reason in [MALFORMED, EngineReason::UnknownDomain as u16] {
        assert!(report.endings.contains_key(&(COUNTERS, Status::Invalid, reason)), "{report}");
    }
}

#[test]
fn several_versions_of_the_logic_are_switched_between_in_the_midst_of_it() {
    let once = Kit::new(made(Wrong::Nothing, 1)).check_these(&vec![add(1, 2); 3]).unwrap();
    assert_eq!((once.events, once.applied()), (60, 60));
    Kit::new(made(Wrong::Nothing, 3)).seeds(5).check(draw).unwrap();
}

#[test]
fn books_are_for_tests_of_rules() {
    let mut books = Books::new(made(Wrong::Nothing, 2)());
    let ending = books.submit(&add(7, 20), StreamTime(1));
    assert_eq!((ending.status, ending.response), (Status::Applied, 40_u64.to_le_bytes().to_vec()));
    let refused = books.submit(&add(7, 0), StreamTime(1));
    assert_eq!((refused.status, refused.reason), (Status::Rejected, ZERO));
    assert_eq!(books.state(COUNTERS, EntityId(7)), Some(&40_u64.to_le_bytes()[..]));
    assert_eq!(books.state(COUNTERS, EntityId(8)), None);
}
