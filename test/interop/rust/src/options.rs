//! The command line of the peer.

use std::time::Duration;

use net_mux::Config;

#[derive(Clone, Copy)]
pub enum Role {
    Client,
    Server,
}

/// What to do with the streams of a session.
#[derive(Clone, Copy)]
pub enum Action {
    /// Send back what comes, and the end after its end.
    Echo,
    /// Read up to the end, and only then answer with the number of bytes and their checksum.
    Digest,
    /// Read that many bytes, then reset the stream.
    ResetAfter { bytes: u64 },
    /// Echo that many streams, then close the session.
    CloseAfter { streams: usize },
    /// Open that many streams at once, send that many bytes on each and compare the echo.
    Open { streams: usize, bytes: u64 },
}

#[derive(Clone)]
pub struct Options {
    pub role: Role,
    pub action: Action,
    pub config: Config,
}

impl Options {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = Words(arguments);
        let role = match words.next("a role")?.as_str() {
            "client" => Role::Client,
            "server" => Role::Server,
            other => return Err(format!("unknown role {other}")),
        };
        let action = match words.next("an action")?.as_str() {
            "echo" => Action::Echo,
            "digest" => Action::Digest,
            "reset-after" => Action::ResetAfter {
                bytes: words.number("bytes")?,
            },
            "close-after" => Action::CloseAfter {
                streams: words.number("streams")?,
            },
            "open" => Action::Open {
                streams: words.number("streams")?,
                bytes: words.number("bytes")?,
            },
            other => return Err(format!("unknown action {other}")),
        };
        let mut config = Config::default();
        while let Some(name) = words.0.next() {
            match name.as_str() {
                "--initial-stream-window" => config.initial_stream_window = words.number(&name)?,
                "--max-frame-size" => config.max_frame_size = words.number(&name)?,
                "--max-streams" => config.max_streams = words.number(&name)?,
                "--keepalive-interval" => {
                    config.keepalive_interval = Some(Duration::from_millis(words.number(&name)?));
                }
                "--keepalive-timeout" => {
                    config.keepalive_timeout = Duration::from_millis(words.number(&name)?);
                }
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(Self {
            role,
            action,
            config,
        })
    }
}

struct Words<I>(I);

impl<I: Iterator<Item = String>> Words<I> {
    fn next(&mut self, what: &str) -> Result<String, String> {
        self.0.next().ok_or_else(|| format!("{what} is missing"))
    }

    fn number<N: std::str::FromStr>(&mut self, what: &str) -> Result<N, String> {
        let word = self.next(what)?;
        word.parse()
            .map_err(|_| format!("{what}: {word} is no number"))
    }
}
