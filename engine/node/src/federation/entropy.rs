//! Random numbers from the bytes that the shell drew once: the simulator's come from its seed.

use assize_wire::CoreId;

/// A stream of numbers that nobody who has not the first bytes can tell in advance.
#[derive(Debug)]
pub(super) struct Entropy {
    key: [u8; 32],
    drawn: u64,
}

impl Entropy {
    /// That of one core.
    pub(super) fn new(entropy: &[u8; 32], core: CoreId) -> Entropy {
        let mut hasher = blake3::Hasher::new_derive_key("assize 2026 federation nonces of one core");
        hasher.update(entropy).update(&core.0.to_le_bytes());
        Entropy { key: *hasher.finalize().as_bytes(), drawn: 0 }
    }

    /// The next 32 bytes.
    pub(super) fn nonce(&mut self) -> [u8; 32] {
        self.drawn += 1;
        *blake3::keyed_hash(&self.key, &self.drawn.to_le_bytes()).as_bytes()
    }

    /// The next number.
    pub(super) fn number(&mut self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.nonce();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}
