//! Tells when a file that was read has changed: by notice of the system, and by looking every now
//! and then.
//!
//! Folders are watched, not files: editors put a new file in the place of the old one, and
//! Kubernetes swaps a link to a folder. What counts is the content, so a file that is only touched
//! has not changed.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::hash::{Hash, Hasher};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::files;

/// How long it must be quiet before a change is believed to be over.
const QUIET: Duration = Duration::from_millis(100);

/// A change that does not end is told after this.
const RESTLESS: Duration = Duration::from_secs(1);

/// How often is looked without a notice: network file systems give none.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Files younger than this are read whenever they are looked at.
const YOUNG: Duration = Duration::from_secs(2);

/// Notices of other files in the same folders that are heard between two looks. A log that is
/// written there would otherwise wake two threads with every line.
const FOREIGN_MAX: usize = 64;

/// Bytes of a file that are compared.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Watches the files of a configuration.
///
/// ```text
/// let mut sight = Sight::of([path]);             // before the file is loaded
/// load();
/// let mut watch = Watch::default();
/// loop {
///     watch.follow(sight.covering(&files_of_that_load, begin));
///     watch.changed().await;
///     sight = sight.again();
///     load();                                    // a refused load has files as well
/// }
/// ```
pub struct Watch {
    seen: Sight,
    folders: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    notices: mpsc::Receiver<()>,
    heard: Arc<Heard>,
}

/// What the system's notices are held against, on the thread that gets them.
#[derive(Default)]
struct Heard {
    /// Of the files that are watched.
    names: Mutex<BTreeSet<OsString>>,
    /// Notices of other files since the folders are watched.
    foreign: AtomicUsize,
}

impl Heard {
    /// Whether a notice is worth a look.
    fn matters(&self, event: &Event) -> bool {
        if is_read(event.kind) {
            return false;
        }
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |path: &PathBuf| path.file_name().is_none_or(|name| names.contains(name));
        if event.paths.is_empty() || event.paths.iter().any(is_ours) {
            return true;
        }
        let foreign = self.foreign.fetch_add(1, Ordering::Relaxed) + 1;
        // A link to a file may be another now; what is written to another file is its own matter.
        foreign == FOREIGN_MAX || !matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)))
    }

    fn is_too_much(&self) -> bool {
        self.foreign.load(Ordering::Relaxed) >= FOREIGN_MAX
    }
}

/// What files looked like at one moment. Taken before they are loaded it tells what was loaded at
/// least: whatever is written after it is another sight.
#[derive(Clone, Debug, Default)]
pub struct Sight(BTreeMap<PathBuf, Look>);

/// What a file looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look {
    /// The same stamp: the content need not be read. None while the file is so young that another
    /// write could leave it the same, since clocks of file systems are coarse.
    stamp: Option<Stamp>,
    /// Of the content, or of the names in a folder; none where there is none.
    hash: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    /// Tells a file from another that took its place: inode and time of its last change.
    identity: (u64, i64, i64),
}

impl Sight {
    /// What `files` look like now.
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let files = files.into_iter();
        Self(
            files
                .map(|file| {
                    let look = look(&file, None);
                    (file, look)
                })
                .collect(),
        )
    }

    /// What the same files look like now.
    #[must_use]
    pub fn again(&self) -> Self {
        let looks = self.0.iter();
        Self(
            looks
                .map(|(file, before)| (file.clone(), look(file, Some(before))))
                .collect(),
        )
    }

    /// The sight of `files`, which were read by a loading that began at `begin`, after this sight
    /// was taken. What this sight does not have is looked at now; where it was written since
    /// `begin`, nobody knows what was loaded, so that it counts as changed.
    #[must_use]
    pub fn covering(mut self, files: &[PathBuf], begin: SystemTime) -> Self {
        let late = |file: &Path| {
            let written = std::fs::metadata(file).and_then(|file| file.modified());
            written.is_ok_and(|at| at >= begin)
        };
        let looks = files.iter().map(|file| {
            let look = match self.0.remove(file) {
                Some(look) => look,
                None if late(file) => Look::default(),
                None => look(file, None),
            };
            (file.clone(), look)
        });
        Self(looks.collect())
    }

    /// Whether every file that both have seen had the same content.
    pub fn agrees(&self, other: &Self) -> bool {
        self.0.iter().all(|(path, look)| {
            let other = other.0.get(path);
            other.is_none_or(|other| other.hash == look.hash)
        })
    }
}

impl Default for Watch {
    /// Watches nothing yet. Never fails: without notices of the system it looks.
    fn default() -> Self {
        let (sender, notices) = mpsc::channel(1);
        let heard = Arc::new(Heard::default());
        let hearing = Arc::clone(&heard);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // A full channel has a notice already.
            if event.is_ok_and(|event| hearing.matters(&event)) {
                sender.try_send(()).unwrap_or_default();
            }
        });
        Self {
            heard,
            seen: Sight::default(),
            folders: BTreeSet::new(),
            watcher: watcher.ok(),
            notices,
        }
    }
}

