//! Control events (P12): what a manifest orders besides stripes. Each takes effect at the next slot, on every replica.

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::DomainId;
use crate::logic::LogicVersion;

/// One control event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// From the next slot on this version of the domain's logic evaluates its events (R5).
    SwitchLogic(LogicVersion),
}

impl Control {
    pub(crate) fn to_raw(self) -> RawControl {
        match self {
            Control::SwitchLogic(LogicVersion { domain, version }) => RawControl {
                kind: SWITCH_LOGIC.into(),
                domain: domain.0.into(),
                version: version.into(),
                zero: [0; 10],
            },
        }
    }

    /// None if it is none that this program knows.
    pub(crate) fn from_raw(raw: &RawControl) -> Option<Control> {
        let known = raw.kind.get() == SWITCH_LOGIC && raw.zero == [0; 10];
        let version = LogicVersion { domain: DomainId(raw.domain.get()), version: raw.version.get() };
        known.then_some(Control::SwitchLogic(version))
    }
}

/// | bytes | field |
/// |---|---|
/// | 0..2 | kind: 1 switches a domain's logic |
/// | 2..4 | the domain |
/// | 4..6 | the version |
/// | 6..16 | 0 |
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RawControl {
    kind: U16,
    domain: U16,
    version: U16,
    zero: [u8; 10],
}

/// Bytes of a control event.
pub(crate) const CONTROL_BYTES: usize = size_of::<RawControl>();

const SWITCH_LOGIC: u16 = 1;

const _: () = assert!(CONTROL_BYTES == 16, "the table above is the layout");
