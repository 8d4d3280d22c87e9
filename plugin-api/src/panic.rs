//! Panics in a component: the text goes to the host's log, then the call traps.

/// Sends the text and the place of every panic from here on to the host. Called at the start of every exported
/// function, since each call runs in a fresh instance. On the author's machine panics stay as they are.
pub(crate) fn report_to_host() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("a panic without a text");
        match panic.location() {
            Some(place) => crate::error!("panicked at {place}: {text}"),
            None => crate::error!("panicked: {text}"),
        }
    }));
}
