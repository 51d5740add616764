//! Tests of the whole server over HTTP, in process; and of what it serves against the contract.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "the rules are for the program"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

#[macro_use]
#[path = "../databases/mod.rs"]
mod databases;

mod access;
mod added_hosts;
mod audit;
mod balancers;
mod balancers_of_v1;
mod bridgeport;
mod bridgeport_access;
mod bridgeport_deploys;
mod bridgeport_elsewhere;
mod bridgeport_once;
mod bridgeport_provider;
mod bridgeport_services;
mod bridgeport_webhooks;
mod client_sequences;
mod compose;
mod compose_files;
mod containers;
mod contract;
mod credentials;
mod declared_volumes;
mod dependencies;
mod dialect_pairs;
mod docker_carried;
mod docker_events;
mod docker_images;
mod docker_services;
mod docker_socket;
mod docker_specs;
mod docker_streams;
mod docker_swarm;
mod docker_templates;
mod docker_volumes;
mod documents;
mod drivers;
mod effects;
mod failures;
mod figures;
mod guarded_upgrades;
mod handled_processes;
mod health_commands;
mod host_policy;
mod hostile;
mod hosts;
mod hyper_addresses;
mod hyper_callers;
mod hyper_services;
mod hyper_signatures;
mod hyper_support;
mod infrastructure;
mod input;
mod lifecycle;
mod links_and_selectors;
mod lists;
mod live;
mod matrix;
mod medstack;
mod medstack_nodes;
mod medstack_routing;
mod medstack_services;
mod medstack_things;
mod medstack_webhooks;
mod mesh;
mod name_servers;
mod netd;
mod nodes;
mod odd_clients;
mod openapi;
mod pages;
mod ports;
mod processes;
mod project_isolation;
mod projects;
mod pull_tasks;
mod quirks;
mod rancher_ui;
mod random_lives;
mod rebalance;
mod receiver;
mod receivers;
mod recordings;
mod registration;
mod replay;
mod roles;
mod rooms;
mod rooms_api;
mod scheduled;
mod secrets;
mod settings;
mod sharing;
mod sockets;
mod source;
mod stacks;
mod starving;
mod stats;
mod staying_up;
mod streams;
mod subscriptions_by_role;
mod support;
mod tidy;
mod told_names;
mod types;
mod upgrades;
mod waiting;
mod watched_rollbacks;
mod writable;
