//! The program under test as people start it, and a project in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::world::eventually;

pub(super) const LIMIT: Duration = Duration::from_secs(30);
pub(super) const INLET: &str = "snowflake-kafka-inlet";
pub(super) const OUTLET: &str = "snowflake-kafka-outlet";

/// The program, with nothing of this process's environment that it would take for its own.
pub(super) fn snowmelt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowmelt"));
    for name in ["SNOWMELT_TICKET", "SNOWMELT_NODE_KEY", "SNOWMELT_PASSPHRASE", "SNOWMELT_PROJECT"] {
        command.env_remove(name);
    }
    command.args(arguments).env("SNOWMELT_LOG", "trace").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A process that goes on until stopped, with its log.
pub(super) struct Program {
    pub(super) child: Child,
    pub(super) log: PathBuf,
}

impl Program {
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(super) async fn says(&self, text: &str) {
        eventually(&format!("{} has {text:?}", self.log.display()), LIMIT, || self.log().contains(text)).await;
    }

    /// The address in the line that says `text`.
    pub(super) async fn address(&self, text: &str) -> SocketAddr {
        self.says(text).await;
        let log = self.log();
        let line = log.lines().find(|line| line.contains(text)).unwrap();
        let field = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).unwrap();
        field.parse().unwrap()
    }

    pub(super) async fn end(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it has not ended:\n{}", self.log())).unwrap().code()
    }

    /// SIGTERM, which ends it well.
    pub(super) async fn stop(&mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        assert_eq!(self.end().await, Some(0), "{}", self.log());
    }
}

/// A project in a directory of its own, served on a port of its own.
pub(super) struct Project {
    pub(super) folder: TempDir,
    pub(super) address: SocketAddr,
}

impl Project {
    /// Made, and not served.
    pub(super) async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The address stands in every ticket, so it must be known before anybody listens there.
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let project = Self { folder, address };
        let output = project.run(&["project", "create", "--relay", &address.to_string()]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        for next in ["project serve", "project ticket", "snowmelt outlet", "snowmelt inlet"] {
            assert!(text(&output.stdout).contains(next), "{next}: {}", text(&output.stdout));
        }
        project
    }

    pub(super) async fn serve(&self) -> Program {
        let served = self.start("serve", &["project", "serve", "--listen", &self.address.to_string()], None);
        assert_eq!(served.address("authority and relay listens").await, self.address);
        served
    }

    /// Runs to its end in the project's folder.
    pub(super) async fn run(&self, arguments: &[&str]) -> Output {
        let running = snowmelt(arguments).current_dir(self.folder.path()).output();
        tokio::time::timeout(LIMIT, running).await.unwrap().unwrap()
    }

    pub(super) fn start(&self, name: &str, arguments: &[&str], ticket: Option<&str>) -> Program {
        let log = self.folder.path().join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = snowmelt(arguments);
        command.current_dir(self.folder.path()).stdout(file.try_clone().unwrap()).stderr(file).env("NO_COLOR", "1");
        if let Some(ticket) = ticket {
            command.env("SNOWMELT_TICKET", ticket);
        }
        Program { child: command.spawn().unwrap(), log }
    }

    pub(super) async fn ticket(&self, options: &[&str]) -> String {
        let output = self.run(&[&["project", "ticket"], options].concat()).await;
        let line = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(line.starts_with("snowmelt1.") && line.lines().count() == 1, "one line and nothing else: {line}");
        line.trim().to_owned()
    }

    pub(super) async fn outlet(&self, target: SocketAddr) -> (Program, String) {
        let ticket = self.ticket(&["--attribute", OUTLET, "--relay", "kafka"]).await;
        let target = target.to_string();
        let options = ["outlet", "--relay", "kafka", "--kind", "tcp", "--target", &target, "--allow", INLET];
        let outlet = self.start("outlet", &options, Some(&ticket));
        outlet.says("connected to the relay").await;
        (outlet, ticket)
    }

    pub(super) async fn inlet(&self) -> (Program, SocketAddr, String) {
        let ticket = self.ticket(&["--attribute", INLET]).await;
        let options = ["inlet", "--from", "127.0.0.1:0", "--to", "kafka", "--kind", "tcp", "--allow", OUTLET];
        let inlet = self.start("inlet", &options, Some(&ticket));
        let address = inlet.address("inlet listens").await;
        (inlet, address, ticket)
    }

    /// The ids of all nodes with this attribute.
    pub(super) async fn nodes(&self, attribute: &str) -> Vec<String> {
        let output = self.run(&["project", "nodes", "--json"]).await;
        let nodes: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let nodes = nodes.as_array().unwrap().iter();
        let of = nodes.filter(|node| node["attributes"].as_array().unwrap().iter().any(|name| name == attribute));
        of.map(|node| node["id"].as_str().unwrap().to_owned()).collect()
    }
}

pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A server that sends back what it gets.
pub(super) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reading, mut writing) = stream.into_split();
                let _ = tokio::io::copy(&mut reading, &mut writing).await;
                let _ = writing.shutdown().await;
            });
        }
    });
    address
}

pub(super) async fn exchange(to: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let conversation = async {
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(LIMIT, conversation).await?
}

/// One answer over HTTP, head and all.
pub(super) async fn page(from: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {from}\r\nconnection: close\r\n\r\n");
    // The pages and the node's work begin side by side.
    let connecting = async {
        loop {
            match TcpStream::connect(from).await {
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => tokio::task::yield_now().await,
                connected => return connected.unwrap(),
            }
        }
    };
    let mut stream = tokio::time::timeout(LIMIT, connecting).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
