//! PNG files of pictures with few colours: a palette, and deflate.

use std::{cmp::Reverse, collections::HashMap};

/// Colours of a palette at most.
const COLOURS: usize = 256;

/// How hard to press, 0 to 10.
const LEVEL: u8 = 8;

/// A PNG file of rows of dots, red, green and blue.
#[must_use]
pub(crate) fn encode(width: usize, height: usize, dots: &[[u8; 3]]) -> Vec<u8> {
    let (palette, indexes) = index(dots);
    let mut raw = Vec::with_capacity(dots.len() + height);
    for row in indexes.chunks(width.max(1)) {
        raw.push(0); // no filter: with a palette none is of use
        raw.extend_from_slice(row);
    }
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    // Eight bits per dot, a palette, no interlacing.
    let head = [size(width).as_slice(), &size(height), &[8, 3, 0, 0, 0]].concat();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, *b"IHDR", &head);
    chunk(&mut file, *b"PLTE", &palette.concat());
    chunk(
        &mut file,
        *b"IDAT",
        &miniz_oxide::deflate::compress_to_vec_zlib(&raw, LEVEL),
    );
    chunk(&mut file, *b"IEND", &[]);
    file
}

/// A palette, and for each dot its place in it.
///
/// Colours that differ in their lowest bits only become one, in as many bits as it takes: the most frequent of them.
fn index(dots: &[[u8; 3]]) -> (Vec<[u8; 3]>, Vec<u8>) {
    // Most dots are their neighbours' colour: runs of them are looked up once.
    let runs = || dots.chunk_by(|one, next| one == next).map(|run| (run[0], run.len()));
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    for (colour, length) in runs() {
        *counts.entry(colour).or_default() += length;
    }
    let mut colours: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    // The frequent ones first, and in an order that does not depend on the map's.
    colours.sort_unstable_by_key(|&(colour, count)| (Reverse(count), colour));
    for bits in 0..u8::BITS {
        let (mut palette, mut places) = (Vec::new(), HashMap::new());
        for (colour, _) in &colours {
            places.entry(colour.map(|part| part >> bits)).or_insert_with(|| {
                palette.push(*colour);
                u8::try_from(palette.len() - 1).unwrap_or(0)
            });
        }
        if palette.len() <= COLOURS {
            let place = |colour: [u8; 3]| places.get(&colour.map(|part| part >> bits)).copied().unwrap_or(0);
            let indexes = runs().flat_map(|(colour, length)| std::iter::repeat_n(place(colour), length));
            return (palette, indexes.collect());
        }
    }
    (vec![[0; 3]], vec![0; dots.len()])
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let checked = [name.as_slice(), content].concat();
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(&checked);
    file.extend_from_slice(&crc32(&checked).to_be_bytes());
}

/// The check sum of PNG, ISO 3309's, bit by bit: a chart is some ten thousand bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b"IEND"), 0xAE42_6082);
    }

    #[test]
    fn a_file_gives_its_dots_back() {
        let dots: Vec<[u8; 3]> = (0..12).map(|at| [at, 0, 255 - at]).collect();
        let file = encode(4, 3, &dots);
        let at = file.windows(4).position(|name| name == b"IDAT").unwrap();
        let length = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
        let raw = miniz_oxide::inflate::decompress_to_vec_zlib(&file[at + 4..at + 4 + length]).unwrap();
        let palette = file.windows(4).position(|name| name == b"PLTE").unwrap() + 4;
        let got: Vec<[u8; 3]> = raw
            .chunks(5)
            .flat_map(|row| {
                assert_eq!(row[0], 0);
                row[1..].iter().map(|at| {
                    let at = palette + usize::from(*at) * 3;
                    file[at..at + 3].try_into().unwrap()
                })
            })
            .collect();
        assert_eq!(got, dots);
    }

    #[test]
    fn too_many_colours_lose_their_lowest_bits() {
        let dots: Vec<[u8; 3]> = (0..=255).flat_map(|at| [[at, 0, 0], [at, 0, 1]]).collect();
        let (palette, indexes) = index(&dots);
        assert_eq!((palette.len(), indexes.len()), (128, 512));
        for (dot, at) in dots.iter().zip(indexes) {
            assert!(palette[usize::from(at)][0].abs_diff(dot[0]) <= 1);
        }
    }
}
