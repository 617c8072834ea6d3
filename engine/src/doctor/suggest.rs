//! A `[cores]` section for a host. Pure.

use super::facts::CpuFacts;
use crate::config::{Assignment, Cores, Cpu};
use assize_wire::ShardId;
use assize_wire::limits::SHARDS_MAX;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Physical cores from which one NUMA node alone is enough, and the control thread gets a CPU of its own.
const CORES_MANY: usize = 4;

/// Which CPU should own which shards here. One CPU of each physical core is used, within one NUMA node if that has
/// enough, and CPUs are left for clients, interrupts and the rest: one of a few, two of eight or more. With fewer
/// than four CPUs for shards each gets two, so that the cluster, whose shard count is fixed, can later move to a
/// larger machine. `shards` asks for another number of them.
#[must_use]
pub fn suggest_cores(cpus: &CpuFacts, shards: Option<u16>) -> Cores {
    let mut physical: Vec<Cpu> = physical(cpus);
    if physical.is_empty() {
        physical.push(Cpu(0));
    }
    let left = match physical.len() {
        1 => 0,
        2..8 => 1,
        _ => 2,
    };
    // The first CPUs are left: the kernel prefers them for interrupts.
    let mut owners = physical.split_off(left);
    let wished = usize::from(shards.unwrap_or(u16::MAX)).clamp(1, SHARDS_MAX);
    owners.truncate(wished);
    let per_owner = if owners.len() < CORES_MANY { 2 } else { 1 };
    let count = if shards.is_some() { wished } else { owners.len() * per_owner };
    let control = match physical.last() {
        Some(own) if owners.len() >= CORES_MANY => *own,
        _ => owners[0],
    };
    let mut assignments: Vec<Assignment> =
        owners.iter().map(|cpu| Assignment { cpu: *cpu, shards: Vec::new() }).collect();
    // Neighbouring shards on one CPU, the first CPUs taking what does not divide.
    let (each, more) = (count / owners.len(), count % owners.len());
    let mut ids = (0..).map(ShardId);
    for (index, assignment) in assignments.iter_mut().enumerate() {
        assignment.shards.extend(ids.by_ref().take(each + usize::from(index < more)));
    }
    Cores { assignments, control, ..Cores::default() }
}

/// The section as it stands in a configuration.
#[must_use]
pub fn cores_section(cores: &Cores) -> String {
    let mut text = String::from("[cores]\nassignments = [\n");
    for assignment in &cores.assignments {
        let shards: Vec<String> = assignment.shards.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "    {{ cpu = {}, shards = [{}] }},", assignment.cpu, shards.join(", "));
    }
    let _ = writeln!(text, "]\ncontrol = {}", cores.control);
    text
}

/// One usable CPU of each physical core, of one node if that has enough.
fn physical(cpus: &CpuFacts) -> Vec<Cpu> {
    let of = |within: &BTreeSet<Cpu>| -> Vec<Cpu> {
        let usable = |group: &BTreeSet<Cpu>| {
            group.iter().find(|cpu| cpus.allowed.contains(cpu) && within.contains(cpu)).copied()
        };
        let mut chosen: Vec<Cpu> = cpus.siblings.iter().filter_map(usable).collect();
        chosen.sort_unstable();
        chosen
    };
    let largest = cpus.nodes.iter().map(of).max_by_key(Vec::len).unwrap_or_default();
    if largest.len() >= CORES_MANY { largest } else { of(&cpus.allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigFile;

    fn host(cpus: u32, threads: u32, nodes: u32) -> CpuFacts {
        let all: BTreeSet<Cpu> = (0..cpus).map(Cpu).collect();
        let cores = cpus / threads;
        let group = |core| (0..threads).map(|thread| Cpu(core + thread * cores)).collect();
        let per_node = cores / nodes;
        let node = |node| all.iter().copied().filter(|cpu| cpu.0 % cores / per_node == node).collect();
        CpuFacts {
            siblings: (0..cores).map(group).collect(),
            nodes: (0..nodes).map(node).collect(),
            online: all.clone(),
            allowed: all,
            cgroup_cpus: None,
        }
    }

    fn shape(cores: &Cores) -> Vec<(u32, usize)> {
        cores.assignments.iter().map(|assignment| (assignment.cpu.0, assignment.shards.len())).collect()
    }

    #[test]
    fn few_cpus_share_shards_and_leave_one_for_clients() {
        assert_eq!(shape(&suggest_cores(&host(1, 1, 1), None)), [(0, 2)]);
        let two = suggest_cores(&host(2, 1, 1), None);
        assert_eq!((shape(&two), two.control), (vec![(1, 2)], Cpu(1)));
        assert_eq!(shape(&suggest_cores(&host(4, 1, 1), None)), [(1, 2), (2, 2), (3, 2)]);
    }

    #[test]
    fn many_cpus_have_a_shard_each_and_the_control_thread_its_own() {
        let eight = suggest_cores(&host(8, 1, 1), None);
        assert_eq!(shape(&eight), [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1)]);
        assert_eq!((eight.control, eight.control_core()), (Cpu(1), None));
    }

    #[test]
    fn siblings_and_other_nodes_are_left_alone() {
        let smt = suggest_cores(&host(8, 2, 1), None);
        assert_eq!(shape(&smt), [(1, 2), (2, 2), (3, 2)]);
        let numa = suggest_cores(&host(16, 1, 2), None);
        assert!(numa.assignments.iter().all(|assignment| assignment.cpu >= Cpu(8)), "{numa:?}");
    }

    #[test]
    fn a_wished_number_of_shards_is_spread_evenly() {
        assert_eq!(shape(&suggest_cores(&host(4, 1, 1), Some(4))), [(1, 2), (2, 1), (3, 1)]);
        assert_eq!(shape(&suggest_cores(&host(8, 1, 1), Some(1))), [(2, 1)]);
        assert_eq!(suggest_cores(&host(2, 1, 1), Some(64)).shard_count(), 64);
    }

    #[test]
    fn every_suggestion_is_a_valid_configuration() {
        for (cpus, threads, nodes) in [(1, 1, 1), (2, 1, 1), (2, 2, 1), (6, 1, 1), (32, 2, 2), (256, 2, 4)] {
            let facts = host(cpus, threads, nodes);
            for shards in [None, Some(1), Some(5), Some(64)] {
                let cores = suggest_cores(&facts, shards);
                let file = ConfigFile::parse(&cores_section(&cores), "suggested").unwrap();
                assert_eq!(file.config.cores, cores);
                assert_eq!(file.validate(&facts.allowed, None), Ok(()));
            }
        }
    }
}
