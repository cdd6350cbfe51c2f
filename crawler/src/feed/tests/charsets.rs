use encoding_rs::{EUC_KR, Encoding};

use super::*;

fn utf_16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    let units = mark.encode_utf16().chain(text.encode_utf16());
    let bytes = |unit: u16| {
        if little {
            unit.to_le_bytes()
        } else {
            unit.to_be_bytes()
        }
    };
    units.flat_map(bytes).collect()
}

fn declared(label: &str) -> FeedOptions {
    FeedOptions {
        charset: Some(label.to_owned()),
        ..ep()
    }
}

/// The sample without its letters outside CP949.
fn korean_feed(rows: u64) -> String {
    ep_feed(rows).replace("Fjällräven", "Fjallraven")
}

#[test]
fn every_charset_gives_the_same_rows() {
    let text = korean_feed(40);
    let plain = read(text.as_bytes(), &ep()).unwrap();
    let marked = format!("\u{feff}{text}");
    let cp949 = EUC_KR.encode(&text).0.into_owned();
    let check = |name: &str, input: &[u8], options: FeedOptions, charset: &str| {
        let result = read(input, &options).unwrap();
        assert!(result.outcome.complete, "{name}: {:?}", result.outcome);
        assert_eq!(result.outcome.charset, charset, "{name}");
        assert_eq!(result.calls, plain.calls, "{name}");
    };
    check("mark", marked.as_bytes(), ep(), "utf-8");
    check("declared", text.as_bytes(), declared("UTF-8"), "utf-8");
    check("cp949", &cp949, declared("cp949"), "euc-kr");
    check("euc-kr", &cp949, declared("euc-kr"), "euc-kr");
    check("detected", &cp949, ep(), "euc-kr");
    check("le", &utf_16(&text, true, true), ep(), "utf-16le");
    check("be", &utf_16(&text, false, true), ep(), "utf-16be");
    check(
        "no mark",
        &utf_16(&text, true, false),
        declared("utf-16le"),
        "utf-16le",
    );
}

/// A block ends anywhere, also inside a character.
#[test]
fn characters_across_blocks_stay_whole() {
    let text = korean_feed(2_000);
    let cp949 = EUC_KR.encode(&text).0.into_owned();
    assert!(cp949.len() > 600_000);
    let plain = read(text.as_bytes(), &ep()).unwrap();
    assert_eq!(read(&cp949, &ep()).unwrap().calls, plain.calls);
    assert_eq!(plain.outcome.malformed_sequences, 0);
}

#[test]
fn a_wrong_label_is_an_error_naming_a_better_charset() {
    let text = korean_feed(20);
    let cp949 = EUC_KR.encode(&text).0.into_owned();
    let check = |input: &[u8], label: &str, better: &str| match read(input, &declared(label)) {
        Err(FeedError::WrongCharset { better: found, .. }) => assert_eq!(found, better),
        other => panic!("{label}: {:?}", other.map(|read| read.outcome)),
    };
    check(&cp949, "utf-8", "euc-kr");
    check(text.as_bytes(), "cp949", "utf-8");
    check(text.as_bytes(), "windows-1252", "utf-8");
}

/// The first 256 KiB are ASCII, and what follows is not what they seemed.
#[test]
fn a_charset_that_turns_out_wrong_later_is_an_error() {
    let mut feed = small("").into_bytes();
    for row in 0..8_000 {
        feed.extend_from_slice(format!("{row}\tplain\t1\thttps://s.example/{row}\t\n").as_bytes());
    }
    assert!(feed.len() > 256 << 10);
    for row in 8_000..12_000 {
        let line = format!("{row}\t겨울 코트 남성\t1\thttps://s.example/{row}\t\n");
        feed.extend_from_slice(&EUC_KR.encode(&line).0);
    }
    match read(&feed, &ep()) {
        Err(FeedError::WrongCharset { used, better, .. }) => {
            assert_eq!((used.as_str(), better.as_str()), ("utf-8", "euc-kr"));
        }
        other => panic!("{:?}", other.map(|read| read.outcome)),
    }
}

#[test]
fn a_damaged_row_is_rejected_and_its_bytes_are_counted() {
    for (label, encoding) in [("utf-8", encoding_rs::UTF_8), ("cp949", EUC_KR)] {
        let encoding: &'static Encoding = encoding;
        let mut feed = Vec::new();
        for (at, line) in korean_feed(60).lines().enumerate() {
            let mut line = encoding.encode(line).0.into_owned();
            if at == 7 {
                let title = line.iter().position(|b| *b == b'\t').unwrap() + 1;
                line.splice(title..title, [0xff, 0xff]);
            }
            feed.extend_from_slice(&line);
            feed.push(b'\n');
        }
        let result = read(&feed, &declared(label)).unwrap();
        assert!(result.outcome.complete, "{label}: {:?}", result.outcome);
        assert_eq!(
            (result.outcome.rows, result.outcome.rejected),
            (59, 1),
            "{label}"
        );
        assert!(result.outcome.malformed_sequences >= 1);
        let rejected = &result.rejected[0];
        assert_eq!(rejected["line"], 8);
        assert_eq!(rejected["column"], "title");
        assert!(rejected["found"].as_str().unwrap().contains('\u{fffd}'));
    }
}

#[test]
fn an_unknown_label_is_refused() {
    let error = read(b"", &declared("klingon")).err().unwrap().to_string();
    assert!(
        error.contains("charset") && error.contains("klingon"),
        "{error}"
    );
}
