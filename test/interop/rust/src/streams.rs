//! What happens on one stream.

use std::io;

use net_mux::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

const BUFFER: usize = 65_536;

/// Larger than a frame, so that the crate has to cut it.
const WRITE: usize = 200_000;

pub fn report(id: u32, outcome: io::Result<()>) {
    match outcome {
        Ok(()) => println!("stream {id} ended"),
        Err(error) => println!("stream {id} failed: {error}"),
    }
}

pub async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

pub async fn digest(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut checksum = Checksum::default();
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        checksum.add(&buffer[..count]);
    }
    // The peer's direction has ended; this one has not.
    let answer = format!("{} {:08x}", checksum.bytes, checksum.hash);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

pub async fn reset_after(mut stream: Stream, bytes: u64) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut seen = 0;
    while seen < bytes {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => seen += count as u64,
        }
    }
    stream.reset();
    Ok(())
}

/// Sends `bytes` bytes and the end, and compares what comes back by number and checksum.
pub async fn send_and_compare(stream: Stream, bytes: u64) -> Result<(), String> {
    let seed = stream.id();
    let (mut reader, mut writer) = split(stream);
    let sending = tokio::spawn(async move {
        let mut content = Content(seed);
        let mut sent = Checksum::default();
        let mut buffer = vec![0; WRITE];
        while sent.bytes < bytes {
            let count = (bytes - sent.bytes).min(WRITE as u64) as usize;
            content.fill(&mut buffer[..count]);
            sent.add(&buffer[..count]);
            writer.write_all(&buffer[..count]).await?;
        }
        writer.shutdown().await?;
        io::Result::Ok(sent)
    });
    let mut received = Checksum::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader
            .read(&mut buffer)
            .await
            .map_err(|error| error.to_string())?
        {
            0 => break,
            count => received.add(&buffer[..count]),
        }
    }
    let sent = sending
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    if sent == received {
        Ok(())
    } else {
        Err(format!(
            "stream {seed}: sent {sent:?}, received {received:?}"
        ))
    }
}

/// FNV-1a with 32 bits: short enough to be written again, by eye, at the other end.
#[derive(Debug, PartialEq)]
struct Checksum {
    bytes: u64,
    hash: u32,
}

impl Default for Checksum {
    fn default() -> Self {
        Self {
            bytes: 0,
            hash: 0x811c_9dc5,
        }
    }
}

impl Checksum {
    fn add(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        for byte in data {
            self.hash = (self.hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

/// Bytes that no block of repeats (a linear congruential generator).
struct Content(u32);

impl Content {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (self.0 >> 24) as u8;
        }
    }
}
