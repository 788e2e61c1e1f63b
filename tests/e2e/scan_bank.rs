//! `portcullis scan` against a bank in another language (`tests/scan/bank.py`): money, two kinds of accounts, tokens that do
//! not end. What is weak in it is found and repeated; in the mended twin nothing is.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;

use crate::harness::peers::{Peer, free_address};
use crate::harness::{data, needs};
use crate::scan::{curl, keys, repeated, scan};

const PEOPLE: [(&str, &str); 2] = [("alice", "alder-Lane-12"), ("bob", "birch-Road-7")];

/// A bank with two customers.
fn bank(fixed: bool) -> Option<Peer> {
    let python = needs("scan_bank", "python3")?;
    let address = free_address();
    let mut command = Command::new(python);
    command.arg(data("scan/bank.py")).arg(address.port().to_string()).args(fixed.then_some("--fixed"));
    let peer = Peer::start(command, tempfile::tempdir().unwrap(), address);
    for (name, password) in PEOPLE {
        let body = json!({ "username": name, "password": password }).to_string();
        let url = format!("http://{address}/register");
        assert_eq!(curl(&["-H", "content-type: application/json", "-d", &body, &url]).0, 201);
    }
    Some(peer)
}

#[test]
fn what_is_weak_in_the_bank_is_found_and_nothing_in_its_mended_twin() {
    let (Some(weak), Some(fixed)) = (bank(false), bank(true)) else { return };
    let (_, report) = scan(&data("scan/bank.json"), weak.address, &PEOPLE, &[]);
    let found = keys(&report);
    for wanted in [
        // The first customers, whose lists were empty until a partner charged them.
        "bola-read GET /accounts/{account_number}/movements ",
        // The second kind of accounts, and what only it reaches.
        "bola-read GET /partners/{partnerId}/charges ",
        "secret-in-answer GET /partners/me answer api_key",
        "no-rate-limit-login POST /partners/login ",
        "replay-accepted POST /charges body /partner_order_id",
        // Money.
        "negative-amount POST /transfers body /amount",
        "amount-unlimited POST /loans body /amount",
        // Its cover is not asked for where the way to pay is on no list.
        "amount-unlimited POST /bills body /amount",
        "reference-not-checked POST /transfers body /to_account",
        "predictable-number POST /bills answer reference",
        "token-weak-secret  ",
        "token-never-expires  ",
    ] {
        assert!(found.contains(wanted), "`{wanted}` was not found: {found:#?}");
    }
    let (_, report_of_fixed) = scan(&data("scan/bank.json"), fixed.address, &PEOPLE, &[]);
    assert_eq!(keys(&report_of_fixed), BTreeSet::new());

    let (Some(weak), Some(fixed)) = (bank(false), bank(true)) else { return };
    assert_eq!(repeated(&report, weak.address, &PEOPLE), found);
    assert_eq!(repeated(&report, fixed.address, &PEOPLE), BTreeSet::new());
}
