//! A proxy in front of a PostgreSQL server that cuts a connection at a chosen COMMIT: the moment after which nobody but
//! the server knows whether something happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a client sends first to ask for TLS, in place of a version of the protocol.
const ASKS_FOR_TLS: u32 = 80_877_103;
/// The same for the end of a statement on another connection.
const CANCELS: u32 = 80_877_102;

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the server hears of the COMMIT: nothing happened.
    Before,
    /// After the server carried it out and before the client hears of that.
    After,
}

/// The proxy. Dropped, it lets nobody in any more.
#[derive(Debug)]
pub struct Cutter {
    location: String,
    plan: Arc<Mutex<Plan>>,
    door: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Plan {
    /// COMMITs of transactions that changed something, since the proxy was told where to cut.
    commits: usize,
    at: Option<(usize, Cut)>,
    cuts: usize,
}

impl Cutter {
    /// Stands in front of a database, given as `postgres://user@host:port/name`.
    pub async fn in_front_of(location: &str) -> Self {
        let (before, rest) = location.rsplit_once('@').expect("a url with a user");
        let (server, name) = rest.split_once('/').expect("a url with the name of a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let plan = Arc::new(Mutex::new(Plan::default()));
        let (server, shared) = (server.to_owned(), Arc::clone(&plan));
        let door = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, plan) = (server.clone(), Arc::clone(&shared));
                // A connection ends with the client's or the server's end of it.
                tokio::spawn(async move { carry(client, &server, &plan).await.ok() });
            }
        });
        Self { location: format!("{before}@127.0.0.1:{port}/{name}"), plan, door }
    }

    /// The url to use in place of the server's own.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Cuts at the `n`-th COMMIT from now on; the next one is the first. Those of transactions that changed nothing are not
    /// counted: nobody can tell whether they happened.
    pub fn cut(&self, n: usize, cut: Cut) {
        *lock(&self.plan) = Plan { at: Some((n, cut)), ..Plan::default() };
    }

    /// Cuts nothing any more. Answers whether it did since it was told where.
    pub fn restore(&self) -> bool {
        std::mem::take(&mut *lock(&self.plan)).cuts > 0
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.door.abort();
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection. Both ends of it are closed when this returns.
async fn carry(mut client: TcpStream, server: &str, plan: &Mutex<Plan>) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    // Messages are small, and each waits for an answer.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (Messages::begun(), Messages::default());
    let (mut from_client, mut from_server) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut changed = false;
    loop {
        tokio::select! {
            read = server.read(&mut from_server) => {
                let Some(bytes) = from_server.get(..read?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                answered.add(bytes);
                while let Some(message) = answered.next() {
                    changed = changed || says_that_rows_changed(&message);
                }
                client.write_all(bytes).await?;
            }
            read = client.read(&mut from_client) => {
                let Some(bytes) = from_client.get(..read?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                asked.add(bytes);
                while let Some(message) = asked.next() {
                    if message.asks_for_tls() {
                        client.write_all(b"N").await?;
                        continue;
                    }
                    let cut = if message.is_query("COMMIT") && std::mem::take(&mut changed) {
                        lock(plan).commit()
                    } else {
                        changed = changed && !message.is_query("BEGIN");
                        None
                    };
                    if cut == Some(Cut::Before) {
                        return Ok(());
                    }
                    server.write_all(&message.bytes).await?;
                    if cut == Some(Cut::After) {
                        // The answer says that it happened; nobody else hears it.
                        return server.read(&mut from_server).await.map(drop);
                    }
                }
            }
        }
    }
}

impl Plan {
    fn commit(&mut self) -> Option<Cut> {
        self.commits += 1;
        let cut = self.at.filter(|(n, _)| *n == self.commits).map(|(_, cut)| cut);
        self.cuts += usize::from(cut.is_some());
        cut
    }
}

/// A stream of bytes as the messages it consists of.
#[derive(Debug, Default)]
struct Messages {
    bytes: Vec<u8>,
    /// A client's first message has no tag.
    untagged: bool,
}

#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    tagged: bool,
}

impl Messages {
    /// Of a client, from the beginning.
    fn begun() -> Self {
        Self { bytes: Vec::new(), untagged: true }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, once it is there as a whole.
    fn next(&mut self) -> Option<Message> {
        let tag = usize::from(!self.untagged);
        let length = self.bytes.get(tag..tag + 4)?.try_into().ok().map(u32::from_be_bytes)?;
        let whole = tag + usize::try_from(length).ok()?;
        if self.bytes.len() < whole {
            return None;
        }
        let rest = self.bytes.split_off(whole);
        let message = Message { bytes: std::mem::replace(&mut self.bytes, rest), tagged: !self.untagged };
        self.untagged = self.untagged && (message.asks_for_tls() || message.code() == Some(CANCELS));
        Some(message)
    }
}

impl Message {
    fn code(&self) -> Option<u32> {
        self.bytes.get(4..8)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn asks_for_tls(&self) -> bool {
        !self.tagged && self.code() == Some(ASKS_FOR_TLS)
    }

    /// Whether it is a simple query with this text: tag, length, text, NUL.
    fn is_query(&self, text: &str) -> bool {
        let asked = self.bytes.get(5..self.bytes.len().saturating_sub(1));
        self.tagged && self.bytes.first() == Some(&b'Q') && asked == Some(text.as_bytes())
    }
}

/// Whether a server's message is the end of a statement that changed rows: `UPDATE 1`, `INSERT 0 3`.
fn says_that_rows_changed(message: &Message) -> bool {
    let told = message.bytes.get(5..message.bytes.len().saturating_sub(1)).unwrap_or_default();
    let told = std::str::from_utf8(told).unwrap_or_default();
    let changes = ["INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| told.starts_with(verb));
    message.bytes.first() == Some(&b'C') && changes && !told.ends_with(" 0")
}
