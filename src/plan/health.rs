//! Health of a service and of a stack, rolled up.
