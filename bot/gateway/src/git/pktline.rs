//! git's pkt-line framing: four hexadecimal digits of length (themselves included), then the payload. `0000` to `0002` are markers without payload.
//!
//! Source: gitprotocol-common(5).

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    Data(&'a [u8]),
    Flush,
    Delimiter,
    ResponseEnd,
}

/// Why bytes are no pkt-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("a packet's length is not four hexadecimal digits")]
    Length,
    #[error("a packet is longer than git allows")]
    TooLong,
}

/// git's limit on a packet, its length field included.
pub const LONGEST: usize = 65520;

/// Takes the first packet off `bytes`: the packet and how many bytes it took. None when more bytes are needed to tell.
pub fn take(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, PacketError> {
    let Some(digits) = bytes.get(..4) else {
        // What cannot become a length is refused without waiting for more.
        return if bytes.iter().all(u8::is_ascii_hexdigit) { Ok(None) } else { Err(PacketError::Length) };
    };
    let mut length = 0usize;
    for digit in digits {
        let digit = char::from(*digit).to_digit(16).ok_or(PacketError::Length)?;
        length = length * 16 + digit as usize;
    }
    match length {
        0 => Ok(Some((Packet::Flush, 4))),
        1 => Ok(Some((Packet::Delimiter, 4))),
        2 => Ok(Some((Packet::ResponseEnd, 4))),
        3 => Err(PacketError::Length),
        LONGEST.. if length > LONGEST => Err(PacketError::TooLong),
        _ => Ok(bytes.get(4..length).map(|payload| (Packet::Data(payload), length))),
    }
}

/// Appends a data packet. A payload longer than a packet can be is cut: what is written here is meant for people.
pub fn put(out: &mut Vec<u8>, payload: &[u8]) {
    let payload = &payload[..payload.len().min(LONGEST - 4)];
    out.extend_from_slice(format!("{:04x}", payload.len() + 4).as_bytes());
    out.extend_from_slice(payload);
}

pub fn put_flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_of_the_manual() {
        // The examples of gitprotocol-common(5).
        assert_eq!(take(b"0006a\n"), Ok(Some((Packet::Data(b"a\n"), 6))));
        assert_eq!(take(b"0005a"), Ok(Some((Packet::Data(b"a"), 5))));
        assert_eq!(take(b"000bfoobar\n"), Ok(Some((Packet::Data(b"foobar\n"), 11))));
        assert_eq!(take(b"0004"), Ok(Some((Packet::Data(b""), 4))));
        assert_eq!(take(b"0000rest"), Ok(Some((Packet::Flush, 4))));
        assert_eq!(take(b"0003"), Err(PacketError::Length));
        assert_eq!(take(b"+00a"), Err(PacketError::Length));
        assert_eq!(take(b"zz"), Err(PacketError::Length));
        assert_eq!(take(b"fff1"), Err(PacketError::TooLong));
        assert_eq!(take(b"fff0"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, taken))) = take(&bytes) {
                prop_assert!((4..=bytes.len()).contains(&taken));
            }
        }

        #[test]
        fn what_was_put_is_taken(payload in proptest::collection::vec(any::<u8>(), 0..500), rest in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut bytes = Vec::new();
            put(&mut bytes, &payload);
            let whole = bytes.len();
            for cut in [0, 3, whole - 1] {
                prop_assert_eq!(take(&bytes[..cut.min(whole - 1)]), Ok(None));
            }
            bytes.extend(rest);
            prop_assert_eq!(take(&bytes), Ok(Some((Packet::Data(&payload), whole))));
        }
    }
}
