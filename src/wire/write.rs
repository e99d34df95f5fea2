//! Writing the protobuf wire format into a byte vector: tags, varints, and length-delimited parts whose length is
//! known only when they are done. It knows no descriptors.

#[inline]
pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(super) fn tag(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    varint(out, (u64::from(number) << 3) | u64::from(wire_type));
}

/// A length-delimited field with content that is at hand.
pub(super) fn delimited(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    tag(out, number, 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// The place of a length that is not known yet.
#[must_use]
pub(super) struct Open {
    /// Where the content starts, one byte after the place kept for the length.
    content: usize,
}

/// Leaves one byte for the length of what follows; nearly all lengths fit.
#[inline]
pub(super) fn open(out: &mut Vec<u8>) -> Open {
    out.push(0);
    Open { content: out.len() }
}

impl Open {
    pub(super) fn is_empty(&self, out: &[u8]) -> bool {
        out.len() == self.content
    }

    /// Fills in the length. A length over 127 moves the content up by the bytes that it needs more.
    #[inline]
    pub(super) fn close(self, out: &mut Vec<u8>) {
        let length = out.len().saturating_sub(self.content);
        let place = self.content - 1;
        if length < 0x80 {
            if let Some(byte) = out.get_mut(place) {
                *byte = length as u8;
            }
            return;
        }
        let mut encoded = [0u8; 10];
        let mut size = 0;
        let mut rest = length;
        for byte in &mut encoded {
            size += 1;
            *byte = (rest as u8) & 0x7f;
            rest >>= 7;
            if rest == 0 {
                break;
            }
            *byte |= 0x80;
        }
        let more = size - 1;
        out.resize(out.len() + more, 0);
        out.copy_within(self.content..self.content + length, self.content + more);
        for (slot, byte) in out.iter_mut().skip(place).zip(encoded.iter().take(size)) {
            *slot = *byte;
        }
    }
}

pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}
