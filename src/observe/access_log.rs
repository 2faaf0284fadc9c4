//! One line a request: written by the workers into memory, carried to the sink by one thread.
//!
//! A worker formats a line straight into a buffer of its own, which it shares with nobody but the
//! writer thread; the writer takes whole buffers, some tens of milliseconds apart. So a line costs
//! its worker no allocation and no system call, and a slow sink costs lines, counted, but never time.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use super::line::{Clock, write_json, write_text};
pub use super::line::{Part, Quoted, Record};
use super::metrics::{LogCounts, Metrics};
use super::spec::{AccessLogSpec, LogFormat};

/// What one worker may hold in memory for a slow sink, in bytes; lines beyond are dropped.
const BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// From this many bytes on the writer is woken at once.
const BUFFER_BYTES_URGENT: usize = 256 * 1024;
/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// How long [`AccessLog::flush`] waits for a sink that does not move.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);

/// The access log of the process. One for its whole life, whatever is reloaded.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Thread,
    handle: Mutex<Option<JoinHandle<()>>>,
}

/// Where lines go and how they look, opened.
#[derive(Debug)]
pub struct Target {
    format: LogFormat,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Stdout,
    File { path: PathBuf, file: File },
}

#[derive(Debug)]
struct Shared {
    /// A [`LogFormat`] as its number.
    format: AtomicU8,
    buffers: Mutex<Vec<Arc<Mutex<Batch>>>>,
    /// The sink to go on with, when it changes.
    next: Mutex<Option<Sink>>,
    reopen: AtomicBool,
    /// Some buffer is not empty.
    pending: AtomicBool,
    /// Somebody does not want to wait for more lines to gather.
    urgent: AtomicBool,
    closing: AtomicBool,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
    counts: Arc<LogCounts>,
}

/// Lines that wait for the writer.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    lines: u64,
}

#[derive(Debug, Default)]
struct Flushes {
    asked: u64,
    done: u64,
}

impl Target {
    /// Opens what `spec` names; a file is appended to, and made where there is none.
    pub fn open(spec: &AccessLogSpec) -> Result<Self, String> {
        let sink = match &spec.file {
            Some(path) if spec.format != LogFormat::Off => Sink::File {
                file: open(path)?,
                path: path.clone(),
            },
            Some(_) | None => Sink::Stdout,
        };
        Ok(Self {
            format: spec.format,
            sink,
        })
    }
}

impl AccessLog {
    /// Starts the writer thread.
    pub fn start(target: Target, metrics: &Metrics) -> Result<Arc<Self>, String> {
        let shared = Arc::new(Shared {
            format: AtomicU8::new(target.format as u8),
            buffers: Mutex::default(),
            next: Mutex::default(),
            reopen: AtomicBool::default(),
            pending: AtomicBool::default(),
            urgent: AtomicBool::default(),
            closing: AtomicBool::default(),
            flushes: Mutex::default(),
            flushed: Condvar::new(),
            counts: metrics.log_counts(),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            sink: target.sink,
            spare: Batch::default(),
            failing: false,
        };
        let handle = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| format!("cannot start the access log's thread: {error}"))?;
        Ok(Arc::new(Self {
            shared,
            writer: handle.thread().clone(),
            handle: Mutex::new(Some(handle)),
        }))
    }

    /// A worker's own end.
    pub fn worker(&self) -> WorkerLog {
        let buffer = Arc::new(Mutex::new(Batch::default()));
        lock(&self.shared.buffers).push(Arc::clone(&buffer));
        WorkerLog {
            shared: Arc::clone(&self.shared),
            buffer,
            writer: self.writer.clone(),
            clock: Clock::default(),
        }
    }

    /// Goes on with `target`: lines written before this call still go where they went.
    pub fn apply(&self, target: Target) {
        let _in_time = self.flush();
        *lock(&self.shared.next) = Some(target.sink);
        self.shared.format.store(target.format as u8, Relaxed);
    }

    /// Opens the file by its name again, for those who moved it away (logrotate).
    pub fn reopen(&self) {
        self.shared.reopen.store(true, SeqCst);
        let _in_time = self.flush();
    }

    /// Waits until what was written so far is with the operating system; five seconds at most.
    /// Blocks: not for workers. False: the sink did not take it in that time.
    pub fn flush(&self) -> bool {
        let mut flushes = lock(&self.shared.flushes);
        flushes.asked += 1;
        let mine = flushes.asked;
        self.shared.urgent.store(true, SeqCst);
        self.shared.pending.store(true, SeqCst);
        self.writer.unpark();
        let waited = self
            .shared
            .flushed
            .wait_timeout_while(flushes, FLUSH_TIME_MAX, |flushes| flushes.done < mine);
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    }

