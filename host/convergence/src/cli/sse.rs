//! Server-sent events, as far as this server sends them: `id`, `event` and one line of `data`.

use serde_json::Value;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its number, where it has one.
    pub(crate) id: Option<i64>,
    /// What kind of event it is.
    pub(crate) name: String,
    /// Its document.
    pub(crate) data: Value,
}

/// Puts events together from the pieces they arrive in.
#[derive(Debug, Default)]
pub(crate) struct Events {
    buffer: Vec<u8>,
    /// Up to here there is no end of an event.
    searched: usize,
}

impl Events {
    /// The events that are whole with this piece.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.end() {
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            self.searched = 0;
            events.extend(read(&String::from_utf8_lossy(&block)));
        }
        events
    }

    fn end(&mut self) -> Option<usize> {
        let rest = self.buffer.get(self.searched..)?;
        let found = rest.windows(2).position(|pair| pair == b"\n\n").map(|at| at + self.searched);
        self.searched = self.buffer.len().saturating_sub(1);
        found
    }
}

/// None of a comment, which keeps the connection alive.
fn read(text: &str) -> Option<Event> {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|rest| rest.trim_start().to_owned()))
    };
    let (name, data) = (field("event")?, field("data")?);
    let id = field("id").and_then(|id| id.parse().ok());
    Some(Event { id, name, data: serde_json::from_str(&data).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_arrive_in_any_pieces() {
        let text = b"event: step\ndata: {\"step\":\"image\"}\nid: 7\n\n: keep-alive\n\nevent: outcome\ndata: {}\n\n";
        for size in [1, 2, 5, 1000] {
            let mut events = Events::default();
            let got: Vec<_> = text.chunks(size).flat_map(|piece| events.push(piece)).collect();
            let got: Vec<_> = got.iter().map(|event| (event.id, event.name.as_str())).collect();
            assert_eq!(got, [(Some(7), "step"), (None, "outcome")]);
        }
    }
}
