//! Random load on replicas of every shape: what clients are told is what the serial model says of the log that is left.

use assize_wal::memory::Random;
use assize_wire::outcome::Status;

use assize_sim::replica::Seen;
use assize_sim::seeds::{all_seeds, each_seed};
use assize_sim::shape::Shape;
use assize_sim::world::World;

/// D1, C3, C8, W1, W2, P4: each event is answered once, as the serial model says; reads are linearizable; the log is
/// a chain; stream time never moves back though the wall clock does.
///
/// AnsweredOnce, NeverAnsweredTwice, SlotPublished, ReadSeen, DurableBeforeChosen, ChosenBeforeEvaluated,
/// EvaluatedBeforePublished, ReadsAtThePublishedEdge, EventsForwarded, DuplicateFilled, OneChain,
/// StreamTimeNeverBack.
#[test]
fn answers_and_reads_are_those_of_the_serial_model() {
    let mut seen = Seen::default();
    let mut statuses = std::collections::BTreeMap::<u8, u64>::new();
    let (mut long_fills, mut reads) = (0, 0);
    each_seed("answers_and_reads", 0..200, |seed| {
        let shape = Shape::random(&mut Random(seed));
        let mut world = World::serving(shape, seed);
        world.run(600);
        world.finish();
        world.check();
        let replica = &world.replicas[0].seen;
        seen.forwarded += replica.forwarded;
        seen.stages += replica.stages;
        long_fills += world.long_fills;
        reads += world.history.reads;
        world.statuses.iter().for_each(|(status, count)| *statuses.entry(*status).or_default() += count);
    });
    if !all_seeds() {
        return;
    }
    assert!(seen.forwarded > 1000 && seen.stages > 1000, "{seen:?}");
    assert!(long_fills > 100 && reads > 1000, "{long_fills} long fills, {reads} reads");
    use Status::{Applied, Busy, Conflict, Duplicate, Expired, Fault, Invalid, Rejected};
    for status in [Applied, Rejected, Fault, Duplicate, Conflict, Expired, Invalid, Busy] {
        assert!(statuses.contains_key(&(status as u8)), "no event ended as {status}");
    }
}
