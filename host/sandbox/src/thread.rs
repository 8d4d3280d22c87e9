//! Threads for calls that others must not wait for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use tokio::sync::oneshot;

use crate::error::CallError;
use crate::pace::Urgency;

/// Goes on with a call on a thread of its own; its end comes here. The thread is started at the first poll.
pub(crate) async fn moved<T: Send + 'static>(
    urgency: Urgency,
    call: Pin<Box<impl Future<Output = T> + Send + 'static>>,
) -> Result<T, CallError> {
    let (send, receive) = oneshot::channel();
    move_away(urgency, call, move |ended| drop(send.send(ended)))?;
    receive.await.map_err(|_| ended_early())
}

/// Goes on with a call on a thread of its own. One is started each time: next to what a long call takes that is
/// nothing, and none is left when there are no such calls. The receiver of the end may be gone by then.
pub(crate) fn move_away<T: 'static>(
    urgency: Urgency,
    call: Pin<Box<impl Future<Output = T> + Send + 'static>>,
    deliver: impl FnOnce(T) + Send + 'static,
) -> Result<(), CallError> {
    let run = move || {
        urgency.apply();
        deliver(drive(call));
    };
    match thread::Builder::new().name("plugin-call".to_owned()).spawn(run) {
        Ok(_) => Ok(()),
        Err(error) => Err(CallError::Host(format!("no thread can be started for it: {error}"))),
    }
}

/// What became of a call whose thread said nothing.
pub(crate) fn ended_early() -> CallError {
    CallError::Host("its thread ended early".to_owned())
}

/// Runs a call to its end on this thread. A guest is only ever not ready because a tick has passed, so it is asked
/// again at once.
fn drive<T>(mut call: Pin<Box<impl Future<Output = T>>>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
            return answer;
        }
    }
}
