//! `cargo dev bench`: the gateway beside other proxies, on one machine in one run.

pub mod audit;
pub mod contenders;
pub mod contract;
pub mod detection;
pub mod fix;
pub mod idle;
pub mod inspect;
pub mod load;
pub mod measure;
pub mod proxy;
pub mod report;
pub mod scan;
