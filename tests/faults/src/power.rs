//! Power loss: a preloaded library keeps, for each write to the database's files that was not fsynced yet,
//! what stood there before. After the kill a random part of those writes is undone, newest first, which
//! is what a disk may do whose cache lost its power. The idea is that of SQLite's `test6.c`.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::shim;

/// A write that was not fsynced: where, how long the file was before, and what stood there.
struct Undo {
    path: PathBuf,
    offset: u64,
    length_before: u64,
    before: Vec<u8>,
}

/// The environment that makes a host keep its undo log in `state`.
///
/// # Errors
/// When the shim cannot be compiled.
pub fn environment(state: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let shim = shim::compile("powerloss")?;
    std::fs::create_dir_all(state)?;
    Ok(vec![
        ("LD_PRELOAD".to_owned(), shim.display().to_string()),
        (
            "POWERLOSS_LOG".to_owned(),
            log_path(state).display().to_string(),
        ),
    ])
}

/// Undoes a random part of the unsynced writes of the host that was just killed; gives back how many.
///
/// # Errors
/// When the log cannot be read or the files cannot be written.
pub fn lose(state: &Path, rng: &mut SmallRng) -> anyhow::Result<u64> {
    let log = log_path(state);
    let Ok(bytes) = std::fs::read(&log) else {
        return Ok(0);
    };
    let records = parse(&bytes)?;
    // Sometimes all is lost, sometimes nothing; mostly a part.
    let share = [0.0, 0.3, 0.7, 1.0][rng.random_range(0..4)];
    let mut dropped = 0;
    for record in records.iter().rev() {
        if rng.random::<f64>() < share {
            undo(record)?;
            dropped += 1;
        }
    }
    std::fs::remove_file(&log)?;
    // The shared-memory index is never synced and is built anew from the log.
    for entry in std::fs::read_dir(state)?.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().ends_with("-shm") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(dropped)
}

fn undo(record: &Undo) -> anyhow::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let Ok(file) = std::fs::OpenOptions::new().write(true).open(&record.path) else {
        return Ok(());
    };
    file.write_all_at(&record.before, record.offset)?;
    // A write past the old end leaves the file as it was only when nothing later kept it long; a hole of zeroes is what a disk may show.
    let end = record.offset + record.before.len() as u64;
    if record.length_before >= record.offset
        && record.length_before <= end
        && file.metadata()?.len() <= end
    {
        file.set_len(record.length_before)?;
    }
    Ok(())
}

/// Records: `W` path-length path offset length-before data-length data, or `S` path-length path (synced), integers 8 bytes little-endian.
fn parse(mut bytes: &[u8]) -> anyhow::Result<Vec<Undo>> {
    let mut records: Vec<Undo> = Vec::new();
    while let Some((&kind, rest)) = bytes.split_first() {
        bytes = rest;
        let Some(path) = take(&mut bytes) else { break };
        let path = PathBuf::from(String::from_utf8(path.to_vec())?);
        if kind == b'S' {
            records.retain(|record| record.path != path);
            continue;
        }
        ensure!(kind == b'W', "the undo log is damaged");
        let (Some(offset), Some(length_before)) = (number(&mut bytes), number(&mut bytes)) else {
            break;
        };
        let Some(before) = take(&mut bytes) else {
            break;
        };
        records.push(Undo {
            path,
            offset,
            length_before,
            before: before.to_vec(),
        });
    }
    Ok(records)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*head))
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(bytes)?).ok()?;
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn log_path(state: &Path) -> PathBuf {
    state.join("undo.log")
}

/// How long the undo log of a host is by now, in bytes: it grows with each write.
#[must_use]
pub fn log_bytes(state: &Path) -> u64 {
    std::fs::metadata(log_path(state)).map_or(0, |file| file.len())
}