impl Watch {
    /// Watches the files of `sight` from now on, and no others. What is not as it was seen there
    /// has changed.
    pub fn follow(&mut self, sight: Sight) {
        self.seen = sight;
        self.watch_folders();
    }

    /// What was seen last.
    pub const fn seen(&self) -> &Sight {
        &self.seen
    }

    /// Waits until the content of a file is not what it was, and then until it stays what it is: a
    /// file that is half written is not told. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        loop {
            let now = self.look().await;
            if !self.seen.agrees(&now) {
                self.seen = self.settled(now).await;
                return;
            }
            self.seen = now;
            self.notice().await;
        }
    }

    /// What the files look like when they no longer change.
    async fn settled(&self, mut now: Sight) -> Sight {
        let end = Instant::now() + RESTLESS;
        while Instant::now() < end {
            sleep(QUIET).await;
            let before = std::mem::replace(&mut now, self.look().await);
            if before.agrees(&now) {
                break;
            }
        }
        now
    }

    /// Every file as it is now.
    async fn look(&self) -> Sight {
        let seen = self.seen.clone();
        // Where it keeps no request waiting. It ends without a result only when the runtime is
        // going down.
        tokio::task::spawn_blocking(move || seen.again())
            .await
            .unwrap_or_default()
    }

    /// Waits for a notice and for quiet behind it, or until it is time to look.
    async fn notice(&mut self) {
        if self.heard.is_too_much() {
            self.unwatch_folders();
            sleep(LOOK_EVERY).await;
        }
        if self.folders.is_empty() && !self.seen.0.is_empty() {
            self.watch_folders();
            return;
        }
        match timeout(LOOK_EVERY, self.notices.recv()).await {
            Ok(Some(())) => {
                let end = Instant::now() + RESTLESS;
                while !self.heard.is_too_much()
                    && let Ok(Ok(Some(()))) =
                        timeout_at(end, timeout(QUIET, self.notices.recv())).await
                {}
            }
            // No watcher, no sender: looking is all there is.
            Ok(None) => sleep(LOOK_EVERY).await,
            Err(_) => {}
        }
    }

    /// Watches the folders of the files, also of those that links lead to, and no others.
    fn watch_folders(&mut self) {
        let mut folders = BTreeSet::new();
        let mut names = BTreeSet::new();
        for file in self.seen.0.keys() {
            let real = file.canonicalize().ok();
            for file in iter::once(file).chain(&real) {
                folders.extend(folder_of(file));
                names.extend(file.file_name().map(OsStr::to_owned));
            }
        }
        *self
            .heard
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = names;
        if let Some(watcher) = &mut self.watcher {
            for gone in self.folders.difference(&folders) {
                drop(watcher.unwatch(gone));
            }
            // A folder that is not there yet is looked for, like all others.
            for new in folders.difference(&self.folders) {
                drop(watcher.watch(new, RecursiveMode::NonRecursive));
            }
        }
        self.folders = folders;
    }

    fn unwatch_folders(&mut self) {
        for folder in std::mem::take(&mut self.folders) {
            if let Some(watcher) = &mut self.watcher {
                drop(watcher.unwatch(&folder));
            }
        }
        self.heard.foreign.store(0, Ordering::Relaxed);
    }
}

/// Reading a file is no change.
fn is_read(kind: EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn folder_of(file: &Path) -> Option<PathBuf> {
    if file.is_dir() {
        return Some(file.to_owned());
    }
    let parent = file.parent()?;
    Some(if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    })
}

