//! A made-up Naver EP feed of any length, for the tests beside it. Row n is
//! always the same.

use std::fmt::Write as _;

/// The 52 columns of a complete EP file.
const EP_HEADER: &[&str] = &[
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
pub(super) fn naver_ep(rows: std::ops::Range<u64>, header: bool) -> String {
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
