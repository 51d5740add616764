//! What is served beside the resources: pages for browsers, the OpenAPI document, scripts, the empty catalog.
//!
//! Made from what the resources are, and never a way to change one.

pub mod catalog;
pub mod html;
pub mod openapi;
pub mod receivers;
pub mod scripts;