fn look(file: &Path, before: Option<&Look>) -> Look {
    let Ok(metadata) = std::fs::metadata(file) else {
        return Look::default();
    };
    let stamp = metadata.modified().ok().map(|modified| Stamp {
        modified,
        bytes: metadata.len(),
        identity: identity(&metadata),
    });
    if let Some(before) = before
        && before.stamp.is_some()
        && before.stamp == stamp
    {
        return before.clone();
    }
    let stamp = stamp.filter(|stamp| stamp.modified.elapsed().is_ok_and(|age| age > YOUNG));
    let mut hasher = DefaultHasher::new();
    if metadata.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(file)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.file_name()))
            .collect();
        names.sort();
        names.hash(&mut hasher);
    } else {
        match files::read_bounded(file, FILE_BYTES_MAX) {
            Ok(bytes) => bytes.hash(&mut hasher),
            Err(error) => error.hash(&mut hasher),
        }
    }
    Look {
        stamp,
        hash: Some(hasher.finish()),
    }
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Far longer than looking takes: only a change that is missed meets it.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn watching(file: &Path) -> Watch {
        let mut watch = Watch::default();
        watch.follow(Sight::of([file.to_owned()]));
        watch
    }

    async fn must_change(watch: &mut Watch) {
        timeout(PATIENCE, watch.changed())
            .await
            .expect("the change is told");
    }

    #[test]
    fn what_is_written_to_other_files_is_heard_until_it_is_too_much() {
        use notify::event::{DataChange, RenameMode};
        let heard = Heard::default();
        heard.names.lock().unwrap().insert("routes.toml".into());
        let event =
            |kind, name: &str| Event::new(kind).add_path(Path::new("/etc/gateway").join(name));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert!(heard.matters(&event(data, "routes.toml")));
        // A link may be another now.
        assert!(heard.matters(&event(renamed, "..data")));
        for _ in 2..FOREIGN_MAX {
            assert!(!heard.matters(&event(data, "access.log")));
        }
        assert!(!heard.is_too_much());
        assert!(heard.matters(&event(data, "access.log")));
        assert!(heard.is_too_much());
        assert!(heard.matters(&event(data, "routes.toml")));
    }

    #[tokio::test]
    async fn a_change_is_told_beside_a_log_that_never_rests() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        fs::write(&file, "a").unwrap();
        let mut watch = watching(&file);
        let log = folder.path().join("access.log");
        let written = file.clone();
        let writer = std::thread::spawn(move || {
            let mut log = fs::File::create(log).unwrap();
            let mut lines = |count| {
                (0..count).for_each(|_| std::io::Write::write_all(&mut log, b"line\n").unwrap());
            };
            lines(10_000);
            fs::write(&written, "b").unwrap();
            lines(10_000);
        });
        must_change(&mut watch).await;
        assert!(watch.seen().agrees(&Sight::of([file])));
        writer.join().unwrap();
    }

    #[tokio::test]
    async fn a_new_content_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        fs::write(&file, "a").unwrap();
        let mut watch = watching(&file);
        fs::write(&file, "b").unwrap();
        must_change(&mut watch).await;
        fs::remove_file(&file).unwrap();
        must_change(&mut watch).await;
        fs::write(&file, "b").unwrap();
        must_change(&mut watch).await;
    }

    #[tokio::test]
    async fn a_file_put_in_its_place_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        let other = folder.path().join(".routes.toml.new");
        fs::write(&file, "a").unwrap();
        let mut watch = watching(&file);
        fs::write(&other, "b").unwrap();
        fs::rename(&other, &file).unwrap();
        must_change(&mut watch).await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_swapped_folder_behind_a_link_is_told() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        for (version, content) in [("one", "a"), ("two", "b")] {
            fs::create_dir(base.join(version)).unwrap();
            fs::write(base.join(version).join("routes.toml"), content).unwrap();
        }
        symlink("one", base.join("..data")).unwrap();
        symlink("..data/routes.toml", base.join("routes.toml")).unwrap();
        let mut watch = watching(&base.join("routes.toml"));
        symlink("two", base.join("..new")).unwrap();
        fs::rename(base.join("..new"), base.join("..data")).unwrap();
        must_change(&mut watch).await;
    }

    #[tokio::test]
    async fn a_new_file_in_a_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = watching(folder.path());
        fs::write(folder.path().join("more.toml"), "").unwrap();
        must_change(&mut watch).await;
    }

    #[tokio::test]
    async fn a_touched_file_has_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        fs::write(&file, "a").unwrap();
        let before = look(&file, None);
        fs::write(&file, "a").unwrap();
        assert_eq!(look(&file, Some(&before)).hash, before.hash);
    }

    #[tokio::test]
    async fn what_changes_after_the_sight_is_not_missed() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&first, "1").unwrap();
        fs::write(&second, "1").unwrap();
        let sight = Sight::of([first.clone()]);
        let begin = SystemTime::UNIX_EPOCH;
        fs::write(&first, "2").unwrap();
        let mut watch = Watch::default();
        watch.follow(sight.covering(std::slice::from_ref(&first), begin));
        must_change(&mut watch).await;
        // The loading that followed has found another file, which somebody writes meanwhile.
        let sight = watch.seen().again();
        fs::write(&second, "2").unwrap();
        watch.follow(sight.covering(&[first, second], begin));
        must_change(&mut watch).await;
    }

    #[test]
    fn what_was_loaded_agrees_with_what_is_seen_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&first, "1").unwrap();
        let seen = Sight::of([first.clone()]);
        let files = [first.clone(), second];
        let loaded = seen.again().covering(&files, SystemTime::now());
        assert!(seen.agrees(&loaded));
        fs::write(&first, "2").unwrap();
        assert!(!seen.again().agrees(&loaded));
        assert!(seen.again().agrees(&loaded.again()));
    }
}