    /// Writes what is left and ends the thread. Blocks, five seconds at most.
    pub fn close(&self) {
        let handle = lock(&self.handle).take();
        let Some(handle) = handle else { return };
        self.shared.closing.store(true, SeqCst);
        // A sink that hangs must not keep the process from ending.
        if self.flush() && handle.join().is_err() {
            tracing::error!("the access log's thread had panicked");
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// One worker's end of the access log.
#[derive(Debug)]
pub struct WorkerLog {
    shared: Arc<Shared>,
    buffer: Arc<Mutex<Batch>>,
    writer: Thread,
    clock: Clock,
}

impl WorkerLog {
    /// Whether lines are wanted at all: worth asking before a record is gathered.
    pub fn enabled(&self) -> bool {
        self.shared.format.load(Relaxed) != LogFormat::Off as u8
    }

    /// Writes one line. Never waits: where the sink is too slow the line is dropped and counted.
    pub fn write(&self, record: &Record<'_>) {
        let format = self.shared.format.load(Relaxed);
        if format == LogFormat::Off as u8 {
            return;
        }
        let mut batch = lock(&self.buffer);
        let before = batch.text.len();
        if before >= BUFFER_BYTES_MAX {
            self.shared.counts.dropped.fetch_add(1, Relaxed);
            return;
        }
        if format == LogFormat::Json as u8 {
            write_json(&mut batch.text, &self.clock, record);
        } else {
            write_text(&mut batch.text, &self.clock, record);
        }
        batch.lines += 1;
        let after = batch.text.len();
        drop(batch);
        let urgent = before < BUFFER_BYTES_URGENT && after >= BUFFER_BYTES_URGENT;
        if urgent {
            self.shared.urgent.store(true, SeqCst);
        }
        // The first line wakes the writer, which then lets others gather.
        if urgent || (before == 0 && !self.shared.pending.swap(true, SeqCst)) {
            self.writer.unpark();
        }
    }
}

/// The thread that owns the sink.
struct Writer {
    shared: Arc<Shared>,
    sink: Sink,
    /// Given to a worker in exchange for its full one, so that neither grows anew.
    spare: Batch,
    /// The last write failed: said once, not for every batch.
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            while !self.shared.pending.swap(false, SeqCst) {
                thread::park();
            }
            if !self.shared.urgent.swap(false, SeqCst) {
                thread::park_timeout(GATHER);
            }
            let closing = self.shared.closing.load(SeqCst);
            let asked = lock(&self.shared.flushes).asked;
            self.change_sink();
            self.carry();
            lock(&self.shared.flushes).done = asked;
            self.shared.flushed.notify_all();
            if closing {
                return;
            }
        }
    }

    fn change_sink(&mut self) {
        let next = lock(&self.shared.next).take();
        if let Some(next) = next {
            self.sink = next;
        }
        if let (true, Sink::File { path, file }) =
            (self.shared.reopen.swap(false, SeqCst), &mut self.sink)
        {
            match open(path) {
                Ok(opened) => *file = opened,
                Err(error) => tracing::error!(%error, "the access log stays in the old file"),
            }
        }
    }

    /// Takes what every worker has and writes it.
    fn carry(&mut self) {
        let buffers = lock(&self.shared.buffers).clone();
        for buffer in &buffers {
            std::mem::swap(&mut *lock(buffer), &mut self.spare);
            if self.spare.lines > 0 {
                self.write();
            }
            self.spare.text.clear();
            self.spare.lines = 0;
        }
        drop(buffers);
        // The ends of workers that are gone, once they are empty.
        lock(&self.shared.buffers)
            .retain(|buffer| Arc::strong_count(buffer) > 1 || lock(buffer).lines > 0);
    }

    fn write(&mut self) {
        let text = &self.spare.text;
        let written = match &mut self.sink {
            Sink::Stdout => std::io::stdout().lock().write_all(text),
            Sink::File { file, .. } => file.write_all(text),
        };
        let counts = &self.shared.counts;
        match written {
            Ok(()) => {
                counts.lines.fetch_add(self.spare.lines, Relaxed);
                self.failing = false;
            }
            Err(error) => {
                counts.dropped.fetch_add(self.spare.lines, Relaxed);
                if !self.failing {
                    tracing::error!(%error, "the access log cannot be written; lines are lost");
                }
                self.failing = true;
            }
        }
    }
}

fn open(path: &Path) -> Result<File, String> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| format!("cannot open the access log {}: {error}", path.display()))
}

