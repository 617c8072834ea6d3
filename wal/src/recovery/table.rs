//! The decisions of recovery as two tables: one for the end of a log, one for a slot (L5). A replica with peers starts
//! damaged where a single one refuses.

/// What lies at and behind the place where a log's chain of whole records ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Never written.
    Nothing,
    /// Only records of incarnations before the last cut.
    Void,
    /// A block that the device cannot read, where the next record would begin or in it.
    Unreadable,
    /// Anything else: parts of records, and nothing whole behind them.
    Torn,
    /// Whole records that do not follow the last one.
    WholeBehind,
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
    /// With peers: what is missing stays missing, what is whole behind it counts, and the log goes on behind everything
    /// that was ever there.
    GoOnBehind,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFound {
    /// A whole record, and nothing says that another one followed it.
    Whole,
    /// A whole record, and something says that another one followed it.
    Stale,
    /// A whole record that does not chain to a newer one at the slot below (P4).
    Void,
    /// A whole record behind the end of a log's chain only.
    Beyond,
    /// No whole record.
    Missing,
}

/// What a slot means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotDecision {
    /// Accepted, and everything it names is here.
    Accepted,
    /// Its accept is here and a stripe that it names is not: accepts are written after stripes in other logs are
    /// durable (P2), so this is corruption.
    LostStripe,
    /// Its accept is missing at or below a mark, or below a slot that is accepted.
    LostAccept,
    /// With peers: as a lost stripe, which is fetched from anyone (P5).
    DamagedStripe,
    /// With peers: as a lost accept, which only a chosen slot or an accept under a live ballot replaces (P5).
    DamagedAccept,
    /// The log ends here.
    End,
    /// Its accept lies behind a gap that nothing proves to have been durable: torn in a single replica.
    TornTail,
}

/// The end of a log, as the table sees it.
#[derive(Clone, Copy, Debug)]
pub struct LogInput {
    /// What is lost of it may be repaired from peers.
    pub peers: bool,
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
    /// What is lost of it may be repaired from peers.
    pub peers: bool,
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
        row.unwrap_or_else(|| panic!("no row for {self:?}")).4
    }

    fn matches(self, row: &LogRow) -> bool {
        is(row.0, self.peers)
            && is(row.1, self.below_cut)
            && is(row.2, self.below_flushed)
            && is(row.3, self.remains)
    }
}

impl SlotInput {
    /// Looks the decision up.
    pub fn decide(self) -> SlotDecision {
        let row = SLOT_TABLE.iter().find(|row| self.matches(row));
        row.unwrap_or_else(|| panic!("no row for {self:?}")).5
    }

    fn matches(self, row: &SlotRow) -> bool {
        is(row.0, self.peers)
            && is(row.1, self.accept)
            && is(row.2, self.stripes_whole)
            && is(row.3, self.at_or_below_mark)
            && is(row.4, self.below_accepted)
    }
}

/// Peers, below cut, below flushed, remains. `None` matches everything.
type LogRow = (Option<bool>, Option<bool>, Option<bool>, Option<Remains>, LogDecision);

/// Peers, accept, stripes whole, at or below mark, below accepted. `None` matches everything.
type SlotRow = (Option<bool>, Option<AcceptFound>, Option<bool>, Option<bool>, Option<bool>, SlotDecision);

const ANY: Option<bool> = None;
const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

#[rustfmt::skip]
const LOG_TABLE: &[LogRow] = &[
    (NO,  YES, ANY, None, LogDecision::LostBelowCut),
    (NO,  NO,  YES, None, LogDecision::LostFlushed),
    (YES, YES, ANY, None, LogDecision::GoOnBehind),
    (YES, NO,  YES, None, LogDecision::GoOnBehind),
    (ANY, NO,  NO,  Some(Remains::Nothing), LogDecision::Whole),
    (ANY, NO,  NO,  Some(Remains::Void), LogDecision::IgnoreVoid),
    (NO,  NO,  NO,  Some(Remains::Unreadable), LogDecision::LostUnreadable),
    (YES, NO,  NO,  Some(Remains::Unreadable), LogDecision::GoOnBehind),
    (ANY, NO,  NO,  Some(Remains::Torn), LogDecision::CutTornTail),
    (NO,  NO,  NO,  Some(Remains::WholeBehind), LogDecision::CutTornTail),
    (YES, NO,  NO,  Some(Remains::WholeBehind), LogDecision::GoOnBehind),
];

