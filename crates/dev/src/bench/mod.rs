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
pub mod worst;

use crate::{Failure, Outcome};

/// `page` with `text` between its marks `<!-- name -->` and `<!-- /name -->`.
fn between(page: &str, name: &str, text: &str) -> Outcome<String> {
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (Some((before, _)), Some((_, after))) = (page.split_once(&begin), page.split_once(&end)) else {
        return Err(Failure::new(format!("the page has no `{begin}` … `{end}`")));
    };
    Ok(format!("{before}{begin}\n{text}{end}{after}"))
}