/// A panic while a line was written leaves at worst half a line.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use serde_json::Value;

    use super::*;

    fn target(path: &Path, format: LogFormat) -> Target {
        Target::open(&AccessLogSpec {
            format,
            file: Some(path.to_owned()),
        })
        .unwrap()
    }

    fn record(path: &str) -> Record<'_> {
        Record {
            time: SystemTime::now(),
            request_id: b"1",
            trace_id: 1,
            client: [127, 0, 0, 1].into(),
            client_text: None,
            method: "GET",
            scheme: "http",
            host: "a",
            path,
            protocol: "1.1",
            status: Some(200),
            bytes_received: 0,
            bytes_sent: 0,
            duration: Duration::ZERO,
            aborted: false,
            route: None,
            upstream: None,
            endpoint: None,
            caller: None,
            error: None,
            parts: &[],
        }
    }

    fn paths(file: &Path) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap();
        text.lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                line["path"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn lines_of_all_workers_reach_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let metrics = Metrics::new(4);
        let log = AccessLog::start(target(&path, LogFormat::Json), &metrics).unwrap();
        thread::scope(|scope| {
            for worker in 0..4 {
                let end = log.worker();
                let write = move |line| end.write(&record(&format!("/{worker}/{line}")));
                scope.spawn(move || (0..5000).for_each(write));
            }
        });
        log.close();
        let mut lines = paths(&path);
        assert_eq!(lines.len(), 20_000);
        // Each worker's own lines stand in their order.
        let first: Vec<_> = lines
            .iter()
            .filter(|path| path.starts_with("/0/"))
            .collect();
        assert!(
            first
                .iter()
                .enumerate()
                .all(|(at, path)| **path == format!("/0/{at}"))
        );
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 20_000);
        assert_eq!(metrics.log_counts().lines.load(Relaxed), 20_000);
        assert!(lock(&log.shared.buffers).is_empty(), "their ends are gone");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let moved = folder.path().join("access.log.1");
        let log = AccessLog::start(target(&path, LogFormat::Json), &Metrics::new(1)).unwrap();
        let worker = log.worker();
        worker.write(&record("/before"));
        assert!(log.flush());
        fs::rename(&path, &moved).unwrap();
        worker.write(&record("/between"));
        log.reopen();
        worker.write(&record("/after"));
        assert!(log.flush());
        assert_eq!(paths(&moved), ["/before"]);
        assert_eq!(paths(&path), ["/between", "/after"]);
        log.close();
    }

    #[test]
    fn format_and_file_change_while_it_runs() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let log = AccessLog::start(target(&one, LogFormat::Off), &Metrics::new(1)).unwrap();
        let worker = log.worker();
        assert!(!worker.enabled());
        worker.write(&record("/nowhere"));
        log.apply(target(&one, LogFormat::Json));
        assert!(worker.enabled());
        worker.write(&record("/one"));
        log.apply(target(&two, LogFormat::Text));
        worker.write(&record("/two"));
        assert!(log.flush());
        assert_eq!(paths(&one), ["/one"]);
        let text = fs::read_to_string(&two).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("\"GET http://a/two HTTP/1.1\" 200"), "{text}");
        log.close();
        log.close();
    }

    #[test]
    fn a_sink_that_fails_costs_lines_and_is_counted() {
        let metrics = Metrics::new(1);
        let log =
            AccessLog::start(target(Path::new("/dev/full"), LogFormat::Json), &metrics).unwrap();
        let worker = log.worker();
        worker.write(&record("/a"));
        worker.write(&record("/b"));
        log.close();
        assert_eq!(metrics.log_counts().dropped.load(Relaxed), 2);
        // Nobody takes lines any more: memory stays bounded.
        let long = "x".repeat(64 * 1024);
        for _ in 0..200 {
            worker.write(&record(&long));
        }
        assert!(lock(&worker.buffer).text.len() < BUFFER_BYTES_MAX + 2 * long.len());
        assert!(metrics.log_counts().dropped.load(Relaxed) > 100);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = Target::open(&AccessLogSpec {
            format: LogFormat::Json,
            file: Some(PathBuf::from("/no/such/folder/access.log")),
        })
        .unwrap_err();
        assert!(error.contains("/no/such/folder/access.log"), "{error}");
    }
}
