//! The receive buffer of a connection: bytes come in at the end, whole frames are read in place at the front.

use assize_wire::frame::{FRAME_HEADER_BYTES, Frame, FrameError, Parsed};
use assize_wire::limits::FRAME_PAYLOAD_BYTES_MAX;

/// Bytes received and not yet read. `start <= end <= bytes.len()`.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that the frame at the front has in all, as far as known.
    needs: usize,
}

impl Inbox {
    /// Room to receive into: at least enough to complete the frame at the front, and never nothing.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let needs = self.needs.max(ROOM_BYTES);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.bytes.len() - self.start < needs || self.bytes.len() == self.end {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() < needs.max(self.end + ROOM_BYTES) {
                self.bytes.resize(needs.max(self.end + ROOM_BYTES).next_power_of_two(), 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were received into [`Inbox::space`].
    pub(super) fn handle_received(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.bytes.len(), "{count} bytes received into less room");
    }

    /// Takes the frame at the front off, if it is whole.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        // A frame whose length is known need not be looked at again before it is whole; what is shorter than a header
        // may already show that it never becomes one.
        if self.needs > FRAME_HEADER_BYTES && self.end - self.start < self.needs {
            return Ok(None);
        }
        match Frame::parse(&self.bytes[self.start..self.end])? {
            Parsed::Needs(bytes) => {
                self.needs = bytes;
                Ok(None)
            }
            Parsed::Whole { frame, bytes } => {
                self.start += bytes;
                self.needs = 0;
                Ok(Some(frame))
            }
        }
    }
}

const ROOM_BYTES: usize = 16 << 10;

const _: () = assert!(ROOM_BYTES >= FRAME_HEADER_BYTES && ROOM_BYTES < FRAME_PAYLOAD_BYTES_MAX);

#[cfg(test)]
mod tests {
    use assize_wire::frame::{FrameKind, FrameWriter};

    use super::*;

    #[test]
    fn torn_and_merged_frames_come_out_whole_and_in_order() {
        let mut stream = Vec::new();
        let sizes = [0usize, 16, 40_000, 64, 200_000, 32];
        for (request, size) in sizes.iter().enumerate() {
            let writer = FrameWriter::begin(&mut stream, FrameKind::Answers, request as u64);
            stream.extend(std::iter::repeat_n(7, *size));
            writer.finish(&mut stream);
        }
        for step in [1usize, 7, 31, 33, 1000, 65_536, stream.len()] {
            let mut inbox = Inbox::default();
            let mut seen = Vec::new();
            let mut sent = 0;
            while sent < stream.len() {
                let space = inbox.space();
                let count = step.min(stream.len() - sent).min(space.len());
                assert!(count > 0);
                space[..count].copy_from_slice(&stream[sent..sent + count]);
                inbox.handle_received(count);
                sent += count;
                while let Some(frame) = inbox.next_frame().unwrap() {
                    assert_eq!(frame.payload.len(), sizes[seen.len()]);
                    seen.push(frame.request);
                }
            }
            assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
        }
    }
}
