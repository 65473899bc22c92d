//! Frames: the length of a message in four bytes, little-endian, and the message.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message. The logits of a prompt of 400 tokens over 150,000 words have about this size.
const FRAME_BYTES_MAX: usize = 256 << 20;
const HEADER_BYTES: usize = 4;
/// How much is read at a time: a frame gets memory as it arrives, not as it promises.
const READ_BYTES: usize = 64 << 10;

/// Writes a message in one piece.
pub(crate) fn write_frame(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut frame = postcard::to_extend(message, vec![0; HEADER_BYTES]).map_err(io::Error::other)?;
    let length = frame.len() - HEADER_BYTES;
    let header = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
    let header = header.ok_or_else(|| {
        let most = FRAME_BYTES_MAX >> 20;
        let message =
            format!("{length} bytes for another process are more than {most} MiB; load without isolate");
        io::Error::new(ErrorKind::FileTooLarge, message)
    })?;
    if let Some(first) = frame.get_mut(..HEADER_BYTES) {
        first.copy_from_slice(&header.to_le_bytes());
    }
    stream.write_all(&frame)
}

/// What came of waiting for a message.
#[derive(Debug)]
pub(crate) enum Received<T> {
    Message(T),
    /// Nothing yet.
    TimedOut,
    /// The other side is gone.
    Ended,
}

/// Takes messages out of a stream, whatever pieces they arrive in.
#[derive(Debug)]
pub(crate) struct FrameReader {
    stream: UnixStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl FrameReader {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, buffer: Vec::new(), filled: 0 }
    }

    /// The next message; waits as long as the stream's timeout says.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Received<T>> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Received::Message(message));
            }
            let wanted = self.filled + READ_BYTES;
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            match self.stream.read(self.buffer.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => return Ok(Received::Ended),
                Ok(read) => self.filled += read,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(Received::TimedOut),
                    ErrorKind::ConnectionReset => return Ok(Received::Ended),
                    ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// The next message, if all of it has arrived.
    fn buffered<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let filled = self.buffer.get(..self.filled).unwrap_or_default();
        let Some((header, rest)) = filled.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = postcard::from_bytes(body).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        self.buffer.copy_within(HEADER_BYTES + length..self.filled, 0);
        self.filled -= HEADER_BYTES + length;
        if self.buffer.len() > 2 * READ_BYTES {
            self.buffer.truncate(self.filled.max(READ_BYTES));
            self.buffer.shrink_to_fit();
        }
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::{FrameReader, Received, write_frame};

    fn pair() -> (UnixStream, FrameReader) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        (ours, FrameReader::new(theirs))
    }

    fn message(received: Received<String>) -> String {
        match received {
            Received::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_arrive_in_order_and_whole() {
        let (mut ours, mut reader) = pair();
        let long = "x".repeat(300_000);
        let (first, second) = ("one".to_owned(), long.clone());
        let writer = std::thread::spawn(move || {
            for text in [first, second, "three".to_owned()] {
                write_frame(&mut ours, &text).expect("written");
            }
        });
        let mut texts = Vec::new();
        while texts.len() < 3 {
            if let Received::Message(text) = reader.next::<String>().expect("read") {
                texts.push(text);
            }
        }
        writer.join().expect("the writer");
        assert_eq!(texts, ["one".to_owned(), long, "three".to_owned()]);
        assert!(matches!(reader.next::<String>(), Ok(Received::Ended)));
    }

    #[test]
    fn a_message_in_pieces_is_waited_for() {
        let (mut ours, mut reader) = pair();
        ours.write_all(&[3, 0]).expect("written");
        assert!(matches!(reader.next::<String>(), Ok(Received::TimedOut)));
        ours.write_all(&[0, 0, 2, b'a']).expect("written");
        assert!(matches!(reader.next::<String>(), Ok(Received::TimedOut)));
        ours.write_all(b"b").expect("written");
        assert_eq!(message(reader.next().expect("read")), "ab");
    }

    #[test]
    fn garbage_is_an_error_and_takes_no_memory() {
        for bytes in [&[0xff, 0xff, 0xff, 0xff][..], &[1, 0, 0, 0, 0xff][..]] {
            let (mut ours, mut reader) = pair();
            ours.write_all(bytes).expect("written");
            assert!(reader.next::<String>().is_err(), "{bytes:?}");
        }
    }
}
