//! The book against a map, and what is wrong with parts that are not its own.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::*;

fn key() -> HashKey {
    HashKey::new(*b"0123456789abcdef")
}

fn small(rng: &mut SmallRng) -> BookLimits {
    BookLimits {
        part_bytes: rng.random_range(100..5000),
        part_pages_max: rng.random_range(1..100),
        block_bytes: rng.random_range(1..2000),
        ..BookLimits::default()
    }
}

fn page(rng: &mut SmallRng, number: u32) -> Page {
    let text = |rng: &mut SmallRng| {
        let length = rng.random_range(0..20);
        rng.random_bool(0.5).then(|| "é\"x".repeat(length))
    };
    Page {
        url: format!("https://shop.example/p/{number}"),
        lastmod: rng.random_bool(0.5).then(|| rng.random()),
        etag: text(rng),
        last_modified: text(rng),
        from: text(rng),
        read_at: rng.random_range(0..2_000_000_000),
        outcome: rng.random(),
        rows: b"{\"name\":\"a product\"}\n".repeat(rng.random_range(0..5)),
    }
}

/// Writes pages; gives the files of all parts.
fn write(dir: &Path, limits: BookLimits, pages: &[Page]) -> Vec<PathBuf> {
    let mut writer = BookWriter::create(dir, key(), limits).unwrap();
    let mut parts: Vec<Part> = pages
        .iter()
        .filter_map(|page| writer.put(page).unwrap())
        .collect();
    let finished = writer.finish().unwrap();
    assert_eq!((finished.pages, finished.refused), (pages.len() as u64, 0));
    parts.push(finished.part);
    for (part, number) in parts.iter().zip(1..) {
        assert_eq!(
            (part.number, fs::metadata(&part.path).unwrap().len()),
            (number, part.bytes)
        );
    }
    assert_eq!(
        parts.iter().map(|part| part.pages).sum::<u64>(),
        finished.pages
    );
    parts.into_iter().map(|part| part.path).collect()
}

fn open(dir: &Path, parts: &[PathBuf]) -> Result<Book, BookError> {
    Book::open(dir, parts.iter().cloned().map(Ok))
}

#[test]
fn a_book_gives_back_the_last_page_put_under_each_url() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut rng = SmallRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let count = rng.random_range(0..600);
        let numbers = rng.random_range(1..800);
        let pages: Vec<Page> = (0..count)
            .map(|_| {
                let number = rng.random_range(0..numbers);
                page(&mut rng, number)
            })
            .collect();
        let limits = small(&mut rng);
        let parts = write(dir.path(), limits, &pages);
        let mut book = open(&dir.path().join("open"), &parts).unwrap();

        let model: HashMap<&str, &Page> =
            pages.iter().map(|page| (page.url.as_str(), page)).collect();
        assert_eq!(book.len(), model.len() as u64);
        assert_eq!(book.is_empty(), model.is_empty());
        // In the order of writing, then in any order.
        let mut asked: Vec<&Page> = pages.iter().collect();
        for _ in 0..2 {
            for page in &asked {
                assert_eq!(
                    book.get(&page.url).unwrap().as_ref(),
                    Some(model[page.url.as_str()])
                );
            }
            asked.shuffle(&mut rng);
        }
        for number in numbers..numbers + 50 {
            assert_eq!(
                book.get(&format!("https://shop.example/p/{number}"))
                    .unwrap(),
                None
            );
        }
        let all: Vec<Page> = book.pages().unwrap().map(Result::unwrap).collect();
        let expected: Vec<&Page> = pages
            .iter()
            .filter(|&page| std::ptr::eq(model[page.url.as_str()], page))
            .collect();
        assert_eq!(all.iter().collect::<Vec<_>>(), expected);

        let again = dir.path().join("again");
        let same = write(&again, limits, &pages);
        for (one, other) in parts.iter().zip(&same) {
            assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap());
        }
    }
}

