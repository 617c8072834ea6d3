//! A log read while somebody else writes it, by a reader that may not ask the writer: record by record, from where the
//! last start left it.
//!
//! The writer says below which logical offset everything is durable, and nothing above that is looked at: a record
//! there may be half written. Below it each record follows the one before (its checksum is named), was written by the
//! running incarnation, and lies where it says, so that what an earlier use left in a segment is never taken for one.
//! Of each record only the header is read here; [`read_record`] checks all of it.
//!
//! Segments may be given up, and used again, while they are read. A reader that is overtaken finds that out by the same
//! checks: then [`Follower::resume`] takes it to the first segment that is still there.

use alloc::vec;

use assize_wire::Incarnation;

use crate::block::Block;
use crate::header::{Entry, LogIdentity, RecordFault, RecordHeader, RecordLocation};
use crate::limits::BLOCK_BYTES;
use crate::log::{LogEnd, ReadFault, ReadRecord, check_record};
use crate::operation::{SegmentId, SegmentReader};

/// Follows one log.
#[derive(Clone, Debug)]
pub struct Follower {
    identity: LogIdentity,
    incarnation: Incarnation,
    end: LogEnd,
    /// It was overtaken: what its next record follows is gone.
    unchained: bool,
}

/// A record that was written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// What it is about.
    pub entry: Entry,
    /// Where it lies.
    pub location: RecordLocation,
}

impl Follower {
    /// Follows a log that `incarnation` writes from `end` on.
    #[must_use]
    pub fn new(identity: LogIdentity, incarnation: Incarnation, end: LogEnd) -> Follower {
        Follower { identity, incarnation, end, unchained: false }
    }

    /// Whose log it is.
    #[must_use]
    pub fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// The segment of the next record, or the one before it.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.identity.segment_of(self.end.offset)
    }

    /// The next record that lies below the logical offset `below`, where everything is durable.
    ///
    /// # Errors
    /// [`ReadFault`]: it cannot be read, or is not there: its segment was given up meanwhile, or the disk has decayed.
    pub fn poll(
        &mut self,
        reader: &mut dyn SegmentReader,
        below: u64,
    ) -> Result<Option<Followed>, ReadFault> {
        if self.end.offset >= below {
            return Ok(None);
        }
        let next_segment = self.identity.start_of(self.segment().next());
        let at_start = self.end.offset.is_multiple_of(self.identity.segment_bytes);
        // As for a start: it did not fit the rest of its segment if it is not there.
        let found = match self.header_at(reader, self.end.offset) {
            Err(_) if !at_start && next_segment < below => self.header_at(reader, next_segment)?,
            found => found?,
        };
        let location = self.identity.location(found.offset, found.record_bytes() as u32);
        self.end = LogEnd { offset: found.offset + u64::from(location.bytes), checksum: found.checksum };
        self.unchained = false;
        Ok(Some(Followed { entry: found.entry, location }))
    }

    /// Goes on at the beginning of a segment: those below it were given up before they were read.
    pub fn resume(&mut self, segment: SegmentId) {
        assert!(segment > self.segment(), "segment {segment} is not above {}", self.segment());
        self.end = LogEnd { offset: self.identity.start_of(segment), checksum: 0 };
        self.unchained = true;
    }

    fn header_at(&self, reader: &mut dyn SegmentReader, offset: u64) -> Result<RecordHeader, ReadFault> {
        let location = self.identity.location(offset, BLOCK_BYTES as u32);
        let mut block = [Block::ZERO];
        let read = reader.read(location.log, location.segment, location.offset, &mut block);
        read.map_err(|error| ReadFault::Device { location, error })?;
        let refuse = |fault| ReadFault::Record { location, fault };
        let header = RecordHeader::decode(&self.identity, offset, &block[0].0).map_err(refuse)?;
        if header.incarnation != self.incarnation {
            return Err(refuse(RecordFault::Void { found: header.incarnation, least: self.incarnation }));
        }
        if header.previous != self.end.checksum && !self.unchained {
            let (found, expected) = (header.previous, self.end.checksum);
            return Err(refuse(RecordFault::Chain { found, expected }));
        }
        Ok(header)
    }
}

/// Reads a whole record and checks it. `identity` is that of any log of the replica.
///
/// # Errors
/// [`ReadFault`]: it cannot be read, or is another one now.
pub fn read_record(
    reader: &mut dyn SegmentReader,
    identity: LogIdentity,
    location: RecordLocation,
) -> Result<ReadRecord, ReadFault> {
    let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
    let read = reader.read(location.log, location.segment, location.offset, &mut blocks);
    read.map_err(|error| ReadFault::Device { location, error })?;
    let identity = LogIdentity { log: location.log, ..identity };
    let offset = identity.start_of(location.segment) + location.offset;
    check_record(&identity, offset, blocks).map_err(|fault| ReadFault::Record { location, fault })
}
