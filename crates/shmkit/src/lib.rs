//! Shared-memory IPC that survives kill -9: locks, cells, pipes and segments between processes
