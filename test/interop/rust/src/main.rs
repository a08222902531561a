//! The other end of the net-mux interop tests: the crate `net-mux` behind a TCP listener on loopback.
//!
//! `netmux-peer ROLE ACTION [OPTION VALUE]...` prints `listening PORT`, serves every connection with one
//! session, tells on standard output what happened, a line each, and exits when its standard input ends.
//! It does what it was told and reports; whether a test has passed is for the test.

mod options;
mod streams;

use std::io::Read;

use net_mux::Session;
use options::{Action, Options, Role};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("netmux-peer: {problem}");
            std::process::exit(2);
        }
    };
    exit_with_stdin();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening {}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(serve(socket, options.clone()));
    }
}

/// A test that dies must not leave this program behind.
fn exit_with_stdin() {
    std::thread::spawn(|| {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(count) if count > 0) {}
        std::process::exit(0);
    });
}

async fn serve(socket: TcpStream, options: Options) {
    if let Err(error) = socket.set_nodelay(true) {
        println!("failed {error}");
    }
    let session = match options.role {
        Role::Client => Session::client(socket, options.config.clone()),
        Role::Server => Session::server(socket, options.config.clone()),
    };
    match options.action {
        Action::Open { streams, bytes } => open_all(&session, streams, bytes).await,
        Action::CloseAfter { streams } => {
            accept_some(&session, streams, options.action).await;
            session.close().await;
        }
        _ => accept_some(&session, usize::MAX, options.action).await,
    }
    println!("session closed");
}

/// Accepts streams until there have been `most`, or the session is over, and serves each by itself.
async fn accept_some(session: &Session<TcpStream>, most: usize, action: Action) {
    let mut serving = JoinSet::new();
    let mut accepted = 0;
    while accepted < most {
        let Ok(stream) = session.accept().await else {
            break;
        };
        accepted += 1;
        let id = stream.id();
        serving.spawn(async move {
            let outcome = match action {
                Action::Digest => streams::digest(stream).await,
                Action::ResetAfter { bytes } => streams::reset_after(stream, bytes).await,
                _ => streams::echo(stream).await,
            };
            streams::report(id, outcome);
        });
        while serving.try_join_next().is_some() {}
    }
    serving.join_all().await;
}

/// Opens all streams at once, sends on each and checks what comes back.
async fn open_all(session: &Session<TcpStream>, streams: usize, bytes: u64) {
    let mut opening = JoinSet::new();
    for _ in 0..streams {
        let session = session.clone();
        opening.spawn(async move {
            let stream = session.open().await.map_err(|error| error.to_string())?;
            streams::send_and_compare(stream, bytes).await
        });
    }
    let mut good = 0;
    for outcome in opening.join_all().await {
        match outcome {
            Ok(()) => good += 1,
            Err(problem) => println!("failed {problem}"),
        }
    }
    println!("echoed {good} of {streams}");
    // Stays until the other end closes: accept returns when the session is over.
    while session.accept().await.is_ok() {}
}
