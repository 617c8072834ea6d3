//! Warnings of the analysis that stay, each kind with its reason, file by file. An entry that no longer applies fails
//! the test, so the list shrinks with the specs' weaknesses.

/// A kind of warning that stays in one spec.
pub struct Accepted {
    /// The spec, from the top of the tree.
    pub file: &'static str,
    /// The analysis's code for it.
    pub code: &'static str,
    /// Why it stays.
    pub reason: &'static str,
}

/// All of them, by file.
pub const ACCEPTED: &[Accepted] = &[
    accept("engine/consensus/docket.allium", NO_SOURCE, OUTSIDE),
    accept("engine/consensus/docket.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("engine/consensus/docket.allium", UNREACHABLE, FIRST_STATUS),
    accept("engine/http/src/outcomes/outcomes.allium", NO_SOURCE, OUTSIDE),
    accept("engine/http/src/outcomes/outcomes.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("engine/http/src/outcomes/outcomes.allium", UNREACHABLE, FIRST_STATUS),
    accept("engine/http/src/outcomes/outcomes.allium", UNUSED_BINDING, FACING),
    accept("engine/node/cluster.allium", NO_SOURCE, OUTSIDE),
    accept("engine/node/cluster.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("engine/node/cluster.allium", UNREACHABLE, FIRST_STATUS),
    accept("engine/node/cluster.allium", NO_EXIT, SEVERAL_AT_ONCE),
    accept("engine/node/node.allium", NO_SOURCE, OUTSIDE),
    accept("engine/node/node.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("engine/node/node.allium", UNREACHABLE, FIRST_STATUS),
    accept("engine/node/node.allium", NO_EXIT, SEVERAL_AT_ONCE),
    accept("engine/node/src/checkpoint/checkpoint.allium", NO_SOURCE, OUTSIDE),
    accept("engine/node/src/checkpoint/checkpoint.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("engine/node/src/checkpoint/checkpoint.allium", UNREACHABLE, FIRST_STATUS),
    accept("engine/node/src/federation/federation.allium", NO_SOURCE, OUTSIDE),
    accept("engine/node/src/federation/federation.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("engine/node/src/federation/federation.allium", UNREACHABLE, FIRST_STATUS),
    accept("engine/node/src/federation/federation.allium", NO_EXIT, SEVERAL_AT_ONCE),
    accept("engine/node/src/usher/usher.allium", NO_SOURCE, OUTSIDE),
    accept("engine/node/src/usher/usher.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("engine/node/src/usher/usher.allium", UNREACHABLE, FIRST_STATUS),
    accept("engine/node/src/usher/usher.allium", NO_EXIT, SEVERAL_AT_ONCE),
    accept("shards/domains/telemetry/telemetry.allium", NO_EXIT, SEVERAL_AT_ONCE),
    accept("shards/kit/kit.allium", UNREACHABLE, FIRST_STATUS),
    accept("shards/kit/kit.allium", UNUSED_BINDING, FACING),
    accept("shards/src/arbiter/arbiter.allium", NO_SOURCE, OUTSIDE),
    accept("shards/src/arbiter/arbiter.allium", UNREACHABLE, FIRST_STATUS),
    accept("shards/src/checkpoint/checkpoint.allium", NO_SOURCE, OUTSIDE),
    accept("shards/src/checkpoint/checkpoint.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("shards/src/checkpoint/checkpoint.allium", UNREACHABLE, FIRST_STATUS),
    accept("shards/src/clerk/clerk.allium", NO_SOURCE, OUTSIDE),
    accept("shards/src/clerk/clerk.allium", UNREACHABLE, FIRST_STATUS),
    accept("shards/src/exchange/lending.allium", NO_SOURCE, OUTSIDE),
    accept("shards/src/exchange/lending.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("shards/src/exchange/lending.allium", UNREACHABLE, FIRST_STATUS),
    accept("shards/src/partitioner/partitioner.allium", NO_SOURCE, OUTSIDE),
    accept("shards/src/partitioner/partitioner.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("shards/src/partitioner/partitioner.allium", UNREACHABLE, FIRST_STATUS),
    accept("shards/src/warden/warden.allium", NO_SOURCE, OUTSIDE),
    accept("shards/src/warden/warden.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("shards/src/warden/warden.allium", UNREACHABLE, FIRST_STATUS),
    accept("shards/src/warden/warden.allium", NO_EXIT, SEVERAL_AT_ONCE),
    accept("tools/ctl/backup.allium", NO_SOURCE, OUTSIDE),
    accept("tools/ctl/backup.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("tools/ctl/backup.allium", UNREACHABLE, FIRST_STATUS),
    accept("tools/ctl/backup.allium", UNUSED_BINDING, FACING),
    accept("tools/ctl/ctl.allium", NO_SOURCE, OUTSIDE),
    accept("tools/ctl/ctl.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("tools/ctl/ctl.allium", UNREACHABLE, FIRST_STATUS),
    accept("tools/ctl/ctl.allium", UNUSED_BINDING, FACING),
    accept("tools/src/load/replay/replay.allium", NO_SOURCE, OUTSIDE),
    accept("tools/src/load/replay/replay.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("tools/src/load/replay/replay.allium", UNREACHABLE, FIRST_STATUS),
    accept("tools/src/load/replay/replay.allium", UNUSED_BINDING, FACING),
    accept("wal/ledger.allium", NO_SOURCE, OUTSIDE),
    accept("wal/ledger.allium", ENTITY_UNUSED, BY_TRIGGER),
    accept("wal/ledger.allium", UNREACHABLE, FIRST_STATUS),
    accept("wal/ledger.allium", UNUSED_BINDING, FACING),
];

const NO_SOURCE: &str = "allium.externalEntity.missingSourceHint";
const OUTSIDE: &str = "what stands outside has no spec to import: a device, a plug-in, another replica";

const ENTITY_UNUSED: &str = "allium.entity.unused";
const BY_TRIGGER: &str = "rules get instances as a trigger's parameters, which the analysis does not count";

const UNREACHABLE: &str = "allium.status.unreachableValue";
const FIRST_STATUS: &str = "the first status is what an instance comes with from outside; no rule assigns it";

const NO_EXIT: &str = "allium.status.noExit";
const SEVERAL_AT_ONCE: &str = "the exit is taken by a rule that names several statuses at once";

const UNUSED_BINDING: &str = "allium.surface.unusedBinding";
const FACING: &str = "the surface says whom it faces; its rules need nothing more of it";

const fn accept(file: &'static str, code: &'static str, reason: &'static str) -> Accepted {
    Accepted { file, code, reason }
}
