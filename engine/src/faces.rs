//! What people and other systems see: the HTTP server of `engine/http`, given this replica's board.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use assize_consensus::HandOverRefused;
use assize_http::{
    About, Bound, Bulletin, Faces, Gateway, HttpLimits, Leadership, LeadershipProblem, LocalReader,
    Neighbours, Outcomes, Problem,
};
use assize_node::federation::RefusedPeer;
use assize_node::{CheckpointEnd, HandOverEnd, PeerNotice};
use assize_wire::ReplicaId;
use assize_wire::peer::{PeerPorts, PeerRefusal};

use crate::boot::Replica;
use crate::config::{ConfigFile, HttpSection};
use crate::reactor::Notice;

/// Serves where the boot listened, and says where on standard output, for those that gave port 0. Where it did not,
/// nothing is served.
pub(crate) fn serve(
    file: &ConfigFile,
    replica: &mut Replica,
    bulletin: &Arc<Bulletin>,
    began: Instant,
) -> io::Result<Option<Leadership>> {
    let Some(http) = replica.http.take() else { return Ok(None) };
    let agreed = &replica.agreed;
    let about = About {
        cluster: agreed.cluster.to_string(),
        replica: file.config.replica,
        replicas: agreed.replicas,
        copies: agreed.copies,
        version: env!("CARGO_PKG_VERSION"),
        began,
    };
    let address = http.address();
    let limits = limits(&file.config.http);
    let gateway = Gateway::start(agreed.cluster, Arc::clone(bulletin), limits.waiting_max);
    let hand_over = replica.hand_over();
    let leadership = Leadership::new(move |ask, to| hand_over(ask, to.map(ReplicaId)));
    let outcomes = replica.outcomes.take().map(|start| Outcomes::start(start, Arc::clone(&replica.board)));
    http.serve(Faces {
        board: Arc::clone(&replica.board),
        about: Arc::new(about),
        bulletin: Arc::clone(bulletin),
        domains: Arc::clone(&replica.domains),
        neighbours: Neighbours::default(),
        gateway: gateway?,
        leadership: leadership.clone(),
        local: LocalReader::new(agreed.cluster, reachable(replica.addresses[0])),
        outcomes: outcomes.transpose()?,
        limits,
    })?;
    tracing::info!(%address, "HTTP");
    // Whoever closed standard output does not need to be told.
    let _ = writeln!(std::io::stdout(), "http {address}");
    Ok(Some(leadership))
}

/// What whoever asked for it by HTTP hears of handing leadership over: who leads, or what went otherwise. `own` is this
/// replica.
pub(crate) fn handed_over(end: HandOverEnd, own: u8) -> Result<u8, Problem> {
    let kind = match end {
        HandOverEnd::Led { to, by } if to == by => return Ok(by.0),
        HandOverEnd::Led { by, .. } => LeadershipProblem::AnotherLeads { leader: by.0 },
        HandOverEnd::UnderWay => LeadershipProblem::UnderWay,
        HandOverEnd::Stopping => LeadershipProblem::Stopping,
        HandOverEnd::Kept { .. } => LeadershipProblem::Kept { leader: own },
        HandOverEnd::Lost => LeadershipProblem::Lost,
        HandOverEnd::Unheard { .. } => LeadershipProblem::NobodyLeads,
        HandOverEnd::Refused(refused) => match refused {
            HandOverRefused::NotLeading { leader } => {
                LeadershipProblem::NotLeading { leader: leader.map(|leader| leader.0) }
            }
            HandOverRefused::NoSuchReplica { .. } => LeadershipProblem::NoSuchReplica,
            HandOverRefused::LeadsAlready => LeadershipProblem::LeadsAlready { leader: own },
            HandOverRefused::NotConnected { .. } => LeadershipProblem::NotConnected,
            HandOverRefused::Silent { .. } => LeadershipProblem::NotAnswering,
            HandOverRefused::Behind { .. } => LeadershipProblem::TooFarBehind,
            HandOverRefused::Unable { .. } => LeadershipProblem::NotAble,
            HandOverRefused::Alone | HandOverRefused::NobodyAble => LeadershipProblem::NobodyAble,
        },
    };
    Err(Problem::leadership(kind, end.to_string()))
}

