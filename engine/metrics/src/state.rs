//! What a replica is doing, in a word.

use crate::Readings;

/// What a replica is doing. The first one in this order that is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It publishes and answers nothing until it is rebuilt (C5).
    Quarantined,
    /// It was told to stop, and finishes what it took.
    Stopping,
    /// Its disk was lost, and it has no vote yet (R3).
    Rejoining,
    /// It leads, and admits events.
    Leading,
    /// It stands where the cluster does (R2).
    Following,
    /// It has not caught up with what was agreed.
    Recovering,
}

impl State {
    /// Each of them.
    pub const ALL: [State; 6] = [
        State::Quarantined,
        State::Stopping,
        State::Rejoining,
        State::Leading,
        State::Following,
        State::Recovering,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Quarantined => "quarantined",
            State::Stopping => "stopping",
            State::Rejoining => "rejoining",
            State::Leading => "leading",
            State::Following => "following",
            State::Recovering => "recovering",
        }
    }
}

impl Readings {
    /// Whether every core stands where the cluster does, and none is quarantined (R2, C5).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.cores.iter().all(|core| core.ready == 1 && core.quarantined == 0)
    }

    /// Whether a core is quarantined (C5).
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.cores.iter().any(|core| core.quarantined == 1)
    }

    /// What the replica is doing.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            _ if self.is_quarantined() => State::Quarantined,
            _ if self.cores.iter().any(|core| core.stopping == 1) => State::Stopping,
            _ if self.control.rejoins == 1 => State::Rejoining,
            _ if self.control.leads == 1 => State::Leading,
            _ if self.is_ready() => State::Following,
            _ => State::Recovering,
        }
    }

    /// The highest published stream time that a core knows, in nanoseconds.
    #[must_use]
    pub fn stream_time_ns(&self) -> u64 {
        self.cores.iter().map(|core| core.stream_time_ns).max().unwrap_or_default()
    }

    /// Results found to differ, over all cores.
    #[must_use]
    pub fn divergences(&self) -> u64 {
        self.cores.iter().map(|core| core.divergences).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ControlNumbers, CoreNumbers};

    #[test]
    fn the_gravest_word_is_said() {
        let ready = CoreNumbers { ready: 1, ..CoreNumbers::default() };
        let leads = ControlNumbers { leads: 1, ..ControlNumbers::default() };
        let said = |control: ControlNumbers, cores: [CoreNumbers; 2]| {
            Readings { control, cores: cores.into(), ..Readings::default() }.state().name()
        };
        let unready = CoreNumbers::default();
        assert_eq!(said(ControlNumbers::default(), [ready, unready]), "recovering");
        assert_eq!(said(ControlNumbers::default(), [ready, ready]), "following");
        assert_eq!(said(leads, [ready, ready]), "leading");
        assert_eq!(said(ControlNumbers { rejoins: 1, ..leads }, [unready, unready]), "rejoining");
        assert_eq!(said(leads, [ready, CoreNumbers { stopping: 1, ..unready }]), "stopping");
        let quarantined = CoreNumbers { quarantined: 1, stopping: 1, ..unready };
        assert_eq!(said(leads, [ready, quarantined]), "quarantined");
        assert!(State::ALL.iter().all(|state| !state.name().is_empty()));
    }
}
