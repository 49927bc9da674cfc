//! How much memory the host has left, as the kernel's defence counts it.

use std::{fs, io};

use nix::unistd::{SysconfVar, sysconf};

/// Free memory and memory that holds buffers, in pages (`si_meminfo`); caches do not count.
///
/// # Errors
/// `/proc/meminfo` could not be read, or does not say it.
pub(super) fn available() -> io::Result<i32> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = free_and_buffers(&text).ok_or(io::ErrorKind::InvalidData)?;
    let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096);
    Ok(i32::try_from(kilobytes.saturating_mul(1024) / page).unwrap_or(i32::MAX))
}

fn free_and_buffers(text: &str) -> Option<u64> {
    let of = |name: &str| -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(of("MemFree")? + of("Buffers")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_and_buffers_count_and_nothing_else() {
        let text = "MemTotal:       16303428 kB\nMemFree:         1000 kB\nMemAvailable:   9000 kB\n\
                    Buffers:          24 kB\nCached:         5000 kB\n";
        assert_eq!(free_and_buffers(text), Some(1024));
        assert_eq!(free_and_buffers("MemFree: 1000 kB\n"), None);
        assert_eq!(free_and_buffers("MemFree: 1000\nBuffers: 1 kB\n"), None);
    }

    #[test]
    fn this_host_has_some() {
        assert!(available().unwrap() > 0);
    }
}
