//! The service as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use crate::harness::PATIENCE;

/// A running binary; killed, if it is not yet, when the test ends.
pub struct Binary {
    child: Mutex<Child>,
    addr: SocketAddr,
    /// What it said that is not the line of a call.
    said: Arc<Mutex<Vec<String>>>,
}

impl Binary {
    /// Starts it on `directory` and returns when it serves.
    pub fn start(directory: &Path) -> Binary {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("COUNTERSIGN_"))
        {
            command.env_remove(name);
        }
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ]);
        command.arg("--store").arg(format!("sled:{}", directory.display()));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(Vec::new()));
        let (send, serving) = mpsc::channel();
        let saying = Arc::clone(&said);
        // Its log is read to the end, or the pipe would fill up and stop it.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
                match parsed["message"].as_str() {
                    Some("serving") => {
                        send.send(parsed["listen"].as_str().unwrap().parse().unwrap()).unwrap()
                    }
                    Some("call") if parsed["code"] != "INTERNAL" && parsed["code"] != "DATA_LOSS" => {}
                    _ => saying.lock().unwrap().push(line),
                }
            }
        });
        let addr = serving.recv_timeout(PATIENCE);
        let addr = addr.unwrap_or_else(|_| panic!("it does not start: {:#?}", said.lock().unwrap()));
        Binary { child: Mutex::new(child), addr, said }
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.child.lock().unwrap().kill().unwrap();
    }

    /// Waits until it is gone, which must have been by a signal.
    pub fn wait(&self) {
        let status = self.child.lock().unwrap().wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself: {:#?}", self.said.lock().unwrap());
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}
