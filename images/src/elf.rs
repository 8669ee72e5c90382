//! As much of a binary's format as tells whether it runs alone, and on what.

use anyhow::{Context as _, bail, ensure};

/// Program header that names a dynamic linker.
const INTERPRETER: u32 = 3;

/// What a binary runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    Amd64,
    /// ARM, 64 bits.
    Arm64,
}

impl Machine {
    /// As images call it.
    pub const fn architecture(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// What the binary runs on. A dynamic one is refused: in an image of its own it ends with "no such file or directory",
/// which sends people to look for the wrong file.
pub fn machine(program: &[u8]) -> anyhow::Result<Machine> {
    ensure!(
        program.starts_with(b"\x7fELF\x02\x01"),
        "it is no 64-bit little-endian ELF binary"
    );
    let machine = match half(program, 18)? {
        62 => Machine::Amd64,
        183 => Machine::Arm64,
        other => bail!("it is for machine {other} of ELF's list: only amd64 and arm64 are known here"),
    };
    let headers = usize::try_from(u64::from_le_bytes(at(program, 32)?))?;
    let (size, count) = (usize::from(half(program, 54)?), usize::from(half(program, 56)?));
    for header in 0..count {
        let kind = u32::from_le_bytes(at(program, headers.saturating_add(header * size))?);
        ensure!(
            kind != INTERPRETER,
            "it is linked dynamically: build it with RUSTFLAGS='-C target-feature=+crt-static' and --target"
        );
    }
    Ok(machine)
}

fn half(program: &[u8], offset: usize) -> anyhow::Result<u16> {
    at(program, offset).map(u16::from_le_bytes)
}

fn at<const N: usize>(program: &[u8], offset: usize) -> anyhow::Result<[u8; N]> {
    program
        .get(offset..)
        .and_then(<[u8]>::first_chunk)
        .copied()
        .context("it is cut short")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The head of a binary with one program header.
    pub fn binary(machine: u8, header: u8) -> Vec<u8> {
        let mut bytes = vec![0; 120];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[18], bytes[32], bytes[54], bytes[56], bytes[64]) = (machine, 64, 56, 1, header);
        bytes
    }

    #[test]
    fn a_static_binary_says_what_it_runs_on() {
        assert_eq!(machine(&binary(62, 1)).unwrap(), Machine::Amd64);
        assert_eq!(machine(&binary(183, 1)).unwrap(), Machine::Arm64);
    }

    #[test]
    fn what_can_not_run_alone_is_refused_with_the_reason() {
        for (program, reason) in [
            (binary(62, 3), "linked dynamically"),
            (binary(3, 1), "machine 3"),
            (binary(62, 1)[..64].to_vec(), "cut short"),
            (b"#!/bin/sh\n".to_vec(), "no 64-bit"),
        ] {
            let error = machine(&program).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
