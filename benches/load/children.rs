//! The processes that are measured: started here, found by the address that they say, and killed by their id at the end.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Fault, echo};

/// How long a process may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// What one tick of `/proc/PID/stat` is; the same on every Linux, whatever the kernel counts in.
const TICK_US: f64 = 10_000.0;

/// A process that listens on `addr`, killed when this is dropped.
pub struct Process {
    child: Child,
    pub addr: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// The service itself, with its defaults, on a data directory. Its log is written, as it is in earnest, and thrown away.
    pub fn server(program: &Path, data: &Path) -> Result<Process, Fault> {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("COUNTERSIGN_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log-format", "json", "--store", &format!("sled:{}", data.display())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let log = child.stderr.take();
        // From here on the child is killed whatever happens.
        let mut process = Process { child, addr: ([127, 0, 0, 1], 0).into() };
        process.addr = listening(log.ok_or("the log is not there")?, |line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line.get("message")? == "serving").then_some(())?;
            line.get("listen")?.as_str()?.parse().ok()
        })?;
        Ok(process)
    }

    /// This program again, as the echo that answers with `answer`.
    pub fn echo(answer: &[u8]) -> Result<Process, Fault> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([echo::ARGUMENT, &STANDARD.encode(answer)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take();
        let mut process = Process { child, addr: ([127, 0, 0, 1], 0).into() };
        process.addr = listening(said.ok_or("the echo is mute")?, |line| line.parse().ok())?;
        Ok(process)
    }

    /// The processor time that the process has used, in microseconds; `None` where the system does not say.
    pub fn cpu_us(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // Behind the name, which may hold spaces; the 14th and 15th fields of the line.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) * TICK_US)
    }
}

/// Reads lines up to the one that holds an address, and throws away what comes after it without looking at it.
fn listening(
    out: impl Into<OwnedFd> + Send + 'static,
    address: impl Fn(&str) -> Option<SocketAddr> + Send + 'static,
) -> Result<SocketAddr, Fault> {
    let (found, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        let mut out = File::from(out.into());
        let mut reader = BufReader::new(&out);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if let Some(address) = address(line.trim_end()) {
                let _ = found.send(address);
                break;
            }
            line.clear();
        }
        drop(found);
        if let Ok(mut nothing) = OpenOptions::new().write(true).open("/dev/null") {
            // From a pipe to a file this is done by the kernel, so that the log costs this process almost nothing.
            let _ = std::io::copy(&mut out, &mut nothing);
        }
    });
    waiting.recv_timeout(START_PATIENCE).map_err(|_| "a process did not say where it listens".into())
}
