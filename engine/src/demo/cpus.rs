//! Which CPUs the replicas of a demo run on. Pure.

use assize_wire::ShardId;

use crate::config::{Assignment, Cores};

/// What one replica gets of the cores that suit a host, for each of `replicas`. Where there are CPUs for all, each has
/// its own. Where there are not, the threads of all go where the kernel puts them: pinned to one CPU they would wait
/// for each other while another is idle.
pub(super) fn share(cores: &Cores, replicas: u8, shards: Option<u16>) -> Vec<Cores> {
    let replicas = usize::from(replicas);
    if replicas == 1 {
        return vec![cores.clone()];
    }
    let owners: Vec<_> = cores.assignments.iter().map(|assignment| assignment.cpu).collect();
    let each = owners.len() / replicas;
    let pin = each > 0;
    let threads = each.max(1);
    let shards = shards.map_or(threads, usize::from);
    let of_replica = |replica: usize| {
        let cpus = (0..threads.min(shards)).map(|thread| owners[(replica * each + thread) % owners.len()]);
        let mut ids = (0..).map(ShardId);
        let assignments: Vec<Assignment> = cpus
            .enumerate()
            .map(|(at, cpu)| {
                let threads = threads.min(shards);
                let count = shards / threads + usize::from(at < shards % threads);
                Assignment { cpu, shards: ids.by_ref().take(count).collect() }
            })
            .collect();
        Cores { control: assignments[0].cpu, assignments, pin, ..cores.clone() }
    };
    (0..replicas).map(of_replica).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Cpu;

    fn host(cpus: u32) -> Cores {
        let assignment = |cpu| Assignment { cpu: Cpu(cpu), shards: vec![ShardId(cpu as u16)] };
        Cores { assignments: (0..cpus).map(assignment).collect(), control: Cpu(0), ..Cores::default() }
    }

    fn shape(cores: &[Cores]) -> Vec<(bool, Vec<(u32, usize)>)> {
        let of = |cores: &Cores| {
            let threads = cores.assignments.iter().map(|one| (one.cpu.0, one.shards.len()));
            (cores.pin, threads.collect())
        };
        cores.iter().map(of).collect()
    }

    #[test]
    fn one_replica_takes_what_is_suggested() {
        assert_eq!(share(&host(3), 1, None), [host(3)]);
    }

    #[test]
    fn replicas_with_too_few_cpus_are_not_pinned_and_have_a_thread_each() {
        assert_eq!(shape(&share(&host(1), 3, None)), vec![(false, vec![(0, 1)]); 3]);
        assert_eq!(shape(&share(&host(2), 3, Some(4))), vec![(false, vec![(0, 4)]); 3]);
    }

    #[test]
    fn replicas_with_cpus_enough_have_their_own_and_the_same_shards() {
        let shared = shape(&share(&host(7), 3, None));
        assert_eq!(
            shared,
            [(true, vec![(0, 1), (1, 1)]), (true, vec![(2, 1), (3, 1)]), (true, vec![(4, 1), (5, 1)])]
        );
        let shared = shape(&share(&host(7), 3, Some(3)));
        assert_eq!(shared[2], (true, vec![(4, 2), (5, 1)]));
        let shared = shape(&share(&host(7), 3, Some(1)));
        assert_eq!(shared[1], (true, vec![(2, 1)]));
    }
}
