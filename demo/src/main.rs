//! The program around the demo shop: `portcullis-demo [--listen ADDRESS:PORT] [--fixed]`.

use portcullis_demo::play::{Credentials, Scenario, har};
use portcullis_demo::{Mode, ORDINARY, serve, serve_with};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::net::TcpListener;

const HELP: &str = "\
A shop API that is weak on purpose. Never expose it.

usage: portcullis-demo [--listen 127.0.0.1:4000] [--fixed] [--partner ADDRESS:PORT] [--i-know]
       portcullis-demo [--fixed] record FILE

  --listen ADDRESS:PORT  where to listen (default 127.0.0.1:4000)
  --fixed                the twin with every hole closed
  --partner ADDRESS:PORT where the shipping partner is, on this machine (default: it is played as well)
  --i-know               allow an address that other machines can reach
  record FILE            play the ordinary users against a shop of its own, write the traffic to FILE as HAR 1.2
";

enum Command {
    Help,
    Serve { listen: SocketAddr, mode: Mode, partner: Option<SocketAddr> },
    Record { file: String, mode: Mode },
}

fn main() -> ExitCode {
    let outcome =
        parse(std::env::args().skip(1)).and_then(|command| run(command).map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments;
    let mut listen: SocketAddr = ([127, 0, 0, 1], 4000).into();
    let (mut mode, mut knows) = (Mode::Weak, false);
    let mut partner = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--fixed" => mode = Mode::Fixed,
            "--i-know" => knows = true,
            "--partner" => {
                let value = arguments.next().unwrap_or_default();
                let wrong = format!("`--partner` wants an address such as 127.0.0.1:9000, and not `{value}`");
                partner = Some(value.parse().map_err(|_| wrong)?);
            }
            "--listen" => {
                let value = arguments.next().ok_or("`--listen` wants an address, such as 127.0.0.1:4000")?;
                listen = value
                    .parse()
                    .map_err(|_| format!("`{value}` is no address: expected one such as 127.0.0.1:4000"))?;
            }
            "record" => {
                return arguments
                    .next()
                    .map(|file| Command::Record { file, mode })
                    .ok_or_else(|| "`record` wants a file name".to_owned());
            }
            other => return Err(format!("`{other}` is not known: see --help")),
        }
    }
    if !listen.ip().is_loopback() && !knows {
        return Err(format!(
            "`{listen}` can be reached from other machines, and this shop is weak on purpose: \
             listen on 127.0.0.1, or add --i-know"
        ));
    }
    Ok(Command::Serve { listen, mode, partner })
}

fn run(command: Command) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Help => std::io::stdout().write_all(HELP.as_bytes()),
            Command::Serve { listen, mode, partner } => {
                let listener = TcpListener::bind(listen).await?;
                let which = if mode == Mode::Weak { "weak" } else { "fixed" };
                let mut out = std::io::stdout();
                writeln!(out, "the {which} shop listens on http://{}", listener.local_addr()?)?;
                serve_with(listener, mode, partner, async {
                    // Without signals there is no end but the process's own.
                    if tokio::signal::ctrl_c().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                })
                .await
            }
            Command::Record { file, mode } => {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let address = listener.local_addr()?;
                let scenario = Scenario::parse(ORDINARY)?;
                let server = tokio::spawn(serve(listener, mode, std::future::pending()));
                let har = har::record(&scenario, address, &Credentials::sample()).await?;
                server.abort();
                std::fs::write(file, har)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn only_loopback_without_an_oath() {
        for line in ["--listen 0.0.0.0:4000", "--listen [::]:1", "--listen 192.0.2.1:80 --fixed"] {
            assert!(parsed(line).is_err_and(|message| message.contains("--i-know")), "{line}");
            assert!(matches!(parsed(&format!("{line} --i-know")), Ok(Command::Serve { .. })), "{line}");
        }
        assert!(
            matches!(parsed(""), Ok(Command::Serve { mode: Mode::Weak, listen, .. }) if listen.port() == 4000)
        );
        assert!(matches!(parsed("--fixed --listen [::1]:0"), Ok(Command::Serve { mode: Mode::Fixed, .. })));
    }

    #[test]
    fn what_is_not_known_is_said() {
        assert!(parsed("--listen").is_err() && parsed("record").is_err());
        assert!(parsed("--listen nowhere").is_err_and(|message| message.contains("`nowhere`")));
        assert!(parsed("--bogus").is_err_and(|message| message.contains("`--bogus`")));
        assert!(matches!(parsed("--fixed --help"), Ok(Command::Help)));
    }
}
