//! What is served beside the resources: pages for browsers, the OpenAPI document, scripts, the empty catalog and its likes.
//!
//! Made from what the resources are, and never a way to change one.

pub mod beside;
pub mod html;
pub mod openapi;
pub mod receivers;
pub mod scripts;
