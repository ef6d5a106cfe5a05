//! What the derive refuses, with the text that says why and what to write. The texts are those of one compiler, which is
//! the one that this is tested with; `TRYBUILD=overwrite` writes them anew.

#[test]
fn what_may_not_lie_in_shared_memory_is_refused_with_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
