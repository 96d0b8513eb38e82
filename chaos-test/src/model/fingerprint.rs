//! A number that stands for a text.

/// FNV-1a, 64 bits (Fowler, Noll and Vo): the same in every version and on every platform, which
/// the standard library's hasher does not promise. Who chooses the text can choose the number.
pub fn fingerprint(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let bytes = bytes.into_iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same_in_every_version() {
        assert_eq!(fingerprint([]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint("foobar".bytes()), 0x8594_4171_f739_67e8);
    }
}
