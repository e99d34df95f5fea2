//! The operations of `c1.api.policy.v1.Policies`, one file each.

mod create;
mod delete;
mod get;
mod list;
mod update;
