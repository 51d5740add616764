//! How large a file may be. A real one has a few thousand nodes on six levels.

/// Bytes of one file.
pub const MAX_TEXT: usize = 1 << 20;

/// Levels of lists and maps.
pub const MAX_DEPTH: usize = 32;

/// Nodes of one file, aliases counted each time.
pub const MAX_NODES: usize = 100_000;

/// Bytes of all texts of one file, aliases counted each time.
pub const MAX_EXPANDED: usize = 4 << 20;

/// How deeply the actions of a template may stand in each other.
pub const MAX_TEMPLATE_DEPTH: usize = 16;

/// What a template may do: nodes and commands, those of a loop each time.
pub const MAX_TEMPLATE_STEPS: usize = 20_000;

/// Bytes of a value of a template, as those of its variables.
pub const MAX_TEMPLATE_VALUE: usize = 64 << 10;

/// Links of one service, as many as an action may set at once.
pub const MAX_LINKS: usize = 100;

/// Warnings that are kept of one service, and of the files as such.
pub const MAX_WARNINGS: usize = 50;

/// Services of a stack's files, sidekicks included.
pub const MAX_SERVICES: usize = 500;

/// Volumes that a stack declares, by its files or by requests.
pub const MAX_VOLUMES: usize = 500;
