//! How large a file may be. A real one has a few thousand nodes on six levels.

/// Bytes of one file.
pub const MAX_TEXT: usize = 1 << 20;

/// Levels of lists and maps.
pub const MAX_DEPTH: usize = 32;

/// Nodes of one file, aliases counted each time.
pub const MAX_NODES: usize = 100_000;

/// Bytes of all texts of one file, aliases counted each time.
pub const MAX_EXPANDED: usize = 4 << 20;

/// Services of a stack's files, sidekicks included.
pub const MAX_SERVICES: usize = 500;
