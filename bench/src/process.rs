//! What processes use, from /proc.

use std::{collections::HashMap, fs, io};

use rustix::param::clock_ticks_per_second;

use crate::clock::SECOND;

/// CPU time of some processes, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// As the scheduler counted it; of the processes' present threads.
    pub sum: u64,
    /// How much of it was the programs' own, in steps of a clock tick.
    pub user: u64,
    /// How much was the kernel's, in the same steps.
    pub system: u64,
}

/// CPU time of the whole machine, in nanoseconds over all cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// Of programs and what the kernel does for them.
    pub used: u64,
    /// That the host gave to others although something here wanted it.
    pub stolen: u64,
}

/// A process and all that come from it.
pub fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since.
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![pid];
    let mut seen = 0;
    while let Some(pid) = family.get(seen) {
        family.extend(children.remove(pid).unwrap_or_default());
        seen += 1;
    }
    Ok(family)
}

/// The CPU time that processes have used so far.
pub fn cpu(pids: &[u32]) -> Cpu {
    let mut cpu = Cpu::default();
    for pid in pids {
        let fields = stat(*pid).unwrap_or_default();
        let time = |index: usize| fields.get(index).and_then(|field| field.parse().ok()).map_or(0, ticks);
        let (user, system) = (time(11), time(12));
        cpu.user += user;
        cpu.system += system;
        cpu.sum += scheduled(*pid).unwrap_or(user + system);
    }
    cpu
}

/// The time that the threads of a process ran, in nanoseconds: a tick of 10 ms is much in a short round. `None` where the kernel does not tell.
fn scheduled(pid: u32) -> Option<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(sum)
}

/// The memory of processes in bytes, each page that is shared counted in part (PSS).
pub fn memory(pids: &[u32]) -> u64 {
    let of = |pid: &u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    pids.iter().filter_map(of).sum::<u64>() * 1024
}

/// The machine's CPU time so far.
pub fn machine() -> io::Result<Machine> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().map_or(0, ticks))
        .collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    Ok(Machine {
        used: field(0) + field(1) + field(2),
        stolen: field(7),
    })
}

/// The fields of /proc/PID/stat behind the name, which may hold spaces itself: the state is the first.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn ticks(n: u64) -> u64 {
    n * (SECOND / clock_ticks_per_second().max(1))
}

// === impl Cpu ===

impl Cpu {
    pub const fn since(self, before: Self) -> Self {
        Self {
            sum: self.sum.saturating_sub(before.sum),
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio, id};

    use super::*;

    #[test]
    fn a_family_is_a_process_and_its_children() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let family = family(id()).unwrap();
        assert!(family.contains(&id()) && family.contains(&child.id()), "{family:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_uses_time_and_memory() {
        let before = cpu(&[id()]);
        let begun = crate::clock::nanos();
        while cpu(&[id()]).since(before).user == 0 {
            assert!(crate::clock::nanos() - begun < 20 * SECOND, "no time was counted");
        }
        assert!(cpu(&[id()]).since(before).sum > 0);
        assert!(memory(&[id()]) > 100 * 1024);
        assert!(machine().unwrap().used > 0);
    }
}
