//! What no lint can say about this workspace.
