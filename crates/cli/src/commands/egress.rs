//! `portcullis egress`: the proxy through which the API's own calls leave.

use portcullis_guards::Report;

use super::run::Serving;
use crate::config::{self, Overrides};
use crate::exit::{Failure, Result};
use crate::gateway::Gateway;
use crate::term::{self, Style, out};

/// Stand behind an API: let its own calls out to where they may go, and nowhere else.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The section `egress` of the configuration says where calls may go. The API's HTTP clients find \
                        it by their environment:\n\
                        HTTP_PROXY=http://127.0.0.1:3128 HTTPS_PROXY=http://127.0.0.1:3128"
)]
pub(crate) struct Args {
    /// Configuration file [default: portcullis.yaml]
    #[arg(long, short, value_name = "FILE", default_value = config::DEFAULT_FILE, hide_default_value = true)]
    config: std::path::PathBuf,
    /// Where the API's clients connect [default: 127.0.0.1:3128]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Where metrics and health are read, or `off` [default: 127.0.0.1:9601]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Folder of the event log [default: .portcullis-egress]
    #[arg(long, value_name = "DIR")]
    data: Option<std::path::PathBuf>,
    /// Refuse nothing; record what would have been refused, and so where the API calls
    #[arg(long)]
    monitor: bool,
    #[command(flatten)]
    serving: Serving,
}

pub(crate) fn run(args: &Args) -> Result {
    let overrides = Overrides {
        config: Some(args.config.clone()),
        listen: args.listen.clone(),
        admin: args.admin.clone(),
        data: args.data.clone(),
        monitor: args.monitor,
        egress: true,
        ..Overrides::default()
    };
    let mut config = config::load(&overrides).map_err(Failure::usage)?;
    args.serving.prepare(&mut config);
    let destinations: Vec<_> =
        config.gateway.egress.iter().flat_map(|outward| outward.destinations.keys()).cloned().collect();
    let gateway = Gateway::start(config, overrides)?;
    announce(&destinations, &gateway.report);
    args.serving.serve(gateway)
}

fn announce(destinations: &[String], report: &Report) {
    let said = match destinations {
        [] => "nowhere: `egress.destinations` is empty".to_owned(),
        some => some.join(", "),
    };
    term::tell(format_args!("{} {said}", out(Style::Green, "calls may leave to:")));
    for warning in &report.warnings {
        term::tell(format_args!("{} {warning}", out(Style::Yellow, "warning:")));
    }
}
