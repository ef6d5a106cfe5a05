//! Named and anonymous shared-memory segments that never leak
