//! How the store turns a resource's fields into text, without knowing schemas.

use crate::model::{Fields, Result};

/// Packs the own fields of a row of `kind`, whose root is `root`: the text and the cuts. Implemented over the registry by `app`.
pub trait LayoutOf: Send + Sync {
    /// `(fields, cuts)` as the row stores them.
    fn pack(&self, root: &str, kind: &str, fields: &Fields) -> Result<(String, String)>;

    /// What the texts of rows are alike in; the same for each run of a build.
    fn sample(&self) -> Vec<u8>;
}