#[rustfmt::skip]
const SLOT_TABLE: &[SlotRow] = &[
    (ANY, Some(AcceptFound::Whole), YES, ANY, ANY, SlotDecision::Accepted),
    (NO,  Some(AcceptFound::Whole), NO,  ANY, ANY, SlotDecision::LostStripe),
    (YES, Some(AcceptFound::Whole), NO,  ANY, ANY, SlotDecision::DamagedStripe),
    (NO,  Some(AcceptFound::Stale), ANY, ANY, ANY, SlotDecision::LostAccept),
    (YES, Some(AcceptFound::Stale), ANY, ANY, ANY, SlotDecision::DamagedAccept),
    (ANY, Some(AcceptFound::Void), ANY, ANY, ANY, SlotDecision::End),
    (NO,  Some(AcceptFound::Beyond), ANY, YES, ANY, SlotDecision::LostAccept),
    (NO,  Some(AcceptFound::Beyond), ANY, NO,  YES, SlotDecision::LostAccept),
    (NO,  Some(AcceptFound::Beyond), ANY, NO,  NO,  SlotDecision::TornTail),
    (YES, Some(AcceptFound::Beyond), ANY, ANY, ANY, SlotDecision::DamagedAccept),
    (NO,  Some(AcceptFound::Missing), ANY, YES, ANY, SlotDecision::LostAccept),
    (NO,  Some(AcceptFound::Missing), ANY, NO,  YES, SlotDecision::LostAccept),
    (YES, Some(AcceptFound::Missing), ANY, YES, ANY, SlotDecision::DamagedAccept),
    (YES, Some(AcceptFound::Missing), ANY, NO,  YES, SlotDecision::DamagedAccept),
    (ANY, Some(AcceptFound::Missing), ANY, NO,  NO,  SlotDecision::End),
];

fn is<T: PartialEq>(expected: Option<T>, found: T) -> bool {
    expected.is_none_or(|expected| expected == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMAINS: [Remains; 5] =
        [Remains::Nothing, Remains::Void, Remains::Unreadable, Remains::Torn, Remains::WholeBehind];
    const ACCEPTS: [AcceptFound; 5] = [
        AcceptFound::Whole,
        AcceptFound::Stale,
        AcceptFound::Void,
        AcceptFound::Beyond,
        AcceptFound::Missing,
    ];

    fn logs() -> impl Iterator<Item = LogInput> {
        let bits = (0..8).flat_map(|bits| REMAINS.map(|remains| (bits, remains)));
        bits.map(|(bits, remains)| LogInput {
            peers: bits & 1 != 0,
            below_cut: bits & 2 != 0,
            below_flushed: bits & 4 != 0,
            remains,
        })
    }

    fn slots() -> impl Iterator<Item = SlotInput> {
        let bits = (0..16).flat_map(|bits| ACCEPTS.map(|accept| (bits, accept)));
        bits.map(|(bits, accept)| SlotInput {
            peers: bits & 8 != 0,
            at_or_below_mark: bits & 1 != 0,
            below_accepted: bits & 2 != 0,
            accept,
            stripes_whole: bits & 4 != 0,
        })
    }

    #[test]
    fn l5_every_log_end_matches_exactly_one_row() {
        for input in logs() {
            assert_eq!(LOG_TABLE.iter().filter(|row| input.matches(row)).count(), 1, "{input:?}");
        }
    }

    #[test]
    fn l5_every_slot_matches_exactly_one_row() {
        for input in slots() {
            assert_eq!(SLOT_TABLE.iter().filter(|row| input.matches(row)).count(), 1, "{input:?}");
        }
    }

    /// Where a single replica refuses, one with peers is damaged, and nowhere else is it damaged but behind a gap that
    /// a single one cuts.
    #[test]
    fn l5_what_a_single_replica_refuses_is_damage_with_peers() {
        for input in logs().filter(|input| input.peers) {
            let alone = LogInput { peers: false, ..input }.decide();
            let expected = match alone {
                LogDecision::LostBelowCut | LogDecision::LostFlushed | LogDecision::LostUnreadable => {
                    LogDecision::GoOnBehind
                }
                _ if input.remains == Remains::WholeBehind => LogDecision::GoOnBehind,
                alone => alone,
            };
            assert_eq!(input.decide(), expected, "{input:?}");
        }
        for input in slots().filter(|input| input.peers) {
            let alone = SlotInput { peers: false, ..input }.decide();
            let expected = match alone {
                SlotDecision::LostStripe => SlotDecision::DamagedStripe,
                SlotDecision::LostAccept | SlotDecision::TornTail => SlotDecision::DamagedAccept,
                alone => alone,
            };
            assert_eq!(input.decide(), expected, "{input:?}");
        }
    }
}
