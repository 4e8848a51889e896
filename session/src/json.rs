//! JSON from outside, before it is read.

/// Whether this text holds more values than `most`: counts what begins another one, outside of texts. A tree of small values takes many times the bytes of
/// its text, so a bound in bytes is none for memory. Any bytes may be given.
pub fn has_more_values_than(json: &[u8], most: usize) -> bool {
    if json.len() <= most {
        return false;
    }
    let (mut values, mut within, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b',' | b'[' | b'{' if !within => values += 1,
            _ => {}
        }
    }
    values > most
}
