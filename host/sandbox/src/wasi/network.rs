//! The network that is not there: every way to it answers that access is denied, and is counted.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::{TcpSocket, UdpSocket};
use wasmtime_wasi_http::p2::bindings::http::types;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::Wasi;
use crate::call::CallState;
use crate::guest_log::LogLevel;

impl CallState {
    /// Counts an attempt; the first of a call goes to its log.
    fn attempted(&mut self, what: &str) -> &mut Wasi {
        let attempts = &mut self.wasi().network_attempts;
        *attempts = attempts.saturating_add(1);
        if *attempts == 1 {
            let line = format!("the plugin tried to {what}: access denied, plugins have no network");
            self.write_log(LogLevel::Warn, &line);
        }
        self.wasi()
    }
}

/// Replaces the functions that would reach the network. What they would return is what everything else there needs, so the
/// rest of these interfaces cannot be used.
pub(super) fn deny(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    type Store<'a> = StoreContextMut<'a, CallState>;
    type Handled = Result<Resource<HostFutureIncomingResponse>, types::ErrorCode>;

    linker.instance("wasi:sockets/tcp-create-socket@0.2.12")?.func_wrap(
        "create-tcp-socket",
        |mut store: Store<'_>, (_,): (IpAddressFamily,)| {
            store.data_mut().attempted("open a TCP socket");
            Ok((Err::<Resource<TcpSocket>, _>(ErrorCode::AccessDenied),))
        },
    )?;
    linker.instance("wasi:sockets/udp-create-socket@0.2.12")?.func_wrap(
        "create-udp-socket",
        |mut store: Store<'_>, (_,): (IpAddressFamily,)| {
            store.data_mut().attempted("open a UDP socket");
            Ok((Err::<Resource<UdpSocket>, _>(ErrorCode::AccessDenied),))
        },
    )?;
    linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?.func_wrap(
        "resolve-addresses",
        |mut store: Store<'_>, (_, _): (Resource<Network>, String)| {
            store.data_mut().attempted("look up a host name");
            Ok((Err::<Resource<ResolveAddressStream>, _>(ErrorCode::AccessDenied),))
        },
    )?;
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: Store<'_>, (request, _): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>)| {
            store.data_mut().attempted("send an HTTP request").table.delete(request)?;
            Ok((Handled::Err(types::ErrorCode::HttpRequestDenied),))
        },
    )
}

/// What `wasmtime-wasi-http` would send requests with. It is never asked, since `handle` is ours.
pub(super) struct NoHttp;

/// A response, and what goes on until its body has come.
type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for NoHttp {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
