//! Files of an SFTP server over one channel: what there is, and their bytes.
//!
//! One request at a time, except for reading, where a window of requests is
//! under way so that a distant server is as fast as a near one. Everything that
//! is waited for has a time-out, and everything that is held a bound.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::error::{STATUS_EOF, STATUS_OK, SftpError, clean};
use super::wire::{self, Answer, Attrs, Malformed};

/// What one request reads: every server gives so much at once.
const READ_BYTES: u32 = 32 * 1024;

/// Requests under way: 2 MiB, which is the window of the channel.
const READS_MAX: usize = 64;

/// What is handed on at once; less would be written to disk in crumbs.
const PIECE_BYTES: usize = 1024 * 1024;

/// Files of a folder that are looked at: more than a partner uploads in ten
/// years, one a day with a marker.
const FILES_MAX: usize = 10_000;

/// Longest handle that the protocol knows.
const HANDLE_BYTES_MAX: usize = 256;

/// Speaks SFTP over a channel.
pub(super) struct Files<S> {
    stream: S,
    idle: Duration,
    next_id: u32,
}

/// An open file that is being read.
pub(super) struct Reading {
    path: String,
    handle: Bytes,
    size: u64,
    /// Where the next request begins.
    asked: u64,
    /// Where the next byte that is handed on lies.
    taken: u64,
    /// Offset and length of the requests under way.
    under_way: HashMap<u32, (u64, u32)>,
    /// What came before its turn, by offset.
    early: BTreeMap<u64, Bytes>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Files<S> {
    /// Agrees on the version.
    pub(super) async fn start(stream: S, idle: Duration) -> Result<Self, SftpError> {
        const DURING: &str = "starting SFTP";
        let mut files = Self {
            stream,
            idle,
            next_id: 0,
        };
        let hello = wire::packet(wire::INIT, |packet| packet.put_u32(wire::PROTOCOL));
        files.send(hello, DURING).await?;
        let (kind, mut answer) = files.answer(DURING).await?;
        let version = answer.u32().map_err(malformed)?;
        if kind != wire::VERSION || version < wire::PROTOCOL {
            return Err(SftpError::Protocol("it has not version 3"));
        }
        Ok(files)
    }

    /// Follows links.
    pub(super) async fn stat(&mut self, path: &str) -> Result<Attrs, SftpError> {
        const VERB: &str = "look at";
        let (kind, mut answer) = self.ask(wire::STAT, path.as_bytes(), &[], VERB).await?;
        match kind {
            wire::ATTRS => answer.attrs().map_err(malformed),
            _ => Err(refused(kind, answer, VERB, path)),
        }
    }

    /// What is in a folder, without looking into folders in it.
    pub(super) async fn list(&mut self, path: &str) -> Result<Vec<(String, Attrs)>, SftpError> {
        const VERB: &str = "list";
        let handle = self.handle(wire::OPENDIR, path, &[], VERB).await?;
        let mut found = Vec::new();
        loop {
            let (kind, mut answer) = self.ask(wire::READDIR, &handle, &[], VERB).await?;
            if kind != wire::NAME {
                match refused(kind, answer, VERB, path) {
                    SftpError::Status {
                        code: STATUS_EOF, ..
                    } => break,
                    error => return Err(error),
                }
            }
            let names = answer.names().map_err(malformed)?;
            found.extend(names.into_iter().filter(|(name, _)| {
                !matches!(name.as_str(), "" | "." | "..") && !name.contains('/')
            }));
            if found.len() > FILES_MAX {
                let (path, max) = (path.to_owned(), FILES_MAX);
                return Err(SftpError::TooManyFiles { path, max });
            }
        }
        self.close(&handle, path).await?;
        Ok(found)
    }

    /// Opens a file to be read from that byte on. It has to have `size` bytes.
    pub(super) async fn open(
        &mut self,
        path: &str,
        from: u64,
        size: u64,
    ) -> Result<Reading, SftpError> {
        const VERB: &str = "open";
        /// The flag for reading, and no attributes.
        const TO_READ: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 0];
        let handle = self.handle(wire::OPEN, path, &TO_READ, VERB).await?;
        Ok(Reading {
            path: path.to_owned(),
            handle,
            size,
            asked: from,
            taken: from,
            under_way: HashMap::new(),
            early: BTreeMap::new(),
        })
    }

