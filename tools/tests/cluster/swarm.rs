//! The client against a cluster in which anything happens: once all is well again, nothing waits for ever.

use crate::fake::{Cluster, Does};

/// ResubmitAfterLoss, AskWhoLeads, AskAtSilence, AskAboutALostConnection, RenewConnection
#[test]
fn whatever_happened_everything_is_answered_once_somebody_leads_and_serves() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut cluster = Cluster::led_by(random.below(REPLICAS) as u8, REPLICAS as usize);
        let mut events = 0;
        for _ in 0..random.below(40) {
            let at = random.below(REPLICAS) as usize;
            match random.below(11) {
                0..=2 => {
                    let count = u128::from(1 + random.below(12));
                    cluster.enqueue(count);
                    events += count as usize;
                }
                3 => cluster.replicas[at].holds = !cluster.replicas[at].holds,
                4 => cluster.replicas[at].held_back = !cluster.replicas[at].held_back,
                5 => cluster.elect(Some(at as u8)),
                6 => {
                    // It gives up leading, and leads again a little later.
                    let leader = cluster.replicas[at].says;
                    cluster.elect(None);
                    cluster.run_for(random.below(40));
                    cluster.elect(leader);
                }
                7 => {
                    cluster.break_connection(at, random.below(3) as usize);
                }
                8 => {
                    let all = [Does::Serve, Does::Serve, Does::Hang, Does::Swallow, Does::Refuse, Does::Stop];
                    cluster.replicas[at].does = all[random.below(all.len() as u64) as usize];
                }
                9 => cluster.kill(at),
                _ => cluster.start(at),
            }
            let scale = [1, 10, 100, 1_500][random.below(4) as usize];
            cluster.run_for(random.below(scale));
        }
        cluster.heal(random.below(REPLICAS) as u8);
        // Long enough for a request that was swallowed, and not for the first deadline.
        cluster.run_for(22_000);
        assert_eq!((cluster.missing(), cluster.answered()), (Vec::new(), events), "seed {seed}");
    }
}

const SEEDS: u64 = 1_000;
const REPLICAS: u64 = 3;

/// Numbers from a seed: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
