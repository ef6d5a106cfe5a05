//! Messages that say themselves whether they are whole.

/// Bytes before what fills them.
const HEAD: usize = 24;

/// Makes the message of this name and number, with so many bytes more.
pub(crate) fn make(name: u64, number: u64, more: usize) -> Vec<u8> {
    let mut message = vec![fill(name, number); HEAD + more];
    message[..8].copy_from_slice(&name.to_le_bytes());
    message[8..16].copy_from_slice(&number.to_le_bytes());
    message[16..HEAD].copy_from_slice(&(more as u64).to_le_bytes());
    message
}

/// Returns name and number of a message, or what is wrong with it.
pub(crate) fn check(message: &[u8]) -> Result<(u64, u64), String> {
    let torn = || format!("a torn message of {} bytes", message.len());
    let word = |at: usize| {
        let bytes = message.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or_else(torn)
    };
    let (name, number, more) = (word(0)?, word(8)?, word(16)?);
    let rest = &message[HEAD..];
    let is_whole = rest.len() as u64 == more && rest.iter().all(|&b| b == fill(name, number));
    if is_whole { Ok((name, number)) } else { Err(torn()) }
}

fn fill(name: u64, number: u64) -> u8 {
    (name ^ number) as u8
}