    /// The next bytes, about a MiB; `None` at the end of the file.
    pub(super) async fn read(&mut self, reading: &mut Reading) -> Result<Option<Bytes>, SftpError> {
        const VERB: &str = "read";
        let mut piece = BytesMut::new();
        while piece.len() < PIECE_BYTES && reading.taken < reading.size {
            while reading.asked < reading.size
                && reading.under_way.len() + reading.early.len() < READS_MAX
            {
                let left = reading.size - reading.asked;
                let length = READ_BYTES.min(u32::try_from(left).unwrap_or(READ_BYTES));
                self.ask_for(reading, reading.asked, length).await?;
                reading.asked += u64::from(length);
            }
            let (kind, mut answer) = self.answer("reading the file").await?;
            let id = answer.u32().map_err(malformed)?;
            let Some((offset, length)) = reading.under_way.remove(&id) else {
                return Err(SftpError::Protocol("it answers what was not asked"));
            };
            if kind != wire::DATA {
                return Err(match refused(kind, answer, VERB, &reading.path) {
                    SftpError::Status {
                        code: STATUS_EOF, ..
                    } => SftpError::Shorter {
                        path: reading.path.clone(),
                        at: offset,
                        size: reading.size,
                    },
                    error => error,
                });
            }
            let data = answer.text().map_err(malformed)?;
            let got = u32::try_from(data.len()).unwrap_or(u32::MAX);
            if got == 0 || got > length {
                return Err(SftpError::Protocol("it sends other bytes than were asked"));
            }
            if got < length {
                // It may give less than was asked; the rest is asked anew.
                let rest = offset + u64::from(got);
                self.ask_for(reading, rest, length - got).await?;
            }
            reading.early.insert(offset, data);
            while let Some(data) = reading.early.remove(&reading.taken) {
                reading.taken += data.len() as u64;
                piece.extend_from_slice(&data);
            }
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }

    /// What the open file is by now, and the end of it.
    pub(super) async fn finish(&mut self, reading: Reading) -> Result<Attrs, SftpError> {
        const VERB: &str = "look at";
        let (kind, mut answer) = self.ask(wire::FSTAT, &reading.handle, &[], VERB).await?;
        let attrs = match kind {
            wire::ATTRS => answer.attrs().map_err(malformed)?,
            _ => return Err(refused(kind, answer, VERB, &reading.path)),
        };
        self.close(&reading.handle, &reading.path).await?;
        Ok(attrs)
    }

    async fn ask_for(
        &mut self,
        reading: &mut Reading,
        offset: u64,
        length: u32,
    ) -> Result<(), SftpError> {
        let id = self.id();
        let request = wire::packet(wire::READ, |packet| {
            packet.put_u32(id);
            wire::put_text(packet, &reading.handle);
            packet.put_u64(offset);
            packet.put_u32(length);
        });
        reading.under_way.insert(id, (offset, length));
        self.send(request, "reading the file").await
    }

    async fn handle(
        &mut self,
        kind: u8,
        path: &str,
        more: &[u8],
        verb: &'static str,
    ) -> Result<Bytes, SftpError> {
        let (kind, mut answer) = self.ask(kind, path.as_bytes(), more, verb).await?;
        match kind {
            wire::HANDLE => {
                let handle = answer.text().map_err(malformed)?;
                match handle.len() <= HANDLE_BYTES_MAX {
                    true => Ok(handle),
                    false => Err(SftpError::Protocol("its handle is too long")),
                }
            }
            _ => Err(refused(kind, answer, verb, path)),
        }
    }

    async fn close(&mut self, handle: &[u8], path: &str) -> Result<(), SftpError> {
        const VERB: &str = "close";
        let (kind, answer) = self.ask(wire::CLOSE, handle, &[], VERB).await?;
        match refused(kind, answer, VERB, path) {
            SftpError::Status {
                code: STATUS_OK, ..
            } => Ok(()),
            error => Err(error),
        }
    }

    /// One request about a path or a handle, and its answer.
    async fn ask(
        &mut self,
        kind: u8,
        about: &[u8],
        more: &[u8],
        during: &'static str,
    ) -> Result<(u8, Answer), SftpError> {
        let id = self.id();
        let request = wire::packet(kind, |packet| {
            packet.put_u32(id);
            wire::put_text(packet, about);
            packet.put_slice(more);
        });
        self.send(request, during).await?;
        let (kind, mut answer) = self.answer(during).await?;
        match answer.u32() {
            Ok(answered) if answered == id => Ok((kind, answer)),
            Ok(_) => Err(SftpError::Protocol("it answers what was not asked")),
            Err(error) => Err(malformed(error)),
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    async fn send(&mut self, request: Bytes, during: &'static str) -> Result<(), SftpError> {
        let sent = async {
            self.stream.write_all(&request).await?;
            self.stream.flush().await
        };
        within(self.idle, during, sent).await
    }

    async fn answer(&mut self, during: &'static str) -> Result<(u8, Answer), SftpError> {
        let idle = self.idle;
        let length = within(idle, during, self.stream.read_u32()).await? as usize;
        if !(1..=wire::PACKET_BYTES_MAX).contains(&length) {
            return Err(SftpError::Protocol(
                "its answer is of no length that there is",
            ));
        }
        let mut answer = BytesMut::zeroed(length);
        within(idle, during, self.stream.read_exact(&mut answer)).await?;
        let kind = answer.split_to(1)[0];
        Ok((kind, Answer(answer.freeze())))
    }
}

async fn within<T>(
    idle: Duration,
    during: &'static str,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, SftpError> {
    match tokio::time::timeout(idle, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(source)) => Err(SftpError::Cut { during, source }),
        Err(_) => Err(SftpError::Timeout {
            during,
            after_ms: u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
        }),
    }
}

/// An answer that is not the one that was hoped for.
fn refused(kind: u8, mut answer: Answer, verb: &'static str, path: &str) -> SftpError {
    if kind != wire::STATUS {
        return SftpError::Protocol("it answers with another kind of packet");
    }
    let Ok(code) = answer.u32() else {
        return malformed(Malformed);
    };
    // Old servers leave the words out.
    let words = answer.text().unwrap_or_default();
    SftpError::Status {
        verb,
        path: path.to_owned(),
        code,
        words: clean(&String::from_utf8_lossy(&words)),
    }
}

fn malformed(_: Malformed) -> SftpError {
    SftpError::Protocol("its answer ends too early")
}
