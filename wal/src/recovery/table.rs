//! The decisions of recovery as two tables: one for the end of a log, one for a slot (L5).

/// What lies at and behind the place where a log's chain of whole records ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Never written.
    Nothing,
    /// Only records of incarnations before the last cut.
    Void,
    /// A block that the device cannot read, where the next record would begin or in it.
    Unreadable,
    /// Anything else: parts of records, or whole records that do not follow the last one.
    Torn,
}

/// What the end of a log means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDecision {
    /// It ends where its writer stopped.
    Whole,
    /// What follows belongs to an incarnation before the cut.
    IgnoreVoid,
    /// Nothing proves that what is missing was ever durable: the tail is cut, if the slots agree.
    CutTornTail,
    /// It ends below its recorded cut: what was read at an earlier start is gone.
    LostBelowCut,
    /// A whole record behind the end says that what is missing was durable when that record was formed.
    LostFlushed,
    /// What is there cannot be read. A power cut makes no block unreadable: it may be what was acknowledged last.
    LostUnreadable,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFound {
    /// A whole record in a log's chain.
    Whole,
    /// A whole record behind the end of a log's chain only.
    Beyond,
    /// No whole record.
    Missing,
}

/// What a slot means for a single replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotDecision {
    /// Accepted, and everything it names is here.
    Accepted,
    /// Its accept is here and a stripe that it names is not: accepts are written after stripes in other logs are
    /// durable (P2), so this is corruption.
    LostStripe,
    /// Its accept is missing at or below a mark, or below a slot that is accepted.
    LostAccept,
    /// The log ends here.
    End,
    /// Its accept lies behind a gap that nothing proves to have been durable: torn in a single replica.
    TornTail,
}

/// The end of a log, as the table sees it.
#[derive(Clone, Copy, Debug)]
pub struct LogInput {
    /// It ends below its recorded cut.
    pub below_cut: bool,
    /// It ends below what a whole record behind its end calls durable.
    pub below_flushed: bool,
    /// What follows.
    pub remains: Remains,
}

/// A slot, as the table sees it.
#[derive(Clone, Copy, Debug)]
pub struct SlotInput {
    /// Some record carries a mark at or above it.
    pub at_or_below_mark: bool,
    /// A higher slot has a whole accept in a chain.
    pub below_accepted: bool,
    /// Its accept.
    pub accept: AcceptFound,
    /// Every stripe that its accept names is in a chain.
    pub stripes_whole: bool,
}

impl LogInput {
    /// Looks the decision up.
    pub fn decide(self) -> LogDecision {
        let row = LOG_TABLE.iter().find(|row| self.matches(row));
        row.unwrap_or_else(|| panic!("no row for {self:?}")).3
    }

    fn matches(self, row: &LogRow) -> bool {
        is(row.0, self.below_cut) && is(row.1, self.below_flushed) && is(row.2, self.remains)
    }
}

impl SlotInput {
    /// Looks the decision up.
    pub fn decide(self) -> SlotDecision {
        let row = SLOT_TABLE.iter().find(|row| self.matches(row));
        row.unwrap_or_else(|| panic!("no row for {self:?}")).4
    }

    fn matches(self, row: &SlotRow) -> bool {
        is(row.0, self.accept)
            && is(row.1, self.stripes_whole)
            && is(row.2, self.at_or_below_mark)
            && is(row.3, self.below_accepted)
    }
}

/// Below cut, below flushed, remains. `None` matches everything.
type LogRow = (Option<bool>, Option<bool>, Option<Remains>, LogDecision);

/// Accept, stripes whole, at or below mark, below accepted. `None` matches everything.
type SlotRow = (Option<AcceptFound>, Option<bool>, Option<bool>, Option<bool>, SlotDecision);

const LOG_TABLE: &[LogRow] = &[
    (Some(true), None, None, LogDecision::LostBelowCut),
    (Some(false), Some(true), None, LogDecision::LostFlushed),
    (Some(false), Some(false), Some(Remains::Nothing), LogDecision::Whole),
    (Some(false), Some(false), Some(Remains::Void), LogDecision::IgnoreVoid),
    (Some(false), Some(false), Some(Remains::Unreadable), LogDecision::LostUnreadable),
    (Some(false), Some(false), Some(Remains::Torn), LogDecision::CutTornTail),
];

const SLOT_TABLE: &[SlotRow] = &[
    (Some(AcceptFound::Whole), Some(true), None, None, SlotDecision::Accepted),
    (Some(AcceptFound::Whole), Some(false), None, None, SlotDecision::LostStripe),
    (Some(AcceptFound::Beyond), None, Some(true), None, SlotDecision::LostAccept),
    (Some(AcceptFound::Beyond), None, Some(false), Some(true), SlotDecision::LostAccept),
    (Some(AcceptFound::Beyond), None, Some(false), Some(false), SlotDecision::TornTail),
    (Some(AcceptFound::Missing), None, Some(true), None, SlotDecision::LostAccept),
    (Some(AcceptFound::Missing), None, Some(false), Some(true), SlotDecision::LostAccept),
    (Some(AcceptFound::Missing), None, Some(false), Some(false), SlotDecision::End),
];

fn is<T: PartialEq>(expected: Option<T>, found: T) -> bool {
    expected.is_none_or(|expected| expected == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l5_every_log_end_matches_exactly_one_row() {
        for below_cut in [false, true] {
            for below_flushed in [false, true] {
                for remains in [Remains::Nothing, Remains::Void, Remains::Unreadable, Remains::Torn] {
                    let input = LogInput { below_cut, below_flushed, remains };
                    let rows = LOG_TABLE.iter().filter(|row| input.matches(row)).count();
                    assert_eq!(rows, 1, "{input:?}");
                }
            }
        }
    }

    #[test]
    fn l5_every_slot_matches_exactly_one_row() {
        for accept in [AcceptFound::Whole, AcceptFound::Beyond, AcceptFound::Missing] {
            for bits in 0..8 {
                let input = SlotInput {
                    at_or_below_mark: bits & 1 != 0,
                    below_accepted: bits & 2 != 0,
                    accept,
                    stripes_whole: bits & 4 != 0,
                };
                let rows = SLOT_TABLE.iter().filter(|row| input.matches(row)).count();
                assert_eq!(rows, 1, "{input:?}");
            }
        }
    }
}
