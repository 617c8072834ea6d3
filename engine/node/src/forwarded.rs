//! Events that another core took from a client, and whose keys a shard of this core owns.

use alloc::vec::Vec;

use assize_wire::ShardId;
use assize_wire::event::Event;

use crate::connections::ConnectionRef;
use crate::core::Core;
use crate::message::CoreMessage;
use crate::usher::Batch;

impl Core {
    pub(crate) fn take_forwarded(
        &mut self,
        shard: ShardId,
        connection: ConnectionRef,
        request: u64,
        indexes: Vec<u32>,
        home_mask: u64,
        events: Vec<u8>,
    ) {
        let mut ends = Vec::with_capacity(indexes.len());
        let mut rest = &events[..];
        while !rest.is_empty() {
            match Event::parse(rest) {
                Ok((_, after)) => rest = after,
                Err(error) => panic!("an event was forwarded that was not validated: {error}"),
            }
            ends.push((events.len() - rest.len()) as u32);
        }
        assert_eq!(ends.len(), indexes.len(), "events forwarded and their indexes");
        let batch = Batch { indexes, ends, bytes: events, home_mask };
        let (time, now) = (self.stream_time, self.now.monotonic_ns);
        if let Some((answered, bytes)) =
            self.usher.accept_forwarded(shard, connection, request, &batch, time, now)
        {
            self.send(connection.core, CoreMessage::Frames { connection, answered, bytes });
        }
    }
}
