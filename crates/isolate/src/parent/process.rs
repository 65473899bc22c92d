use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Takes a line of a log with its level: `debug`, `info`, `warn` or `error`.
pub type LogLine = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Longest line of output that is passed on in one piece.
const LINE_BYTES_MAX: u64 = 8 << 10;
/// The last lines of output, which say best why a process ended.
const LAST_LINES: usize = 4;
/// How long the output of a process that has ended may take to arrive. Another process may hold its end.
const OUTPUT_MOST: Duration = Duration::from_millis(500);
/// How often an ending process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How the child is started and what it is to load.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, which must come to call [`serve`](crate::serve).
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables to leave out of its environment.
    pub without: Vec<OsString>,
    /// Variables to set in it.
    pub with: Vec<(OsString, OsString)>,
}

/// A running child. Ended and waited for when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    /// Hands on the output until its end.
    output: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a child; the stream leads to its standard input.
    pub(super) fn start(launch: &Launch, log: Option<LogLine>) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let (output, for_output) = io::pipe()?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(for_output.try_clone()?))
            .stderr(Stdio::from(for_output))
            // Ctrl-C in a terminal is for the parent, which ends its children in order.
            .process_group(0);
        for name in &launch.without {
            command.env_remove(name);
        }
        command.envs(launch.with.iter().map(|(name, value)| (name, value)));
        let child = command.spawn()?;
        // The command holds the child's ends, and with them the end of its output.
        drop(command);
        // Before the thread: if that fails, the child is ended all the same.
        let mut process = Self { child, last_lines: Arc::default(), output: None };
        let last_lines = Arc::clone(&process.last_lines);
        let reader = std::thread::Builder::new()
            .name("rkllmjs-output".to_owned())
            .spawn(move || pass_on(output, log.as_ref(), &last_lines))?;
        process.output = Some(reader);
        Ok((process, ours))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for it to end by itself. False if it has not in time.
    pub(super) fn wait(&mut self, most: Duration) -> bool {
        let deadline = Instant::now() + most;
        while self.is_running() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }

    /// Ends it, if it has not ended, and says how it ended: `was killed by signal 6 (SIGABRT)`.
    pub(super) fn end(&mut self) -> String {
        let status = match self.child.try_wait() {
            Ok(Some(status)) => Some(status),
            _ => self.kill(),
        };
        let how = status.map_or_else(|| "is gone".to_owned(), describe);
        self.await_output();
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return how;
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("{how}; its last lines were: {}", lines.join(" | "))
    }

    /// Waits for what it wrote before it ended.
    fn await_output(&self) {
        let deadline = Instant::now() + OUTPUT_MOST;
        while self.output.as_ref().is_some_and(|reader| !reader.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn kill(&mut self) -> Option<ExitStatus> {
        // One that has just ended cannot be killed, and need not be.
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill();
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}{}", signal_name(signal)),
        (None, Some(code)) => format!("ended with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

/// Hands on what a child writes, line by line, until it has ended.
fn pass_on(output: PipeReader, log: Option<&LogLine>, last_lines: &Mutex<VecDeque<String>>) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end();
        if line.is_empty() {
            continue;
        }
        let mut lines = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(400).collect());
        drop(lines);
        if let Some(log) = log {
            log("info", line);
        }
    }
}
