//! A plain reverse proxy with an engine that has no guards: what the data plane itself costs.
//!
//! ```text
//! plain LISTEN UPSTREAM [WORKERS] [CERTIFICATE KEY]
//! ```

use std::error::Error;
use std::sync::Arc;

use portcullis_engine::{Engine, EngineHandle, Settings, State};
use portcullis_proxy::{Listen, OriginConfig, Protocol, Proxy, ProxyConfig, TlsConfig, UpstreamConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(listen), Some(upstream)) = (arguments.first(), arguments.get(1)) else {
        return Err("usage: plain LISTEN UPSTREAM [WORKERS] [CERTIFICATE KEY]".into());
    };
    let workers = arguments.get(2).map(|n| n.parse()).transpose()?.unwrap_or(0);
    let tls = match (arguments.get(3), arguments.get(4)) {
        (Some(certificate), Some(key)) => {
            Some(TlsConfig { certificate: certificate.into(), key: key.into(), ..TlsConfig::default() })
        }
        _ => None,
    };
    let protocol = match std::env::var("UPSTREAM_PROTOCOL").as_deref() {
        Ok("http2") => Protocol::Http2,
        Ok("http1") => Protocol::Http1,
        _ => Protocol::Auto,
    };
    let settings = Settings { websocket_unmatched: true, ..Settings::default() };
    let engine = Engine::builder(Arc::new(State::new(1024))).settings(settings).build();
    let config = ProxyConfig {
        listen: vec![Listen { address: listen.parse()?, tls: tls.is_some(), proxy_protocol: false }],
        tls,
        upstream: UpstreamConfig {
            origins: vec![OriginConfig { url: upstream.clone(), weight: 1 }],
            protocol,
            ..UpstreamConfig::default()
        },
        workers,
        ..ProxyConfig::default()
    };
    let proxy = Proxy::bind(config, EngineHandle::new(engine), Arc::new(()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(proxy.run_until(async {
        let _ = tokio::signal::ctrl_c().await;
    }))?;
    Ok(())
}
