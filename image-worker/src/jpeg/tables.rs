//! The tables that a file defines as it goes on: of Huffman codes and of
//! quantisation (T.81, B.2.4).

use super::huffman::{Damage, Huffman};
use super::idct::{Block, PLACES};
use super::structure::corrupt;
use crate::error::ImageError;

#[derive(Default)]
pub(super) struct Tables {
    first: [Option<Huffman>; 4],
    rest: [Option<Huffman>; 4],
    factors: [Option<Block>; 4],
}

impl Tables {
    /// Takes the tables of a segment of Huffman codes.
    pub(super) fn read_codes(&mut self, mut data: &[u8]) -> Result<(), ImageError> {
        while let Some((header, rest)) = data.split_first_chunk::<17>() {
            let (kind, number) = (header[0] >> 4, usize::from(header[0] & 15));
            let counts: &[u8; 16] = header[1..].first_chunk().expect("17 less 1");
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            if kind > 1 || number > 3 || total > rest.len() {
                return Err(corrupt("Huffman tables that contradict themselves"));
            }
            let (symbols, next) = rest.split_at(total);
            let table = Huffman::new(counts, symbols);
            let table = table.ok_or_else(|| corrupt("a Huffman table that is no code"))?;
            let tables = if kind == 0 {
                &mut self.first
            } else {
                &mut self.rest
            };
            tables[number] = Some(table);
            data = next;
        }
        if data.is_empty() {
            Ok(())
        } else {
            Err(corrupt("a Huffman table of the wrong length"))
        }
    }

    /// Takes the tables of a segment of quantisation.
    pub(super) fn read_factors(&mut self, mut data: &[u8]) -> Result<(), ImageError> {
        while let Some((&header, rest)) = data.split_first() {
            let (wide, number) = (header >> 4, usize::from(header & 15));
            let bytes = if wide == 0 { 64 } else { 128 };
            if wide > 1 || number > 3 || rest.len() < bytes {
                return Err(corrupt("quantisation tables that contradict themselves"));
            }
            let (values, next) = rest.split_at(bytes);
            let mut table = [0; 64];
            for (at, place) in PLACES.into_iter().enumerate() {
                let value = match wide {
                    0 => u16::from(values[at]),
                    _ => u16::from_be_bytes([values[2 * at], values[2 * at + 1]]),
                };
                table[usize::from(place)] = value.cast_signed();
            }
            self.factors[number] = Some(table);
            data = next;
        }
        Ok(())
    }

    /// The codes of first coefficients.
    pub(super) fn first(&self, number: u8) -> Result<&Huffman, ImageError> {
        defined(&self.first, number, "Huffman")
    }

    /// The codes of the other coefficients.
    pub(super) fn rest(&self, number: u8) -> Result<&Huffman, ImageError> {
        defined(&self.rest, number, "Huffman")
    }

    pub(super) fn factors(&self, number: u8) -> Result<&Block, ImageError> {
        defined(&self.factors, number, "quantisation")
    }
}

fn defined<'a, T>(tables: &'a [Option<T>; 4], number: u8, what: &str) -> Result<&'a T, ImageError> {
    let table = tables.get(usize::from(number)).and_then(Option::as_ref);
    table.ok_or_else(|| corrupt(format!("it lacks {what} table {number}")))
}

impl From<Damage> for ImageError {
    fn from(damage: Damage) -> Self {
        corrupt(match damage {
            Damage::NoCode => "the picture data breaks off or is damaged",
            Damage::PastBlock => "the picture data has a block of more than 64 coefficients",
            Damage::Size => "the picture data has a coefficient that is too large",
            Damage::Ends => "the picture data ends early",
        })
    }
}
