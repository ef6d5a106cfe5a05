//! Lock-free single-producer single-consumer pipes between processes