/// As the server takes them.
fn limits(http: &HttpSection) -> HttpLimits {
    HttpLimits {
        body_bytes_max: http.body_bytes_max as usize,
        headers_max: http.headers_max as usize,
        head_bytes_max: http.head_bytes_max as usize,
        connections_max: http.connections_max as usize,
        request_timeout: Duration::from_nanos(http.request_timeout),
        waiting_max: http.waiting_max as usize,
    }
}

/// Where the replicas are: this one as it listens, the others on the hosts that the configuration names.
pub(crate) fn bulletin(file: &ConfigFile, replica: &Replica) -> Arc<Bulletin> {
    let own = file.config.replica;
    let hosts = (0..replica.agreed.replicas).map(|number| {
        match file.config.federation.replicas.get(usize::from(number)) {
            Some(address) if number != own => address.host.clone(),
            _ => reachable(replica.addresses[0]).ip().to_string(),
        }
    });
    let bulletin = Bulletin::new(hosts.collect());
    let http = replica.http.as_ref().map_or(0, Bound::port);
    bulletin.set_ports(own, PeerPorts { client: replica.addresses[0].port(), http });
    Arc::new(bulletin)
}

/// Puts on the bulletin what a core told, if it is for there.
pub(crate) fn post(bulletin: &Bulletin, notice: &Notice) {
    match notice {
        Notice::Peer(PeerNotice::Connected { peer, ports, .. }) => bulletin.set_ports(peer.0, *ports),
        Notice::Peer(PeerNotice::Refused(refused)) if needs_an_operator(refused.refused.code) => {
            bulletin.alarm(refusal(refused));
        }
        Notice::Alarm(text) => bulletin.alarm(text.clone()),
        Notice::ClockContradicted(true) => {
            bulletin.alarm("the clocks of a majority contradict this host's".to_owned());
        }
        Notice::Checkpoint(CheckpointEnd { slot, result: Err(reason) }) => {
            bulletin.alarm(format!("the checkpoint after slot {slot} failed: {reason}"));
        }
        Notice::Quarantined(quarantine) => bulletin.set_quarantine(quarantine.to_string()),
        _ => {}
    }
}

/// Whether two replicas will not talk to each other until somebody has mended what they were given.
fn needs_an_operator(code: PeerRefusal) -> bool {
    match code {
        PeerRefusal::OtherVersion
        | PeerRefusal::OtherCluster
        | PeerRefusal::OtherReplicas
        | PeerRefusal::OtherShards
        | PeerRefusal::OtherAgreed
        | PeerRefusal::BadReplica
        | PeerRefusal::OtherReplica
        | PeerRefusal::WrongDirection
        | PeerRefusal::WrongSecret
        | PeerRefusal::OtherDisk => true,
        // A connection that broke, or another one in its place: it is made again.
        PeerRefusal::BadFrame
        | PeerRefusal::BadMessage
        | PeerRefusal::TimedOut
        | PeerRefusal::Superseded
        | PeerRefusal::TooMany => false,
    }
}

/// In words; not by lane, since each of them says the same.
fn refusal(refused: &RefusedPeer) -> String {
    let RefusedPeer { peer, by_peer, refused, .. } = refused;
    let peer = peer.map_or_else(|| "somebody".to_owned(), |peer| format!("replica {peer}"));
    match by_peer {
        true => format!("{peer} refuses to be connected: {}", refused.text),
        false => format!("a connection of {peer} was refused: {}", refused.text),
    }
}

/// Who listens everywhere is reached from within on the loopback interface.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_has_the_defaults_of_the_configuration() {
        assert_eq!(limits(&HttpSection::default()), HttpLimits::default());
    }
}
