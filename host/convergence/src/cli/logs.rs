//! `convergence logs`

use clap::Args;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::exit::Failure;
use super::output::{Output, has_lost_its_reader, reader_left};
use super::tenant::Tenant;

/// Which tenant, and which of its lines.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// Print this many of the last lines.
    #[arg(long, short = 'n', default_value_t = 200, value_name = "LINES")]
    tail: u32,
    /// Continue to print lines as they come.
    #[arg(long, short)]
    follow: bool,
    /// Let the terminal obey control characters. Without this only colours are obeyed, and other control characters are shown.
    #[arg(long)]
    raw: bool,
}

/// A line that is longer than this is printed in pieces, so that one without an end cannot fill the memory.
const PIECE: usize = 1 << 20;

/// Prints what a tenant printed.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let path = arguments.tenant.path(&format!("/logs?tail={}", arguments.tail));
    if !arguments.follow {
        let (_, document) = client.json(client.request(Method::GET, &path)).await?;
        if output.is_json() {
            output.result(&document, String::new);
            return Ok(());
        }
        let lines = document.get("logs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter_map(Value::as_str).for_each(|line| output.line(line, arguments.raw));
        return Ok(());
    }
    let response = client.send(client.request(Method::GET, &format!("{path}&follow=true"))).await?;
    let mut stream = response.bytes_stream().take_until(Box::pin(reader_left()));
    let print = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        if output.is_json() {
            output.news(&serde_json::json!({ "line": text }), String::new);
        } else {
            output.line(&text, arguments.raw);
        }
    };
    let mut lines = Lines::default();
    while let Some(piece) = stream.next().await {
        lines.push(&piece.map_err(|error| client.unreachable(&error))?, &print);
        if has_lost_its_reader() {
            return Ok(());
        }
    }
    lines.end(&print);
    Ok(())
}

/// Puts lines together from the pieces they arrive in.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Up to here no line ends.
    searched: usize,
}

impl Lines {
    fn push(&mut self, piece: &[u8], print: &impl Fn(&[u8])) {
        self.buffer.extend_from_slice(piece);
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n').map(|at| at + self.searched);
            match end {
                Some(end) => {
                    print(self.buffer.get(..end).unwrap_or_default());
                    self.buffer.drain(..=end);
                }
                None if self.buffer.len() >= PIECE => {
                    print(&self.buffer);
                    self.buffer.clear();
                }
                None => {
                    self.searched = self.buffer.len();
                    return;
                }
            }
            self.searched = 0;
        }
    }

    /// What an application printed last may have no end.
    fn end(self, print: &impl Fn(&[u8])) {
        if !self.buffer.is_empty() {
            print(&self.buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn lines_arrive_in_any_pieces_and_the_last_one_needs_no_end() {
        for size in [1, 3, 100] {
            let got = RefCell::new(Vec::new());
            let print = |line: &[u8]| got.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
            let mut lines = Lines::default();
            b"one\n\ntwo\xff\nlast".chunks(size).for_each(|piece| lines.push(piece, &print));
            lines.end(&print);
            assert_eq!(got.into_inner(), ["one", "", "two\u{fffd}", "last"]);
        }
    }

    #[test]
    fn a_line_without_an_end_is_printed_in_pieces() {
        let got = RefCell::new(Vec::new());
        let print = |line: &[u8]| got.borrow_mut().push(line.len());
        let mut lines = Lines::default();
        (0..40).for_each(|_| lines.push(&[b'x'; 64 * 1024], &print));
        lines.end(&print);
        assert_eq!(got.into_inner(), [PIECE, PIECE, PIECE / 2]);
    }
}
