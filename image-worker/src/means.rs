//! Means of samples in a grid of 32 x 32 cells: all that a perceptual hash sees
//! of a picture. Exact also where cells end within pixels, and in whole numbers,
//! so that every processor finds the same.

/// Cells on a side.
pub(crate) const SIDE: usize = 32;

/// Rows that are looked at, in all: of higher pictures one of so many, since
/// more change nothing that means anything. Bytes of the 33 of a cell fit into
/// 16 bits.
const ROWS_MAX: usize = 1024;

/// 32nds of a sample that lies in a cell as a whole.
const WHOLE: u32 = SIDE as u32;

/// By row and column of cells, a value a channel, in 256ths of a step.
pub(crate) type Grid<const C: usize> = Box<[[[i32; C]; SIDE]; SIDE]>;

/// The means of interleaved channels.
pub(crate) fn grid<const C: usize>(data: &[u8], width: usize, height: usize) -> Grid<C> {
    let mut grid = Box::new([[[0; C]; SIDE]; SIDE]);
    let step = height.div_ceil(ROWS_MAX);
    // Nearly all rows lie in one cell as a whole, and are taken the fast way.
    let (mut whole, mut sums) = (vec![0_u16; width * C], vec![0_u32; width * C]);
    for (down, means) in grid.iter_mut().enumerate() {
        whole.fill(0);
        sums.fill(0);
        let mut rows = 0;
        for (y, weight) in overlaps(down, height).step_by(step) {
            let row = &data[y * width * C..][..width * C];
            if weight == WHOLE {
                for (sum, sample) in whole.iter_mut().zip(row) {
                    *sum += u16::from(*sample);
                }
            } else {
                for (sum, sample) in sums.iter_mut().zip(row) {
                    *sum += weight * u32::from(*sample);
                }
            }
            rows += u64::from(weight);
        }
        for (sum, whole) in sums.iter_mut().zip(&whole) {
            *sum += WHOLE * u32::from(*whole);
        }
        for (across, mean) in means.iter_mut().enumerate() {
            let (mut cell, mut columns) = ([0_u64; C], 0);
            for (x, weight) in overlaps(across, width) {
                for (sum, column) in cell.iter_mut().zip(&sums[x * C..]) {
                    *sum += u64::from(weight) * u64::from(*column);
                }
                columns += u64::from(weight);
            }
            *mean = cell.map(|sum| {
                let mean = sum * 256 / (rows * columns);
                i32::try_from(mean).expect("a mean of bytes, in 256ths")
            });
        }
    }
    grid
}

/// Samples of a side that lie in a cell, and how many 32nds of each.
fn overlaps(cell: usize, side: usize) -> impl Iterator<Item = (usize, u32)> {
    // In 32nds of a sample a cell is as long as the side in samples.
    let (from, to) = (cell * side, (cell + 1) * side);
    (from / SIDE..to.div_ceil(SIDE)).map(move |sample| {
        let begin = (SIDE * sample).max(from);
        let end = (SIDE * (sample + 1)).min(to);
        (sample, (end - begin) as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_take_their_share_of_every_sample() {
        let check = |width: usize, cell: usize, expected: &[(usize, u32)]| {
            let found: Vec<_> = overlaps(cell, width).collect();
            assert_eq!(found, expected, "{width} {cell}");
        };
        check(64, 3, &[(6, 32), (7, 32)]);
        check(1, 31, &[(0, 1)]);
        check(48, 0, &[(0, 32), (1, 16)]);
        check(48, 1, &[(1, 16), (2, 32)]);
        check(20, 1, &[(0, 12), (1, 8)]);
        for side in [1, 7, 31, 32, 33, 100, 257, 4000] {
            let all: u32 = (0..SIDE)
                .flat_map(|cell| overlaps(cell, side))
                .map(|(_, weight)| weight)
                .sum();
            assert_eq!(all as usize, SIDE * side);
        }
    }

    #[test]
    fn means_are_those_of_the_samples() {
        // Two channels that grow to the right and downwards.
        let (width, height) = (96, 320);
        let data: Vec<u8> = (0..width * height)
            .flat_map(|at| [(at % width) as u8, (at / width / 2) as u8])
            .collect();
        let grid = grid::<2>(&data, width, height);
        // Columns 9 to 11, rows 200 to 209.
        assert_eq!(grid[20][3], [10 * 256, 102 * 256]);
        // Of a high picture one row of two is enough.
        let high: Vec<u8> = data.iter().copied().cycle().take(data.len() * 5).collect();
        let high = super::grid::<2>(&high, width, height * 5);
        assert_eq!(high[20][3][0], 10 * 256);
    }
}
