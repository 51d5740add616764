//! Tests against real parts; each skips with a printed reason where its part is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test reports")]

mod runtime;
