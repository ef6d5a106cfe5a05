//! Any bytes as the definitions of two types: definitions or an error, and two of them differ or are the same.

use shmkit_layout::Definition;

/// The first byte says how many of the others are the first definition.
pub fn run(bytes: &[u8]) {
    let Some((&len, rest)) = bytes.split_first() else { return };
    let (here, there) = rest.split_at(rest.len().min(len.into()));
    let decoded = [here, there, rest].map(Definition::decode);
    for here in decoded.iter().flatten() {
        assert!(here.difference(here).is_none(), "{here} differs from itself");
        for there in decoded.iter().flatten() {
            let difference = here.difference(there);
            assert_eq!(difference.is_none(), here == there, "{difference:?}");
            assert!(difference.is_none_or(|difference| !difference.to_string().is_empty()));
        }
    }
    for error in decoded.iter().filter_map(|decoded| decoded.as_ref().err()) {
        assert!(error.to_string().contains("was expected"), "{error}");
    }
}
