//! A Naver EP feed of any size and the measurement of reading it, for the
//! benchmark and for tests. Deterministic: row `n` is always the same.

use std::fmt::Write as _;
use std::io::Read;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use trawler_core::feed::FeedOptions;

use super::control::Step;
use super::error::FeedError;
use super::outcome::{FeedOutcome, RowSink, SinkError};
use super::read::{FeedTakers, read_feed};
use super::rejected::RejectedRows;
use crate::normalise::Normaliser;

/// The 52 columns of a complete EP file.
pub const EP_HEADER: &[&str] = &[
    "id",
    "title",
    "price_pc",
    "price_mobile",
    "normal_price",
    "link",
    "mobile_link",
    "image_link",
    "add_image_link",
    "category_name1",
    "category_name2",
    "category_name3",
    "category_name4",
    "naver_category",
    "naver_product_id",
    "condition",
    "import_flag",
    "parallel_import",
    "order_made",
    "product_flag",
    "adult",
    "goods_type",
    "barcode",
    "manufacture_define_number",
    "model_number",
    "brand",
    "maker",
    "origin",
    "card_event",
    "event_words",
    "coupon",
    "partner_coupon_download",
    "interest_free_event",
    "point",
    "installation_costs",
    "pre_match_code",
    "search_tag",
    "group_id",
    "vendor_id",
    "coordi_id",
    "minimum_purchase_quantity",
    "review_count",
    "shipping",
    "delivery_grade",
    "delivery_detail",
    "attribute",
    "option_detail",
    "seller_id",
    "age_group",
    "gender",
    "includes_vat",
    "shipping_settings",
];

const NOUNS: &[&str] = &[
    "코트",
    "운동화",
    "무선 이어폰",
    "텀블러",
    "책상",
    "스탠드 조명",
    "등산 배낭",
    "프라이팬",
];
const WORDS: &[&str] = &[
    "남성",
    "여성",
    "겨울",
    "초경량",
    "방수",
    "프리미엄",
    "국내생산",
];
const BRANDS: &[&str] = &[
    "한빛상사",
    "Samsung",
    "LG전자",
    "Nike",
    "동네공방",
    "Fjällräven",
];

/// The rows `from..to` of the feed as text, header first where asked for.
pub fn naver_ep(rows: std::ops::Range<u64>, header: bool) -> String {
    let mut out = String::new();
    if header {
        out.push_str(&EP_HEADER.join("\t"));
        out.push('\n');
    }
    for row in rows {
        write_row(&mut out, row).expect("writing to a string cannot fail");
    }
    out
}

/// A GTIN-13 with its check digit.
fn gtin(row: u64) -> String {
    let digits = format!("880{:09}", row % 1_000_000_000);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, b)| u32::from(b - b'0') * if at % 2 == 0 { 1 } else { 3 })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn write_row(out: &mut String, row: u64) -> std::fmt::Result {
    // A multiplicative hash spreads the choices over the rows.
    let mix = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
    let pick =
        |list: &[&'static str], salt: u64| list[((mix >> salt) % list.len() as u64) as usize];
    let (noun, brand) = (pick(NOUNS, 0), pick(BRANDS, 3));
    let price = 1_000 + mix % 900 * 100;
    let group = row / 4;
    write!(
        out,
        "P{row}\t{brand} {} {} {noun} {row}호\t{price}\t{}\t{}\t",
        pick(WORDS, 5),
        pick(WORDS, 9),
        price - 100,
        price + price / 5,
    )?;
    write!(
        out,
        "https://shop.example.com/goods/view?no={row}&ref=naver\t\
         https://m.shop.example.com/goods/view?no={row}\t\
         https://img.example.com/goods/{}/{row}_main.jpg\t\
         https://img.example.com/goods/{row}_1.jpg|https://img.example.com/goods/{row}_2.jpg\t",
        row % 1000,
    )?;
    write!(
        out,
        "패션의류\t남성의류\t{noun}\t롱{noun}\t5000{:04}\t\t신상품\tN\tN\tN\t\tN\tMA\t{}\tM-{row}\t모델 {}\t",
        mix % 10_000,
        gtin(row),
        mix % 5_000,
    )?;
    write!(
        out,
        "{brand}\t(주){brand}\t국산\t신한카드^{}\t10주년 감사 이벤트\t1000원^5%\tY\t\
         삼성카드^2~3|현대카드^2~3\t쇼핑몰포인트^{}\tN\t\t{noun}|선물|{}\tG{group}\t\t\t1\t{}\t",
        price - 500,
        price / 100,
        pick(WORDS, 11),
        mix % 300,
    )?;
    writeln!(
        out,
        "{}\tY\t제주 3000원 추가\t면^겨울^긴팔\t색상 검정^{price}|색상 흰색^{price}\tseller{}\t성인\t남성\tY\t오늘출발^15:00",
        if row.is_multiple_of(3) { 0 } else { 2500 },
        mix % 50,
    )
}

/// What a measurement found.
#[derive(Debug, Clone)]
pub struct Throughput {
    pub outcome: FeedOutcome,
    pub elapsed: Duration,
    pub batches: u64,
    /// Largest batch, in bytes of Arrow memory.
    pub batch_bytes_max: usize,
}

impl Throughput {
    pub fn rows_per_s(&self) -> f64 {
        self.outcome.rows as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Reads a feed to Arrow, drops the batches and takes the time.
pub fn measure(input: impl Read, options: &FeedOptions) -> Result<Throughput, FeedError> {
    let mut sink = Discard::default();
    let mut rejected = RejectedRows::counted();
    let started = Instant::now();
    let outcome = read_feed(
        input,
        options,
        FeedTakers {
            sink: &mut sink,
            rejected: &mut rejected,
            normaliser: &mut Normaliser::default(),
            step: &mut |_| Step::Continue,
        },
    )?;
    Ok(Throughput {
        outcome,
        elapsed: started.elapsed(),
        batches: sink.batches,
        batch_bytes_max: sink.batch_bytes_max,
    })
}

#[derive(Default)]
struct Discard {
    batches: u64,
    batch_bytes_max: usize,
}

impl RowSink for Discard {
    fn upsert(&mut self, rows: RecordBatch) -> Result<(), SinkError> {
        self.batches += 1;
        self.batch_bytes_max = self.batch_bytes_max.max(rows.get_array_memory_size());
        Ok(())
    }

    fn delete(&mut self, _: Vec<String>) -> Result<(), SinkError> {
        Ok(())
    }
}
