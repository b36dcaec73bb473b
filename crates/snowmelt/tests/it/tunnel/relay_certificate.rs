//! A relay with a certificate that has nothing to do with the project, as an egress gateway may ask for: nodes believe it
//! by `--relay-ca` or by what their machine believes, and nobody else.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::net::TcpListener;

use super::certificates::{Leaf, Signer};
use super::harness::{INLET, OUTLET, Program, Project, echo, exchange, page, snowmelt, text};

/// Made with `--relay-trust system`, relay and authority on ports of their own or on one.
async fn create(apart: bool) -> (Project, SocketAddr) {
    let free = async || TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let address = free().await;
    let relay = if apart { free().await } else { address };
    let project = Project { folder: tempfile::tempdir().unwrap(), address };
    let (at, relay_at) = (address.to_string(), relay.to_string());
    let options = ["project", "create", "--relay", &relay_at, "--authority", &at, "--relay-trust", "system"];
    let made = project.run(&options).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    (project, relay)
}

fn shown(leaf: &Leaf) -> [&str; 4] {
    ["--tls-certificate", leaf.chain.to_str().unwrap(), "--tls-key", leaf.key.to_str().unwrap()]
}

/// A program on a machine that believes this certificate authority and no other.
async fn on_a_machine(project: &Project, name: &str, believes: &Path, options: &[&str], ticket: &str) -> Program {
    let log = project.folder.path().join(format!("{name}.log"));
    let file = std::fs::File::create(&log).unwrap();
    let mut command = snowmelt(&[options, &["--state", name]].concat());
    command.current_dir(project.folder.path()).stdout(Stdio::null()).stderr(file).env("NO_COLOR", "1");
    command.env("SSL_CERT_FILE", believes).env_remove("SSL_CERT_DIR").env("SNOWMELT_TICKET", ticket);
    Program { child: command.spawn().unwrap(), log }
}

const AN_INLET: [&str; 9] = ["inlet", "--from", "127.0.0.1:0", "--to", "kafka", "--kind", "tcp", "--allow", OUTLET];

async fn carries(project: &Project, public: &Signer, others: &Signer) {
    let target = echo().await.to_string();
    let options = ["outlet", "--relay", "kafka", "--kind", "tcp", "--target", &target, "--allow", INLET];
    let file = ["--relay-ca", public.file.to_str().unwrap()];
    let ticket = project.ticket(&["--attribute", OUTLET, "--relay", "kafka"]).await;
    // By option, on a machine that believes somebody else.
    let outlet = on_a_machine(project, "outlet", &others.file, &[&options[..], &file].concat(), &ticket).await;
    outlet.says("connected to the relay").await;
    // By what the machine believes.
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let inlet = on_a_machine(project, "inlet", &public.file, &AN_INLET, &ticket).await;
    let address = inlet.address("inlet listens").await;
    inlet.says("connected to the relay").await;
    assert_eq!(exchange(address, b"through a public relay").await.unwrap(), b"through a public relay");
}

/// It joins, because the authority shows the key that the ticket pins, and then does not believe the relay.
async fn refuses(project: &Project, name: &str, believes: &Path, more: &[&str], words: &str) {
    let ticket = project.ticket(&["--attribute", INLET]).await;
    let pages = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let metrics = pages.to_string();
    let options = [&AN_INLET[..], &["--metrics", &metrics], more].concat();
    let node = on_a_machine(project, name, believes, &options, &ticket).await;
    node.says(words).await;
    let log = node.log();
    let line = log.lines().find(|line| line.contains(words)).unwrap();
    assert!(line.contains("WARN") && line.contains("the relay"), "{line}");
    assert!(!log.contains("connected to the relay"), "{log}");
    assert!(page(pages, "/health/ready").await.starts_with("HTTP/1.1 503"));
    let address = node.address("inlet listens").await;
    assert!(exchange(address, b"hello").await.is_err(), "a client was served");
    assert!(page(pages, "/metrics").await.contains("snowmelt_tunnel_refusals_total{reason=\"unreachable\"} 1\n"));
}

const UNKNOWN: &str = "nor by another that is believed here";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_certificate_is_believed_by_option_or_by_the_machine_and_by_nobody_else() {
    let (project, relay) = create(false).await;
    let (public, others) = (Signer::new(project.folder.path(), "public"), Signer::new(project.folder.path(), "others"));
    let leaf = public.sign("127.0.0.1");
    let listen = relay.to_string();
    let options = [&["project", "serve", "--listen", &listen], &shown(&leaf)[..]].concat();
    let served = project.start("serve", &options, None);
    served.says("authority and relay listens").await;
    assert!(!served.log().contains("WARN"), "{}", served.log());
    carries(&project, &public, &others).await;
    refuses(&project, "stranger", &others.file, &[], UNKNOWN).await;
    let wrong = ["--relay-ca", others.file.to_str().unwrap()];
    refuses(&project, "wrong-option", &public.file, &wrong, UNKNOWN).await;
    served.says("a handshake failed").await;

    let nowhere = project.ticket(&["--attribute", INLET]).await;
    let options = [&AN_INLET[..], &["--relay-ca", "nowhere.pem"]].concat();
    let mut node = on_a_machine(&project, "nowhere", &public.file, &options, &nowhere).await;
    assert_eq!(node.end().await, Some(2), "{}", node.log());
    assert!(node.log().contains("the certificates of nowhere.pem cannot be used"), "{}", node.log());
}

/// Whoever has a public certificate for another name is not the relay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_or_the_projects_own_is_not_a_public_one() {
    for (certificate, words) in [(Some("relay.example.com"), "not valid for"), (None, UNKNOWN)] {
        let (project, relay) = create(false).await;
        let public = Signer::new(project.folder.path(), "public");
        let leaf = certificate.map(|name| public.sign(name));
        let listen = relay.to_string();
        let shown = leaf.as_ref().map_or_else(Vec::new, |leaf| shown(leaf).to_vec());
        let served = project.start("serve", &[&["project", "serve", "--listen", &listen], &shown[..]].concat(), None);
        served.says("authority and relay listens").await;
        assert_eq!(
            served.log().contains("nodes will not believe this relay"),
            certificate.is_none(),
            "{}",
            served.log()
        );
        refuses(&project, "node", &public.file, &[], words).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_apart_from_the_authority_has_a_public_certificate_too() {
    let (project, relay) = create(true).await;
    let (public, others) = (Signer::new(project.folder.path(), "public"), Signer::new(project.folder.path(), "others"));
    let leaf = public.sign("127.0.0.1");
    let (at, listen) = (project.address.to_string(), relay.to_string());
    let _served = project.start("serve", &["project", "serve", "--no-relay", "--listen", &at], None);
    let ticket = project.ticket(&["--attribute", "snowmelt-relay"]).await;
    let options = [&["relay", "--listen", &listen], &shown(&leaf)[..]].concat();
    let running = project.start("relay", &options, Some(&ticket));
    assert_eq!(running.address("relay listens").await, relay);
    carries(&project, &public, &others).await;
    refuses(&project, "stranger", &others.file, &[], UNKNOWN).await;
}
