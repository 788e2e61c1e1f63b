//! End-to-end tests: the built gateway, real peers, real clients, over loopback. A module an area; what they
//! share is in `harness`.
//!
//! What a test lacks on this machine (see `cargo dev setup`) makes it print a line that begins with `SKIPPED`;
//! `cargo dev test` collects those lines.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod advisories;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod checklist;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod fix;
#[cfg(test)]
mod foreign_clients;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod hostile_files;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod inspection;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod policy_audit;
#[cfg(test)]
mod program;
#[cfg(test)]
mod proxying;
#[cfg(test)]
mod real_servers;
#[cfg(test)]
mod rebinding;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod scan;
#[cfg(test)]
mod scan_bank;
#[cfg(test)]
mod scan_config;
#[cfg(test)]
mod scan_inputs;
#[cfg(test)]
mod scan_upstream;
#[cfg(test)]
mod slow_clients;
#[cfg(test)]
mod strict_http1;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod walls;
