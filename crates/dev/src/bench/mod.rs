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

use crate::{Failure, Outcome, cache};

/// Puts `text` into the page `docs/PAGE` between its marks `<!-- name -->` and `<!-- /name -->`.
fn write_section(page: &str, name: &str, text: &str) -> Outcome {
    let path = cache::workspace().join("docs").join(page);
    let unreadable = |error| Failure::new(format!("cannot read {}: {error}", path.display()));
    let old = std::fs::read_to_string(&path).map_err(unreadable)?;
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (Some((before, _)), Some((_, after))) = (old.split_once(&begin), old.split_once(&end)) else {
        return Err(Failure::new(format!("`{}` has no `{begin}` … `{end}`", path.display())));
    };
    std::fs::write(&path, format!("{before}{begin}\n{text}{end}{after}"))?;
    println!("wrote {}", path.display());
    Ok(())
}