#[test]
fn every_flipped_byte_is_found_when_opened_or_when_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = SmallRng::seed_from_u64(7);
    let limits = BookLimits {
        part_bytes: 500,
        block_bytes: 300,
        ..BookLimits::default()
    };
    let pages: Vec<Page> = (0..20).map(|number| page(&mut rng, number)).collect();
    let parts = write(dir.path(), limits, &pages);
    assert!(parts.len() > 1);
    for (part, number) in parts.iter().zip(1..) {
        let sound = fs::read(part).unwrap();
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 4;
            fs::write(part, damaged).unwrap();
            let told = open(&dir.path().join("open"), &parts).and_then(|mut book| {
                pages
                    .iter()
                    .try_for_each(|page| book.get(&page.url).map(drop))
            });
            match told {
                Err(BookError::Damaged { part, .. }) => assert_eq!(part, number, "byte {at}"),
                // The sum of a block tells no more than that the next part is not the next.
                Err(BookError::Unrelated { part }) => assert_eq!(part, number + 1, "byte {at}"),
                other => panic!("byte {at} of part {number}: {other:?}"),
            }
        }
        for short in 0..sound.len() {
            fs::write(part, &sound[..short]).unwrap();
            let told = open(&dir.path().join("open"), &parts).err();
            assert!(
                matches!(told, Some(BookError::Damaged { part, .. }) if part == number),
                "part {number} cut at {short}: {told:?}"
            );
        }
        fs::write(part, sound).unwrap();
    }
}

#[test]
fn missing_and_foreign_parts_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = SmallRng::seed_from_u64(8);
    let limits = BookLimits {
        part_pages_max: 5,
        ..BookLimits::default()
    };
    let pages: Vec<Page> = (0..15).map(|number| page(&mut rng, number)).collect();
    let ours = write(&dir.path().join("ours"), limits, &pages);
    let theirs = write(&dir.path().join("theirs"), limits, &pages[1..]);
    assert_eq!((ours.len(), theirs.len()), (3, 3));
    let check = |parts: &[&PathBuf], expected: &str| {
        let parts: Vec<PathBuf> = parts.iter().map(|&part| part.clone()).collect();
        let told = open(&dir.path().join("open"), &parts)
            .err()
            .map(|error| error.to_string());
        assert!(
            told.as_ref().is_some_and(|told| told.contains(expected)),
            "{told:?}"
        );
    };
    check(
        &[&ours[0], &ours[2]],
        "goes on with part 3 where part 2 belongs",
    );
    check(&[&ours[0], &ours[1]], "no end after 2 parts");
    check(&[], "no end after 0 parts");
    check(
        &[&ours[0], &theirs[1], &theirs[2]],
        "part 2 of the page book does not continue",
    );
    check(
        &[&ours[0], &dir.path().join("nowhere")],
        "read the page book",
    );
    let not_got = Book::open(&dir.path().join("open"), [Err(io::Error::other("gone"))]).err();
    assert!(matches!(not_got, Some(BookError::NotGot { part: 1, .. })));
}

#[test]
fn pages_above_a_bound_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let limits = BookLimits {
        pages_max: 2,
        page_bytes_max: 1000,
        ..BookLimits::default()
    };
    let mut writer = BookWriter::create(dir.path(), key(), limits).unwrap();
    let page = |url: &str, rows: usize| Page {
        url: url.to_owned(),
        rows: vec![b'1'; rows],
        ..Page::default()
    };
    for page in [
        page("a", 10),
        page("large", 1000),
        page("b", 10),
        page("c", 10),
    ] {
        assert_eq!(writer.put(&page).unwrap(), None);
    }
    let finished = writer.finish().unwrap();
    assert_eq!((finished.pages, finished.refused), (2, 2));
    let mut book = open(&dir.path().join("open"), &[finished.part.path]).unwrap();
    assert_eq!(book.get("b").unwrap(), Some(page("b", 10)));
    assert_eq!(book.get("large").unwrap(), None);
    assert_eq!(book.get("c").unwrap(), None);
}
